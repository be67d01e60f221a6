package host

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Local is the machine the program runs on, its files seen below a root
// directory as after chroot(2). Processes see the machine itself.
// It is for one goroutine at a time, but for Get and for reading contents.
type Local struct {
	// Net asks the network; without it Get is an error.
	Net func(context.Context, Request) (*Response, error)
	// Path replaces the directories where programs are looked for, which are
	// the usual ones and never the caller's.
	Path string
	// Asked, if not nil, gets each command that Query ran and its exit
	// status, those of fact probes too. Its error becomes Query's.
	Asked func(p Process, code int) error
	// Helper is the file of a program whose main calls MaybeConfine first, such as "/proc/self/exe".
	// Without it only root can run what is Confined.
	Helper string

	dir      string // the root
	facts    map[Fact]string
	named    func(k *Kind, number string) // gets each account whose name was asked for; may be nil
	naming   bool                         // an account's name is being looked up for an error
	loose    string                       // why nothing can be confined, once that is known
	children children
}

var _ Host = (*Local)(nil)

// NewLocal returns the machine with its files as seen below root, usually "/".
func NewLocal(root string) *Local {
	return &Local{dir: filepath.Clean(root), facts: map[Fact]string{}}
}

// Lstat is Reader's.
func (l *Local) Lstat(name string) (Meta, error) {
	s, err := l.at("lstat", name, false)
	if err != nil {
		return Meta{}, err
	}
	defer s.close()
	st, err := s.stat()
	if err != nil {
		return Meta{}, s.error(err)
	}
	return l.meta(&st)
}

// meta is what the kernel says of a file.
func (l *Local) meta(st *unix.Stat_t) (m Meta, err error) {
	m = Meta{Mode: fileMode(st.Mode), Size: st.Size, ModTime: time.Unix(st.Mtim.Unix())}
	m.Owner, err = l.owner(int(st.Uid), int(st.Gid))
	return m, err
}

// Content is Reader's. Only regular files have one: a pipe could block for ever.
func (l *Local) Content(name string) (Content, error) {
	f, err := l.open(name)
	if err != nil {
		return Content{}, guest("open", name, err)
	}
	return Content{Open: func() (File, error) {
		f, err := l.open(name)
		if err != nil {
			return nil, guest("open", name, err)
		}
		return f, nil
	}}, f.Close()
}

var errIrregular = errors.New("is not a regular file")

