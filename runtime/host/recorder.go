package host

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Recorder is a machine that answers what it is asked and keeps the answers, for a Snapshot. It asks the machine each
// question once, and no other machine anything. It is for one goroutine at a time, but for Get and for reading
// contents.
type Recorder struct {
	*Snapshot
	// Include are the directories and files below which also private contents are kept.
	Include []string

	local   *Local
	own     string      // "/proc/PID" of this process
	kept    int64       // bytes of contents
	named   *fileAnswer // the answer under way
	unnamed map[Fact]bool
	full    bool // more answers than are kept were given
}

var _ Base = (*Recorder)(nil)

// Limits of what a recorder keeps.
const (
	mostOfFile  = 64 << 20 // bytes
	mostOfAll   = 256 << 20
	mostAnswers = 1 << 20
	mostBody    = 64 << 10 // bytes of what a server answers
)

// NewRecorder returns a recorder of a machine. made are the directories that earlier runs have made there.
func NewRecorder(machine *Local, made []string) *Recorder {
	r := &Recorder{Snapshot: newSnapshot(), local: machine, own: "/proc/" + strconv.Itoa(os.Getpid()),
		unnamed: map[Fact]bool{}}
	r.Identity = Identity{Account: machine.Self(), Made: made}
	machine.named = func(k *Kind, number string) {
		if r.named != nil && r.nameless(k, number) {
			r.named.Named = append(r.named.Named, strings.TrimSuffix(k.Name, "name")+" "+number)
		}
	}
	return r
}

// nameless reports whether no file has the name of an account, so that a directory service is asked.
func (r *Recorder) nameless(k *Kind, number string) bool {
	f := Fact{k, number}
	v, ok := r.unnamed[f]
	if !ok {
		file := "/etc/passwd"
		if k == groupName {
			file = "/etc/group"
		}
		lines, err := Lines(r.local, file)
		known := func(line string) bool { f := strings.Split(line, ":"); return len(f) > 2 && f[2] == number }
		v = err == nil && !slices.ContainsFunc(lines, known)
		r.unnamed[f] = v
	}
	return v
}

// steady is the name under which answers about name are kept: the number of a process is another one each time.
func (r *Recorder) steady(name string) string {
	if Below(name, r.own) {
		return ownProcess + strings.TrimPrefix(name, r.own)
	}
	return name
}

const ownProcess = "/proc/OWN"

// actual is the inverse of steady.
func (r *Recorder) actual(name string) string {
	if Below(name, ownProcess) {
		return r.own + strings.TrimPrefix(name, ownProcess)
	}
	return name
}

// note returns what is kept of name. What is too much is not kept.
func (r *Recorder) note(name string) *fileAnswer {
	name = r.steady(name)
	a := r.files[name]
	if a == nil {
		a = &fileAnswer{File: name}
		if len(r.files) >= mostAnswers {
			r.full = true
			return a
		}
		r.files[name] = a
	}
	return a
}

// failed keeps err, if it is one, as an answer. An interrupted question was not answered.
func (a *fileAnswer) failed(key, op string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	if a.Failures == nil {
		a.Failures = map[string]*failure{}
	}
	a.Failures[key] = failureOf(op, a.File, err)
}

// ask has the machine answer about a file, whose accounts' names it may have to ask for.
func (r *Recorder) ask(a *fileAnswer, question func(name string)) {
	r.named = a
	defer func() { r.named = nil }()
	question(r.actual(a.File))
}

// Lstat is Reader's.
func (r *Recorder) Lstat(name string) (Meta, error) {
	if r.files[r.steady(name)] == nil {
		if err := r.without(r.steady(name)); err != nil { // what else was answered tells it
			return Meta{}, guest("lstat", name, err)
		}
	}
	a := r.note(name)
	if a.Mode == "" && a.Failures["lstat"] == nil {
		r.ask(a, func(name string) {
			m, err := r.local.Lstat(name)
			if err == nil {
				a.setMeta(steadyMeta(a.File, m))
			}
			a.failed("lstat", "lstat", r.told(err))
		})
	}
	if r.full {
		return r.local.Lstat(r.actual(name))
	}
	return r.Snapshot.Lstat(a.File)
}

