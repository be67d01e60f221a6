package archive

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func TestPredict(t *testing.T) {
	for _, c := range []struct {
		name, text string
		strip      int
		want       string
	}{
		{"names", "top/\ntop/a\r\ntop/d/\n\ntop/d/f\n", 1, "-rw-r--r-- -1 a \ndrwxr-xr-x 0 d \n-rw-r--r-- -1 d/f \n"},
		{"directories without a slash", "./top\n./top/d\n./top/d/f", 1, "drwxr-xr-x 0 d \n-rw-r--r-- -1 d/f \n"},
		{"with sizes", `drwxr-xr-x root/root         0 2016-08-03 00:00 top/
-rwxr-xr-x root/root       300 2016-08-03 00:00 top/a b
lrwxrwxrwx u/g               0 2016-08-03 00:00:01 top/l -> a b
hrw-r--r-- u/g               0 2016-08-03 00:00 top/h link to top/a b
`, 1, "-rw-r--r-- 300 a b \nLrwxrwxrwx 3 l a b\n-rw-r--r-- 300 h \n"},
	} {
		l, err := Predict([]byte(c.text), c.strip)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := show(l.Entries); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
		for _, e := range l.Entries {
			if !e.Mode.IsRegular() {
				continue
			}
			if _, err := e.Content.Reader(); !errors.Is(err, host.ErrUnknown) {
				t.Errorf("%s: content of %s: %v", c.name, e.Name, err)
			}
		}
	}
	for text, want := range map[string]string{
		"a/b\n../c\n": "leaves", "": "nothing is left of 0", "a\na\n": "twice", "/a\n": "absolute",
		"lrwxrwxrwx u/g 0 2016-08-03 00:00 l -> /etc\n": "relative",
	} {
		if l, err := Predict([]byte(text), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want %q", text, l, err, want)
		}
	}
}

func FuzzPredict(f *testing.F) {
	f.Add("top/\ntop/a\n", 1)
	f.Add("lrwxrwxrwx u/g 0 2016-08-03 00:00 l -> a\nhrw-r--r-- u/g 0 2016-08-03 00:00 h link to l", 0)
	f.Fuzz(func(t *testing.T, text string, strip int) {
		if strip < 0 || strip > 9 {
			return
		}
		l, err := Predict([]byte(text), strip)
		if err != nil {
			return
		}
		for _, e := range l.Entries {
			if !fs.ValidPath(e.Name) {
				t.Fatalf("accepted %q", e.Name)
			}
		}
	})
}
