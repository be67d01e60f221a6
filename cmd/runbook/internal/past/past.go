// Package past finds in many traces what runs have done to one thing.
//
// Two things to know: an index says which of a thousand traces can be about the thing, and only lines that can be are
// decoded; and each trace is held against its own hashes before it is believed.
//
// Package cmd/runbook calls it for the command why.
package past

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A Deed is what an effect has done to a thing.
type Deed struct {
	Trace  string // the file
	Run    *trace.RunInfo
	Began  trace.Event // the run event
	Op     trace.Event
	Effect trace.Event
	What   What
	Via    string // of a path: the directory that the effect is about, if it is another; of a fact: its name
	Value  string // of a fact
	Failed bool   // the op did not end well
}

// What an effect has done.
type What int

// The things that are done: Made and Gone say what is there, Changed something about it, and Touched that it may have
// been changed.
const (
	Made What = iota
	Gone
	Changed
	Touched
)

// A Found is the result of a search.
type Found struct {
	Deeds  []Deed   // in the order of time
	Traces int      // that were believed
	Broken []string // files that are not as they were written, or could not be read: they tell nothing
	Begun  []string // files that have no end
}

// A Question is what to search for: Paths, the names of one file, or Facts, names of the form KIND:NAME.
type Question struct {
	Paths []string
	Facts func(name string) bool // safe for several goroutines
	// Lists reports whether a tree, whose trace and digest are given, has a file; known is false where nobody can tell.
	Lists func(file, digest, name string) (has, known bool)
}

// Search looks for a question in traces, the newest first, until one says what made the thing or took it away: what
// older ones say does not count any more. What it learns of traces goes into the index.
func Search(q Question, files []string, x *Index) (found Found) {
	records := x.records(files)
	s := newSearcher(q)
	var candidates []string
	for i, r := range records {
		switch {
		case r == nil || r.state == broken:
			found.Broken = append(found.Broken, files[i])
			continue
		case r.state == begun:
			found.Begun = append(found.Begun, files[i])
		}
		found.Traces++
		if s.about(r) {
			candidates = append(candidates, files[i])
		}
	}
	slices.SortStableFunc(candidates, func(a, b string) int {
		return cmp.Or(cmp.Compare(x.known[b].began, x.known[a].began), strings.Compare(b, a))
	})
	for _, file := range candidates {
		text, err := s.read(file)
		if err != nil || !trace.Intact(text) && x.known[file].state == whole {
			found.Broken = append(found.Broken, file) // it has changed a moment ago
			continue
		}
		deeds := s.search(file, text)
		found.Deeds = append(deeds, found.Deeds...)
		if slices.ContainsFunc(deeds, func(d Deed) bool { return d.What == Made || d.What == Gone }) {
			break
		}
	}
	return found
}

// records returns what is known of files, nil of one that cannot be read. What is new is read by several at once.
func (x *Index) records(files []string) []*record {
	all, stamps := make([]*record, len(files)), make([]stamp, len(files))
	var wait sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			s := &searcher{}
			for i := range next {
				if text, err := s.read(files[i]); err == nil {
					all[i] = s.record(text)
					all[i].stamp = stamps[i]
				}
			}
		})
	}
	for i, name := range files {
		var err error
		if stamps[i], err = stampOf(name); err != nil {
			continue
		}
		if r := x.known[name]; r != nil && r.stamp == stamps[i] {
			all[i] = r
			continue
		}
		x.changed = true
		next <- i
	}
	close(next)
	wait.Wait()
	x.changed = x.changed || len(x.known) != len(files)
	x.known = map[string]*record{}
	for i, r := range all {
		if r != nil {
			x.known[files[i]] = r
		}
	}
	x.save()
	return all
}

// about reports whether a trace can have something of the thing.
func (s *searcher) about(r *record) bool {
	if s.Facts != nil {
		return slices.ContainsFunc(r.names, s.Facts)
	}
	return slices.ContainsFunc(r.names, s.leads)
}

