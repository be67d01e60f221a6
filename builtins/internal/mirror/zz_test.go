package mirror
import ("testing";"runbook/runtime/host")
func TestX(t *testing.T){ _,err:=host.NewLocal(t.TempDir()).Lstat("/"); t.Log(err) }
