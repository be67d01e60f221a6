package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
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

// prepare makes the directory, for its owner only. A place that somebody else could have prepared, or could change, is
// refused: what is written there would go where a link leads.
func (s state) prepare() error {
	cure := "name one that only you may write: --state DIR"
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return runtime.Hint(fmt.Errorf("state directory: %w", err), cure)
	}
	if err := s.own(); err != nil {
		return runtime.Hint(fmt.Errorf("state directory: %w", err), cure)
	}
	return nil
}

// own returns an error unless nobody but whoever runs and root can change the directory, those above it, and what it
// holds.
func (s state) own() error {
	for dir := string(s); ; dir = filepath.Dir(dir) {
		if err := ours(dir, dir == string(s)); err != nil {
			return err
		}
		if dir == "/" {
			break
		}
	}
	entries, err := os.ReadDir(string(s))
	for _, e := range entries {
		if err := ours(filepath.Join(string(s), e.Name()), true); err != nil {
			return err
		}
	}
	return err
}

// ours returns an error if others than whoever runs and root could have made name, or can change it. strictly refuses
// links, too, and directories like /tmp, in which they cannot change what is not theirs.
func ours(name string, strictly bool) error {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: name, Err: err}
	}
	link := st.Mode&unix.S_IFMT == unix.S_IFLNK
	sticky := !strictly && st.Mode&unix.S_ISVTX != 0
	switch {
	case link && strictly:
		return fmt.Errorf("%s is a symbolic link", name)
	case int(st.Uid) != os.Geteuid() && (st.Uid != 0 || strictly):
		return fmt.Errorf("%s belongs to %s", name, accountName(st.Uid))
	case !link && !sticky && (st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0 && int(st.Gid) != os.Getegid()):
		return fmt.Errorf("others may write %s", name)
	}
	return nil
}

func accountName(uid uint32) string {
	u, err := user.LookupId(fmt.Sprint(uid))
	if err != nil {
		return fmt.Sprintf("user %d", uid)
	}
	return u.Username
}

// made returns the directories that earlier runs made.
func (s state) made() (dirs []string) {
	text, _ := os.ReadFile(filepath.Join(string(s), "made")) // there may be no run yet, or no right to read it
	for line := range strings.Lines(string(text)) {
		if dir, err := strconv.Unquote(strings.TrimSpace(line)); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// remember adds a directory to those.
func (s state) remember(dir string) error {
	f, err := s.appendTo("made")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, strconv.Quote(dir))
	return errors.Join(err, f.Sync(), f.Close())
}

// appendTo opens a file of the directory for another line.
func (s state) appendTo(name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(string(s), name), os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return f, nil
}

// head returns the head of the trace of the last run, or "".
func (s state) head() string {
	text, _ := os.ReadFile(filepath.Join(string(s), "head")) // there may be no run yet, or no right to read it
	return strings.TrimSpace(string(text))
}

// setHead replaces the head atomically.
func (s state) setHead(head string) error {
	name := filepath.Join(string(s), "head")
	if err := os.Remove(name + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(head + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// lock keeps other runs out until the file is closed. The file is never
// removed: whoever opened it before would lock a file that nobody else sees.
func (s state) lock(who string) (io.Closer, error) {
	name := filepath.Join(string(s), "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
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
