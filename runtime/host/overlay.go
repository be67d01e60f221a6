package host

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Overlay reads through to a base and keeps changes to itself. It predicts the
// errors that the base would give, also those of permission if self is not
// root. It is for one goroutine at a time.
//
// What is read is never remembered by the base: facts are probed through the
// overlay. What the base holds must not change meanwhile.
type Overlay struct {
	// Assume, if not nil, gets each guess of the overlay.
	Assume func(note string)
	// Mute leaves all that a script asks unanswered: it is unknown.
	Mute bool

	base    Reader
	self    Owner
	groups  []string // that self belongs to; nil until asked
	top     *node
	changed bool
	mayMake bool // a believed command may have made directories
	brought bool // a believed command may have brought programs, or mounted something
	mounts  []mount
	sim     *Simulated       // the base, if it is one
	held    map[string]*held // questions of unless= that succeed
	run     int              // how many were settled
	acting  bool             // a command is being believed

	dirs    map[string]Meta // directories of the base by their names there
	facts   map[Fact]string // believed
	touched map[Fact]bool   // changed in unknowable ways
	asked   map[Fact]string // probed, forgotten after each change
	owners  map[Owner]Owner // known, by the names that Lstat reports
}

var _ Host = (*Overlay)(nil)

// NewOverlay returns a copy-on-write view of base. self runs the program: what
// is made belongs to it, and what it may not do is refused; empty means root.
func NewOverlay(base Reader, self Owner) *Overlay {
	if self.User == "" || self.User == "0" {
		self.User = root
	}
	if self.Group == "" {
		self.Group = root
	}
	return &Overlay{
		base: base, self: self, dirs: map[string]Meta{},
		facts: map[Fact]string{}, touched: map[Fact]bool{}, asked: map[Fact]string{}, owners: map[Owner]Owner{},
	}
}

const root = "root"

// Changed reports whether any effect was predicted.
func (o *Overlay) Changed() bool { return o.changed }

func (o *Overlay) assume(note string) {
	if o.Assume != nil {
		o.Assume(note)
	}
}

// Lstat is Reader's.
func (o *Overlay) Lstat(name string) (Meta, error) {
	p, err := o.find(name, false)
	if err == nil && p.unknown {
		err = ErrUnknown
	}
	if err != nil {
		return Meta{}, guest("lstat", name, err)
	}
	return p.meta, nil
}

// Content is Reader's.
func (o *Overlay) Content(name string) (Content, error) {
	c, err := o.content(name)
	if err == nil && o.sim != nil {
		return c.known(name)
	}
	return c, guest("open", name, err)
}

func (o *Overlay) content(name string) (Content, error) {
	p, err := o.find(name, true)
	if err != nil {
		return Content{}, err
	}
	if err := o.readable(p.node); err != nil {
		return Content{}, err
	}
	switch {
	case p.meta.Mode.IsDir():
		return Content{}, errDir
	case p.base == "":
		return p.content, nil
	}
	c, err := o.base.Content(p.base)
	return c, o.allowed(err)
}

// Readlink is Reader's.
func (o *Overlay) Readlink(name string) (string, error) {
	p, err := o.find(name, false)
	if err != nil {
		return "", guest("readlink", name, err)
	}
	target, linked, err := steps{o: o}.link(p)
	switch {
	case err == nil && p.unknown:
		err = ErrUnknown
	case err == nil && !linked:
		err = errInvalid
	}
	return target, guest("readlink", name, err)
}

// ReadDir is Reader's.
func (o *Overlay) ReadDir(name string) ([]string, error) {
	p, err := o.find(name, true)
	switch {
	case err != nil:
	case !p.mayHold():
		err = errNotDir
	default:
		err = o.readable(p.node)
	}
	if err != nil {
		return nil, guest("readdir", name, err)
	}
	names, err := o.list(p.node)
	return names, guest("readdir", name, err)
}

// Resolve is Reader's.
func (o *Overlay) Resolve(name string, follow bool) (string, error) {
	dir, base, err := walk(steps{o: o}, name, follow)
	if err != nil {
		return "", guest("resolve", name, err)
	}
	return path.Join(dir.path(), base), nil
}

