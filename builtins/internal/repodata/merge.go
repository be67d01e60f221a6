package repodata

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
)

// A merge reads its sources once for the members that are not records, and once more for each section that they have.
type merge struct {
	*Rewrite
	ctx    context.Context
	out    *writer
	seed   maphash.Seed
	sums   []uint64 // of the sources' texts
	tops   []*top
	others []member // of the top level, each from the first source that has it
	keys   map[string]bool
}

func (rw *Rewrite) merge(ctx context.Context, out *writer) ([]*top, error) {
	m := &merge{Rewrite: rw, ctx: ctx, out: out, seed: maphash.MakeSeed(), keys: map[string]bool{}}
	for source := range rw.Sources {
		if err := m.survey(source); err != nil {
			return m.tops, err
		}
	}
	if err := out.info(m.tops); err != nil {
		return m.tops, err
	}
	for _, o := range m.others {
		if err := out.member(o); err != nil {
			return m.tops, err
		}
	}
	for s := range sections {
		if err := m.section(s); err != nil {
			return m.tops, err
		}
	}
	return m.tops, nil
}

// survey reads all of a source and keeps the members that are not records.
func (m *merge) survey(source int) error {
	x := newScanner(m.ctx, m.Trusted)
	x.on.signature = func(s member) error { return m.out.sign(source, s) }
	x.on.other = func(o member) error {
		if !m.keys[o.key] {
			m.keys[o.key] = true
			m.others = append(m.others, member{quoted: o.quoted, raw: strings.Clone(o.raw)})
		}
		return nil
	}
	sum, err := m.read(source, x)
	m.tops, m.sums = append(m.tops, &x.top), append(m.sums, sum)
	return err
}

// read returns a hash of a source's text, too.
func (m *merge) read(source int, x *scanner) (uint64, error) {
	var h maphash.Hash
	h.SetSeed(m.seed)
	x.sum = &h
	err := m.scan(source, x)
	return h.Sum64(), err
}

// section writes the records of one section of all sources.
func (m *merge) section(s Section) error {
	if s >= V3TarBz2 && !slices.ContainsFunc(m.tops, func(t *top) bool { return t.has[s] }) {
		return nil
	}
	if err := m.out.section(s); err != nil {
		return err
	}
	for source, t := range m.tops {
		if t.counts[s] == 0 {
			continue
		}
		if err := m.records(source, s); err != nil {
			return err
		}
	}
	return nil
}

// records writes those of one section of a source, which was read strictly if that is wanted.
func (m *merge) records(source int, s Section) error {
	x := newScanner(m.ctx, true)
	x.skips = func(other Section) bool { return other != s }
	x.on.record = func(*Record) error { return m.record(m.out, x, source) }
	sum, err := m.read(source, x)
	if err == nil && sum != m.sums[source] {
		err = &SourceError{source, errors.New("its text changed while it was read")}
	}
	return err
}
