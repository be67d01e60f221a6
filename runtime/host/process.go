package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeWait is how long the output of a process that has ended is still read:
// a daemon that it left behind may hold the pipe for ever.
const pipeWait = 250 * time.Millisecond

// run runs p in a new session, where no terminal can ask, stop or hang
// up on it; if e is not nil, confined. When ctx ends its process group gets SIGTERM and, after Grace,
// SIGKILL; unless it is critical: then it is waited for.
func (l *Local) run(ctx context.Context, p Process, critical bool, e *enclosure) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("not started: %w", err)
	}
	cmd, err := l.command(p)
	if err != nil {
		return Result{}, err
	}
	out, errs := captures(p.Output)
	if critical {
		err = l.runCritical(cmd, out, errs)
	} else {
		err = l.runPlain(ctx, cmd, out, errs, e)
	}
	res := Result{Stdout: out.Bytes(), Stderr: errs.Bytes()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		res.Code, err = exitCode(exit), nil
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil
	}
	if ctx.Err() != nil && !critical {
		err = stopped{ctx.Err()}
	}
	return res, started(err, cmd.Path)
}

// stopped is the end of a context as the end of a process.
type stopped struct{ ctx error }

func (stopped) Error() string   { return "was stopped" }
func (s stopped) Unwrap() error { return s.ctx }

// exitCode is the status, or as in a shell 128 and the signal that ended it.
func exitCode(e *exec.ExitError) int {
	if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return e.ExitCode()
}

// started explains why a program that exists could not be started.
func started(err error, file string) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err
	}
	switch pe.Op {
	case "fork/exec":
		if errors.Is(err, fs.ErrNotExist) {
			return noInterpreter(file)
		}
		return fmt.Errorf("%s: %w", file, pe.Err)
	}
	return err
}

// command prepares p: program, account, directory and environment.
func (l *Local) command(p Process) (*exec.Cmd, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	who, err := l.login(p.User)
	if err != nil {
		return nil, err
	}
	dir, err := l.workingDir(p.Dir, who.home)
	if err != nil {
		return nil, err
	}
	file, err := lookPath(l.searchPath(), dir, p.Argv[0])
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: file, Args: p.Argv, Dir: dir, Env: l.environ(who, p.Env),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: who.cred},
		WaitDelay:   pipeWait,
	}
	if p.Stdin != nil {
		cmd.Stdin = bytes.NewReader(p.Stdin)
	}
	return cmd, nil
}

// workingDir returns where dir really is; home, or / without one, if it is empty.
func (l *Local) workingDir(dir, home string) (string, error) {
	if dir != "" {
		p, err := l.real(dir)
		if fi, serr := os.Stat(p); err == nil && serr != nil {
			err = serr
		} else if err == nil && !fi.IsDir() {
			err = syscall.ENOTDIR
		}
		return p, guest("chdir", dir, bare(err))
	}
	if p, err := l.real(home); err == nil && home != "" {
		if fi, err := os.Stat(p); err == nil && fi.IsDir() {
			return p, nil
		}
	}
	return l.real("/")
}

// real returns where what name leads to lies on the machine.
func (l *Local) real(name string) (string, error) {
	p, err := l.Resolve(name, true)
	return filepath.Join(l.dir, p), err
}

// searchPath is not the caller's: a run does the same whoever starts it.
func (l *Local) searchPath() string {
	if l.Path != "" {
		return l.Path
	}
	return defaultPath
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookPath finds a program as a shell that is in dir does.
func lookPath(search, dir, name string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		fi, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("%s: %w: %w", name, exec.ErrNotFound, syscall.ENOENT)
		case err != nil:
			return "", err
		case !fi.Mode().IsRegular() || fi.Mode().Perm()&0o111 == 0:
			return "", notExecutable(name)
		}
		return name, nil
	}
	for _, d := range filepath.SplitList(search) {
		file := filepath.Join(d, name)
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// runPlain waits for cmd or for the end of ctx.
func (l *Local) runPlain(ctx context.Context, cmd *exec.Cmd, out, errs *capture, e *enclosure) (err error) {
	cmd.Stdout, cmd.Stderr = out, errs
	if e != nil {
		cmd, err = l.startConfined(cmd, e)
	} else {
		cmd, err = start(cmd)
	}
	if err != nil {
		return err
	}
	l.children.add(cmd, false)
	defer l.children.ended(cmd)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		endGroup(cmd.Process.Pid)
	})
	err = cmd.Wait()
	if !stop() {
		<-ended // what the process left behind is ended, too
	}
	return err
}

