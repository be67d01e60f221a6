package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// create makes a trace file, which must not exist yet, so that no earlier record is
// lost. When it returns, the directory that holds the file is synced.
func create(name string) (*os.File, error) {
	if abs, err := filepath.Abs(name); err == nil {
		if _, err := host.NewLocal("/").Resolve(abs, false); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, mistake(runtime.HintOf(err), "trace: %w", err)
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, mistake("a trace is never replaced: give another name, or move that file away", "trace %s: exists", name)
	}
	if err != nil {
		return nil, mistake("", "trace: %w", err)
	}
	dir, err := os.Open(filepath.Dir(name))
	if err == nil {
		err = dir.Sync()
		dir.Close()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("trace %s: %w", name, err)
	}
	return f, nil
}

// traceName returns where a real run writes its trace without --trace.
func (s state) traceName(runbook string, now time.Time) (string, error) {
	dir := filepath.Join(string(s), "traces")
	random := make([]byte, 4)
	rand.Read(random) // never fails
	began, book := now.UTC().Format("20060102T150405Z"), plainName(strings.TrimSuffix(runbook, ".star"))
	name := fmt.Sprintf("%s-%s-%s.jsonl", began, book, hex.EncodeToString(random))
	return filepath.Join(dir, name), os.MkdirAll(dir, 0o700)
}

// plainName returns name with nothing in it that means something to a shell or a terminal.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (r == '.' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '_'
	}, name)
}

// A blobs is the directory beside a trace that holds the texts which are too long for
// it, each under its digest. It is made with the first of them.
type blobs struct {
	dir   string
	leaks func(text string) bool
	made  bool
}

// keep writes a text, on the disk, before the trace tells of it.
func (b *blobs) keep(sum, text string) error {
	if b.leaks(text) {
		return trace.ErrSecret
	}
	if !b.made {
		if err := os.Mkdir(b.dir, 0o700); err != nil {
			return fmt.Errorf("trace: %w", err)
		}
		b.made = true
	}
	f, err := os.OpenFile(filepath.Join(b.dir, sum), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // an op before this one has the same text
	}
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return nil
}

// An outputFile takes what commands print. It writes it to a file beside the trace,
// which it makes with the first line, and passes lines on to the terminal. Its
// errors never stop a command.
type outputFile struct {
	name string
	tail func(line string, ended bool) // may be nil

	mu   sync.Mutex
	file *os.File
	err  error
	head string // names the command under way; not yet written
	rest []byte // of a line without an end
}

// Emit remembers which command prints next.
func (o *outputFile) Emit(e trace.Event) error {
	if e.Kind == trace.Effect && e.Call == "exec" {
		o.mu.Lock()
		defer o.mu.Unlock()
		began, command := e.Time.UTC().Format(time.RFC3339), trace.Quote(strings.Join(e.Argv, " "))
		o.head = fmt.Sprintf("== %s  step %s: %s\n", began, e.Step, command)
	}
	return nil
}

// Write takes what a command prints.
func (o *outputFile) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil && o.err == nil {
		o.file, o.err = os.OpenFile(o.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if o.err == nil {
		_, o.err = o.file.Write(append([]byte(o.head), p...))
		o.head = ""
	}
	if o.tail == nil {
		return len(p), nil
	}
	all := append(o.rest, p...)
	line, rest, ok := bytes.Cut(all, []byte("\n"))
	for ; ok; line, rest, ok = bytes.Cut(rest, []byte("\n")) {
		o.tail(string(line), true)
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		o.tail(string(line), false)
	}
	o.rest = bytes.Clone(line[:min(len(line), longestLine)])
	return len(p), nil
}

const longestLine = 4 << 10 // bytes of a line that the terminal gets to see

// close closes the file and reports whether one was made. It returns the first error.
func (o *outputFile) close() (made bool, err error) {
	if o.file == nil {
		return false, o.err
	}
	return true, errors.Join(o.err, o.file.Close())
}

// watch is a Sink that remembers the op under way, how the run ended, and what is to be served then.
type watch struct {
	mu     sync.Mutex
	op     string
	served trace.Event // the last op that asked for it
	ended  bool

	outcome trace.Outcome // of the run, "" before its end
	effects int           // that the trace has
	last    trace.Event   // of them
	trace.Counts
}

// Emit remembers what it needs of e.
func (w *watch) Emit(e trace.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Kind {
	case trace.Op:
		w.op = strings.TrimSpace(e.Op + " " + e.Target)
		if e.Op == builtins.ServeBuiltin {
			w.served = e
		}
	case trace.Effect:
		w.effects, w.last = w.effects+1, e
	case trace.Result:
		w.op = ""
	case trace.End:
		w.ended, w.outcome, w.Counts = true, e.Outcome, e.Counts
	}
	return nil
}

// underWay returns the op under way, or "".
func (w *watch) underWay() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.op
}
