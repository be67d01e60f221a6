package builtins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A machine is a root directory with programs that stand in for the system's,
// which find it as $R, with secrets and a network.
type machine struct {
	t       *testing.T
	root    string
	bin     string            // a real directory with programs
	tools   string            // a real directory with links to programs that harm nobody
	secrets map[string]string // declared by their names in what is played
	net     func(context.Context, host.Request) (*host.Response, error)
}

// newMachine has the given files; names below /usr/bin are programs in sh.
func newMachine(t *testing.T, files map[string]string) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), secrets: map[string]string{}, net: fetch.New().Get}
	m.bin, m.tools = filepath.Join(m.root, "usr/bin"), toolbox(t)
	for _, dir := range []string{"etc", "home", "srv", "var/state", "tmp", "usr/bin", "usr/sbin"} {
		m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	}
	m.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
	m.write("/etc/group", "root:x:0:\nnogroup:x:65534:\nwheel:x:10:\nadm:x:4:\n")
	m.write("/proc/self/status", "Uid:\t0\t0\t0\t0\n")
	for name := range strings.FieldsSeq("x mystery vendor fetch fill make-unit") { // which only dry runs name
		m.write("/usr/bin/"+name, "exit 1")
	}
	for name, text := range files {
		m.write(name, text)
	}
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	file := filepath.Join(m.root, name)
	m.must(os.MkdirAll(filepath.Dir(file), 0o755))
	mode := os.FileMode(0o644)
	if strings.HasPrefix(name, "/usr/bin/") || strings.HasPrefix(name, "/etc/init.d/") {
		text, mode = "#!/bin/sh\nR="+m.root+"\n"+text+"\n", 0o755
	}
	m.must(os.WriteFile(file, []byte(text), mode))
	m.must(os.Chmod(file, mode))
}

