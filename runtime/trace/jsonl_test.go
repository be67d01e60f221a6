package trace

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// disk is a file that tells what of it would survive a power cut.
type disk struct {
	bytes.Buffer
	safe      int
	failWrite bool
	failSync  bool
}

func (d *disk) Write(p []byte) (int, error) {
	if d.failWrite {
		n, _ := d.Buffer.Write(p[:len(p)/2])
		return n, errors.New("no space left on device")
	}
	return d.Buffer.Write(p)
}

func (d *disk) Sync() error {
	if d.failSync {
		return errors.New("input/output error")
	}
	d.safe = d.Len()
	return nil
}

func TestEffectsAndTheEndAreOnDiskBeforeEmitReturns(t *testing.T) {
	d := &disk{}
	f := NewFile(d)
	for _, e := range sample(RealRun) {
		if err := f.Emit(e); err != nil {
			t.Fatal(err)
		}
		if must := e.Kind == Effect || e.Kind == End; must && d.safe != d.Len() {
			t.Errorf("%s: %d of %d bytes are on disk", e.Kind, d.safe, d.Len())
		} else if !must && d.safe == d.Len() {
			t.Errorf("%s: synced without need", e.Kind)
		}
	}
}

func TestNothingFollowsAnError(t *testing.T) {
	for name, breakIt := range map[string]func(*disk){
		"write": func(d *disk) { d.failWrite = true },
		"sync":  func(d *disk) { d.failSync = true },
	} {
		d := &disk{}
		f := NewFile(d)
		emit(t, f, sample(RealRun)[:4])
		breakIt(d)
		effect := Event{Kind: Effect, Call: "remove", Path: "/x"}
		first := f.Emit(effect)
		d.failWrite, d.failSync = false, false
		size := d.Len()
		if again := f.Emit(effect); first == nil || again == nil || d.Len() != size {
			t.Errorf("%s: got %v, then %v and %d more bytes", name, first, again, d.Len()-size)
		}
	}
}

func TestOthersGetTheBytesOfTheFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "trace")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	file := NewFile(f, &out)
	if file.Head() != strings.Repeat("0", 64) {
		t.Errorf("got head %s before the first line", file.Head())
	}
	emit(t, file, sample(RealRun))
	have, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(have, out.Bytes()) || len(have) == 0 {
		t.Errorf("the file and the other writer differ: %v", err)
	}
	report, err := Verify(bytes.NewReader(have))
	if err != nil || !report.OK() || report.Head != file.Head() {
		t.Errorf("got head %s, report %v, %v", file.Head(), report, err)
	}
}

func TestAnEventThatIsNoJSONIsRefusedAndLeavesNoTrace(t *testing.T) {
	var b bytes.Buffer
	j := &jsonl{w: &b}
	if err := j.Emit(Event{Kind: Op, Args: map[string]any{"c": make(chan int)}}); err == nil || b.Len() > 0 {
		t.Errorf("got %v and %q", err, b.String())
	}
	if err := j.Emit(Event{Kind: Run}); err != nil || !strings.HasPrefix(b.String(), `{"seq":1,"prev":"000`) {
		t.Errorf("got %v and %q", err, b.String())
	}
}