// list returns the names in a directory.
func (o *Overlay) list(n *node) (names []string, err error) {
	switch {
	case n.unknown || n.touched:
		return nil, ErrUnknown
	case !n.meta.Mode.IsDir():
		return nil, errNotDir
	case n.base != "":
		if names, err = o.base.ReadDir(n.base); err != nil {
			return nil, o.allowed(err)
		}
	}
	names = slices.DeleteFunc(slices.Clone(names), func(s string) bool { _, ok := n.kids[s]; return ok })
	for s, kid := range n.kids {
		if kid != nil {
			names = append(names, s)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Get asks the base. A script's question does not leave the machine: it could carry
// out what only root can read.
func (o *Overlay) Get(ctx context.Context, r Request) (*Response, error) {
	switch {
	case r.Asker != "" && o.Mute:
		return nil, guest("get", RedactURL(r.URL), mute{})
	case r.Asker != "" && !Loopback(r.URL):
		return nil, guest("get", RedactURL(r.URL), abroad{})
	}
	return o.base.Get(ctx, r)
}

// abroad is the error of a question that a script has for another machine.
type abroad struct{}

func (abroad) Error() string {
	return "not asked: only a run on the machine asks other machines what the runbook names"
}
func (abroad) Is(target error) bool { return target == ErrUnknown }

// find returns what is called name.
func (o *Overlay) find(name string, follow bool) (*place, error) {
	return steps{o: o}.find(name, follow)
}

func (w steps) find(name string, follow bool) (*place, error) {
	dir, base, err := walk(w, name, follow)
	if err != nil {
		return nil, err
	}
	return w.child(dir, base)
}

// A node is a file that the overlay knows of because it, or something below
// it, was changed. Nodes hang in directories as in any file system; moving one
// takes along what the base shows below it.
type node struct {
	meta    Meta
	kids    map[string]*node // what hides the base; nil: removed
	base    string           // the name in the base of what still shows, "" if nothing does
	below   Owner            // given to all that the base shows below
	content Content
	target  string
	touched bool  // what else is below is not known
	unknown bool  // nor is it known whether this exists
	changed bool  // itself, not just something below
	was     *node // on a simulated machine, what was known before a command touched it

	at    time.Time // of the last change that inode(7) would note; zero if there was none
	given time.Time // when below was
}

// A place is a node and how it was reached. Until something is changed there,
// nodes of the base hang nowhere.
type place struct {
	*node
	name string
	up   *place
}

func (p *place) path() string {
	if p.up == nil {
		return "/"
	}
	var names []string
	for ; p.up != nil; p = p.up {
		names = append(names, p.name)
	}
	slices.Reverse(names)
	return "/" + strings.Join(names, "/")
}

// pin makes the overlay keep the node at p, or turns to the one that it keeps
// already: two places may have been found where one file is.
func (p *place) pin() {
	if p.up == nil {
		return
	}
	p.up.pin()
	if kept := p.up.kids[p.name]; kept != nil {
		p.node = kept
		return
	}
	p.up.put(p.name, p.node)
}

func (n *node) put(name string, kid *node) {
	if n.kids == nil {
		n.kids = map[string]*node{}
	}
	n.kids[name] = kid
}

// given returns m after a chown to o, which takes setuid and, where the group
// may execute, setgid from files; see chown(2).
func (m Meta) given(o Owner) Meta {
	was := m.Owner
	m.Owner = o.Or(was)
	if m.Owner != was && m.Mode.IsRegular() {
		m.Mode &^= fs.ModeSetuid
		if m.Mode&0o010 != 0 {
			m.Mode &^= fs.ModeSetgid
		}
	}
	return m
}

// below describes name as the base shows it. Directories are remembered: every name leads through some.
func (o *Overlay) below(name string) (Meta, error) {
	if m, ok := o.dirs[name]; ok {
		return m, nil
	}
	m, err := o.base.Lstat(name)
	if err == nil && m.Mode.IsDir() && len(o.dirs) < mostDirs {
		o.dirs[name] = m
	}
	return m, err
}

const mostDirs = 1 << 14 // a few MB

const (
	errNotExist = syscall.ENOENT
	errExist    = syscall.EEXIST
	errDir      = syscall.EISDIR
	errNotDir   = syscall.ENOTDIR
	errInvalid  = syscall.EINVAL
	errBusy     = syscall.EBUSY
	errAccess   = syscall.EACCES
	errPerm     = syscall.EPERM
)

// steps walks an overlay. missing stands in for a directory that is not there;
// if it is nil, that is an error.
type steps struct {
	o       *Overlay
	missing func() *node
	kernel  bool // walks as the kernel does that starts a program: every link is followed
}

func (w steps) root() *place {
	if w.o.top == nil {
		m, err := w.o.base.Lstat("/")
		if err != nil { // a base that is a few files may leave it out
			m = Meta{Mode: fs.ModeDir | 0o755, Owner: Owner{root, root}}
		}
		w.o.top = &node{meta: m, base: "/"}
	}
	return &place{node: w.o.top}
}

func (w steps) child(dir *place, name string) (*place, error) {
	if name == "." {
		return dir, nil
	}
	if !dir.mayHold() {
		return nil, errNotDir
	}
	if dir.meta.Mode.IsDir() && !w.o.may(dir.meta, search) {
		return nil, errAccess
	}
	if name == ".." {
		if dir.up == nil {
			return dir, nil
		}
		return dir.up, nil
	}
	n, err := w.o.kid(dir.node, name)
	if w.missing != nil && errors.Is(err, errNotExist) {
		n, err = w.missing(), nil
	}
	if err != nil {
		return nil, err
	}
	return &place{n, name, dir}, nil
}

// mayHold reports whether others may lie below n: in a directory, and where
// nobody knows that it is none.
func (n *node) mayHold() bool { return n.unknown || n.touched || n.meta.Mode.IsDir() }

// kid returns the node called name in a directory.
func (o *Overlay) kid(dir *node, name string) (*node, error) {
	switch k, ok := dir.kids[name]; {
	case ok && k == nil:
		return nil, errNotExist
	case ok:
		return k, nil
	case dir.unknown || dir.touched:
		return &node{unknown: true, touched: true}, nil
	case dir.base == "":
		return nil, errNotExist
	}
	base := path.Join(dir.base, name)
	m, err := o.below(base)
	if err != nil {
		return nil, o.allowed(bare(err))
	}
	n := &node{meta: m.given(dir.below), base: base, below: dir.below, given: dir.given}
	if n.meta.Owner != m.Owner {
		n.at = dir.given
	}
	return n, nil
}

// trust is about what acts as root; see stranger.
func (w steps) trust(at *place) error {
	if !w.o.isRoot() || at.unknown || w.kernel {
		return nil
	}
	if at.meta.maker() != "" {
		return foreignLink(at.path(), at.meta)
	}
	for dir := at.up; dir != nil; dir = dir.up {
		if dir.meta.Mode.IsDir() && dir.meta.stranger() != "" {
			return looseLink(at.path(), dir.path(), dir.meta)
		}
	}
	return nil
}

func (w steps) link(at *place) (string, bool, error) {
	switch {
	case at.unknown || at.meta.Mode&fs.ModeSymlink == 0:
		return "", false, nil
	case at.base == "":
		return at.target, true, nil
	}
	target, err := w.o.base.Readlink(at.base)
	return target, true, err
}
