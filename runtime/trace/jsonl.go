package trace

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// A jsonl is a Sink that writes one JSON object a line, with the hash of the line
// before: hex SHA-256 of its bytes without the newline. It numbers the events,
// and counts the results and the steps left out for the end event. It does not
// sync; see [File].
type jsonl struct {
	w io.Writer

	seq    int
	prev   string
	counts Counts
	err    error // of a write; nothing is written after it
}

// Emit writes e. After an error it writes nothing more and returns that error,
// so that no line follows a torn one.
func (j *jsonl) Emit(e Event) error {
	if j.err != nil {
		return j.err
	}
	e.Seq, e.Prev = j.seq+1, j.head()
	j.counts.Add(e)
	if e.Kind == End {
		e.Counts = j.counts
	}
	line, err := encode(e)
	if err != nil {
		return err
	}
	j.seq, j.prev = e.Seq, hash(line)
	if _, err := j.w.Write(append(line, '\n')); err != nil {
		j.err = unwritten{err}
	}
	return j.err
}

// unwritten is the error of an event that is not in the trace: its effect must
// not happen.
type unwritten struct{ err error }

func (u unwritten) Error() string { return "trace: " + u.err.Error() }
func (u unwritten) Unwrap() error { return u.err }

// Hint is advice for the person who reads the error.
func (unwritten) Hint() string {
	return "nothing is done that the trace cannot tell of: make room for it, or let --trace name another place; " +
		"the same command goes on from there"
}

// head returns the hash of the last line, 64 zeros before the first.
func (j *jsonl) head() string {
	if j.prev == "" {
		return zeroHash
	}
	return j.prev
}

// Durable is a file whose content can be forced to the disk, such as *os.File.
type Durable interface {
	io.Writer
	Sync() error
}

// File is a Sink that writes a trace file. Effect and end events are on disk
// before Emit returns.
type File struct {
	jsonl
	f Durable
}

// NewFile returns a File that writes to f, and the same bytes to others. The
// caller has made f, and has synced the directory that holds it.
func NewFile(f Durable, others ...io.Writer) *File {
	return &File{jsonl{w: io.MultiWriter(append([]io.Writer{f}, others...)...)}, f}
}

// Emit writes e. After an error of writing or syncing all later calls return it:
// what the disk holds is then unknown, and another try would hide that.
func (f *File) Emit(e Event) error {
	if err := f.jsonl.Emit(e); err != nil {
		return err
	}
	if e.Kind != Effect && e.Kind != End {
		return nil
	}
	if err := f.f.Sync(); err != nil {
		f.err = unwritten{err}
	}
	return f.err
}

// Head returns the hash of the last line. After the end event it stands for the
// whole trace: it is RunInfo.Previous of the next run.
func (f *File) Head() string { return f.head() }

// Add counts e if it is the result of an op or a step that was left out.
func (c *Counts) Add(e Event) {
	switch {
	case e.Kind == Result && e.Outcome == Same:
		c.Same++
	case e.Kind == Result && e.Outcome == Changed:
		c.Changed++
	case e.Kind == Result && e.Outcome == Failed:
		c.Failed++
	case e.Kind == Result && e.Outcome == Skipped, e.Kind == Step && e.State == LeftOut:
		c.Skipped++
	}
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}
