package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// ReadAll returns the events of a trace. A last line without a newline that is
// not an event is left out: the run was cut off there, as [Verify] reports.
// Numbers in Args, Detail and Observed are of type json.Number.
func ReadAll(r io.Reader) ([]Event, error) {
	var events []Event
	err := Each(r, func(e Event) error {
		events = append(events, e)
		return nil
	})
	return events, err
}

// Each is ReadAll for a trace that is long: it hands the events to f, one after the other, until f returns an error.
func Each(r io.Reader, f func(Event) error) error {
	const batch, ahead = 128, 4
	batches, stop := make(chan []Event, ahead), make(chan struct{})
	defer func() { // r is nobody else's until it is let go
		close(stop)
		for range batches {
		}
	}()
	var failure error
	go func() { // decodes while f works
		defer close(batches)
		lines, events := newLines(r), make([]Event, 0, batch)
		more := true
		for more {
			var e Event
			if e, more, failure = lines.event(); more {
				events = append(events, e)
			}
			if len(events) < batch && more {
				continue
			}
			select {
			case batches <- events:
				events = make([]Event, 0, batch)
			case <-stop:
				return
			}
		}
	}()
	for events := range batches {
		for _, e := range events {
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return failure
}

// event returns the next event and true, or why there is none.
func (l *lines) event() (e Event, ok bool, err error) {
	line, whole, err := l.next()
	if err == io.EOF {
		return e, false, nil
	}
	if err != nil {
		return e, false, err
	}
	e, _, err = decode(line)
	switch {
	case err == nil:
		return e, true, nil
	case !whole:
		return e, false, nil
	}
	return e, false, fmt.Errorf("trace line %d: %w", l.n, err)
}

// decode returns the event of a line, which has no newline, and the members of its
// object. Unknown keys are ignored; a key given twice, also in other case, is an
// error, because two readers could take two meanings from it.
func decode(line []byte) (e Event, ms members, err error) {
	ms, quick := quickMembers(line)
	if !quick {
		if ms, err = slowMembers(line); err != nil {
			return e, nil, err
		}
	}
	e.Run = &RunInfo{}
	for _, s := range []slot{{"seq", &e.Seq, ""}, {"prev", &e.Prev, ""}, {"kind", &e.Kind, ""}} {
		if err := e.set(s, ms.of(s.key), quick); err != nil {
			return Event{}, nil, err
		}
	}
	for _, s := range e.slots() {
		raw := ms.of(s.key)
		if raw == nil {
			continue
		}
		if err := e.set(s, raw, quick); err != nil {
			return Event{}, nil, err
		}
	}
	if e.Kind != Run {
		e.Run = nil
	}
	return e, ms, nil
}

func (e *Event) set(s slot, raw json.RawMessage, quick bool) error {
	if quick && raw != nil && unmarshalQuickly(raw, s.at) {
		return nil
	}
	return unmarshal(s.key, raw, s.at)
}

// slowMembers returns the members of any line.
func slowMembers(line []byte) (ms members, err error) {
	if err := unique(line); err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(line, &all); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		ms = append(ms, keyed{[]byte(name), all[name]})
	}
	return ms, nil
}

func unmarshal(name string, raw json.RawMessage, p any) error {
	if raw == nil {
		return fmt.Errorf("has no %q", name)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(p); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// unique returns an error if text is not one JSON object, or gives a key twice:
// at the top in any case of letters, below in the same.
func unique(line []byte) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var open nest
	for {
		tok, err := dec.Token()
		if err == io.EOF && len(open) == 0 {
			return errors.New("got nothing, want a JSON object")
		}
		if err != nil {
			return err
		}
		if err := open.take(tok); err != nil {
			return err
		}
		if len(open) == 0 {
			break
		}
	}
	if rest := line[dec.InputOffset():]; len(rest) > 0 {
		return fmt.Errorf("got %d bytes after the object", len(rest))
	}
	return nil
}

// A nest holds the arrays and objects that are open, the outermost first.
type nest []level

type level struct {
	keys map[string]bool // seen so far; nil in an array
	key  bool            // the next token is a key
}

func (n *nest) take(tok json.Token) error {
	top := len(*n) - 1
	if top < 0 && tok != json.Delim('{') {
		return fmt.Errorf("got %v, want a JSON object", tok)
	}
	if d, ok := tok.(json.Delim); ok && (d == '}' || d == ']') {
		*n = (*n)[:top]
		return nil
	}
	if top >= 0 && (*n)[top].keys != nil {
		l := &(*n)[top]
		if l.key = !l.key; !l.key {
			return l.insert(tok.(string), top == 0)
		}
	}
	switch tok {
	case json.Delim('{'):
		*n = append(*n, level{keys: map[string]bool{}, key: true})
	case json.Delim('['):
		*n = append(*n, level{})
	}
	return nil
}

func (l level) insert(key string, fold bool) error {
	folded := key
	if fold {
		folded = strings.ToLower(key)
	}
	if l.keys[folded] {
		return fmt.Errorf("has the key %q twice", key)
	}
	l.keys[folded] = true
	return nil
}

// lines reads lines of at most maxLine bytes.
type lines struct {
	r *bufio.Reader
	n int // number of the last line read, from 1
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns a line without its newline, and whether it had one; io.EOF at the end. The line holds until the next
// call.
func (l *lines) next() (line []byte, whole bool, err error) {
	l.n++
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && line == nil {
			return part[:len(part)-1], true, nil
		}
		line = append(line, part...)
		switch {
		case len(line) > maxLine+1:
			return nil, false, fmt.Errorf("trace line %d: %w of %d bytes", l.n, errLong, maxLine)
		case err == nil:
			return line[:len(line)-1], true, nil
		case err == io.EOF && len(line) > 0:
			return line, false, nil
		case err != bufio.ErrBufferFull:
			return nil, false, err
		}
	}
}

var errLong = errors.New("got more than the most")
