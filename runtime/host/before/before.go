// Package before keeps what was there before an effect, so that the effect can be taken back.
//
// Two things to know. What a [Record] says is read through the host that the effect is about to change, so that it is
// the same of a prediction; and what cannot be put back is named in it, with the reason, before the effect happens.
//
// Package runtime makes records, cmd/runbook keeps them, and package builtins puts back what they say.
package before

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"runbook/runtime/host"
)

// A Record is what was there before one effect.
type Record struct {
	N     int      `json:"n"`               // of the effect, from 1
	Call  string   `json:"call"`            // as the trace has it
	From  string   `json:"from,omitempty"`  // of a move: where it was
	To    string   `json:"to,omitempty"`    // of a move: where it goes
	Files []File   `json:"files,omitempty"` // directories before what they hold
	New   []string `json:"new,omitempty"`   // names that were not there, directories before what they hold
	Open  []string `json:"open,omitempty"`  // those of New below which all belongs to the effect
	Facts []Fact   `json:"facts,omitempty"`
	Lost  []string `json:"lost,omitempty"` // what cannot be put back, and why
}

// A File is one as it was.
type File struct {
	Path   string      `json:"path"`
	Type   string      `json:"type"` // as host.TypeName has it
	Mode   fs.FileMode `json:"mode"`
	User   string      `json:"user"`
	Group  string      `json:"group"`
	Target string      `json:"target,omitempty"` // of a symbolic link
	SHA256 string      `json:"sha256,omitempty"` // hex, of a plain file whose content may change
	Size   int64       `json:"size,omitempty"`   // bytes, likewise
	Time   time.Time   `json:"time,omitzero"`    // likewise
}

// Meta returns what a host keeps about f.
func (f File) Meta() host.Meta {
	return host.Meta{Mode: f.Mode, Owner: host.Owner{User: f.User, Group: f.Group}, Size: f.Size, ModTime: f.Time}
}

// A Fact is a fact and the value that it had, "" if it was absent.
type Fact struct {
	Name  string `json:"name"` // KIND:NAME
	Value string `json:"value"`
}

// A Keeper makes the records of a run.
type Keeper struct {
	// Put keeps a content and returns its digest; nil: nothing is kept, as in a dry run.
	Put func(io.Reader) (sha256 string, err error)
	// Secret reports whether a text holds a secret of the run: that is never kept. The run sets it.
	Secret func(text string) bool
	// Room is how many bytes may yet be kept.
	Room int64
	// Wanted reports whether facts of a kind are put back; others are not asked for.
	Wanted func(kind string) bool

	made map[string]bool // names that this run has made: with them goes whatever it does below
}

// New returns a Keeper that keeps at most room bytes.
func New(room int64, put func(io.Reader) (string, error), wanted func(kind string) bool) *Keeper {
	return &Keeper{Put: put, Room: room, Wanted: wanted, made: map[string]bool{}}
}

// foreseen reports whether an error is one that only a dry run meets, which keeps nothing.
func (k *Keeper) foreseen(err error) bool { return k.Put == nil && errors.Is(err, host.ErrUnknown) }

// ours reports whether the run has made a name, or a directory above it.
func (k *Keeper) ours(name string) bool {
	for ; name != "/" && name != "."; name = path.Dir(name) {
		if k.made[name] {
			return true
		}
	}
	return false
}

// end notes what the effect makes.
func (m *making) end() Record {
	for _, name := range m.New {
		m.made[name] = true
	}
	return m.Record
}

// mostFiles is how many files of a tree are kept.
const mostFiles = 50_000

// A making is a record that is being made.
type making struct {
	*Keeper
	h host.Reader
	Record
	fresh map[string]bool // directories that were not there
}

func (k *Keeper) begin(h host.Reader, call string) *making {
	return &making{Keeper: k, h: h, Record: Record{Call: call}, fresh: map[string]bool{}}
}

// lose notes that something cannot be put back.
func (m *making) lose(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); len(m.Lost) < 10 && !slices.Contains(m.Lost, text) {
		m.Lost = append(m.Lost, text)
	}
}

// File is what was there before one name is made, replaced or given another mode; content says that it is replaced.
func (k *Keeper) File(h host.Reader, call, name string, content bool) Record {
	m := k.begin(h, call)
	m.file(name, content)
	return m.end()
}

// file notes one name.
func (m *making) file(name string, content bool) {
	if m.fresh[name] {
		return
	}
	if m.fresh[path.Dir(name)] { // without looking: big trees are mostly new
		m.New, m.fresh[name] = append(m.New, name), true
		return
	}
	meta, err := m.h.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.New, m.fresh[name] = append(m.New, name), true
	case m.foreseen(err):
	case err != nil:
		m.lose("%s: %v", name, err)
	case !m.ours(name):
		m.add(name, meta, content)
	}
}

