package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Whether a process can be started.

// maxWord is how many bytes the kernel takes as one word of a command or one variable
// (MAX_ARG_STRLEN without the NUL at its end); see execve(2).
const maxWord = 128<<10 - 1

// check returns an error if no kernel starts p.
func (p Process) check() error {
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		return errors.New("no program named")
	}
	for i, w := range p.Argv {
		if err := checkWord(w); err != nil {
			return fmt.Errorf("word %d: %w", i+1, err)
		}
	}
	for k, v := range p.Env {
		if k == "" || strings.Contains(k, "=") {
			return fmt.Errorf("env: got the name %q, want one without \"=\"", k)
		}
		if err := checkWord(k + "=" + v); err != nil {
			return fmt.Errorf("env %s: %w", strings.ToValidUTF8(strings.ReplaceAll(k, "\x00", "?"), "?"), err)
		}
	}
	if strings.ContainsRune(p.Dir, 0) {
		return errors.New("cwd: got a NUL byte in it")
	}
	return p.checkSize()
}

// checkSize returns an error if p's words and variables are too many. The kernel takes
// a quarter of the stack's limit, at most 6 MiB, with a pointer for each.
func (p Process) checkSize() error {
	const most, each, others = 6 << 20, 9, 8 << 10
	total, limit := others, uint64(most)
	for _, w := range p.Argv {
		total += len(w) + each
	}
	for k, v := range p.Env {
		total += len(k) + 1 + len(v) + each
	}
	var stack unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_STACK, &stack) == nil {
		limit = max(min(limit, stack.Cur/4), 128<<10)
	}
	if uint64(total) > limit {
		return hinted{fmt.Errorf("got %d bytes of words and variables, want at most %d", total, limit),
			"give them as stdin, or in a file"}
	}
	return nil
}

func checkWord(w string) error {
	switch {
	case strings.ContainsRune(w, 0):
		return errors.New("got a NUL byte in it")
	case len(w) > maxWord:
		return hinted{fmt.Errorf("got %d bytes, want at most %d", len(w), maxWord), "give it as stdin, or in a file"}
	}
	return nil
}

// Program is Reader's.
func (l *Local) Program(name string) (string, error) { return lookPath(l.searchPath(), "/", name) }

// Program looks for files of the overlay, then asks the base, whose programs may lie elsewhere.
func (o *Overlay) Program(name string) (string, error) {
	candidates := []string{name}
	if !path.IsAbs(name) {
		candidates = nil
		for d := range strings.SplitSeq(defaultPath, ":") {
			candidates = append(candidates, path.Join(d, name))
		}
	}
	for _, file := range candidates {
		p, err := steps{o: o, kernel: true}.find(file, true)
		switch {
		case absent(err):
		case err != nil:
			return "", err
		case p.unknown || p.touched:
			return "", ErrUnknown
		case p.meta.Mode.IsRegular() && p.meta.Mode.Perm()&0o111 != 0:
			return file, nil
		case path.IsAbs(name) && o.touches(name):
			return "", notExecutable(file)
		}
	}
	file, err := o.base.Program(name)
	if err == nil && o.touches(file) { // it was removed here
		return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
	}
	return file, err
}

// noInterpreter is the error of a program that is there and that nothing can execute.
func noInterpreter(file string) error {
	return fmt.Errorf("%s: its interpreter or loader is missing: %w", file, syscall.ENOENT)
}

func notExecutable(file string) error {
	return fmt.Errorf("%s: is not an executable file: %w", file, syscall.EACCES)
}

// startable returns the error that starting p would give. What an earlier command may
// have brought is assumed.
func (o *Overlay) startable(ctx context.Context, p Process) error {
	dir, name := p.Dir, p.Argv[0]
	if dir != "" {
		if err := o.mayEnter(dir); err != nil {
			return err
		}
	} else if p.User != "" {
		dir, _ = o.Fact(ctx, Fact{Home, p.User}) // without one it is /
	}
	if strings.Contains(name, "/") && !path.IsAbs(name) {
		name = path.Join("/", dir, name)
	}
	file, err := o.Program(name)
	if err == nil {
		err = o.interpreter(file)
	}
	missing := errors.Is(err, exec.ErrNotFound) || errors.Is(err, syscall.ENOENT)
	if errors.Is(err, ErrUnknown) || o.brought && missing {
		o.assume(path.Base(p.hide(name)) + " is there, as an earlier command would leave it")
		return nil
	}
	return err
}

// interpreter returns an error if a script names one that is not there.
func (o *Overlay) interpreter(file string) error {
	c, err := o.Content(file)
	if err != nil {
		return nil // the kernel can execute what we cannot read
	}
	f, err := c.Reader()
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, 256) // BINPRM_BUF_SIZE
	n, _ := io.ReadFull(f, head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	if !strings.HasPrefix(line, "#!") || len(words) == 0 || !path.IsAbs(words[0]) {
		return nil
	}
	_, err = o.Program(words[0])
	if errors.Is(err, exec.ErrNotFound) {
		return noInterpreter(file)
	}
	return err
}

// mayEnter returns the error that dir gives as a working directory.
func (o *Overlay) mayEnter(dir string) error {
	p, err := o.find(dir, true)
	switch {
	case err == nil && !p.mayHold():
		err = errNotDir
	case absent(err) && (o.brought || o.mayMake):
		o.assume(dir + " is there, as an earlier command would leave it")
		err = nil
	}
	return guest("chdir", dir, err)
}
