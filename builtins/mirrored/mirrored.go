// Package mirrored tells those who serve a mirror what the mirror itself knows of its files.
//
// Two things to know. A digest is that of a file which has the size, time and inode that the mirror noted when it had
// compared the bytes: no byte is read here, and a file that anybody else replaced has no digest. And what was parsed
// stays right when the mirror goes on: at worst it knows too little.
//
// The server calls it, which opens the files; it calls the mirror's own packages.
package mirrored

import (
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"

	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// Dir is the directory of an account in which the mirror keeps what it knows.
const Dir = state.Dir

// IndexFile is the name of the index in each subdir, and Noarch the subdir that clients insist on.
const (
	IndexFile = channel.IndexFile
	Noarch    = conda.Noarch
)

// StateName returns the file, below an account, that Parse takes for a subdir.
func StateName(subdir string) string { return state.Name(subdir) }

// A Subdir is what is known of the files of one subdir. Any goroutine may use it.
type Subdir struct {
	mu    sync.Mutex // Find keeps a place in it
	state *state.State
}

// Parse returns what text says of a subdir, or nil if it is damaged or another's.
func Parse(text []byte, subdir string) *Subdir {
	s := state.Parse(text, subdir)
	if s == nil {
		return nil
	}
	return &Subdir{state: s}
}

// Digest returns the digest of the file that fi describes, as "sha256-..." (its first half) or "md5-...", or "" if none
// is known.
func (s *Subdir) Digest(name string, fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if s == nil || !ok {
		return ""
	}
	seen := host.Seen{Meta: host.Meta{Mode: fi.Mode(), Size: fi.Size(), ModTime: fi.ModTime()}, Ino: st.Ino}
	if name == channel.IndexFile {
		return s.index(seen)
	}
	s.mu.Lock()
	k, ok := s.state.Find(name)
	s.mu.Unlock()
	if !ok || !k.Knows(seen) || k.Sum.Kind == state.None {
		return ""
	}
	return k.Sum.Kind.String() + "-" + k.Sum.Digits()
}

// From returns the addresses of the channels that a subdir was mirrored from, without credentials; none if nothing is
// known.
func (s *Subdir) From() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.state.Tags))
}

// index returns the digest of the plain index. Of its other forms only the text in them is known.
func (s *Subdir) index(seen host.Seen) string {
	for _, f := range s.state.Forms {
		if f.Name == channel.IndexFile && f.Knows(seen) && len(s.state.JSON) == 64 {
			return "sha256-" + s.state.JSON[:32]
		}
	}
	return ""
}