// add notes what there is.
func (m *making) add(name string, meta host.Meta, content bool) {
	f := File{Path: name, Type: host.TypeName(meta.Mode), Mode: meta.Mode, User: meta.User, Group: meta.Group}
	var err error
	switch {
	case meta.Mode&fs.ModeSymlink != 0:
		f.Target, err = m.h.Readlink(name)
	case meta.Mode.IsRegular() && content:
		f.Size, f.Time = meta.Size, meta.ModTime
		err = m.content(&f)
	case !meta.Mode.IsRegular() && !meta.Mode.IsDir():
		err = fmt.Errorf("it is %s, which is not kept", f.Type)
	}
	if err != nil {
		m.lose("%s: %v", name, err)
		return
	}
	m.Files = append(m.Files, f)
}

// content keeps what a file holds.
func (m *making) content(f *File) error {
	if m.Room -= f.Size; m.Room < 0 {
		return errors.New("there is no room to keep what it holds: it would be more than a run may keep")
	}
	if m.Put == nil {
		return nil
	}
	c, err := m.h.Content(f.Path)
	if err != nil {
		return err
	}
	r, err := c.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	if f.Size <= mostSearched {
		text, err := io.ReadAll(r)
		switch {
		case err != nil:
			return err
		case m.Secret(string(text)):
			return errors.New("it holds a secret, which is never kept")
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	f.SHA256, err = m.Put(r)
	return err
}

// mostSearched is how large a file may be that is searched for secrets, in bytes: configurations are smaller.
const mostSearched = 4 << 20

// below notes a tree.
func (m *making) below(dir string, content bool) {
	if m.ours(dir) {
		return
	}
	n := 0
	err := host.Walk(m.h, dir, func(name string, meta host.Meta) error {
		if n++; n > mostFiles {
			return fmt.Errorf("it has more than %d files, which are not kept", mostFiles)
		}
		m.add(name, meta, content)
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist), m.foreseen(err):
	case err != nil:
		m.lose("%s: %v", dir, err)
	}
}

// Below is what was there before a tree is removed, or given to another owner; content says that files go, too.
func (k *Keeper) Below(h host.Reader, call, dir string, content bool) Record {
	m := k.begin(h, call)
	m.below(dir, content)
	return m.end()
}

// Tree is what was there before entries are put below a directory.
func (k *Keeper) Tree(h host.Reader, dir string, entries host.Entries) Record {
	m := k.begin(h, "tree")
	for e := range entries {
		m.file(path.Join(dir, e.Name), true)
	}
	return m.end()
}

// Move is what a move does.
func (k *Keeper) Move(src, dst string) Record { return Record{Call: "move", From: src, To: dst} }

// Exec is what was there before a command runs: what it makes and touches, the owners of what it gives away, and the
// facts that it sets.
func (k *Keeper) Exec(ctx context.Context, h host.Reader, c host.Cmd) Record {
	m := k.begin(h, "exec")
	for _, e := range c.Makes {
		m.file(e.Name, true)
	}
	for _, dir := range c.Touches {
		switch _, err := m.h.Lstat(dir); {
		case errors.Is(err, fs.ErrNotExist):
			m.file(dir, true)
			m.Open = append(m.Open, dir)
		default:
			m.below(dir, true)
		}
	}
	for dir := range c.Gives {
		m.below(dir, false)
	}
	if c.Brings && len(c.Makes)+len(c.Touches)+len(c.Sets)+len(c.Gives)+len(c.TouchesFacts) == 0 {
		m.lose("nobody has said what it changes: creates= or touches= would")
	}
	if c.MayMake {
		m.lose("what comes along with it is not known beforehand, and stays: packages that it needs, and their files")
	}
	m.facts(ctx, c)
	return m.end()
}

// facts notes the facts that a command changes.
func (m *making) facts(ctx context.Context, c host.Cmd) {
	all := map[host.Fact]bool{}
	for _, set := range []map[host.Fact]string{c.Sets, c.Assumes, c.Follows} {
		for f := range set {
			all[f] = true
		}
	}
	for _, f := range c.TouchesFacts {
		all[f] = true
	}
	set := map[host.Fact]string{}
	for f := range all {
		if m.Wanted(f.Kind.Name) {
			set[f] = ""
		}
	}
	for _, f := range host.SortedFacts(set) {
		value, err := m.h.Fact(ctx, f)
		switch {
		case m.foreseen(err):
		case err != nil:
			m.lose("%s: %v", f, err)
		case m.Secret(f.Name) || m.Secret(value):
			m.lose("a fact of kind %s holds a secret, which is never kept", f.Kind.Name)
		default:
			m.Facts = append(m.Facts, Fact{f.String(), value})
		}
	}
}
