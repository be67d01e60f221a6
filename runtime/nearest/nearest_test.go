package nearest

import "testing"

func TestOf(t *testing.T) {
	names := []string{"useradd", "mkdir", "Verify", "a"}
	for name, want := range map[string]string{
		"user_add": "useradd", "usreadd": "useradd", "mkdri": "mkdir", "verify": "Verify", "verfiy": "Verify",
		"mkdir": "", "chown": "", "b": "a",
	} {
		if got := Of(name, names); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
