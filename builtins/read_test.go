package builtins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// Answers are checked by the script itself.
func TestReading(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/etc/a.conf": "a\n", "/etc/b.conf": "b\n", "/etc/.hidden.conf": "h",
		"/srv/a/x/1": "", "/srv/b/x/2": "", "/srv/a-b/x/3": "", "/srv/[z]": "",
	})
	m.must(os.Symlink("nowhere", filepath.Join(m.root, "etc/dangling")))
	m.must(os.Symlink("a", filepath.Join(m.root, "srv/link")))
	m.must(os.WriteFile(filepath.Join(m.root, "srv/big"), make([]byte, textLimit+1), 0o600))
	for expr, want := range map[string]string{
		`exists("/etc/a.conf")`:           `True`,
		`exists("/etc")`:                  `True`,
		`exists("/etc/dangling")`:         `True`,
		`exists("/etc/no")`:               `False`,
		`exists("/etc/a.conf/below")`:     `False`,
		`exists("/etc/no", assume=True)`:  `False`,
		`read("/etc/a.conf")`:             `"a\n"`,
		`read("/etc/a.conf", assume="x")`: `"a\n"`,
		`sha256("/etc/a.conf")`:           `"` + hexSum("a\n") + `"`,
		`glob("/etc/*.conf")`:             `["/etc/a.conf", "/etc/b.conf"]`,
		`glob("/etc/.*.conf")`:            `["/etc/.hidden.conf"]`,
		`glob("/etc/?.conf")`:             `["/etc/a.conf", "/etc/b.conf"]`,
		`glob("/etc/[b-z].conf")`:         `["/etc/b.conf"]`,
		`glob("/srv/*/x/*")`:              `["/srv/a-b/x/3", "/srv/a/x/1", "/srv/b/x/2", "/srv/link/x/1"]`,
		`glob("/srv/\\[z]")`:              `["/srv/[z]"]`,
		`glob("/s*/a/x")`:                 `["/srv/a/x"]`,
		`glob("/etc/*.conf/x")`:           `[]`,
		`glob("/etc/*.conf/*")`:           `[]`,
		`glob("/no/*")`:                   `[]`,
		`glob("/etc/dangling")`:           `["/etc/dangling"]`,
		`glob("/etc/dangling/*")`:         `[]`,
		`glob("/")`:                       `["/"]`,
		`glob("/nothing", assume=["/x"])`: `[]`,
	} {
		body := "got = " + expr + "\nif got != " + want + ":\n    fail(repr(got))"
		if _, err := m.dry(body); err != nil {
			t.Errorf("%s: dry run: got %v, want %s", expr, err, want)
		}
		if _, err := m.real(body); err != nil {
			t.Errorf("%s: run: got %v, want %s", expr, err, want)
		}
	}
	m.fails(`read("/srv/big")`, "more than 16 MiB")
	m.fails(`line("/srv/big", "x")`, "want a text of at most")
}

// touched plays body in a dry run where a command that did not run would have
// changed /srv/dark.
func (m *machine) touched(body string) ([]trace.Event, error) {
	return m.dry("run('mystery', touches = ['/srv/dark'])\n" + body)
}

func TestUnknownAnswers(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/dark/x": "x"})
	for call, value := range map[string]string{
		`exists("/srv/dark/x"`: "True",
		`read("/srv/dark/x"`:   `"y"`,
		`sha256("/srv/dark/x"`: `"ab"`,
		`glob("/srv/dark/*"`:   `["/a"]`,
	} {
		_, err := m.touched(call + ")")
		if !says(err, "unknown in a dry run") || !says(err, "assume=") {
			t.Errorf("%s): got %v (hint: %s)", call, err, runtime.HintOf(err))
		}
		body := "if " + call + ", assume=" + value + ") != " + value + ":\n    fail('not assumed')"
		if _, err := m.touched(body); err != nil {
			t.Errorf("%s, assume=): got %v", call, err)
		}
	}
}

// Below what is unknown every op differs, and says that it guesses.
func TestUnknownPlaces(t *testing.T) {
	for _, body := range []string{
		`write("/srv/dark/x", "x")`, `line("/srv/dark/x", "x")`, `mkdir("/srv/dark/sub")`, `mkdir("/srv/dark/new/sub")`,
		`copy("/etc/a", "/srv/dark/x")`, `copy("/srv/dark/x", "/etc/a")`, `move("/srv/dark/x", "/srv/x")`, `move("/srv/y", "/srv/dark/y")`,
		`remove("/srv/dark/x")`, `remove("/srv/dark")`, `symlink("/srv/dark/l", "x")`, `chown("/srv/dark/x", "nobody")`,
		`chown("/srv/dark", "nobody", adopt=True)`, `chown("/srv/dark/sub", "nobody", recursive=False, adopt=True)`,
		`download("/srv/dark/x", "/srv/x")`, `download("/etc/a", "/srv/dark/x")`,
		"write('/srv/dark/x', 'x')\nline('/srv/dark/x', 'y')\nwrite('/srv/dark/x', read('/srv/dark/x') + 'z')",
	} {
		m := newMachine(t, map[string]string{"/srv/dark/x": "x", "/etc/a": "a", "/srv/dark/sub/y": "y", "/srv/y": "y"})
		events, err := m.touched(body)
		if err != nil {
			t.Errorf("%s: got %v (hint: %s)", body, err, runtime.HintOf(err))
			continue
		}
		for _, e := range events {
			if e.Kind == trace.Result && (e.Op != "line" || strings.HasPrefix(body, "line")) && e.Outcome != trace.Changed {
				t.Errorf("%s: got %s", body, eventText(e))
			}
		}
		if len(guesses(events)) == 0 {
			t.Errorf("%s: nothing assumed", body)
		}
		if _, err := m.real(body); err != nil {
			t.Errorf("%s: run: got %v", body, err)
		}
	}
}
