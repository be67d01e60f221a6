package repodata

import (
	"context"
	"fmt"
	"io"
)

// A Rewrite copies records of one index, or of several, into one that stands beside its files.
//
// Records, and unknown members of the top level, go out as their source wrote them, in its order. "info" is that of
// the first source that has one, without base_url and repodata_revisions; repodata_version, signatures, the sorted
// union of "removed" and unknown members are there if a source has them, v3 if one has its "conda" or "tar.bz2".
// repodata_version is 1 if it was 2 or a base_url was left out. removed and signatures follow what is listed: a
// listed file is not removed, and no other is signed. They come last because of that. The same texts give the same
// bytes.
type Rewrite struct {
	// info.subdir where the sources have none; "" for none. A source that has another is an error
	Subdir  string
	Sources []func() (io.ReadCloser, error) // plain JSON texts; opened more than once if there are several
	// Keep is called once for each record: by sections, within one by sources, within one in the order of the text. nil
	// keeps all. Of two records of one file, in whichever sections, it may keep one.
	Keep    func(source int, r *Record) (bool, error)
	Trusted bool // the very texts were read strictly before: only what finding records needs is looked at
	// Sibling reports whether the channel that a relative path of info.channel_relations names is mirrored, too. nil:
	// none is.
	Sibling func(path string) bool
}

// Run writes the index to w and returns a summary of each source. Errors of w, of Keep, of ctx and of sources are
// returned as they are; after one, w holds part of an index.
func (rw *Rewrite) Run(ctx context.Context, w io.Writer) ([]*Summary, error) {
	out := &writer{rw: rw, w: w, sep: "{\n", listed: make([]set, len(rw.Sources))}
	run := rw.merge
	if len(rw.Sources) == 1 {
		run = rw.copy
	}
	tops, err := run(ctx, out)
	if err == nil {
		err = out.finish(tops)
	}
	sums := make([]*Summary, len(tops))
	for i, t := range tops {
		sums[i] = &t.Summary
	}
	return sums, err
}

// copy writes all that can be written while the only source is read.
func (rw *Rewrite) copy(ctx context.Context, out *writer) ([]*top, error) {
	x := newScanner(ctx, rw.Trusted)
	tops := []*top{&x.top}
	x.on = events{
		section:   out.section,
		record:    func(*Record) error { return rw.record(out, x, 0) },
		info:      func() error { return out.info(tops) },
		other:     out.member,
		signature: func(m member) error { return out.sign(0, m) },
	}
	return tops, rw.scan(0, x)
}

// scan opens a source and reads it with x.
func (rw *Rewrite) scan(source int, x *scanner) error {
	r, err := rw.Sources[source]()
	if err != nil {
		return err
	}
	x.r = r
	err = x.index()
	if closed := r.Close(); err == nil {
		err = closed
	}
	if has := x.top.Subdir; err == nil && has != "" && rw.Subdir != "" && has != rw.Subdir {
		err = &textError{fmt.Sprintf("info.subdir: got %q, want %q", has, rw.Subdir)}
	}
	if e, ok := err.(*textError); ok && len(rw.Sources) > 1 {
		err = &SourceError{source, e}
	}
	return err
}

// A SourceError is about the text of one of several sources.
type SourceError struct {
	Source int // its place in Rewrite.Sources
	Err    error
}

func (e *SourceError) Error() string { return fmt.Sprintf("source %d: %v", e.Source, e.Err) }

// Unwrap returns the error without the source.
func (e *SourceError) Unwrap() error { return e.Err }

// record writes the record that x is at if it is to be kept.
func (rw *Rewrite) record(out *writer, x *scanner, source int) error {
	if rw.Keep != nil {
		if keep, err := rw.Keep(source, &x.rec); err != nil || !keep {
			return err
		}
	}
	if len(rw.Sources) > 1 && out.lists(x.folded) { // one alone lists no file twice
		return fmt.Errorf("%s: is kept twice", x.rec.File)
	}
	out.listed[source].note(x.folded)
	return out.record(x.quoted, x.rec.Raw)
}
