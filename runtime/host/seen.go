package host

import (
	"io/fs"
	"path"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Seen is what LstatAll found under one name.
type Seen struct {
	Meta
	Dev, Ino uint64 // device and inode number; 0 where a dry run made the file
	// Links is how many names a regular file has; 0 where a dry run made it. Whoever changes a file with others may change
	// what is not theirs.
	Links uint64
	// Changed is when the file's content, name, mode or owner changed last, by the kernel's clock for files, which may
	// lag by FileTick; see inode(7). No program can set it. Of what a dry run changed it is when the dry run did.
	Changed time.Time
	Err     error // wraps fs.ErrNotExist if there is no such file
}

// LstatAll is Reader's. It holds the directory open, so that each name costs one system call.
func (l *Local) LstatAll(dir string, names []string) []Seen {
	all := make([]Seen, len(names))
	fd, err := l.openDir(dir)
	if err != nil {
		return allFailed(all, guest("lstat", dir, err))
	}
	defer unix.Close(fd)
	ids := make([][2]uint32, len(names))
	const few = 256 // names that are not worth another goroutine
	var done sync.WaitGroup
	share := max(few, (len(names)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	for from := 0; from < len(names); from += share {
		to := min(from+share, len(names))
		work := func() {
			var st unix.Stat_t
			for i := from; i < to; i++ {
				all[i].Err = unix.Fstatat(fd, names[i], &st, unix.AT_SYMLINK_NOFOLLOW)
				ids[i] = all[i].describe(&st)
			}
		}
		if to == len(names) {
			work()
		} else {
			done.Go(work)
		}
	}
	done.Wait()
	l.nameOwners(all, ids)
	for i := range all {
		if all[i].Err != nil {
			all[i].Err = guest("lstat", path.Join(dir, names[i]), all[i].Err)
		}
	}
	return all
}

func (l *Local) openDir(dir string) (int, error) {
	s, err := l.at("lstat", dir, true)
	if err != nil {
		return -1, bare(err)
	}
	defer s.close()
	return unix.Openat(s.fd, s.base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// describe takes over what the kernel says of a file, but for the owner's names, and returns his numbers.
func (s *Seen) describe(st *unix.Stat_t) (ids [2]uint32) {
	if s.Err != nil {
		return ids
	}
	s.Dev, s.Ino = uint64(st.Dev), st.Ino
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		s.Links = uint64(st.Nlink)
	}
	s.Meta = Meta{Mode: fileMode(st.Mode), Size: st.Size, ModTime: time.Unix(st.Mtim.Unix())}
	s.Changed = time.Unix(st.Ctim.Unix())
	return [2]uint32{st.Uid, st.Gid}
}

// nameOwners looks each owner up once.
func (l *Local) nameOwners(all []Seen, ids [][2]uint32) {
	type named struct {
		Owner
		err error
	}
	owners := map[[2]uint32]named{}
	for i := range all {
		if all[i].Err != nil {
			continue
		}
		o, ok := owners[ids[i]]
		if !ok {
			o.Owner, o.err = l.owner(int(ids[i][0]), int(ids[i][1]))
			owners[ids[i]] = o
		}
		all[i].Owner, all[i].Err = o.Owner, o.err
	}
}

// fileMode returns a mode of the system as Go has it.
func fileMode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits & 0o777)
	for _, b := range []struct {
		bit uint32
		m   fs.FileMode
	}{{unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, fs.ModeSticky}} {
		if bits&b.bit != 0 {
			m |= b.m
		}
	}
	switch bits & unix.S_IFMT {
	case unix.S_IFREG:
		return m
	case unix.S_IFDIR:
		return m | fs.ModeDir
	case unix.S_IFLNK:
		return m | fs.ModeSymlink
	case unix.S_IFIFO:
		return m | fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return m | fs.ModeSocket
	case unix.S_IFCHR:
		return m | fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		return m | fs.ModeDevice
	}
	return m | fs.ModeIrregular
}

func allFailed(all []Seen, err error) []Seen {
	for i := range all {
		all[i].Err = err
	}
	return all
}

// LstatAll is Reader's. Where nothing in the directory was changed the base answers.
func (o *Overlay) LstatAll(dir string, names []string) []Seen {
	all := make([]Seen, len(names))
	p, err := o.find(dir, true)
	switch {
	case err != nil:
		return allFailed(all, guest("lstat", dir, err))
	case p.base != "" && !p.unknown && !p.touched && len(p.kids) == 0 && p.below == (Owner{}):
		return o.base.LstatAll(p.base, names)
	}
	var base []Seen
	if p.base != "" && !p.unknown {
		base = o.base.LstatAll(p.base, names)
	}
	for i, n := range names {
		all[i].Meta, all[i].Err = o.Lstat(path.Join(dir, n))
		if all[i].Err == nil {
			all[i].Changed, all[i].Err = o.changedAt(path.Join(dir, n))
		}
		kid, kept := p.kids[n]
		if shows := !kept || kid != nil && kid.base != ""; shows && base != nil && base[i].Err == nil {
			all[i].Dev, all[i].Ino, all[i].Links = base[i].Dev, base[i].Ino, base[i].Links
		}
	}
	return all
}

// changedAt returns when name, which is there, changed last.
func (o *Overlay) changedAt(name string) (time.Time, error) {
	p, err := o.find(name, false)
	if err != nil || p.base == "" || !p.at.IsZero() {
		return p.at, err
	}
	s := o.base.LstatAll(path.Dir(p.base), []string{path.Base(p.base)})[0]
	return s.Changed, o.allowed(s.Err)
}
