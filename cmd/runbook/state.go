package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"runbook/runtime"
)

// A state is the directory that holds lock, traces and markers.
type state string

// stateAt returns the directory that --state names, or the default one of the account.
func (p *program) stateAt(flag string) (state, error) {
	dir := flag
	switch data, home := os.Getenv("XDG_STATE_HOME"), os.Getenv("HOME"); {
	case dir != "":
	case os.Geteuid() == 0:
		dir = p.rootState
	case filepath.IsAbs(data):
		dir = filepath.Join(data, "runbook")
	case filepath.IsAbs(home):
		dir = filepath.Join(home, ".local/state/runbook")
	default:
		return "", mistake("name it: --state DIR", "no state directory: HOME is not set")
	}
	abs, err := filepath.Abs(dir)
	return state(abs), err
}

// prepare makes the directory, for its owner only.
func (s state) prepare() error {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return runtime.Hint(fmt.Errorf("state directory: %w", err), "name one that you may write: --state DIR")
	}
	return nil
}

// head returns the head of the trace of the last run, or "".
func (s state) head() string {
	text, _ := os.ReadFile(filepath.Join(string(s), "head")) // there may be no run yet, or no right to read it
	return strings.TrimSpace(string(text))
}

// setHead replaces the head atomically.
func (s state) setHead(head string) error {
	name := filepath.Join(string(s), "head")
	if err := os.WriteFile(name+".new", []byte(head+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// lock keeps other runs out until the file is closed. The file is never
// removed: whoever opened it before would lock a file that nobody else sees.
func (s state) lock(who string) (io.Closer, error) {
	name := filepath.Join(string(s), "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, runtime.Hint(fmt.Errorf("lock: %w", err), "name a state directory that you may write: --state DIR")
	}
	if holder, err := take(f); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, runtime.Hint(fmt.Errorf("lock %s: another run holds it: %s", name, holder),
				"wait until it has ended; nothing was changed")
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if err := errors.Join(f.Truncate(0), write(f, who+"\n")); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

// take locks f, or returns who holds it. A run that was killed may hold the lock for
// a moment longer, in a child that has not yet executed its program; take waits for
// that.
func take(f *os.File) (holder string, err error) {
	for range 40 {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return "", nil
		}
		text, _ := io.ReadAll(io.NewSectionReader(f, 0, 1000))
		holder = strings.TrimSpace(string(text))
		var pid int
		if _, serr := fmt.Sscanf(holder, "pid %d,", &pid); serr != nil || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return holder, err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return holder, err
}

func write(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// holder describes this run for another that finds the lock taken.
func holder(user, runbook string, since time.Time) string {
	return fmt.Sprintf("pid %d, %s, %s, since %s", os.Getpid(), user, runbook, since.UTC().Format(time.RFC3339))
}
