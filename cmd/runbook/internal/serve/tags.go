package serve

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"runbook/builtins/mirrored"
)

// A file without a known digest is told from others by its inode, size and times, of which no program can set the last
// (ctime). The kernel's clock for them ticks: of a file that changed a moment ago one cannot know that it will not
// change again without showing it, so for that long it has no tag at all.
const unsettled = 2 * time.Second

// tags are the entity tags of files, strong ones (RFC 9110, 8.8): never of two files with different bytes.
type tags struct {
	root *os.Root
	now  func() time.Time

	mu      sync.Mutex
	subdirs map[string]*noted // by ACCOUNT/SUBDIR; only of such as have a file
}

// noted is what is known of a subdir, by the file it was read from.
type noted struct {
	mu     sync.Mutex // of who looks whether there is another
	next   time.Time
	seen   string
	subdir *mirrored.Subdir // nil if nothing is known
	since  time.Time        // when that was written
}

func newTags(root *os.Root, now func() time.Time) *tags {
	return &tags{root: root, now: now, subdirs: map[string]*noted{}}
}

// A version is what clients are told of the bytes of a file.
type version struct {
	tag      string    // quoted; "" if nothing sure can be said
	changed  time.Time // zero if nothing sure can be said
	verified bool      // the tag is the digest with which the mirror verified the file; nothing has touched it since
}

// of returns the version of a file.
func (t *tags) of(account, subdir, name string, fi fs.FileInfo) (v version) {
	changed := ctime(fi)
	known, since := t.known(account, subdir)
	if digest := known.Digest(name, fi); digest != "" && !changed.After(since.Add(unsettled)) {
		v.tag, v.verified = `"`+digest+`"`, true
	}
	if age := t.now().Sub(changed); age < unsettled {
		return v // seconds say too little as well
	}
	if v.tag == "" {
		v.tag = `"` + identity(fi) + `"`
	}
	v.changed = changed
	return v
}

// known returns what the mirror knows of a subdir, nil if nothing, and since when.
func (t *tags) known(account, subdir string) (*mirrored.Subdir, time.Time) {
	if account == "" || subdir == "" {
		return nil, time.Time{}
	}
	key := account + "/" + subdir
	t.mu.Lock()
	n := t.subdirs[key]
	if n == nil {
		n = &noted{}
		t.subdirs[key] = n
	}
	t.mu.Unlock()
	return t.again(n, account, subdir)
}

// again looks whether there is another state. What an older one says of a file is right as well.
func (t *tags) again(n *noted, account, subdir string) (*mirrored.Subdir, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := t.now()
	if now.Before(n.next) {
		return n.subdir, n.since
	}
	n.next = now.Add(lookAgain)
	f, fi, err := open(t.root, path.Join(account, mirrored.StateName(subdir)))
	if err != nil {
		n.subdir, n.seen = nil, ""
		return nil, time.Time{}
	}
	defer f.Close()
	if seen := identity(fi); seen != n.seen {
		n.seen, n.since = seen, ctime(fi)
		text := make([]byte, fi.Size())
		if _, err := io.ReadFull(f, text); err != nil {
			text = nil
		}
		n.subdir = mirrored.Parse(text, subdir)
	}
	return n.subdir, n.since
}

// identity tells a file from others, and from what it was before it was changed.
func identity(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Sprintf("%x-%x", fi.Size(), fi.ModTime().UnixNano())
	}
	return fmt.Sprintf("%x-%x-%x-%x", st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
}

func ctime(fi fs.FileInfo) time.Time {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return fi.ModTime()
}
