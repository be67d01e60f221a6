package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds are what a confined command may change, as its effect declares it. They
// depend on nothing else.
type Bounds struct {
	// Trees are directories with all below them. One that is not there, or is a file, is a name.
	Trees []string `json:"trees,omitempty"`
	// Names are made or replaced, with all below them. Where they lie, other names can be
	// made, too; what is there already stays as it is.
	Names   []string `json:"names,omitempty"`
	Offline bool     `json:"offline,omitempty"` // no network, not even to this machine
}

// Bounds returns what c may change. Free is why it cannot be confined, "" if it can be.
func (c Cmd) Bounds() (b Bounds, free string) {
	switch {
	case c.Unbound != "":
		return b, c.Unbound
	case c.Critical || c.MayMake:
		return b, "a package manager installs anywhere"
	case slices.Contains(c.Touches, "/"):
		return b, "it may change everything: it touches /"
	}
	b.Trees = topmost(append(slices.Collect(maps.Keys(c.Gives)), c.Touches...))
	names := slices.Clone(c.Edits)
	for _, e := range c.Makes {
		names = append(names, e.Name)
	}
	for _, n := range topmost(names) {
		if !slices.ContainsFunc(b.Trees, func(t string) bool { return Below(n, t) }) {
			b.Names = append(b.Names, n)
		}
	}
	return b, ""
}

// topmost returns names in their order without those that lie below another.
func topmost(names []string) (all []string) {
	names = slices.Clone(names)
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		if !slices.ContainsFunc(all, func(dir string) bool { return Below(n, dir) }) {
			all = append(all, n)
		}
	}
	return all
}

// Confinement says by what this machine confines commands, if it can, and what that leaves open.
func Confinement() string {
	switch v := landlockVersion(); {
	case v < 2:
		return "mounts; without landlock it can signal and trace other processes of its account, and write to pipes"
	case v < 6:
		return fmt.Sprintf("mounts, landlock abi %d, by which it can signal other processes of its account", v)
	default:
		return fmt.Sprintf("mounts, landlock abi %d", v)
	}
}

// exec runs c within its bounds, if it has any and the kernel can.
func (l *Local) exec(ctx context.Context, c Cmd) (Result, error) {
	if c.Within == nil {
		return l.run(ctx, c.Process, c.Critical, nil)
	}
	res, err := l.within(ctx, c.Process, *c.Within)
	var no unconfined
	if !errors.As(err, &no) {
		return res, err
	}
	res, err = l.run(ctx, c.Process, false, nil)
	res.Loose = no.reason.Error()
	return res, err
}

// within runs p within b. Its files without a place go to a directory of its own, which goes with it.
func (l *Local) within(ctx context.Context, p Process, b Bounds) (Result, error) {
	e, err := l.enclose(b)
	if err != nil {
		return Result{}, unconfined{err}
	}
	if p.Env["TMPDIR"] == "" {
		dir, err := l.scratch(p.User)
		if err != nil {
			return Result{}, unconfined{err}
		}
		defer os.RemoveAll(dir)
		e.Trees = append(e.Trees, dir)
		p.Env = maps.Clone(p.Env)
		if p.Env == nil {
			p.Env = map[string]string{}
		}
		p.Env["TMPDIR"] = dir
	}
	var seen []sight
	for _, r := range e.Rooms {
		s, err := look(r)
		if err != nil {
			return Result{}, unconfined{err}
		}
		defer s.dir.Close()
		seen = append(seen, s)
	}
	res, err := l.run(ctx, p, false, e)
	for _, s := range seen {
		err = errors.Join(err, s.compare())
	}
	return res, err
}

// scratch makes a directory for what a command needs while it runs.
func (l *Local) scratch(user string) (string, error) {
	who, err := l.login(user)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("/tmp", "runbook-")
	if err == nil && who.cred != nil {
		err = os.Chown(dir, int(who.cred.Uid), int(who.cred.Gid))
	}
	return dir, bare(err)
}

// enclose finds b's names on this machine.
func (l *Local) enclose(b Bounds) (*enclosure, error) {
	e := &enclosure{Offline: b.Offline}
	names := slices.Clone(b.Names)
	for _, name := range b.Trees {
		end, err := l.Resolve(name, true)
		real := filepath.Join(l.dir, end)
		fi, statErr := os.Lstat(real)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && errors.Is(statErr, fs.ErrNotExist):
			names = append(names, name)
		case cmp.Or(err, statErr) != nil:
			return nil, fmt.Errorf("%s: %w", name, bare(cmp.Or(err, statErr)))
		case !fi.IsDir(): // most programs replace a file by another one
			names = append(names, end)
		case real == "/":
			return nil, fmt.Errorf("%s: it may change everything", name)
		default:
			e.Trees = append(e.Trees, real)
		}
	}
	e.Trees = topmost(e.Trees)
	for _, name := range names {
		if err := l.room(e, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, bare(err))
		}
	}
	closed, err := e.closed()
	e.Closed = closed
	return e, err
}

