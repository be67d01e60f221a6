package repodata

import (
	"slices"
	"strings"
)

// An info is the "info" of an index in parts.
type info struct {
	members   []string // `"key":value` of those that are true wherever the index stands
	relations string   // `"channel_relations":value`, "" if there is none
	paths     []string // of the channels that these name, relative to this one (CEP 42)
	odd       bool     // they name one in another way
	hasSubdir bool     // members have one
}

// readInfo reads "info". What is left out of info.members: base_url (CEP 15), which is in the summary;
// repodata_revisions (CEP 48), which counts records; a subdir that says nothing.
func (x *scanner) readInfo() error {
	if x.b[x.i] != '{' {
		x.objectOrNull(nil)
		return nil
	}
	in := &info{}
	x.top.info = in
	var text string // of what is a string
	read := func() {
		start := x.i
		switch x.key {
		case "base_url", "subdir":
			text = x.text(x.key)
		case "channel_relations":
			in.readRelations(x)
		default:
			x.value()
		}
		x.raw = x.view(start, x.i)
	}
	x.object(&object{what: "a member of info", read: read, done: func() error {
		x.charge(len(x.quoted) + len(x.raw))
		in.add(x, text)
		return nil
	}})
	if x.err != nil || x.on.info == nil {
		return nil
	}
	return x.on.info()
}

// add keeps the member that x is at, which says text if it is a string.
func (in *info) add(x *scanner, text string) {
	member := x.quoted + ":" + x.raw
	switch x.key {
	case "base_url":
		x.top.BaseURL = strings.Clone(text)
		return
	case "repodata_revisions":
		return
	case "channel_relations":
		in.relations, in.paths = member, cloned(in.paths)
		return
	case "subdir":
		if text == "" {
			return
		}
		x.top.Subdir, in.hasSubdir = strings.Clone(text), true
	}
	in.members = append(in.members, member)
}

func (in *info) readRelations(x *scanner) {
	in.paths, in.odd = in.paths[:0], x.b[x.i] != '{'
	if in.odd {
		x.value()
		return
	}
	for c := x.enter('{'); x.next(&c); {
		text := x.b[x.i] == '"'
		switch {
		case c.key != "base" && c.key != "overrides":
			x.value()
		case text:
			in.paths = append(in.paths, x.str())
		default:
			in.odd = x.value() != "null" || in.odd
		}
	}
}

// text returns the JSON of the info, with a subdir unless that is "". sibling is that of Rewrite.
func (in *info) text(subdir string, sibling func(string) bool) string {
	members := slices.Clone(in.members)
	if subdir != "" {
		members = append(members, `"subdir":`+quote(subdir))
	}
	if in.relations != "" && in.related(sibling) {
		members = append(members, in.relations)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (in *info) related(sibling func(string) bool) bool {
	if in.odd || sibling == nil {
		return false
	}
	for _, p := range in.paths {
		if !strings.HasPrefix(p, "../") || !sibling(p) {
			return false
		}
	}
	return true
}
