package shards

import (
	"fmt"
	"slices"
	"strings"
)

// maxSections is how many kinds of files "v3" may have; real ones have 3.
const maxSections = 16

// A section says where in an index an object of records stands.
type section struct {
	top string // "packages", "packages.conda" or "v3"
	ext string // in "v3": "conda", "tar.bz2", "whl"; otherwise ""
}

// read goes over all of a shard and writes the records of one section. If that is packages, the first
// one, it also notes what else there is, and reports whether other sections have records.
func (o *joiner) read(name string, data []byte, want section) (more bool, err error) {
	if o.raw, err = o.pieces.Unpack(o.raw[:0], data); err != nil {
		return false, err
	}
	r, n := newReader(o.raw), 0
	var files []string
	for m := r.enterMap(); r.next(&m); {
		switch m.key {
		case "packages":
			files = o.records(r, name, section{m.key, ""}, want, files)
		case "packages.conda":
			before := len(files)
			files = o.records(r, name, section{m.key, ""}, want, files)
			n += len(files) - before
		case "v3":
			n += o.sections(r, name, want)
		case "removed":
			o.removals(r, want.top == "packages")
		default:
			r.skip()
		}
	}
	if r.end(); r.err != nil {
		return false, r.err
	}
	if file, twice := firstTwice(files); twice {
		return false, fmt.Errorf("got %s twice", file)
	}
	return n > 0, nil
}

// records reads an object of records, which are written if it is the section wanted, and appends their files.
func (o *joiner) records(r *reader, name string, s, want section, files []string) []string {
	for m := r.enterMap(); r.next(&m); {
		if !plainFile(m.key) {
			r.fail("got %.70q, want the name of a file", m.key)
		}
		if files = append(files, m.key); s != want {
			r.skip()
			continue
		}
		o.text = append(o.text[:0], o.sep...)
		o.text = append(appendString(o.text, m.key), ':')
		if o.text = r.appendRecord(o.text, name); r.err != nil {
			r.err = fmt.Errorf("%s: %w", m.key, r.err)
			break
		}
		o.w.Write(o.text)
		o.sep = ",\n"
	}
	return files
}

// sections reads "v3" and returns how many records it has.
func (o *joiner) sections(r *reader, name string, want section) (n int) {
	for m := r.enterMap(); r.next(&m); {
		if !isExt(m.key) {
			r.fail("got %.70q in v3, want an extension of files", m.key)
		}
		if !slices.Contains(o.v3, m.key) {
			o.v3 = append(o.v3, strings.Clone(m.key))
		}
		if len(o.v3) > maxSections {
			r.fail("got more than %d sections in v3", maxSections)
		}
		n += len(o.records(r, name, section{"v3", m.key}, want, nil))
	}
	return n
}

func (o *joiner) removals(r *reader, keep bool) {
	for a := r.enterArray(); r.next(&a); {
		file := r.str()
		if !plainFile(file) {
			r.fail("got %.70q removed, want the name of a file", file)
		}
		if keep {
			o.removed = append(o.removed, strings.Clone(file))
		}
	}
}

// plainFile reports whether name can be nothing but a file in a directory.
func plainFile(name string) bool {
	bad := func(c rune) bool { return c < ' ' || c == '/' || c == '\\' || c == 0x7f }
	return name != "" && name[0] != '.' && len(name) <= 255 && !strings.ContainsFunc(name, bad)
}

// isExt reports whether ext is an extension of packages: CEP 26.
func isExt(ext string) bool {
	bad := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' }
	return ext != "" && len(ext) <= 16 && !strings.ContainsFunc(ext, bad)
}