// room lets e make name, in the nearest directory that is there.
func (l *Local) room(e *enclosure, name string) error {
	dir, base := path.Split(name)
	real, err := l.real(path.Clean(dir))
	if err == nil {
		_, err = os.Stat(real)
	}
	if errors.Is(err, fs.ErrNotExist) && dir != "/" {
		return l.room(e, path.Clean(dir))
	}
	if err != nil || slices.ContainsFunc(e.Trees, func(t string) bool { return Below(real, t) }) {
		return err
	}
	i := slices.IndexFunc(e.Rooms, func(r room) bool { return r.Dir == real })
	if i < 0 {
		e.Rooms, i = append(e.Rooms, room{Dir: real}), len(e.Rooms)
	}
	e.Rooms[i].Free = append(e.Rooms[i].Free, base)
	return nil
}

// A sight is what a room was before a command ran.
type sight struct {
	room
	dir   *os.File
	names []string
	stat  unix.Stat_t
}

func look(r room) (sight, error) {
	s := sight{room: r}
	var err error
	if s.dir, err = os.Open(r.Dir); err != nil {
		return s, bare(err)
	}
	if s.names, err = s.dir.Readdirnames(-1); err != nil {
		return s, bare(err)
	}
	return s, unix.Fstat(int(s.dir.Fd()), &s.stat)
}

// compare gives the directory back its mode and owner, and returns an error if they
// had been changed, or if there are names that nobody declared. Where everybody may
// make names, somebody else may have.
func (s sight) compare() error {
	var st unix.Stat_t
	fd := int(s.dir.Fd())
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("%s: %w", s.Dir, err)
	}
	var all error
	if st.Uid != s.stat.Uid || st.Gid != s.stat.Gid || st.Mode != s.stat.Mode {
		err := cmp.Or(unix.Fchown(fd, int(s.stat.Uid), int(s.stat.Gid)), unix.Fchmod(fd, s.stat.Mode&0o7777))
		all = undeclared(s.Dir, "it changed mode or owner of "+s.Dir, err)
	}
	if st.Mode&unix.S_IWOTH != 0 {
		return all
	}
	now, err := os.ReadDir(s.Dir)
	if err != nil {
		return errors.Join(all, bare(err))
	}
	for _, entry := range now {
		n := entry.Name()
		ours := slices.ContainsFunc(s.Free, func(f string) bool { return strings.HasPrefix(n, f) }) // locks and copies
		if !ours && !slices.Contains(s.names, n) {
			all = errors.Join(all, undeclared(path.Join(s.Dir, n), "it made "+path.Join(s.Dir, n), nil))
		}
	}
	return all
}

// undeclared is the error of a change that the effect does not declare.
func undeclared(name, did string, err error) error {
	if err != nil {
		did += ": " + err.Error()
	}
	return hinted{errors.New(did + ", which its effect does not declare"), declareIt(name)}
}

func declareIt(name string) string {
	return "if it may, declare that: touches=[" + strconv.Quote(name) + "]"
}

// refusal is how programs say what the kernel did not let them do. The name comes before or after it.
var refusal = regexp.MustCompile(`(?i)(?:(?:^|[\s'"‘:=(])(/[^\s'"’:)]+)['"’]?:? [^/\n]*?)?` +
	`(Read-only file system|EROFS|Permission denied|EACCES|Device or resource busy|EBUSY|cross-device link|EXDEV)` +
	`(?:[^/\n]*?['"‘ ](/[^\s'"’:)]+))?`)

// networkGone is how programs say that they have no network.
var networkGone = regexp.MustCompile(
	`(?i)network (is )?unreachable|ENETUNREACH|failure in name resolution|could not resolve`)

// explain adds to the error of a command that was confined what it wanted, if it says so.
// Only a read-only file system is certain to be the doing of the bounds.
func (b Bounds) explain(err error, res Result) error {
	said := string(res.Stderr) + "\n" + string(res.Stdout)
	if b.Offline && networkGone.MatchString(said) {
		return hinted{err, "--confine=offline gave it no network, not even to services of this machine; " +
			"--confine alone leaves it the network"}
	}
	m := refusal.FindStringSubmatch(said)
	if m == nil {
		return err
	}
	name := cmp.Or(m[1], m[3])
	inside := slices.ContainsFunc(slices.Concat(b.Trees, b.Names), func(t string) bool { return Below(name, t) })
	switch {
	case !strings.EqualFold(m[2], "Read-only file system") && m[2] != "EROFS":
		return hinted{err, "it was confined (--confine): if that is why, declare what it changes with touches="}
	case name == "" || inside:
		return hinted{fmt.Errorf("%w (it wanted to change something that its effect does not declare)", err),
			"if it may, declare that with touches="}
	}
	return hinted{fmt.Errorf("%w (it wanted to change %s, which its effect does not declare)", err, name), declareIt(name)}
}
