package mirror

import (
	"os"
	"path/filepath"
	"testing"
)

// data is a directory of real conda data, which lies beside the project and is no part of it.
func data(t testing.TB, name string) string {
	dir, err := filepath.Abs("../../../../shared/data/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("NOT TESTED: no conda data in " + dir)
	}
	return dir
}
