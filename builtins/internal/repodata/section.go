package repodata

import "strings"

// section reads an object of records.
func (x *scanner) section(s Section) error {
	if x.on.section != nil {
		if err := x.on.section(s); err != nil {
			return err
		}
	}
	x.last, x.wild = x.last[:0], x.wild || s >= V3TarBz2
	o := &object{what: "a record", read: x.readRecord, done: x.tellRecord, files: true}
	if x.skips != nil && x.skips(s) {
		o.read, o.done = x.readRaw, func() error { return nil }
	}
	x.rec.Section, x.top.has[s] = s, true
	x.object(o)
	x.top.counts[s] += o.n
	return nil
}

func (x *scanner) tellRecord() error {
	if x.on.record == nil {
		return nil
	}
	return x.on.record(&x.rec)
}

// readRecord reads the record at x.key.
func (x *scanner) readRecord() {
	x.rec.File = x.file()
	if x.err != nil {
		return
	}
	start := x.i
	x.record(&x.rec.Fields)
	if x.err == nil {
		x.rec.Raw = x.view(start, x.i)
		x.rec.At, x.rec.Len = x.gone+int64(x.at), x.i-x.at
		x.once()
	}
	if e, ok := x.err.(*textError); ok {
		x.err = &textError{x.rec.File + ": " + e.text}
	}
}

// once refuses a file that there was already. Within a section, keys that rise are all different; a .tar.bz2 of
// packages cannot be in packages.conda, but one of v3 may be in either.
func (x *scanner) once() {
	if x.trusted {
		return
	}
	if x.wild = x.wild || x.rec.File <= string(x.last) || x.folded != x.rec.File; !x.wild {
		x.seen.note(x.folded)
	} else if !x.seen.add(x.folded) {
		x.fail(x.at, "got the file twice, or a name that differs only in the case of letters")
	}
	x.last = append(x.last[:0], x.rec.File...)
}

// file returns the name of the file that x.key stands for.
func (x *scanner) file() string {
	name, want := x.key, tarBz2
	if s := x.rec.Section; s == PackagesConda || s == V3Conda {
		want = conda
	}
	if x.rec.Section >= V3TarBz2 {
		if extension(name) != "" {
			x.fail(x.at, "%q: got a key with an extension, want none", name)
			return ""
		}
		x.stem = append(append(x.stem[:0], name...), want...)
		name = string(x.stem)
	}
	folded, ok := fold(name)
	switch {
	case !ok:
		x.fail(x.at, "%v", CheckFile(name))
	case x.rec.Section == Packages && strings.HasSuffix(name, conda): // conda-mirror of before 2024 put them there
		x.wild = true
	case !strings.HasSuffix(name, want):
		x.fail(x.at, "%q: got a file of another kind, want %s here", name, want)
	}
	x.folded = folded
	return name
}