// start tries again while the kernel still sees a program open for writing:
// a child that another goroutine forks holds our descriptors until it execs.
// A Cmd that could not start is of no use any more, so each try has its own.
func start(template *exec.Cmd) (*exec.Cmd, error) {
	for range 10 {
		cmd := *template
		if err := cmd.Start(); !errors.Is(err, syscall.ETXTBSY) {
			return &cmd, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return template, template.Start()
}

// endGroup ends a process group, politely first.
func endGroup(pgid int) {
	syscall.Kill(-pgid, syscall.SIGTERM)
	for deadline := time.Now().Add(Grace); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := syscall.Kill(-pgid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
	}
	syscall.Kill(-pgid, syscall.SIGKILL)
}

// runCritical gives cmd files to print into, not pipes: should we die, it can
// go on printing. What it prints is passed on as it comes.
func (l *Local) runCritical(cmd *exec.Cmd, out, errs *capture) error {
	var files [2]*os.File
	for i := range files {
		f, err := anonymous()
		if err != nil {
			return fmt.Errorf("no file for its output: %w", err)
		}
		defer f.Close()
		files[i] = f
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	cmd, err := start(cmd)
	if err != nil {
		return err
	}
	l.children.add(cmd, true)
	defer l.children.ended(cmd)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var at [2]int64
	for {
		ended := false
		select {
		case err = <-done:
			ended = true
		case <-time.After(100 * time.Millisecond):
		}
		at[0] += drain(out, files[0], at[0])
		at[1] += drain(errs, files[1], at[1])
		if ended {
			return err
		}
	}
}

// anonymous makes a file without a name, in memory where the kernel can: a full
// disk must not fail a package manager for what it prints.
func anonymous() (*os.File, error) {
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err == nil {
		return os.NewFile(uintptr(fd), "output"), nil
	}
	f, err := os.CreateTemp("", "runbook-*") // Linux before 3.17
	if err == nil {
		err = os.Remove(f.Name())
	}
	return f, err
}

// drain passes on what was added to f since offset.
func drain(c *capture, f *os.File, offset int64) (n int64) {
	buf := make([]byte, 64<<10)
	for {
		k, err := f.ReadAt(buf, offset+n) // the process shares the offset of f, ReadAt does not move it
		c.Write(buf[:k])
		n += int64(k)
		if err != nil {
			return n
		}
	}
}

// Exec forgets all facts and asks the machine again for those that c sets. An
// error has the result with it, if the command ran.
func (l *Local) Exec(ctx context.Context, c Cmd) (Result, error) {
	res, err := l.exec(ctx, c)
	l.forget()
	if c.Critical {
		ctx = context.WithoutCancel(ctx) // it was seen through, so is what it left
	}
	if err == nil && !c.Succeeded(res) {
		err = fmt.Errorf("exit status %d%s", res.Code, lastWords(c.Process, res))
		if c.Within != nil && res.Loose == "" {
			err = c.Within.explain(err, res)
		}
	}
	if err == nil {
		err = l.assertCmd(ctx, c)
	}
	if err != nil {
		return res, &CmdError{title(c.Process), err}
	}
	return res, nil
}

// A CmdError is why Exec failed. Title is what people call the command.
type CmdError struct {
	Title string
	Err   error
}

func (e *CmdError) Error() string { return e.Title + ": " + e.Err.Error() }

func (e *CmdError) Unwrap() error { return e.Err }

// title is what people call a command: the program and its first word.
func title(p Process) string {
	if len(p.Argv) == 0 {
		return ""
	}
	program := path.Base(p.hide(p.Argv[0]))
	for _, w := range p.Argv[1:] {
		if w = p.hide(w); !strings.HasPrefix(w, "-") {
			return program + " " + cut(w, 40)
		}
	}
	return program
}

func (p Process) hide(text string) string {
	if p.Hide == nil {
		return text
	}
	return p.Hide(text)
}

func cut(s string, n int) string {
	if line, _, more := strings.Cut(s, "\n"); more {
		s = line + "..."
	}
	if r := []rune(s); len(r) > n {
		s = string(r[:n]) + "..."
	}
	return s
}

// CPUTime is the CPU time that this process has used; 0 if the kernel does not say.
func CPUTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