func (m *machine) read(name string) string {
	data, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// serve starts a web server on the loopback interface and returns its URL.
func (m *machine) serve(h http.Handler) string {
	srv := httptest.NewServer(h)
	m.t.Cleanup(srv.Close)
	return srv.URL
}

func (m *machine) local() *host.Local {
	l := host.NewLocal(m.root)
	l.Path, l.Net = strings.TrimPrefix(m.bin+":"+m.tools, ":"), m.net
	return l
}

// harmless are the programs of this machine that stand-ins are written with, and tests run. What is not among them, such
// as crontab or useradd, is found only if the test has a stand-in for it.
const harmless = "sh bash env cat chmod cp mkdir mv rm touch true echo grep sed head tr uname"

// toolbox is a directory with links to them.
func toolbox(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name := range strings.FieldsSeq(harmless) {
		file, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(file, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// No test reaches what would change this machine.
func TestToolbox(t *testing.T) {
	m := newMachine(t, nil)
	for _, name := range strings.Fields("crontab useradd usermod groupadd yum rpm iptables iptables-save supervisord supervisorctl service systemctl getent chown mount reboot") {
		_, err := m.local().Query(t.Context(), host.Process{Argv: []string{name, "--version"}})
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: got %v, want that it is not found", name, err)
		}
	}
	if r, err := m.local().Query(t.Context(), host.Process{Argv: []string{"echo", "found"}}); err != nil || string(r.Stdout) != "found\n" {
		t.Errorf("echo: got %q, %v", r.Stdout, err)
	}
}

// A constructor is OnMachine or Predicted of package runtime.
type constructor func(*host.Local, runtime.Options) *runtime.Run

// play runs the body of a step. It returns the host as the run leaves it.
func (m *machine) play(construct constructor, body string) (host.Reader, []trace.Event, error) {
	m.t.Helper()
	src := "def s():\n    pass\n    " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\nstep(s)\n"
	for name := range m.secrets {
		src = name + " = secret('" + name + "')\n" + src
	}
	lib := runtime.Library{Dir: fstest.MapFS{"t.star": {Data: []byte(src)}}, Shipped: fstest.MapFS{}}
	book, err := runtime.New(All()...).Load(lib, "t.star", runtime.Inputs{})
	m.must(err)
	var events trace.List
	r := construct(m.local(), runtime.Options{Sink: &events, State: "/var/state", Secrets: m.secrets})
	err = r.Do(context.Background(), book)
	return r.Host(), events.Events, err
}

func (m *machine) dry(body string) ([]trace.Event, error) {
	m.t.Helper()
	_, events, err := m.play(runtime.Predicted, body)
	return events, err
}

func (m *machine) real(body string) ([]trace.Event, error) {
	m.t.Helper()
	_, events, err := m.play(runtime.OnMachine, body)
	return events, err
}

// twice runs body dry and really, which must emit the same. It returns the events
// of both.
func (m *machine) twice(body string) (dry, real []trace.Event) {
	m.t.Helper()
	dry, err := m.dry(body)
	if err != nil {
		m.t.Fatalf("%s\ndry run: %v (hint: %s)", body, err, runtime.HintOf(err))
	}
	if real, err = m.real(body); err != nil {
		m.t.Fatalf("%s\nrun: %v (hint: %s)", body, err, runtime.HintOf(err))
	}
	if d, r := eventTexts(dry), eventTexts(real); !slices.Equal(d, r) {
		m.t.Errorf("%s\ndry run:\n%s\nrun:\n%s", body, strings.Join(d, ""), strings.Join(r, ""))
	}
	return dry, real
}

// thrice is twice, then a run that must change nothing.
func (m *machine) thrice(body string) (dry, real []trace.Event) {
	m.t.Helper()
	dry, real = m.twice(body)
	m.again(body)
	return dry, real
}

// again runs body, which must change nothing.
func (m *machine) again(body string) {
	m.t.Helper()
	again, err := m.real(body)
	if err != nil {
		m.t.Fatalf("%s\nsecond run: %v", body, err)
	}
	for _, e := range again {
		if e.Kind == trace.Effect || e.Kind == trace.Result && e.Outcome != trace.Same {
			m.t.Errorf("%s\nsecond run: got %s", body, eventText(e))
		}
	}
}

// fails runs body dry and really. Both must end with the same error, with text in it
// or in its hint.
func (m *machine) fails(body, text string) {
	m.t.Helper()
	dry := m.failsDry(body, text)
	_, real := m.real(body)
	if !says(real, text) {
		m.t.Errorf("%s: run: got %v (hint: %s), want %s", body, real, runtime.HintOf(real), text)
	} else if dry != nil && dry.Error() != real.Error() {
		m.t.Errorf("%s:\ndry run: %v\n    run: %v", body, dry, real)
	}
}

// failsDry runs body dry only: for what only a dry run cannot know, and for waits,
// which only a dry run cuts short.
func (m *machine) failsDry(body, text string) error {
	m.t.Helper()
	_, err := m.dry(body)
	if !says(err, text) {
		m.t.Errorf("%s: dry run: got %v (hint: %s), want %s", body, err, runtime.HintOf(err), text)
	}
	return err
}

// shows fails the test unless every part is in text.
func (m *machine) shows(text string, parts ...string) {
	m.t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			m.t.Errorf("got %s\nwant %s", text, p)
		}
	}
}

// says reports whether text is in err or in its hint.
func says(err error, text string) bool {
	return err != nil && strings.Contains(err.Error()+" | "+runtime.HintOf(err), text)
}

// eventTexts returns the events that two equal runs share.
func eventTexts(events []trace.Event) (lines []string) {
	for _, e := range events {
		if e.Kind == trace.Op || e.Kind == trace.Effect || e.Kind == trace.Result {
			lines = append(lines, eventText(e))
		}
	}
	return lines
}

// eventText returns what two equal runs share of an event.
func eventText(e trace.Event) string {
	if len(e.Argv) > 0 && e.Argv[0] == "crontab" { // the other lines belong to others
		e.Stdin = ""
	}
	return fmt.Sprintln(e.Kind, e.Op, e.Target, e.Changes, e.Call, e.Argv, e.Path, e.User, e.Stdin, e.Sets, e.Detail,
		e.Outcome, e.Error)
}

// guesses returns what ops assumed.
func guesses(events []trace.Event) (notes []string) {
	for _, e := range events {
		notes = append(notes, e.Assumed...)
	}
	return notes
}

// effects returns the name and path of each effect.
func effects(events []trace.Event) (all []string) {
	for _, e := range events {
		if e.Kind == trace.Effect {
			all = append(all, e.Call+" "+e.Path)
		}
	}
	return all
}

// changesOf returns the changes of the n'th op.
func changesOf(events []trace.Event, n int) []host.Change {
	for _, e := range events {
		if e.Kind == trace.Op {
			if n == 0 {
				return e.Changes
			}
			n--
		}
	}
	return nil
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
