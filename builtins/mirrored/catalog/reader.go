package catalog

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"runbook/builtins/internal/repodata"
)

// A reader goes over indexes.
type reader struct {
	*Catalog
	ctx              context.Context
	nameIDs, textIDs map[string]uint32
	last             uint32          // the name of the record before
	needs            map[uint32]bool // what that one depends on
}

// subdir reads one index.
func (r *reader) subdir(i int) error {
	s := &r.subdirs[i]
	fi, err := s.Index.Stat()
	if err != nil {
		return err
	}
	s.indexed = fi.ModTime()
	text := bufio.NewReaderSize(io.NewSectionReader(s.Index, 0, fi.Size()), 1<<16)
	sum, err := repodata.Scan(text, func(rec *repodata.Record) error {
		if len(r.records)&0xfff == 0 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		r.record(rec, uint16(i))
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range sum.Removed {
		if repodata.CheckFile(f) == nil {
			r.removed(f, uint16(i))
		}
	}
	r.flush()
	return nil
}

func (r *reader) record(rec *repodata.Record, subdir uint16) {
	name := r.name(rec.Name)
	if name != r.last {
		r.flush()
		r.last = name
	}
	for _, d := range rec.Depends {
		r.needs[r.name(NameOf(d))] = true
	}
	r.records = append(r.records, record{at: rec.At, size: uint32(rec.Len), name: name, version: r.text(rec.Version),
		subdir: subdir, section: rec.Section})
}

// removed notes a file that an index lists as removed: by its name, without a record.
func (r *reader) removed(file string, subdir uint16) {
	name, version, _ := split(file)
	s := &r.subdirs[subdir]
	r.records = append(r.records,
		record{at: int64(len(s.removed)), name: r.name(name), version: r.text(version), subdir: subdir})
	s.removed = append(s.removed, file)
}

// split takes the name of a file apart, as CEP 26 puts it together.
func split(file string) (name, version, build string) {
	stem := strings.TrimSuffix(strings.TrimSuffix(file, ".conda"), ".tar.bz2")
	if i := strings.LastIndexByte(stem, '-'); i >= 0 {
		stem, build = stem[:i], stem[i+1:]
	}
	if i := strings.LastIndexByte(stem, '-'); i >= 0 {
		stem, version = stem[:i], stem[i+1:]
	}
	return stem, version, build
}

// flush notes who depends on what. Records of one package mostly stand together, and depend on much the same.
func (r *reader) flush() {
	for n := range r.needs {
		r.users = append(r.users, pair{n, r.last})
	}
	clear(r.needs)
}

// NameOf returns the name that a dependency begins with.
func NameOf(depends string) string {
	if i := strings.IndexAny(depends, " =<>!~[;"); i >= 0 {
		depends = depends[:i]
	}
	if i := strings.LastIndexByte(depends, ':'); i >= 0 { // channel::name
		depends = depends[i+1:]
	}
	return depends
}

func (r *reader) name(view string) uint32 { return number(r.nameIDs, &r.names, view) }

func (r *reader) text(view string) uint32 { return number(r.textIDs, &r.texts, view) }

// number returns where a string stands in all. One that is new is appended, as a copy: the view is read over.
func number(ids map[string]uint32, all *[]string, view string) uint32 {
	id, ok := ids[view]
	if !ok {
		id = uint32(len(*all))
		view = strings.Clone(view)
		ids[view] = id
		*all = append(*all, view)
	}
	return id
}

// sort brings all into the order of names.
func (r *reader) sort() {
	order := make([]uint32, len(r.names)) // by rank
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(r.names[a], r.names[b]) })
	rank := make([]uint32, len(order))
	names := make([]string, len(order))
	for i, id := range order {
		rank[id], names[i] = uint32(i), r.names[id]
	}
	r.names = names
	for i := range r.records {
		r.records[i].name = rank[r.records[i].name]
	}
	for i, p := range r.users {
		r.users[i] = pair{rank[p.name], rank[p.user]}
	}
	slices.SortFunc(r.users, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.user, b.user))
	})
	r.users = slices.Clip(slices.Compact(r.users))
	slices.SortStableFunc(r.records, func(a, b record) int { return cmp.Compare(a.name, b.name) })
	r.records = slices.Clip(r.records)
	r.first = make([]uint32, len(names)+1)
	for _, rec := range r.records {
		r.first[rec.name+1]++
	}
	for i := range names {
		if r.first[i+1] > 0 {
			r.packages = append(r.packages, uint32(i))
		}
		r.first[i+1] += r.first[i]
	}
}

// fileOf copies what is told of a file.
func fileOf(r *repodata.Record) File {
	f := File{
		Name: strings.Clone(r.File), Version: strings.Clone(r.Version), Build: strings.Clone(r.Build), Number: r.BuildNumber,
		Size: r.Size, License: strings.Clone(r.License), LicenseFamily: strings.Clone(r.LicenseFamily),
		SHA256: strings.Clone(r.SHA256), MD5: strings.Clone(r.MD5),
	}
	for _, d := range r.Depends {
		f.Depends = append(f.Depends, strings.Clone(d))
	}
	if r.Timestamp > 0 {
		f.Built = time.UnixMilli(r.Timestamp).UTC()
	}
	var more struct{ Constrains []string }
	if json.Unmarshal([]byte(r.Raw), &more) == nil { // some hold other things there
		f.Constrains = more.Constrains
	}
	return f
}
