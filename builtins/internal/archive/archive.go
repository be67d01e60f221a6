// Package archive reads tar archives strictly and unpacks them safely.
//
// Two things to know. First, what two readers could understand differently, or
// what could reach beyond the destination, is refused with the member's name:
// nothing is skipped or repaired. Second, [List] reads headers only and seeks
// over the contents of a plain archive, so that a dry run of 200 GB takes
// moments; [Listing.Extract] compares what it meets with that listing.
//
// The builtin extract calls it. It reads compressed archives through package
// compress and writes through an os.Root alone. Owners, device numbers and
// extended attributes of archives are ignored.
package archive

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"runbook/runtime/host"
)

// Limits of what an archive may hold.
const (
	MaxMembers = 10_000_000
	MaxSize    = 1 << 44 // bytes of all members together
	maxName    = 4096    // bytes, as PATH_MAX in Linux
	maxPart    = 255     // bytes of one component, as NAME_MAX
	maxDepth   = 255     // components
)

// A Listing is what an archive would put below a directory.
type Listing struct {
	// Entries has every name once, parents first. Parents that the archive
	// lacks are there with mode 0755. Files have their size and time, and
	// content that is read from the archive on demand. A hard link looks like
	// the file it links to.
	Entries host.Manifest
	// Members is how many members the archive has, before stripping.
	Members int

	content host.Content
	strip   int
	index   map[string]int      // of a name in Entries
	links   map[string][]string // a file's name to those of its hard links
	target  map[string]string   // a hard link's name to the file's
}

// List reads the headers of a tar archive, plain or compressed, and takes
// strip leading components off each name; a leading "./" is none. Members that
// vanish are left out, and it is an error if none is left. The order of
// Entries is the archive's but for parents. The archive's errors name the member.
func List(ctx context.Context, c host.Content, strip int) (*Listing, error) {
	src, err := open(c, nil)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	l := &Listing{content: c, strip: strip, index: map[string]int{}, links: map[string][]string{},
		target: map[string]string{}}
	l.Members, err = walk(ctx, src, strip, func(m member, _ io.Reader) error { return l.add(m, src.plain) })
	if err == nil && len(l.Entries) == 0 {
		err = fmt.Errorf("nothing is left of %d members after stripping %d components", l.Members, strip)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// add takes a member into the listing, after its parents.
func (l *Listing) add(m member, plain bool) error {
	if err := l.parents(m.Name); err != nil {
		return err
	}
	if i, ok := l.index[m.Name]; ok {
		return l.again(i, m)
	}
	switch {
	case m.link != "":
		i, ok := l.index[m.link]
		if !ok || !l.Entries[i].Mode.IsRegular() {
			return refuse(m.Name, "is a hard link to %q, want an earlier file of the archive", m.link)
		}
		first := m.link
		if t, ok := l.target[m.link]; ok {
			first = t
		}
		l.links[first] = append(l.links[first], m.Name)
		l.target[m.Name] = first
		name := m.Name
		m.Entry = l.Entries[i]
		m.Name = name
	case m.sparse:
		m.Content = l.whole(m.Name, m.Size)
	case m.Mode.IsRegular():
		m.Content = l.lazy(m.off, m.Size, plain)
	}
	l.index[m.Name] = len(l.Entries)
	l.Entries = append(l.Entries, m.Entry)
	return nil
}

// again accepts a directory's header that follows what lies in it, and one that
// is repeated. Which of two other members counts would depend on the reader.
func (l *Listing) again(i int, m member) error {
	e := &l.Entries[i]
	if !e.Mode.IsDir() || !m.Mode.IsDir() || m.link != "" {
		return refuse(m.Name, "is in the archive twice")
	}
	e.Mode = m.Mode
	return nil
}

// parents adds the directories above name that the archive has not named.
func (l *Listing) parents(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	if i, ok := l.index[dir]; ok {
		if !l.Entries[i].Mode.IsDir() {
			return refuse(name, "lies below %q, which the archive holds as no directory", dir)
		}
		return nil
	}
	if err := l.parents(dir); err != nil {
		return err
	}
	l.index[dir] = len(l.Entries)
	l.Entries = append(l.Entries, host.Entry{Name: dir, Meta: host.Meta{Mode: fs.ModeDir | 0o755}})
	return nil
}

// SameTime reports whether a file's time is that of its member. File systems
// and formats of tar keep different fractions of a second.
func SameTime(a, b time.Time) bool { return a.Unix() == b.Unix() }

// refuse is an error about a member.
func refuse(name, format string, args ...any) error {
	return fmt.Errorf("member %q "+format, append([]any{name}, args...)...)
}
