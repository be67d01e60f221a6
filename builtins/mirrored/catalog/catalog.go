// Package catalog answers for people what a channel has: packages, versions, files, and what depends on what.
//
// Two things to know. Of a record it keeps where it stands in the index, and reads it again when somebody asks: 450,000
// records take some twenty megabytes. And it reads from the very file that it was given, open: a mirror that publishes
// meanwhile replaces the name, not what the catalog reads.
//
// The server's pages call it; it calls builtins/internal/repodata, which is strict about what an index may be.
package catalog

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/repodata"
	"runbook/builtins/mirrored"
)

// A Subdir is what a catalog is made of: the index of one, which the catalog closes, and what the mirror noted of it.
type Subdir struct {
	Name  string
	Index *os.File
	Noted *mirrored.Subdir // may be nil
}

// A Catalog is what one channel has. Any goroutine may use it.
type Catalog struct {
	subdirs  []subdir
	names    []string // sorted; of packages and of what they depend on
	records  []record // by name, then as in the indexes
	first    []uint32 // of each name's records; one more than names
	texts    []string // of versions
	packages []uint32 // names that have records
	users    []pair   // sorted
}

type subdir struct {
	Subdir
	indexed time.Time
	removed []string // files that the index calls so
}

// A record is where one stands.
type record struct {
	at            int64  // bytes, or of a removed one its place in that list
	size          uint32 // 0 for a removed one
	name, version uint32
	subdir        uint16
	section       repodata.Section
}

// A pair is a package and one that depends on it.
type pair struct{ name, user uint32 }

// A Package is one name.
type Package struct {
	Name, Latest    string
	Versions, Files int
	Subdirs         []string
}

// A Version is one of a package.
type Version struct {
	Number  string
	Files   int
	Subdirs []string
	Removed bool // so are all of its files
}

// A File is one that can be installed.
type File struct {
	Name, Subdir, Version, Build string
	Number                       int64
	Size                         int64 // bytes; -1 if the index does not say
	License, LicenseFamily       string
	Depends, Constrains          []string
	SHA256, MD5                  string // lower-case hex, or ""
	Built                        time.Time
	Removed                      bool // the source calls it so; nothing else is known of it
}

// An Origin is where a subdir came from.
type Origin struct {
	Subdir    string
	From      []string  // addresses without credentials; none if the mirror noted nothing
	Published time.Time // when the index was
}

// Read makes a catalog of indexes, which it closes with the catalog, or at once if it returns an error.
func Read(ctx context.Context, subdirs []Subdir) (*Catalog, error) {
	c := &Catalog{}
	for _, s := range subdirs {
		c.subdirs = append(c.subdirs, subdir{Subdir: s})
	}
	ids := func() map[string]uint32 { return map[string]uint32{} }
	r := &reader{Catalog: c, ctx: ctx, nameIDs: ids(), textIDs: ids(), needs: map[uint32]bool{}}
	for i := range c.subdirs {
		if err := r.subdir(i); err != nil {
			c.Close()
			return nil, fmt.Errorf("%s: %w", c.subdirs[i].Name, err)
		}
	}
	r.sort()
	return c, nil
}

// Close closes the indexes.
func (c *Catalog) Close() {
	for _, s := range c.subdirs {
		s.Index.Close()
	}
}

// Len returns how many packages and how many of their files there are.
func (c *Catalog) Len() (packages, files int) { return len(c.packages), len(c.records) }

// Origins returns where each subdir came from.
func (c *Catalog) Origins() (all []Origin) {
	for _, s := range c.subdirs {
		all = append(all, Origin{Subdir: s.Name, From: s.Noted.From(), Published: s.indexed})
	}
	return all
}

// Names returns at most n packages in the order of their names, without the first from.
func (c *Catalog) Names(from, n int) (all []Package) {
	for _, id := range part(c.packages, from, n) {
		all = append(all, c.describe(id))
	}
	return all
}

// Search returns at most n packages whose names contain all words, without the first from, and how many there are in
// all. A name that is what was looked for comes first, then those that begin with it.
func (c *Catalog) Search(text string, from, n int) (found []Package, total int) {
	words := strings.Fields(strings.ToLower(text))
	var ranked [3][]uint32
	for _, id := range c.packages {
		if rank := rankOf(strings.ToLower(c.names[id]), words); rank >= 0 {
			ranked[rank] = append(ranked[rank], id)
		}
	}
	all := slices.Concat(ranked[:]...)
	for _, id := range part(all, from, n) {
		found = append(found, c.describe(id))
	}
	return found, len(all)
}

func rankOf(name string, words []string) int {
	for _, w := range words {
		if !strings.Contains(name, w) {
			return -1
		}
	}
	switch {
	case len(words) == 0 || name == words[0]:
		return 0
	case strings.HasPrefix(name, words[0]):
		return 1
	}
	return 2
}

