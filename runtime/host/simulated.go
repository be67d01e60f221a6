package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// A Simulated is a machine that is data: its files, what else is known of it, and what its programs and servers
// answer. Nothing of the machine that the program runs on is read. Its own changing methods describe it; what runs
// change is kept by the one Overlay over it.
type Simulated struct {
	*Overlay                  // over nothing: the files
	Known    map[Fact]string  // facts that no file tells
	Free     map[string]int64 // bytes by mount point; what is not named is on /
	// Answer says how a command ends on the machine as it is then; nil where nobody has said.
	Answer func(ctx context.Context, machine Reader, p Process) (*Said, error)
	// Net answers for the network; nil where nobody has said.
	Net func(ctx context.Context, r Request) (*Response, error)
}

// Said is how a command ends on a simulated machine, and what it leaves behind if it changes the machine.
type Said struct {
	Result
	Makes []Entry // by absolute name
}

// NewSimulated returns a machine with nothing on it but an empty root directory. Files need accounts first: /etc/passwd
// and /etc/group, whose owner needs none.
func NewSimulated() *Simulated {
	return &Simulated{Overlay: NewOverlay(nothing{}, Owner{}), Known: map[Fact]string{}, Free: map[string]int64{}}
}

// Runs returns the machine as runs of self find and leave it. Settle ends each of them.
func (s *Simulated) Runs(self Owner) *Overlay {
	o := NewOverlay(s, self)
	o.sim, o.held = s, map[string]*held{}
	for f, v := range s.Known {
		o.believeFact(f, v)
	}
	return o
}

// Fact is Reader's.
func (s *Simulated) Fact(ctx context.Context, f Fact) (string, error) {
	if v, ok := s.Known[f]; ok {
		return v, nil
	}
	if f.Kind == DiskFree {
		var mounts []string
		for dir := range s.Free {
			mounts = append(mounts, dir)
		}
		slices.Sort(mounts)
		dir := longest(mounts, f.Name)
		return fmt.Sprintf("%d %s", s.Free[dir], dir), nil
	}
	return s.Overlay.Fact(ctx, f)
}

// Program is Reader's. Programs are files.
func (s *Simulated) Program(name string) (string, error) { return s.Overlay.Program(name) }

// Query is Reader's.
func (s *Simulated) Query(ctx context.Context, p Process) (Result, error) {
	return s.ask(ctx, s.Overlay, p)
}

// ask answers a command that only reads, on the machine as o has it.
func (s *Simulated) ask(ctx context.Context, o *Overlay, p Process) (Result, error) {
	if err := p.check(); err != nil {
		return Result{}, guest("query", title(p), err)
	}
	if o.holds(p) {
		return Result{}, nil
	}
	switch said, err := s.answer(ctx, o, p); {
	case err != nil:
		return Result{}, guest("query", title(p), err)
	case said != nil && p.Asker == "unless" && said.Code == 0:
		o.hold(p)
		return said.Result, nil
	case said != nil:
		return said.Result, nil
	}
	name := p.Argv[0]
	if !path.IsAbs(name) && strings.Contains(name, "/") {
		name = path.Join("/", p.Dir, name)
	}
	if _, err := o.Program(name); err != nil {
		return Result{}, guest("query", title(p), err)
	}
	return Result{}, guest("query", title(p), unanswered(title(p)))
}

func (s *Simulated) answer(ctx context.Context, o *Overlay, p Process) (*Said, error) {
	if s.Answer == nil {
		return nil, nil
	}
	return s.Answer(ctx, probing{o}, p)
}

// unanswered is the error of a question that nobody answers.
type unanswered string

func (unanswered) Error() string {
	return "no program runs on a simulated machine, and nobody said what this one answers"
}
func (unanswered) Is(target error) bool { return target == ErrUnknown }

// Hint returns what cures the error.
func (name unanswered) Hint() string {
	return fmt.Sprintf("say it where the machine is described: commands = {%q: \"the text\"}, "+
		"or state assume= where it is asked", string(name))
}

// Get is Reader's.
func (s *Simulated) Get(ctx context.Context, r Request) (*Response, error) {
	if s.Net != nil {
		if res, err := s.Net(ctx, r); res != nil || err != nil {
			return res, err
		}
	}
	return nil, guest("get", RedactURL(r.URL), hinted{errors.New("a simulated machine has no network"),
		fmt.Sprintf("say where the machine is described what the server answers: web = {%q: \"the text\"}", RedactURL(r.URL))})
}

// known returns ErrUnknown in the place of a content that nobody can read: a run must not take it for an input.
func (c Content) known(name string) (Content, error) {
	if c.Open == nil {
		return c, nil
	}
	f, err := c.Open()
	if err != nil {
		return Content{}, guest("open", name, bare(err))
	}
	return c, f.Close()
}

// What unless= asks holds once its command was run, until something changes a file that the question names. In one run
// commands do not undo each other: what a command touches makes the questions unknown that were answered by runs
// before, and that this run has not asked yet. What a builtin writes, moves or removes makes all of them unknown.

// held is a question of unless= that has been answered with success.
type held struct {
	files []string // that it names
	run   int      // the last one in which it was asked, or its command run
}

