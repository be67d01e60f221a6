package builtins

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"runbook/runtime"
	"runbook/runtime/host/before"
	"runbook/runtime/host/sample"
	"runbook/runtime/trace"
)

// keeping runs the body of steps on m and returns its past.
func (m *machine) keeping(rt *runtime.Runtime, construct constructor, src string, sinks ...trace.Sink) ([]trace.Event, map[string]before.Record, error) {
	m.t.Helper()
	book, err := rt.Load(runtime.Library{Dir: fstest.MapFS{"t.star": {Data: []byte(src)}}, Shipped: fstest.MapFS{}}, "t.star", runtime.Inputs{})
	if err != nil {
		m.t.Fatalf("%v\n%s", err, src)
	}
	records := map[string]before.Record{}
	put := func(r io.Reader) (string, error) {
		text, err := io.ReadAll(r)
		sum := fmt.Sprintf("%x", sha256.Sum256(text))
		return sum, errors.Join(err, os.WriteFile(filepath.Join(m.root, m.blob(sum)), text, 0o600))
	}
	var events trace.List
	o := runtime.Options{Sink: append(trace.Tee{&events}, sinks...), State: "/var/state"}
	o.Before = before.New(1<<30, put, CanPutBack)
	o.Record = func(r before.Record) (string, error) {
		line, err := json.Marshal(r)
		sum := fmt.Sprintf("%x", sha256.Sum256(line))
		records[sum] = r
		return sum, err
	}
	err = construct(m.local(), o).Do(m.t.Context(), book)
	return events.Events, records, err
}

func (m *machine) blob(sum string) string { return "/var/state/" + sum }

// undo takes a run back: dry, really, which must be the same, and again, which must change nothing. It is killed after a
// number of effects, and gone on with.
func (m *machine) undo(events []trace.Event, records map[string]before.Record, effects int) {
	m.t.Helper()
	past, err := NewPast(events, records)
	if err != nil {
		m.t.Fatal(err)
	}
	past.Blob = m.blob
	past.Done = map[string]bool{}
	rt := runtime.New(append(All(), Undo(past))...)
	cut := &killer{past: past, left: effects}
	if _, _, err = m.keeping(rt, runtime.OnMachine, past.Text("00"), cut); err != nil && !errors.Is(err, errKilled) {
		m.t.Fatalf("undo: %v\n%s", err, past.Text("00"))
	}
	text := past.Text("00")
	cut.left = 1 << 30
	dry, _, derr := m.keeping(rt, runtime.Predicted, text)
	real, _, err := m.keeping(rt, runtime.OnMachine, text, cut)
	if err != nil || derr != nil {
		m.t.Fatalf("undo: dry %v, real %v\n%s", derr, err, text)
	}
	if d, r := eventTexts(dry), eventTexts(real); !slices.Equal(d, r) {
		m.t.Errorf("dry run of undo:\n%s\nundo:\n%s", strings.Join(d, ""), strings.Join(r, ""))
	}
	if strings.Contains(past.Text("00"), "step(") {
		m.t.Errorf("when all is done there is still something to do:\n%s", past.Text("00"))
	}
}

// A killer ends a run after some effects, and remembers what was taken back before.
type killer struct {
	past *Past
	left int
	op   trace.Event
}

var errKilled = errors.New("killed")

func (k *killer) Emit(e trace.Event) error {
	switch e.Kind {
	case trace.Op:
		k.op = e
	case trace.Effect:
		if k.left--; k.left < 0 {
			return errKilled
		}
	case trace.Result:
		if e.Outcome != trace.Failed {
			k.past.Done[UndoneBy(k.op)] = true
		}
	}
	return nil
}

// history returns a random runbook of calls that change files, of which some may fail.
func history(r *rand.Rand) string {
	names := []string{"/srv/a", "/srv/b", "/srv/a/c", "/srv/a/d", "/srv/b/c", "/srv/a/c/e", "/srv/l"}
	name := func() string { return names[r.IntN(len(names))] }
	mode := func() string { return []string{"0o600", "0o644", "0o755", "0o2750"}[r.IntN(4)] }
	var b strings.Builder
	b.WriteString("def s():\n    pass\n")
	for range 1 + r.IntN(8) {
		line := ""
		switch r.IntN(11) {
		case 0, 1:
			line = fmt.Sprintf("mkdir(%q, mode = %s)", name(), mode())
		case 2, 3:
			line = fmt.Sprintf("write(%q, %q, mode = %s)", name(), strings.Repeat("text\n", r.IntN(4)), mode())
		case 4:
			line = fmt.Sprintf("remove(%q)", name())
		case 5:
			line = fmt.Sprintf("move(%q, %q)", name(), name())
		case 6:
			line = fmt.Sprintf("symlink(%q, %q)", name(), name())
		case 7:
			line = fmt.Sprintf("chown(%q, %q, adopt = True)", name(), []string{"nobody", "root"}[r.IntN(2)])
		case 9:
			line = fmt.Sprintf("copy(%q, %q)", name(), name())
		case 10:
			line = fmt.Sprintf("archive(%q, texts = {\"t/x\": \"1\", \"y\": \"2\"})\n    extract(%q, %q)", "/srv/l", "/srv/l", name())
		case 8:
			line = fmt.Sprintf("line(%q, %q)", name(), fmt.Sprint("line ", r.IntN(3)))
		}
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return b.String() + "step(s)\n"
}

// What a run did is taken back, whatever it did and wherever it stopped: names, types, modes, owners, contents and links
// are as they were.
func TestUndoHistories(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root gives files away")
	}
	n := sample.Count(t, 150, 1000)
	done := 0
	for i := 0; done < n; i++ {
		r := rand.New(rand.NewPCG(uint64(i), 12))
		m := newMachine(t, nil)
		m.keeping(runtime.New(All()...), runtime.OnMachine, history(r)) // what is there
		was := m.census("srv")
		src := history(r)
		events, records, err := m.keeping(runtime.New(All()...), runtime.OnMachine, src)
		if len(effects(events)) == 0 {
			continue
		}
		done++
		m.undo(events, records, r.IntN(6))
		if have := m.census("srv"); have != was {
			t.Fatalf("history %d (%v):\n%s\nhave %s\nwant %s", i, err, src, have, was)
		}
	}
}

// What the kernel was set to, and the name of the machine, are as they were.
func TestUndoSettings(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/etc/sysctl.d/.keep": "", "/proc/sys/vm/swappiness": "60\n", "/proc/sys/kernel/hostname": "old\n", "/etc/hostname": "old\n",
		"/usr/bin/sysctl":   `printf '%s\n' "${3#*=}" >$R/proc/sys/vm/swappiness`,
		"/usr/bin/hostname": `printf '%s\n' "$1" >$R/proc/sys/kernel/hostname`,
	})
	events, records, err := m.keeping(runtime.New(All()...), runtime.OnMachine, "def s():\n    sysctl(\"vm.swappiness\", \"10\")\n    hostname(\"new\")\nstep(s)\n")
	if err != nil || m.read("/proc/sys/vm/swappiness") != "10\n" || m.read("/proc/sys/kernel/hostname") != "new\n" {
		t.Fatal(err)
	}
	m.undo(events, records, 1)
	for name, want := range map[string]string{"/proc/sys/vm/swappiness": "60\n", "/proc/sys/kernel/hostname": "old\n", "/etc/hostname": "old\n"} {
		if have := m.read(name); have != want {
			t.Errorf("%s: got %q, want %q", name, have, want)
		}
	}
	m.shows(m.read("/etc/sysctl.d/60-runbook.conf"), "no such file")
}
