package host

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"time"
)

// Meta is what a host keeps about a file besides its content.
type Meta struct {
	Mode fs.FileMode // type and permission bits
	Owner
	Size    int64     // bytes; -1 where a dry run cannot know
	ModTime time.Time // zero where it is of no interest
}

// KeepsTime reports whether a file system can have t as the time of a file, to the nanosecond. Some begin in 1901
// (32 bits); 64 bits of nanoseconds end in 2262. No time at all it keeps, too.
func KeepsTime(t time.Time) bool { return t.IsZero() || t.Year() >= 1902 && t.Year() <= 2261 }

// An Owner is a user and a group by name, or by number where the number has no name.
// An empty name means whoever runs, or whoever owns the file already.
type Owner struct{ User, Group string }

// Or fills what o leaves open from p.
func (o Owner) Or(p Owner) Owner {
	return Owner{cmp.Or(o.User, p.User), cmp.Or(o.Group, p.Group)}
}

// A File is an open file.
type File = io.ReadSeekCloser

// Content is what a file holds: Text, or what Open opens. Open is called only
// when somebody reads, so an Overlay can hold a file that was never downloaded.
type Content struct {
	Text []byte
	Open func() (File, error)
}

// A Root is a directory that what is done through it cannot leave.
type Root = os.Root

// Bytes returns b as Content.
func Bytes(b []byte) Content { return Content{Text: b} }

// Unknown is the content of a file that only a real run could read.
func Unknown(name string) Content {
	return Content{Open: func() (File, error) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrUnknown}
	}}
}

// ErrUnknown is what reading gets where something that did not run changed things.
var ErrUnknown = errors.New("unknown in a dry run: an earlier command would have changed it")

// Reader opens the content.
func (c Content) Reader() (File, error) {
	if c.Open != nil {
		return c.Open()
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(c.Text), io.NopCloser(nil)}, nil
}

// SHA256 returns the digest of what name holds, in hex.
func SHA256(ctx context.Context, r Reader, name string) (string, error) {
	c, err := r.Content(name)
	if err != nil {
		return "", err
	}
	sum, _, err := new(Digests).Sum(ctx, c)
	return sum, err
}

// ReadFile returns all that name holds.
func ReadFile(r Reader, name string) ([]byte, error) {
	c, err := r.Content(name)
	if err != nil {
		return nil, err
	}
	f, err := c.Reader()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Seek(0, io.SeekEnd)
	if err != nil || n > maxRead {
		n = 0 // the kernel's own files have no end
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
		if err != nil {
			return nil, err
		}
	}
	b := bytes.NewBuffer(make([]byte, 0, n+bytes.MinRead)) // growing would take twice as much
	_, err = b.ReadFrom(f)
	return b.Bytes(), err
}

const maxRead = 1 << 30 // bytes that are made room for at once

// Exists reports whether there is a file, a directory or a link called name.
// Below a file there is nothing.
func Exists(r Reader, name string) (bool, error) {
	_, err := r.Lstat(name)
	if absent(err) {
		return false, nil
	}
	return err == nil, err
}

// MissingDirs returns dir and the directories above it that are missing, uppermost first.
func MissingDirs(r Reader, dir string) (missing []string, err error) {
	for ; ; dir = path.Dir(dir) {
		ok, err := Exists(r, dir)
		if err != nil || ok {
			slices.Reverse(missing)
			return missing, err
		}
		missing = append(missing, dir)
	}
}

// An Entry is one file of a manifest.
type Entry struct {
	Name string
	Meta
	Target  string  // of a symbolic link
	Sum     string  // hex SHA-256, where known
	Content Content // opened only if a later step reads the file before it exists
	// Foresee, if not nil, is asked once for the content by a host that keeps it, and by no other.
	Foresee func() Content
	// Derived says that the content follows from other entries, and its size, which is then -1, is
	// known only when it is made: a compressed form of a file, for example.
	Derived bool
}

// A Manifest lists what will lie below a directory, parents first.
type Manifest []Entry

// All are the entries of m.
func (m Manifest) All() Entries { return Entries(slices.Values(m)) }