func (p Process) key() string {
	env := fmt.Sprint(p.Env) // fmt prints maps in order
	return fmt.Sprintf("%q %q %q %s %q", p.Argv, p.User, p.Dir, env, p.Stdin)
}

// holds reports whether a question of unless= is known to succeed.
func (o *Overlay) holds(p Process) bool {
	h := o.held[p.key()]
	if h == nil || p.Asker != "unless" {
		return false
	}
	h.run = o.run
	return true
}

// hold notes that a question succeeds from now on.
func (o *Overlay) hold(p Process) {
	if o.sim == nil || len(p.Argv) == 0 {
		return
	}
	h := &held{run: o.run}
	for _, w := range p.Argv[1:] {
		if strings.Contains(w, "/") || p.Dir != "" {
			h.files = append(h.files, PathsIn(w, path.Join("/", p.Dir))...)
		}
	}
	o.held[p.key()] = h
}

// release forgets the questions that name, or what is below or above it, can have answered; after a command those of
// earlier runs only.
func (o *Overlay) release(name string, command bool) {
	command = command || o.acting
	for key, h := range o.held {
		meets := func(file string) bool { return Below(file, name) || Below(name, file) && file != "/" }
		if (!command || h.run < o.run) && slices.ContainsFunc(h.files, meets) {
			delete(o.held, key)
		}
	}
}

// Settle ends a run on a simulated machine. From then on commands are taken to have left what they declared, what was
// known before, and nothing else; a file that one touched is there with a content that nobody knows.
func (o *Overlay) Settle() {
	if o.top != nil {
		o.settle(o.top, "/")
	}
	o.changed = false
	o.run++
	clear(o.asked)
	clear(o.owners)
}

// settle reports whether n, which is called name, is there.
func (o *Overlay) settle(n *node, name string) bool {
	for was := n.was; was != nil; was = was.was {
		switch {
		case n.unknown && was.meta.Mode.IsRegular() && !was.unknown:
			*n = node{meta: was.meta, content: Unknown(name), changed: true, at: n.at}
			n.meta.Size = -1
		case n.meta.Mode.IsDir():
			o.restore(n, was)
		}
	}
	n.was = nil
	there := !n.unknown
	for s, kid := range n.kids {
		switch {
		case kid == nil:
		case o.settle(kid, path.Join(name, s)):
			there = true
		default:
			n.kids[s] = nil
		}
	}
	if n.unknown && there { // something was made in it
		n.meta = Meta{Mode: fs.ModeDir | 0o755, Owner: Owner{root, root}}
	}
	n.unknown, n.touched = false, false
	return there
}

// ran makes the program of p what it must have been to be started, if it is named by its path and nobody knew of it.
func (o *Overlay) ran(p Process, maker Owner) {
	name := p.Argv[0]
	if !path.IsAbs(name) {
		return
	}
	w := steps{o: o, missing: func() *node { return &node{unknown: true} }}
	dir, base, err := walk(w, name, true)
	if err != nil {
		return
	}
	if at, err := w.child(dir, base); err != nil || !at.unknown {
		return
	}
	n := &node{meta: Meta{Mode: 0o755, Owner: maker, Size: -1}, content: Unknown(name)}
	dir.exist(maker)
	o.put(dir, base, n)
}

// restore gives a directory that was touched what is known of it from before.
func (o *Overlay) restore(n, was *node) {
	add := func(s string, kid *node) {
		switch now, ok := n.kids[s]; {
		case !ok:
			n.put(s, kid)
		case now != nil && now.touched && kid != nil && kid.meta.Mode.IsDir(): // something was made in it since
			now.meta = kid.meta
			for ; now.was != nil; now = now.was {
			}
			now.was = kid
		}
	}
	for s, kid := range was.kids {
		add(s, kid)
	}
	if was.base == "" {
		return
	}
	names, _ := o.base.ReadDir(was.base) // it is a directory there
	for _, s := range names {
		base := path.Join(was.base, s)
		if m, err := o.base.Lstat(base); err == nil {
			add(s, &node{meta: m.given(was.below), base: base, below: was.below})
		}
	}
}

// nothing is a machine without a file.
type nothing struct{}

var _ Reader = nothing{}

func absentFile(op, name string) error { return guest(op, name, errNotExist) }

func (nothing) Lstat(name string) (Meta, error)      { return Meta{}, absentFile("lstat", name) }
func (nothing) Content(name string) (Content, error) { return Content{}, absentFile("open", name) }
func (nothing) Readlink(name string) (string, error) { return "", absentFile("readlink", name) }
func (nothing) ReadDir(name string) ([]string, error) {
	if name == "/" {
		return nil, nil
	}
	return nil, absentFile("readdir", name)
}
func (nothing) Resolve(name string, _ bool) (string, error) { return name, nil }
func (nothing) Program(name string) (string, error) {
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}
func (nothing) Fact(context.Context, Fact) (string, error) { return "", nil }
func (nothing) Query(_ context.Context, p Process) (Result, error) {
	return Result{}, guest("query", title(p), exec.ErrNotFound)
}
func (nothing) Get(_ context.Context, r Request) (*Response, error) {
	return nil, absentFile("get", RedactURL(r.URL))
}

func (nothing) LstatAll(dir string, names []string) []Seen {
	return allFailed(make([]Seen, len(names)), absentFile("lstat", dir))
}
