package repodata

import "strings"

// events are told what a scanner has read. Each may be nil, and may keep no view of the window.
type events struct {
	section   func(Section) error // its records, if any, follow
	record    func(*Record) error // r.quoted
	info      func() error
	other     func(member) error // one of the top level that nothing here understands
	signature func(member) error
}

// A member of an object: its key, and key and value as the source wrote them.
type member struct{ key, quoted, raw string }

// top is what stands at the top of an index but records.
type top struct {
	Summary
	info    *info  // nil if there is none
	version string // JSON of repodata_version, "" if there is none
	removed bool   // there is a list of them
	signed  bool   // there are signatures
	counts  [sections]int
	has     [sections]bool
}

// index reads all of the text.
func (x *scanner) index() error {
	x.fill()
	if x.gap(); x.err != nil || x.i == x.n {
		return x.err
	}
	if x.b[x.i] >= 0xef {
		x.expected("JSON in UTF-8 without a byte order mark")
	}
	x.object(&object{what: "a key", done: x.topMember})
	if x.gap(); x.err == nil && x.i < x.n {
		x.expected("the end")
	}
	for _, n := range x.top.counts {
		x.top.Records += n
	}
	return x.err
}

func (x *scanner) topMember() error {
	switch key := x.key; key {
	case "packages":
		return x.section(Packages)
	case "packages.conda":
		return x.section(PackagesConda)
	case "v3":
		x.objectOrNull(&object{what: "a key", done: x.v3Member})
	case "info":
		return x.readInfo()
	case "removed":
		var files []string
		x.whole("removed", func() { files = x.list(files[:0], "removed") })
		x.top.Removed, x.top.removed = cloned(files), true
	case "repodata_version":
		x.wholeValue()
		x.top.version = strings.Clone(x.raw)
	case "signatures":
		x.top.signed = true
		x.objectOrNull(&object{what: "a signature", read: x.readRaw, done: x.signature})
	default:
		if strings.HasPrefix(key, "packages.") {
			return x.dropped(key)
		}
		return x.other()
	}
	return nil
}

func (x *scanner) v3Member() error {
	switch x.key {
	case "tar.bz2":
		return x.section(V3TarBz2)
	case "conda":
		return x.section(V3Conda)
	}
	return x.dropped("v3." + x.key)
}

func (x *scanner) other() error {
	m := member{key: x.key, quoted: x.quoted}
	x.wholeValue()
	if m.raw = x.raw; x.err != nil || x.on.other == nil {
		return nil
	}
	return x.on.other(m)
}

func (x *scanner) signature() error {
	x.charge(len(x.quoted) + len(x.raw))
	if x.on.signature == nil || x.err != nil {
		return nil
	}
	return x.on.signature(member{x.key, x.quoted, x.raw})
}

// dropped reads what lists files in a way that is not mirrored.
func (x *scanner) dropped(name string) error {
	o := &object{what: "a member", read: x.readRaw, done: func() error { return nil }}
	empty := true
	if x.b[x.i] == '{' {
		x.object(o)
		empty = o.n == 0
	} else {
		x.wholeValue()
		empty = x.raw == "null" || strings.Trim(x.raw, "[] \t\r\n") == ""
	}
	if !empty {
		x.charge(len(name))
		x.top.Dropped = append(x.top.Dropped, name)
	}
	return nil
}

// objectOrNull reads an object; null counts as a missing one.
func (x *scanner) objectOrNull(o *object) {
	if x.b[x.i] == 'n' {
		x.wholeValue()
		return
	}
	x.object(o)
}

func (x *scanner) readRaw() { x.raw = x.value() }

func (x *scanner) wholeValue() { x.whole("a value", x.readRaw) }

// cloned copies l and its strings, so that they do not keep the window of the scanner.
func cloned(l []string) []string {
	c := make([]string, len(l))
	for i, s := range l {
		c[i] = strings.Clone(s)
	}
	return c
}