// told is err, as it reads where the number of this process does not matter.
func (r *Recorder) told(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) && Below(p.Path, r.own) {
		return &fs.PathError{Op: p.Op, Path: r.steady(p.Path), Err: p.Err}
	}
	return err
}

// steadyMeta leaves out the time of directories, which tells nothing but that they were used, and of what the kernel
// makes up when it is asked.
func steadyMeta(name string, m Meta) Meta {
	if m.Mode.IsDir() || Below(name, "/proc") || Below(name, "/sys") {
		return Meta{Mode: m.Mode, Owner: m.Owner, Size: m.Size}
	}
	return m
}

// LstatAll is Reader's.
func (r *Recorder) LstatAll(dir string, names []string) []Seen {
	var unknown []string
	for _, n := range names {
		a := r.note(path.Join(dir, n))
		if a.Seen == nil && a.Failures["lstat"] == nil {
			unknown = append(unknown, n)
		}
	}
	if len(unknown) > 0 {
		r.see(dir, unknown)
	}
	if r.full {
		return r.local.LstatAll(r.actual(dir), names)
	}
	return r.Snapshot.LstatAll(r.steady(dir), names)
}

// see asks for several files in a directory.
func (r *Recorder) see(dir string, names []string) {
	r.named = r.note(path.Join(dir, names[0]))
	all := r.local.LstatAll(r.actual(dir), names)
	r.named = nil
	if p := (*fs.PathError)(nil); errors.As(all[0].Err, &p) && p.Path == r.actual(dir) {
		r.note(dir).failed("lstatall", "lstat", r.told(all[0].Err))
		return
	}
	for i, n := range names {
		a, s := r.note(path.Join(dir, n)), all[i]
		if s.Err != nil {
			a.failed("lstat", "lstat", r.told(s.Err))
			continue
		}
		if a.Mode == "" {
			a.setMeta(steadyMeta(a.File, s.Meta))
		}
		a.Seen = &inodeOf{Dev: s.Dev, Ino: s.Ino, Links: s.Links, Changed: stamp(s.Changed)}
	}
}

// Readlink is Reader's.
func (r *Recorder) Readlink(name string) (string, error) {
	a := r.note(name)
	if a.Target == "" && a.Failures["readlink"] == nil {
		r.ask(a, func(name string) {
			target, err := r.local.Readlink(name)
			if a.Target = target; "/proc/"+target == r.own {
				a.Target = path.Base(ownProcess)
			}
			a.failed("readlink", "readlink", r.told(err))
		})
	}
	return r.Snapshot.Readlink(a.File)
}

// ReadDir is Reader's.
func (r *Recorder) ReadDir(name string) ([]string, error) {
	a := r.note(name)
	if !a.Listed && a.Failures["readdir"] == nil {
		r.ask(a, func(name string) {
			names, err := r.local.ReadDir(name)
			a.Names, a.Listed = names, err == nil
			a.failed("readdir", "readdir", r.told(err))
		})
	}
	return slices.Clone(a.Names), a.failure("readdir", "readdir")
}

// failure returns what was kept by failed.
func (a *fileAnswer) failure(key, op string) error {
	if f := a.Failures[key]; f != nil {
		return f.err(op, a.File)
	}
	return nil
}

// Resolve is Reader's.
func (r *Recorder) Resolve(name string, follow bool) (string, error) {
	key, at := resolution(follow)
	a := r.note(name)
	if *at(a) == "" && a.Failures[key] == nil {
		r.ask(a, func(name string) {
			real, err := r.local.Resolve(name, follow)
			*at(a) = r.steady(real)
			a.failed(key, "resolve", r.told(err))
		})
	}
	return *at(a), a.failure(key, "resolve")
}

// Program is Reader's.
func (r *Recorder) Program(name string) (string, error) {
	a := r.note(name)
	if a.Program == "" && a.Failures["program"] == nil {
		file, err := r.local.Program(name)
		a.Program = file
		a.failed("program", "program", err)
	}
	return a.Program, a.failure("program", "program")
}

// Fact is Reader's.
func (r *Recorder) Fact(ctx context.Context, f Fact) (string, error) {
	if f.Kind != Port {
		return r.factOf(ctx, r, f)
	}
	v, err := r.local.Fact(ctx, f)
	if err == nil && v != "" {
		r.known[f.String()] = v
	}
	return v, err
}