func part[T any](all []T, from, n int) []T {
	from = max(0, min(from, len(all)))
	return all[from:min(len(all), from+max(0, n))]
}

// Like returns the names that one might have meant: those that begin with the same letter and are about as long.
func (c *Catalog) Like(name string) (all []string) {
	for _, id := range c.packages {
		n := c.names[id]
		if n != "" && name != "" && n[0]|0x20 == name[0]|0x20 && abs(len(n)-len(name)) <= 1+len(name)/3 {
			all = append(all, n)
		}
	}
	return all
}

func abs(n int) int { return max(n, -n) }

// Has reports whether there is a package of that name.
func (c *Catalog) Has(name string) bool { return len(c.of(name)) > 0 }

func (c *Catalog) describe(id uint32) Package {
	p := Package{Name: c.names[id]}
	versions := c.Versions(p.Name)
	if p.Versions = len(versions); p.Versions > 0 {
		p.Latest = versions[0].Number
	}
	for _, v := range versions {
		p.Files += v.Files
		for _, s := range v.Subdirs {
			p.Subdirs = with(p.Subdirs, s)
		}
	}
	slices.Sort(p.Subdirs)
	return p
}

// of returns the records of a package.
func (c *Catalog) of(name string) []record {
	id, ok := slices.BinarySearch(c.names, name)
	if !ok {
		return nil
	}
	return c.records[c.first[id]:c.first[id+1]]
}

// Versions returns those of a package, the newest first as conda orders them and the removed last; none if there is no
// such package.
func (c *Catalog) Versions(name string) (all []Version) {
	at := map[uint32]int{}
	for _, r := range c.of(name) {
		i, ok := at[r.version]
		if !ok {
			i = len(all)
			at[r.version] = i
			all = append(all, Version{Number: c.texts[r.version], Removed: true})
		}
		v := &all[i]
		v.Files++
		v.Removed = v.Removed && r.size == 0
		v.Subdirs = with(v.Subdirs, c.subdirs[r.subdir].Name)
	}
	parsed := make(map[string]conda.Version, len(all))
	for _, v := range all {
		parsed[v.Number] = conda.VersionOf(v.Number)
	}
	slices.SortStableFunc(all, func(a, b Version) int {
		if a.Removed != b.Removed {
			return map[bool]int{true: 1, false: -1}[a.Removed]
		}
		return cmp.Or(conda.Compare(parsed[b.Number], parsed[a.Number]), strings.Compare(b.Number, a.Number))
	})
	return all
}

func with(all []string, s string) []string {
	if slices.Contains(all, s) {
		return all
	}
	return append(all, s)
}

// Files returns the files of one version, by subdir and then the newest build first. It reads them from the indexes.
func (c *Catalog) Files(name, version string) (all []File, err error) {
	for _, r := range c.of(name) {
		if c.texts[r.version] != version {
			continue
		}
		f, err := c.file(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.subdirs[r.subdir].Name, err)
		}
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b File) int {
		return cmp.Or(strings.Compare(a.Subdir, b.Subdir), cmp.Compare(b.Number, a.Number), strings.Compare(b.Build, a.Build))
	})
	return all, nil
}

// file reads one.
func (c *Catalog) file(at record) (f File, err error) {
	s := &c.subdirs[at.subdir]
	if at.size == 0 {
		f = File{Name: s.removed[at.at], Subdir: s.Name, Size: -1, Removed: true}
		_, f.Version, f.Build = split(f.Name)
		return f, nil
	}
	member := make([]byte, at.size)
	if _, err := s.Index.ReadAt(member, at.at); err != nil {
		if err == io.EOF {
			err = fs.ErrInvalid // who writes into an index that is published
		}
		return f, err
	}
	_, err = repodata.Scan(strings.NewReader(at.section.Alone(string(member))), func(r *repodata.Record) error {
		f = fileOf(r)
		f.Subdir = s.Name
		return nil
	})
	return f, err
}

// Dependents returns at most n packages of which a file depends on name, without the first from, and how many there are
// in all.
func (c *Catalog) Dependents(name string, from, n int) (names []string, total int) {
	id, ok := slices.BinarySearch(c.names, name)
	if !ok {
		return nil, 0
	}
	byName := func(p pair, id int) int { return cmp.Compare(int(p.name), id) }
	start, _ := slices.BinarySearchFunc(c.users, id, byName)
	end, _ := slices.BinarySearchFunc(c.users, id+1, byName)
	for _, p := range part(c.users[start:end], from, n) {
		names = append(names, c.names[p.user])
	}
	return names, end - start
}