// A searcher searches one trace after the other.
type searcher struct {
	Question
	above map[string]bool   // the names of the file, and of the directories above it
	parts map[string]bool   // the last parts of these
	real  map[string]string // directories without links
	buf   []byte
}

func newSearcher(q Question) *searcher {
	s := &searcher{Question: q, above: map[string]bool{}, parts: map[string]bool{}, real: map[string]string{}}
	for _, name := range q.Paths {
		for ; !s.above[name]; name = filepath.Dir(name) {
			s.above[name], s.parts[filepath.Base(name)] = true, true
		}
	}
	return s
}

// read is os.ReadFile into the same memory each time.
func (s *searcher) read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := bytes.NewBuffer(s.buf[:0])
	_, err = b.ReadFrom(f)
	s.buf = b.Bytes()
	return s.buf, err
}

// The beginnings of members, as traces have them.
var (
	opKind     = []byte(`"kind":"op"`)
	effectKind = []byte(`"kind":"effect"`)
	resultKind = []byte(`"kind":"result"`)
)

// search decodes the lines that may be about the thing.
func (s *searcher) search(name string, text []byte) (deeds []Deed) {
	if !bytes.Contains(text, effectKind) {
		return nil
	}
	var first, op []byte
	open := 0 // deeds of the op under way
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		head := line[:min(len(line), 120)]
		switch {
		case first == nil:
			first = line
		case bytes.Contains(head, opKind):
			op, open = line, len(deeds)
		case bytes.Contains(head, effectKind) && s.may(op, line):
			deeds = append(deeds, s.deeds(op, line)...)
		case bytes.Contains(head, resultKind) && open < len(deeds):
			e, err := trace.Line(line)
			for i := open; i < len(deeds); i++ {
				deeds[i].Failed = err != nil || e.Outcome == trace.Failed
			}
			open = len(deeds)
		}
	}
	for i := open; i < len(deeds); i++ {
		deeds[i].Failed = true // nobody wrote that it ended
	}
	if len(deeds) == 0 {
		return nil
	}
	began, err := trace.Line(first)
	if err != nil || began.Run == nil || began.Run.Mode != trace.RealRun {
		return nil
	}
	return slices.DeleteFunc(s.complete(name, began, deeds), func(d Deed) bool { return d.What < 0 })
}

// may reports whether an effect can be about the thing.
func (s *searcher) may(op, line []byte) bool {
	if s.Facts != nil {
		return s.mayFact(line)
	}
	if bytes.Contains(line, []byte(`"touches":[`)) || bytes.Contains(op, []byte(`"creates":"/`)) {
		return true
	}
	for _, key := range []string{`"path":"`, `"from":"`} {
		for rest := line; ; {
			_, after, ok := bytes.Cut(rest, []byte(key))
			if !ok {
				break
			}
			end := bytes.IndexByte(after, '"')
			if end < 0 {
				break
			}
			if bytes.IndexByte(after[:end], '\\') >= 0 || s.leads(string(after[:end])) {
				return true
			}
			rest = after[end:]
		}
	}
	return false
}

func (s *searcher) mayFact(line []byte) bool {
	_, sets, ok := bytes.Cut(line, []byte(`"sets":{"`))
	return ok && len(sets) > 0
}

// leads reports whether a name is the file or a directory above it, links resolved.
func (s *searcher) leads(name string) bool {
	if s.above[name] {
		return true
	}
	if !s.parts[filepath.Base(name)] {
		return false
	}
	return s.above[s.resolved(name)]
}

// resolved returns a name with the links in its directories resolved, as they are now.
func (s *searcher) resolved(name string) string {
	dir := filepath.Dir(name)
	real, ok := s.real[dir]
	if !ok {
		var err error
		if real, err = filepath.EvalSymlinks(dir); err != nil {
			real = dir
		}
		s.real[dir] = real
	}
	return filepath.Join(real, filepath.Base(name))
}