// Entries are those of a manifest that need not be in memory as a whole. Everybody may go over them several times and
// always gets the same. In the order of SortedBefore they cost least.
type Entries iter.Seq[Entry]

// Totals returns what a trace says of m: how many files, their bytes, and a
// digest over sorted name, type, mode, size, link and known checksums. What is
// derived counts as a file without bytes.
func (m Entries) Totals() (files int, bytes int64, digest string) {
	h := sha256.New()
	var last, line string
	sorted := true
	for e := range m {
		files, bytes = files+1, bytes+max(e.size(), 0)
		if last, line = line, e.line(); line < last {
			sorted = false
		}
		if sorted {
			io.WriteString(h, line)
		}
	}
	if !sorted {
		lines := make([]string, 0, files)
		for e := range m {
			lines = append(lines, e.line())
		}
		slices.Sort(lines)
		h.Reset()
		for _, l := range lines {
			io.WriteString(h, l)
		}
	}
	return files, bytes, hex.EncodeToString(h.Sum(nil))
}

func (e *Entry) size() int64 {
	if e.Mode.IsRegular() {
		return e.Size
	}
	return 0
}

func (e *Entry) line() string {
	return fmt.Sprintf("%q %s %d %q %s\n", e.Name, e.Mode, e.size(), e.Target, e.Sum)
}

// Differ counts the files at and below name that do not belong to o, as Chown would: spared are those of them that it
// leaves alone.
func Differ(r Reader, name string, o Owner) (n, spared int, err error) {
	if o, err = o.Resolve(context.Background(), r); err != nil {
		return 0, 0, err
	}
	var several []string // that differ and have other names
	t, err := treeLinks(r, name, func(name string, s Seen) {
		if o.Or(s.Owner) == s.Owner {
			return
		}
		if n++; s.Links > 1 {
			several = append(several, name)
		}
	})
	for _, name := range several {
		if t.outside[name] {
			spared++
		}
	}
	return n - spared, spared, err
}

// An inode is a file, whatever its names are.
type inode struct{ dev, ino uint64 }

// A linkage is what the files of a tree with several names have outside of it.
type linkage struct {
	inside  map[inode]bool  // all names are in the tree
	outside map[string]bool // names in the tree of files that have others elsewhere
}

// treeLinks finds the files below dir that have several names. What is done to one of these would be done to a file
// elsewhere, which may be nobody's to give. It shows all files to each, in no order.
func treeLinks(r Reader, dir string, each func(name string, s Seen)) (t linkage, err error) {
	names, links := map[inode][]string{}, map[inode]uint64{}
	var look func(dir string) error
	look = func(dir string) error {
		found, err := r.ReadDir(dir)
		if err != nil {
			return err
		}
		for i, s := range r.LstatAll(dir, found) {
			name := path.Join(dir, found[i])
			if s.Err != nil {
				return s.Err
			}
			each(name, s)
			switch id := (inode{s.Dev, s.Ino}); {
			case s.Mode.IsDir():
				err = look(name)
			case s.Links > 1:
				names[id], links[id] = append(names[id], name), s.Links
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	m, err := r.Lstat(dir)
	if err != nil {
		return t, err
	}
	if each(dir, Seen{Meta: m}); !m.Mode.IsDir() {
		return t, nil
	}
	if err := look(dir); err != nil {
		return t, err
	}
	t = linkage{map[inode]bool{}, map[string]bool{}}
	for id, all := range names {
		t.inside[id] = uint64(len(all)) >= links[id]
		for _, n := range all {
			t.outside[n] = !t.inside[id]
		}
	}
	return t, nil
}

// Walk calls f for name and all below it, a directory before what it holds.
// Symbolic links are not followed.
func Walk(r Reader, name string, f func(name string, m Meta) error) error {
	m, err := r.Lstat(name)
	if err != nil {
		return err
	}
	if err := f(name, m); err != nil || !m.Mode.IsDir() {
		return err
	}
	names, err := r.ReadDir(name)
	for _, s := range names {
		if err := Walk(r, path.Join(name, s), f); err != nil {
			return err
		}
	}
	return err
}
