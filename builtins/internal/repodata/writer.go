package repodata

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// A writer writes an index member by member.
type writer struct {
	rw         *Rewrite
	w          io.Writer
	err        error  // the first of w
	b          []byte // written here, not yet to w
	sep        string // before the next member
	end        string // of the section that is open
	recordSep  string // before the next record
	v3         bool   // v3 is open
	wrote      [sections]bool
	wroteInfo  bool
	listed     []set // the files of each source, in lower case
	signatures []signature
}

type signature struct {
	source     int
	file, text string
}

const writeSize = 128 << 10

func (out *writer) flush() error {
	if len(out.b) > 0 && out.err == nil {
		var n int
		if n, out.err = out.w.Write(out.b); out.err == nil && n < len(out.b) {
			out.err = io.ErrShortWrite
		}
	}
	out.b = out.b[:0]
	return out.err
}

func (out *writer) write(parts ...string) error {
	for _, p := range parts {
		out.b = append(out.b, p...)
	}
	if len(out.b) >= writeSize {
		return out.flush()
	}
	return out.err
}

// next ends the member that is open.
func (out *writer) next() {
	if out.b = append(out.b, out.end...); out.v3 {
		out.b = append(out.b, '}')
	}
	out.b = append(out.b, out.sep...)
	out.sep, out.end, out.v3 = ",\n", "", false
}

func (out *writer) member(m member) error {
	out.next()
	return out.write(m.quoted, ":", m.raw)
}

// section begins one; its records follow.
func (out *writer) section(s Section) error {
	keys := [sections]string{`"packages":{`, `"packages.conda":{`, `"tar.bz2":{`, `"conda":{`}
	switch {
	case s < V3TarBz2:
		out.next()
	case !out.v3:
		out.next()
		out.b = append(out.b, `"v3":{`...)
	default:
		out.b = append(append(out.b, out.end...), ",\n"...)
	}
	out.end, out.v3, out.recordSep, out.wrote[s] = "}", s >= V3TarBz2, "\n", true
	return out.write(keys[s])
}

func (out *writer) record(quoted, raw string) error {
	b := append(append(out.b, out.recordSep...), quoted...)
	out.b = append(append(b, ':'), raw...)
	if out.recordSep = ",\n"; len(out.b) >= writeSize {
		return out.flush()
	}
	return nil
}

// info writes the first of the tops' infos.
func (out *writer) info(tops []*top) error {
	in, subdir := &info{}, out.rw.Subdir
	for _, t := range slices.Backward(tops) {
		if t.Subdir != "" {
			subdir = t.Subdir
		}
		if t.info != nil {
			in = t.info
		}
	}
	if in.hasSubdir {
		subdir = ""
	}
	out.wroteInfo = true
	return out.member(member{quoted: `"info"`, raw: in.text(subdir, out.rw.Sibling)})
}

// sign keeps a signature for the end.
func (out *writer) sign(source int, m member) error {
	out.signatures = append(out.signatures, signature{source, strings.Clone(m.key), m.quoted + ":" + m.raw})
	return nil
}

// lists reports whether the index has a file, whose name is in lower case.
func (out *writer) lists(file string) bool {
	for i := range out.listed {
		if out.listed[i].has(file) {
			return true
		}
	}
	return false
}

// finish writes what is missing, and what depends on the files that are listed. Its flush returns the error of any
// write.
func (out *writer) finish(tops []*top) error {
	if !out.wroteInfo {
		out.info(tops)
	}
	for s := range V3TarBz2 {
		if !out.wrote[s] {
			out.section(s)
		}
	}
	for _, m := range []member{out.removed(tops), version(tops), out.signed(tops)} {
		if m.raw != "" {
			out.member(m)
		}
	}
	out.next()
	out.b = append(out.b[:len(out.b)-len(out.sep)], "\n}\n"...)
	return out.flush()
}

// removed returns the removals of files that are not listed, sorted, each once.
func (out *writer) removed(tops []*top) member {
	files, any := []string{}, false
	for _, t := range tops {
		files, any = append(files, t.Removed...), any || t.removed
	}
	if !any {
		return member{}
	}
	slices.Sort(files)
	files = slices.DeleteFunc(slices.Compact(files), func(f string) bool {
		folded, ok := fold(f)
		return ok && out.lists(folded)
	})
	return member{quoted: `"removed"`, raw: quote(files)}
}

func version(tops []*top) member {
	raw, local := "", false
	for _, t := range slices.Backward(tops) {
		if t.version != "" {
			raw = t.version
		}
		local = local || t.BaseURL != ""
	}
	if raw != "" && (local || raw == "2") {
		raw = "1"
	}
	return member{quoted: `"repodata_version"`, raw: raw}
}

// signed returns the signatures of those files that are listed.
func (out *writer) signed(tops []*top) member {
	if !slices.ContainsFunc(tops, func(t *top) bool { return t.signed }) {
		return member{}
	}
	texts := []string{}
	for _, s := range out.signatures {
		if file, ok := fold(s.file); ok && out.listed[s.source].has(file) {
			texts = append(texts, s.text)
		}
	}
	return member{quoted: `"signatures"`, raw: "{" + strings.Join(texts, ",\n") + "}"}
}

// quote returns the JSON of texts.
func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("repodata: " + err.Error()) // texts always have a JSON form
	}
	return string(b)
}