// deeds returns what an effect has done to the thing.
func (s *searcher) deeds(op, line []byte) []Deed {
	e, err := trace.Line(line)
	o, operr := trace.Line(op)
	if err != nil || operr != nil {
		return nil
	}
	d := Deed{Op: o, Effect: e}
	if s.Facts != nil {
		return s.facts(d)
	}
	if s.path(&d) {
		return []Deed{d}
	}
	return nil
}

func (s *searcher) facts(d Deed) (all []Deed) {
	for name, value := range d.Effect.Sets {
		if !s.Facts(name) {
			continue
		}
		if d.What, d.Via, d.Value = Made, name, value; value == "" && !strings.HasPrefix(name, "comment:") &&
			!strings.HasPrefix(name, "groups:") {
			d.What = Gone
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Deed) int { return strings.Compare(a.Via, b.Via) })
	return all
}

// path says what the effect of d has done to the file, and reports whether it has done anything.
func (s *searcher) path(d *Deed) bool {
	e := d.Effect
	text := func(key string) string { v, _ := e.Detail[key].(string); return v }
	d.Via = e.Path
	switch e.Call {
	case "exec":
		return s.command(d)
	case "move":
		if from := text("from"); s.leads(from) {
			d.What, d.Via = Gone, from
			return true
		}
		if !s.isFile(e.Path) { // a directory above it: nobody knows what was there
			d.What = Touched
		}
		return s.leads(e.Path)
	case "remove":
		d.What = Gone
		return s.leads(e.Path)
	case "meta":
		d.What = Changed
		return s.isFile(e.Path) || e.Detail["files"] != nil && s.leads(e.Path)
	case "tree":
		return s.tree(d, text("file"))
	}
	return s.isFile(e.Path)
}

func (s *searcher) isFile(name string) bool {
	return slices.Contains(s.Paths, name) || slices.Contains(s.Paths, s.resolved(name))
}

// command handles what a command makes, or may have changed.
func (s *searcher) command(d *Deed) bool {
	if creates, _ := d.Op.Args["creates"].(string); d.Op.Op == "run" && creates != "" {
		name := "/" + strings.Trim(creates, "/")
		if d.Via = name; s.isFile(name) {
			return true
		}
	}
	d.What = Touched
	touches, _ := d.Effect.Detail["touches"].([]any)
	for _, t := range touches {
		name, _ := t.(string)
		if d.Via = name; strings.HasPrefix(name, "/") && s.leads(name) {
			return true
		}
	}
	return false
}

// tree handles a tree: the file may be one of it. What is not known is settled by complete.
func (s *searcher) tree(d *Deed, file string) bool {
	dir := d.Effect.Path
	if file != "" {
		name := filepath.Join(dir, file)
		d.Via = name
		return s.isFile(name)
	}
	if s.isFile(dir) {
		d.What = Changed
		return true
	}
	return s.leads(dir)
}

// complete fills in the run, and takes out the trees that do not have the file: What becomes negative.
func (s *searcher) complete(file string, began trace.Event, deeds []Deed) []Deed {
	for i := range deeds {
		d := &deeds[i]
		d.Trace, d.Began, d.Run = file, began, began.Run
		digest, _ := d.Effect.Detail["digest"].(string)
		if d.Effect.Call != "tree" || d.Via != d.Effect.Path || s.isFile(d.Via) {
			continue
		}
		has, known := s.listed(file, digest, d.Via)
		switch {
		case known && !has:
			d.What = -1
		case !known:
			d.What = Touched
		}
	}
	return deeds
}

// listed reports whether a tree below dir has the file.
func (s *searcher) listed(file, digest, dir string) (has, known bool) {
	real := s.resolved(dir)
	for _, name := range s.Paths {
		for _, d := range []string{dir, real} {
			if !host.Below(name, d) || name == d {
				continue
			}
			rel := strings.TrimPrefix(strings.TrimPrefix(name, d), "/")
			h, k := s.Lists(file, digest, rel)
			has, known = has || h, known || k
		}
	}
	return has, known
}
