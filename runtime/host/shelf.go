package host

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The file of a snapshot is JSON, a value a line: what it is, then answers about files, commands, facts and servers,
// each kind sorted, then how many these are.

// snapshotVersion is that of the format. Keys and lines of other kinds are added without a new one.
const snapshotVersion = 1

// A heading is the first line.
type heading struct {
	Snapshot int             `json:"snapshot"`
	About    json.RawMessage `json:"about"`
	Identity Identity        `json:"identity"`
}

// An ending is the last line, without which a file was cut off.
type ending struct {
	End *int `json:"end"` // how many answers there are
}

// Write writes what was recorded. about is more to say of the machine, which ReadSnapshot returns.
func (r *Recorder) Write(w io.Writer, about any) error {
	raw, err := json.Marshal(about)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(b)
	lines.SetEscapeHTML(false)
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.answers()
	all = append(append([]any{heading{snapshotVersion, raw, r.Identity}}, all...), ending{new(len(all))})
	for _, l := range all {
		if err := lines.Encode(l); err != nil {
			return err
		}
	}
	return b.Flush()
}

// answers returns the lines in their order.
func (r *Recorder) answers() (all []any) {
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		all = append(all, r.files[name].written())
	}
	for _, key := range slices.Sorted(maps.Keys(r.queries)) {
		all = append(all, r.queries[key])
	}
	for _, key := range slices.Sorted(maps.Keys(r.known)) {
		all = append(all, factAnswer{key, r.known[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(r.gets)) {
		all = append(all, r.gets[key])
	}
	return all
}

// written returns a as it goes into the file: without tokens, and without what is for some only.
func (a *fileAnswer) written() *fileAnswer {
	if a.Content == nil {
		return a
	}
	line, c := *a, *a.Content
	if line.Content = &c; c.Left != "" {
		c.Parts = nil
		return &line
	}
	masked, sum := false, sha256.New()
	c.Parts = nil
	for _, p := range a.Content.Parts {
		sum.Write(p.data)
		shown := withoutTokens(p.data)
		masked = masked || !bytes.Equal(shown, p.data)
		c.Parts = append(c.Parts, (&part{At: p.At, data: shown}).told())
	}
	if masked && a.Content.whole() {
		c.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	return &line
}

// LeftOut returns the files whose contents were asked for and are not kept, and what may not be read, each with the
// reason, sorted.
func (r *Recorder) LeftOut() (lines []string) {
	const read = 4
	self := NewOverlay(r, r.Account)
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		a := r.files[name]
		closed := (a.is(0) || a.is(fs.ModeDir)) && !self.may(a.meta, read)
		switch f := cmp.Or(a.Failures["open"], a.Failures["readdir"], a.Failures["lstat"]); {
		case a.Content != nil && a.Content.Left != "":
			lines = append(lines, name+": "+a.Content.Left)
		case closed || f != nil && (f.Errno == "EACCES" || f.Errno == "EPERM"):
			lines = append(lines, name+": may not be read by "+r.Account.User)
		}
	}
	if r.full {
		lines = append(lines, fmt.Sprintf("more than %d files", mostAnswers))
	}
	return lines
}

// tokenIn finds what in a URL only some may know: its userinfo, and what follows a /t/.
var tokenIn = regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^\s/@"'<>]+@|[a-z][a-z0-9+.-]*://[^\s"'<>]*?/t/[^\s/"'<>]+`)

// withoutTokens returns b with an x in the place of each byte of a token: what comes after it stays where it is.
func withoutTokens(b []byte) []byte {
	if !bytes.Contains(b, []byte("://")) {
		return b
	}
	return tokenIn.ReplaceAllFunc(b, func(url []byte) []byte {
		shown := bytes.Clone(url)
		from, to := bytes.LastIndex(url, []byte("/"))+1, len(url)
		if url[to-1] == '@' {
			from, to = bytes.Index(url, []byte("://"))+3, to-1
		}
		for i := from; i < to; i++ {
			shown[i] = 'x'
		}
		return shown
	})
}

// A Shelf keeps what snapshots of several machines have in common once. The zero value is empty. It may be used by
// several goroutines.
type Shelf struct {
	mu    sync.Mutex
	lines map[string]any // parsed
	bytes int
}

// Limits of a snapshot that is read.
const (
	mostRead = 512 << 20 // bytes, not compressed
	mostLine = 256 << 20
	mostKept = 256 << 20 // bytes on a shelf
)

// A Plate is what a snapshot says of itself.
type Plate struct {
	About  json.RawMessage
	SHA256 string // of the file
}

// ReadSnapshot reads a file that Recorder.Write has written, compressed by gzip or not.
func (sh *Shelf) ReadSnapshot(r io.Reader) (*Snapshot, Plate, error) {
	sum := sha256.New()
	raw := bufio.NewReaderSize(io.TeeReader(r, sum), 64<<10)
	text := io.Reader(raw)
	if magic, _ := raw.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, Plate{}, fmt.Errorf("is no snapshot: %w", err)
		}
		text = z
	}
	s, about, err := sh.read(&io.LimitedReader{R: text, N: mostRead + 1})
	if err == nil {
		_, err = io.Copy(io.Discard, raw)
	}
	return s, Plate{about, hex.EncodeToString(sum.Sum(nil))}, err
}

func (sh *Shelf) read(text *io.LimitedReader) (*Snapshot, json.RawMessage, error) {
	lines := bufio.NewScanner(text)
	lines.Buffer(make([]byte, 0, 64<<10), mostLine)
	s, about := newSnapshot(), json.RawMessage(nil)
	n, ended := 0, false
	for ; lines.Scan(); n++ {
		var err error
		switch line := lines.Bytes(); {
		case n == 0:
			about, err = s.head(line)
		case ended:
			err = errors.New("got more behind the end")
		case bytes.HasPrefix(line, []byte(`{"end":`)):
			ended, err = true, endOf(line, n-1)
		default:
			err = sh.take(s, line)
		}
		if err != nil && n > 0 && !ended && !lines.Scan() {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	switch err := lines.Err(); {
	case text.N <= 0:
		return nil, nil, fmt.Errorf("got more than %d bytes, want a snapshot of one machine", int64(mostRead))
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil, err
	case n == 0:
		return nil, nil, errors.New("is empty")
	case !ended:
		return nil, nil, hinted{errors.New("ends before its last line: it was cut off"), "copy it again from its machine"}
	}
	return s, about, nil
}

// head reads the first line.
func (s *Snapshot) head(line []byte) (json.RawMessage, error) {
	var h heading
	err := json.Unmarshal(line, &h)
	switch {
	case err != nil || h.Snapshot == 0:
		return nil, hinted{errors.New("is no snapshot of a machine"), "runbook facts -o FILE writes one"}
	case h.Snapshot > snapshotVersion:
		return nil, hinted{fmt.Errorf("got a snapshot of version %d, want %d at most", h.Snapshot, snapshotVersion),
			"plan with a runbook that is as new as the one that made it"}
	}
	s.Identity = h.Identity
	return h.About, nil
}

func endOf(line []byte, answers int) error {
	var e ending
	if err := json.Unmarshal(line, &e); err != nil || e.End == nil {
		return errors.New("got a damaged last line")
	}
	if *e.End != answers {
		return fmt.Errorf("got %d answers, want %d", answers, *e.End)
	}
	return nil
}

// take adds an answer to s.
func (sh *Shelf) take(s *Snapshot, line []byte) error {
	answer, err := sh.parse(line)
	if err != nil {
		return err
	}
	twice := false
	switch a := answer.(type) {
	case *fileAnswer:
		twice = s.files[a.File] != nil
		s.files[a.File] = a
	case *keyed[queryAnswer]:
		twice = s.queries[a.key] != nil
		s.queries[a.key] = &a.answer
	case *keyed[getAnswer]:
		s.gets[a.key] = &a.answer
	case factAnswer:
		s.known[a.Fact] = a.Is
	}
	if twice {
		return errors.New("got two answers to one question")
	}
	return nil
}

// A keyed answer is one with the text that tells its question from others.
type keyed[T any] struct {
	key    string
	answer T
}

// parse reads a line, unless an equal one was read before.
func (sh *Shelf) parse(line []byte) (any, error) {
	sh.mu.Lock()
	answer, ok := sh.lines[string(line)]
	sh.mu.Unlock()
	if ok {
		return answer, nil
	}
	answer, err := parseAnswer(line)
	if err != nil {
		return nil, err
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.lines == nil {
		sh.lines = map[string]any{}
	}
	if sh.bytes += len(line); sh.bytes <= mostKept {
		sh.lines[string(line)] = answer
	}
	return answer, nil
}

func parseAnswer(line []byte) (any, error) {
	key, _, _ := strings.Cut(string(line[:min(len(line), 10)]), ":")
	switch key {
	case `{"file"`:
		a := &fileAnswer{}
		if err := json.Unmarshal(line, a); err != nil {
			return nil, err
		}
		return a, a.parse()
	case `{"query"`:
		a := &keyed[queryAnswer]{}
		p, err := a.answer.parse(line)
		a.key = queryKey(p)
		return a, err
	case `{"get"`:
		a := &keyed[getAnswer]{}
		err := json.Unmarshal(line, &a.answer)
		if err == nil && a.answer.Body != nil {
			err = a.answer.Body.parse()
		}
		a.key = getKey(Request{URL: a.answer.Get, Head: a.answer.Head})
		return a, err
	case `{"fact"`:
		var a factAnswer
		err := json.Unmarshal(line, &a)
		return a, err
	}
	var any map[string]json.RawMessage
	return nil, json.Unmarshal(line, &any)
}

func (a *queryAnswer) parse(line []byte) (Process, error) {
	err := json.Unmarshal(line, a)
	for _, p := range []*part{a.Out, a.Err} {
		if err == nil && p != nil {
			err = p.parse()
		}
	}
	if err != nil {
		return Process{}, err
	}
	return a.process()
}
