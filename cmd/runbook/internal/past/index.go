package past

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"runbook/runtime/trace"
)

// An Index is what traces are about, so that not all of them are read for each question. It is a cache: a trace that
// is not as it was when the index was written is read anew, and what an index says is not there, nobody else says.
type Index struct {
	file    string
	known   map[string]*record
	changed bool
}

// A record is what is kept of a trace.
type record struct {
	stamp
	state int64 // whole, begun or broken
	began int64 // when the run began, in nanoseconds
	names []string
}

// The states of a trace: as it was written, so but without an end, or not so.
const (
	whole int64 = iota
	begun
	broken
)

// A stamp changes with the file: nobody can set the time of its last change (ctime).
type stamp struct{ ino, size, written, changed int64 }

func stampOf(name string) (s stamp, err error) {
	fi, err := os.Stat(name)
	if err != nil {
		return s, err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s = stamp{int64(st.Ino), st.Size, st.Mtim.Nano(), st.Ctim.Nano()}
	}
	return s, nil
}

// magic begins an index. Another version of the format has another one.
const magic = "runbook index 1\n"

// OpenIndex reads the index that a file holds; an empty one if there is none, or none that can be read.
func OpenIndex(file string) *Index {
	x := &Index{file: file, known: map[string]*record{}}
	data, err := os.ReadFile(file)
	text, ok := strings.CutPrefix(string(data), magic)
	if err != nil || !ok {
		return x
	}
	in := reader{text: text}
	for n := in.int(); n > 0 && !in.bad; n-- {
		name, r := in.string(), &record{}
		for _, p := range []*int64{&r.ino, &r.size, &r.written, &r.changed, &r.state, &r.began} {
			*p = in.int()
		}
		count := in.int()
		if count < 0 || count > int64(len(in.text)) {
			in.bad = true
			break
		}
		r.names = make([]string, count)
		for i := range r.names {
			r.names[i] = in.string()
		}
		x.known[name] = r
	}
	if in.bad {
		x.known = map[string]*record{}
	}
	return x
}

// A reader takes an index apart.
type reader struct {
	text string
	bad  bool
}

func (r *reader) int() int64 {
	n, size := binary.Varint([]byte(r.text[:min(len(r.text), binary.MaxVarintLen64)]))
	if size <= 0 {
		r.bad, r.text = true, ""
		return 0
	}
	r.text = r.text[size:]
	return n
}

func (r *reader) string() (s string) {
	n := r.int()
	if n < 0 || n > int64(len(r.text)) {
		r.bad, r.text = true, ""
		return ""
	}
	s, r.text = r.text[:n], r.text[n:]
	return s
}

// save replaces the file, if there is anything new. An account that may not write there goes without.
func (x *Index) save() {
	if !x.changed || x.file == "" {
		return
	}
	out := []byte(magic)
	text := func(s string) { out = append(binary.AppendVarint(out, int64(len(s))), s...) }
	out = binary.AppendVarint(out, int64(len(x.known)))
	for name, r := range x.known {
		text(name)
		for _, n := range []int64{r.ino, r.size, r.written, r.changed, r.state, r.began, int64(len(r.names))} {
			out = binary.AppendVarint(out, n)
		}
		for _, n := range r.names {
			text(n)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(x.file), ".index-*") // with mode 0600
	if err != nil {
		return
	}
	_, err = f.Write(out)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), x.file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// record makes the record of a trace from its text.
func (s *searcher) record(text []byte) *record {
	r := &record{state: whole}
	if !trace.Intact(text) {
		r.state = begun
		if report, err := trace.Verify(bytes.NewReader(text)); err != nil || len(report.Broken) > 0 {
			r.state = broken
			return r
		}
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	e, err := trace.Line(first)
	if err != nil || e.Run == nil || e.Run.Mode != trace.RealRun {
		return r
	}
	r.began = e.Time.UnixNano()
	seen, op := map[string]bool{}, []byte{}
	for line := range bytes.Lines(text) {
		head := line[:min(len(line), 120)]
		switch {
		case bytes.Contains(head, opKind):
			op = line
		case bytes.Contains(head, effectKind):
			e, err := trace.Line(bytes.TrimSuffix(line, []byte("\n")))
			if err != nil {
				continue
			}
			for _, name := range namesIn(e, op) {
				seen[strings.Clone(name)] = true
			}
		}
	}
	for name := range seen {
		r.names = append(r.names, name)
	}
	slices.Sort(r.names)
	return r
}

// namesIn returns what an effect is about: paths and facts.
func namesIn(e trace.Event, op []byte) (names []string) {
	names = append(names, e.Path)
	if e.Call == "tree" {
		if file, _ := e.Detail["file"].(string); file != "" {
			names = append(names, strings.TrimSuffix(e.Path, "/")+"/"+file)
		}
	}
	if from, _ := e.Detail["from"].(string); from != "" {
		names = append(names, from)
	}
	for fact := range e.Sets {
		names = append(names, fact)
	}
	touches, _ := e.Detail["touches"].([]any)
	for _, t := range touches {
		if name, _ := t.(string); name != "" {
			names = append(names, name)
		}
	}
	if e.Call == "exec" && bytes.Contains(op, []byte(`"creates":"/`)) {
		if o, err := trace.Line(bytes.TrimSuffix(op, []byte("\n"))); err == nil {
			creates, _ := o.Args["creates"].(string)
			names = append(names, "/"+strings.Trim(creates, "/"))
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}
