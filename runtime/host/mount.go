package host

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// A mount is a file system where it is mounted.
type mount struct {
	dir      string
	readOnly bool
}

// mountTable returns what is mounted; see proc_pid_mounts(5).
func mountTable(r Reader) (all []mount, err error) {
	lines, err := Lines(r, "/proc/self/mounts")
	if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, ErrUnknown) {
		return nil, err
	}
	blanks := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for _, l := range lines {
		if f := strings.Fields(l); len(f) > 3 {
			all = append(all, mount{blanks.Replace(f[1]), strings.HasPrefix(f[3]+",", "ro,")})
		}
	}
	return all, nil
}

// mountPoints returns where file systems are mounted.
func mountPoints(r Reader) (names []string, err error) {
	all, err := mountTable(r)
	for _, m := range all {
		names = append(names, m.dir)
	}
	return names, err
}

// mountOf returns the file system that p is on; nothing where a command may have changed
// what is mounted.
func (o *Overlay) mountOf(p *place) (found mount) {
	if o.brought {
		return mount{}
	}
	if o.mounts == nil {
		o.mounts, _ = mountTable(o.base) // without one nothing is refused
		o.mounts = append([]mount{{dir: "/"}}, o.mounts...)
	}
	name := p.path()
	for _, m := range o.mounts {
		if Below(name, m.dir) && len(m.dir) >= len(found.dir) { // the last one hides others
			found = m
		}
	}
	return found
}

// writable refuses to change what is on a file system that is mounted read-only.
func (o *Overlay) writable(p *place) error {
	if m := o.mountOf(p); m.readOnly {
		return hinted{syscall.EROFS, "the file system of " + p.path() + " is mounted read-only"}
	}
	return nil
}