// Ports keeps what listens on which port; those that nothing listens on are known then, too.
func (r *Recorder) Ports(ctx context.Context) error {
	ports, err := listeners(r.local)
	for _, p := range ports {
		if _, err := r.Fact(ctx, Fact{Port, p}); err != nil {
			return err
		}
	}
	if err == nil {
		r.known[allPorts] = strings.Join(ports, " ")
	}
	return err
}

// Query is Reader's.
func (r *Recorder) Query(ctx context.Context, p Process) (Result, error) {
	key := queryKey(p)
	if r.queries[key] == nil {
		a := &queryAnswer{Query: p.Argv, User: p.User, Dir: p.Dir, Env: p.Env, Confined: p.Confined,
			Stdin: base64.StdEncoding.EncodeToString(p.Stdin)}
		res, err := r.local.Query(ctx, p)
		if ctx.Err() != nil {
			return res, err
		}
		if a.Code, a.Loose = res.Code, res.Loose; err != nil {
			a.Failure = failureOf("query", title(p), err)
		}
		a.Out, a.Err = partOf(withoutTokens(res.Stdout)), partOf(withoutTokens(res.Stderr))
		r.queries[key] = a
	}
	return r.Snapshot.Query(ctx, p)
}

// Get is Reader's. Only what servers on the machine itself say is part of it.
func (r *Recorder) Get(ctx context.Context, q Request) (*Response, error) {
	if !Loopback(q.URL) {
		return nil, guest("get", RedactURL(q.URL), abroad{})
	}
	if q.Bearer != "" {
		return nil, guest("get", RedactURL(q.URL), unrecorded{"it takes a token, and no snapshot has one", askAgain})
	}
	r.mu.Lock()
	known := r.gets[getKey(q)] != nil
	r.mu.Unlock()
	if known {
		return r.Snapshot.Get(ctx, q)
	}
	once := q
	once.Once = true
	res, err := r.local.Get(ctx, once)
	a := &getAnswer{Get: RedactURL(q.URL), Head: q.Head}
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(res.Body, mostBody+1))
		res.Body.Close()
	}
	if err != nil {
		a.Failure = failureOf("get", RedactURL(q.URL), err)
	} else {
		a.Status, a.Size, a.ETag, a.Modified, a.Type = res.Status, res.Size, res.ETag, res.Modified, res.Type
	}
	if len(body) <= mostBody {
		a.Body = partOf(withoutTokens(body))
	}
	r.mu.Lock()
	r.gets[getKey(q)] = a
	r.mu.Unlock()
	return r.Snapshot.Get(ctx, q)
}

// Content is Reader's.
func (r *Recorder) Content(name string) (Content, error) {
	a := r.note(name)
	var c Content
	var err error
	r.ask(a, func(name string) { c, err = r.local.Content(name) })
	if err != nil {
		a.failed("open", "open", r.told(err))
		return c, a.failure("open", "open")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.Content == nil {
		a.Content = &contentAnswer{}
		wanted := slices.ContainsFunc(r.Include, func(dir string) bool { return Below(a.File, dir) })
		if keys(a.File) || private(c) && !wanted {
			a.Content.Left = leftPrivate
		}
	}
	return Content{Open: func() (File, error) {
		f, err := c.Open()
		if err != nil {
			return nil, r.told(err)
		}
		return &readFile{File: f, r: r, c: a.Content, name: a.File}, nil
	}}, nil
}

// keys reports whether a file holds what lets somebody in: it is never kept.
func keys(name string) bool {
	base := strings.TrimSuffix(path.Base(name), "-") // useradd keeps what was before
	return strings.Contains(name, "/.ssh/") || base == "shadow" || base == "gshadow" ||
		strings.HasPrefix(name, "/etc/ssh/") && strings.HasSuffix(base, "_key")
}

// private reports whether what a file holds is only for some to know: others may not read it.
func private(c Content) bool {
	f, err := c.Open()
	if err != nil {
		return true
	}
	defer f.Close()
	s, ok := f.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return true
	}
	fi, err := s.Stat()
	return err != nil || fi.Mode().Perm()&0o004 == 0
}