func (l *Local) open(name string) (*os.File, error) {
	s, err := l.at("open", name, true)
	if err != nil {
		return nil, bare(err)
	}
	defer s.close()
	f, err := s.open(unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	switch {
	case err == nil && fi.IsDir():
		err = syscall.EISDIR
	case err == nil && !fi.Mode().IsRegular():
		err = errIrregular
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Readlink is Reader's.
func (l *Local) Readlink(name string) (string, error) {
	s, err := l.at("readlink", name, false)
	if err != nil {
		return "", err
	}
	defer s.close()
	target, err := s.readlink()
	return target, s.error(err)
}

// Resolve is Reader's.
func (l *Local) Resolve(name string, follow bool) (string, error) {
	s, err := l.at("resolve", name, follow)
	if err != nil {
		return "", err
	}
	defer s.close()
	return path.Join(s.dir, s.base), nil
}

// ReadDir is Reader's.
func (l *Local) ReadDir(name string) ([]string, error) {
	s, err := l.at("readdir", name, true)
	if err != nil {
		return nil, err
	}
	defer s.close()
	f, names, err := s.below()
	if err != nil {
		return nil, s.error(err)
	}
	slices.Sort(names)
	return names, f.Close()
}

// Fact remembers answers until the next effect.
func (l *Local) Fact(ctx context.Context, f Fact) (string, error) {
	if v, ok := l.facts[f]; ok {
		return v, nil
	}
	v, err := f.Kind.Probe(ctx, l, f.Name)
	if errors.Is(err, exec.ErrNotFound) {
		v, err = "", nil // a machine without the program lacks what the program lists
	}
	if err == nil {
		l.facts[f] = v
	}
	return v, err
}

// forget drops what was learned: effects reach further than what they declare.
func (l *Local) forget() { clear(l.facts) }

// Query is Reader's.
func (l *Local) Query(ctx context.Context, p Process) (Result, error) {
	res, err := l.ask(ctx, p)
	if err != nil {
		return res, &fs.PathError{Op: "query", Path: title(p), Err: err}
	}
	if l.Asked != nil {
		return res, l.Asked(p, res.Code)
	}
	return res, nil
}

// Get is Reader's.
func (l *Local) Get(ctx context.Context, r Request) (*Response, error) {
	if l.Net == nil {
		return nil, &fs.PathError{Op: "get", Path: RedactURL(r.URL), Err: errors.New("this host has no network")}
	}
	return l.Net(ctx, r)
}

// owner names the accounts, by number where they have no name.
func (l *Local) owner(uid, gid int) (Owner, error) {
	u, err := l.account(userName, uid)
	if err != nil {
		return Owner{}, err
	}
	g, err := l.account(groupName, gid)
	return Owner{u, g}, err
}

func (l *Local) account(k *Kind, n int) (string, error) {
	s := strconv.Itoa(n)
	v, err := l.Fact(context.Background(), Fact{k, s})
	if l.named != nil {
		l.named(k, s)
	}
	return cmp.Or(v, s), err
}

// links walks the real files below a host's root. A place is a name as seen from
// there. The kernel finds what is missing or forbidden on the way.
type links struct{ *Local }

func (links) root() string { return "/" }

func (w links) child(dir, name string) (at string, err error) {
	if name == ".." { // joining would hide that dir is a file, or closed to us
		_, err = os.Lstat(filepath.Join(w.dir, dir) + "/.")
	}
	return path.Join(dir, name), err
}

func (w links) link(at string) (string, bool, error) {
	target, err := os.Readlink(filepath.Join(w.dir, at))
	if errors.Is(err, syscall.EINVAL) {
		return "", false, nil
	}
	return target, err == nil, err
}

// trust is about what acts as root; see stranger. What it allows stays so: only root can change it.
func (w links) trust(at string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	m, err := w.lmeta(at)
	switch {
	case err != nil:
		return err
	case m.maker() != "":
		return foreignLink(at, m)
	}
	for dir := path.Dir(at); ; dir = path.Dir(dir) {
		m, err := w.lmeta(dir)
		switch {
		case err != nil:
			return err
		case m.stranger() != "":
			return looseLink(at, dir, m)
		case dir == "/":
			return nil
		}
	}
}

// lmeta describes what is at a name without links. Root is told by its number: names are looked up for others only,
// and while one is, these are numbers, too.
func (w links) lmeta(at string) (Meta, error) {
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(w.dir, at), &st); err != nil {
		return Meta{}, err
	}
	if w.naming || st.Uid == 0 && st.Gid == 0 {
		return Meta{Mode: fileMode(st.Mode), Owner: Owner{fmt.Sprint(st.Uid), fmt.Sprint(st.Gid)}}, nil
	}
	w.naming = true
	defer func() { w.naming = false }()
	return w.meta(&st)
}

// WriteFile writes beside name, makes sure of the disk, then renames. Where m
// names no owner, root keeps that of the file it replaces. A time in m is set,
// a size above 0 must be met.
func (l *Local) WriteFile(name string, c Content, m Meta) error {
	s, err := l.spot("write", name)
	if err != nil {
		return err
	}
	defer s.close()
	st, err := s.stat()
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return s.error(syscall.EEXIST)
	}
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return s.error(err)
	}
	owner, err := l.ids(m.Owner)
	if err != nil {
		return s.error(err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && os.Geteuid() == 0 {
		owner = owner.or(int(st.Uid), int(st.Gid))
	}
	r, err := c.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	defer l.forget()
	n, err := s.replace(r, owner, m)
	if err != nil {
		return err
	}
	m.Size = max(n, m.Size)
	m.Mode &^= fs.ModeType
	return s.assert(m, owner)
}

// replace puts what r holds at s.
func (s *spot) replace(r io.Reader, owner ids, m Meta) (n int64, err error) {
	tmp := s.partial()
	if err := tmp.clear(); err != nil {
		return 0, s.error(err)
	}
	fd, err := unix.Openat(s.fd, tmp.base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0, s.space(err, m.Size)
	}
	f := os.NewFile(uintptr(fd), s.name)
	defer func() {
		if err != nil {
			f.Close()
			unix.Unlinkat(s.fd, tmp.base, 0)
		}
	}()
	if n, err = io.Copy(f, r); err != nil {
		return n, s.space(err, max(m.Size, n))
	}
	if err = tmp.set(owner, m.Mode); err != nil {
		return n, s.error(err)
	}
	if !m.ModTime.IsZero() {
		ts := unix.NsecToTimespec(m.ModTime.UnixNano())
		err = unix.UtimesNanoAt(s.fd, tmp.base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = unix.Renameat(s.fd, tmp.base, s.fd, s.base)
	}
	if err != nil {
		return n, s.space(err, m.Size)
	}
	return n, s.error(s.sync())
}

// partial is s under the name that it has until it is whole. It is the same in
// every run, so that the next one clears away what a killed one left.
func (s *spot) partial() *spot {
	tmp, sum := *s, sha256.Sum256([]byte(s.base))
	tmp.base = ".runbook-" + hex.EncodeToString(sum[:12])
	return &tmp
}

// clear removes what a killed run left at s, be it an empty directory.
func (s *spot) clear() error {
	st, err := s.stat()
	if err == nil {
		err = s.unlink(st.Mode&unix.S_IFMT == unix.S_IFDIR)
	}
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// ids resolves the names of o.
func (l *Local) ids(o Owner) (n ids, err error) {
	n.uid, n.gid, err = o.IDs(context.Background(), l)
	return n, err
}

// or fills what o leaves open.
func (o ids) or(uid, gid int) ids {
	if o.uid < 0 {
		o.uid = uid
	}
	if o.gid < 0 {
		o.gid = gid
	}
	return o
}

// Mkdir is Host's.
func (l *Local) Mkdir(name string, m Meta) error {
	m.Mode = m.Mode&^fs.ModeType | fs.ModeDir
	return l.create("mkdir", name, m, "", func(s *spot) error {
		return unix.Mkdirat(s.fd, s.base, 0o700)
	})
}

// Symlink is Host's.
func (l *Local) Symlink(target, name string, o Owner) error {
	if err := checkTarget(target); err != nil {
		return guest("symlink", name, err)
	}
	return l.create("symlink", name, Meta{Mode: fs.ModeSymlink, Owner: o}, target, func(s *spot) error {
		return unix.Symlinkat(target, s.fd, s.base)
	})
}

// create makes what must not exist; if it cannot be made whole, nothing is left.
func (l *Local) create(op, name string, m Meta, target string, do func(*spot) error) error {
	s, err := l.spot(op, name)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.vacant(); err != nil {
		return s.error(err)
	}
	owner, err := l.ids(m.Owner)
	if err != nil {
		return s.error(err)
	}
	defer l.forget()
	if err := s.make(owner, m, do); err != nil {
		return s.space(err, -1)
	}
	if err := s.sync(); err != nil {
		return s.error(err)
	}
	if err := s.assert(m, owner); err != nil {
		return err
	}
	return s.assertTarget(target)
}

// make has do make something, which gets its name when its owner and mode are right.
func (s *spot) make(owner ids, m Meta, do func(*spot) error) error {
	tmp := s.partial()
	err := tmp.clear()
	if err == nil {
		err = do(tmp)
	}
	if err != nil {
		return err
	}
	if m.Mode.IsDir() {
		err = tmp.set(owner, m.Mode)
	} else {
		err = tmp.give(owner)
	}
	if err == nil {
		err = rename(tmp, s)
	}
	if err != nil {
		tmp.unlink(m.Mode.IsDir())
	}
	return err
}

func (s *spot) unlink(dir bool) error {
	if dir {
		return unix.Unlinkat(s.fd, s.base, unix.AT_REMOVEDIR)
	}
	return unix.Unlinkat(s.fd, s.base, 0)
}

// SetMeta refuses symbolic links, which have no mode.
func (l *Local) SetMeta(name string, m Meta) error {
	s, err := l.spot("chmod", name)
	if err != nil {
		return err
	}
	defer s.close()
	st, err := s.stat()
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		err = errLink
	}
	if err != nil {
		return s.error(err)
	}
	owner, err := l.ids(m.Owner)
	if err != nil {
		return s.error(err)
	}
	defer l.forget()
	if err := s.set(owner, m.Mode); err != nil {
		return s.error(err)
	}
	have, err := s.stat()
	if err != nil {
		return s.error(err)
	}
	return s.compare(have, Meta{Mode: m.Mode, Size: -1}, st.Mode&unix.S_IFMT, owner)
}
