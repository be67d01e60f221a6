package host

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
)

// A Snapshot is a machine as it answered to a Recorder: what was asked of it, and what it said. It answers the same,
// and asks nobody: what it was not asked there is an error that wraps ErrUnknown. It is for one goroutine at a time,
// but for Get and for reading contents.
type Snapshot struct {
	Identity
	// Net asks the network about other machines; without it Get is an error.
	Net func(context.Context, Request) (*Response, error)
	// Lacks, if not nil, gets what the snapshot was asked and does not have.
	Lacks func(what string)

	mu      sync.Mutex // of what is read of contents, and of gets
	files   map[string]*fileAnswer
	queries map[string]*queryAnswer
	gets    map[string]*getAnswer
	known   map[string]string // facts that are kept by their value
	facts   map[Fact]string   // probed
	asked   func(Process, int) error
}

// An Identity says whose answers a snapshot has.
type Identity struct {
	Account Owner    `json:"account"` // who asked
	Made    []string `json:"made"`    // directories that earlier runs had made
}

var _ Base = (*Snapshot)(nil)

func newSnapshot() *Snapshot {
	return &Snapshot{files: map[string]*fileAnswer{}, queries: map[string]*queryAnswer{}, gets: map[string]*getAnswer{},
		known: map[string]string{}, facts: map[Fact]string{}}
}

// Self is Base's.
func (s *Snapshot) Self() Owner { return s.Account }

// Usable is Base's.
func (s *Snapshot) Usable() bool { return s != nil && s.files != nil }

// Tell is Base's.
func (s *Snapshot) Tell(asked func(Process, int) error) { s.asked = asked }

// An unrecorded error is about what a snapshot was not asked.
type unrecorded struct{ what, hint string }

func (e unrecorded) Error() string        { return e.what }
func (e unrecorded) Is(target error) bool { return target == ErrUnknown }

// Hint returns what cures the error.
func (e unrecorded) Hint() string { return e.hint }

const askAgain = "make the snapshot again on its machine, for this runbook and these vars: " +
	"runbook facts RUNBOOK --var ... -o FILE"

// lacks is the error about a question that was not asked.
func (s *Snapshot) lacks(op, name, why string) error {
	if s.Lacks != nil {
		s.mu.Lock()
		s.Lacks(op + " " + name)
		s.mu.Unlock()
	}
	e := unrecorded{cmp.Or(why, "the snapshot of the machine does not have it"), askAgain}
	if why != "" {
		e.hint = "a plan that rests on it is made on the machine itself"
	}
	return &fs.PathError{Op: op, Path: name, Err: e}
}

// isUnrecorded reports whether err says that a snapshot lacks the answer. It is not absent then.
func isUnrecorded(err error) bool { return errors.As(err, new(unrecorded)) }

// file returns what is known of name; nil if nothing is.
func (s *Snapshot) file(name string) *fileAnswer { return s.files[name] }

// without returns the error of what cannot be there, because of what is known of the directories above it; nil if it
// may be there.
func (s *Snapshot) without(name string) error {
	for at := name; at != "/" && at != "."; at = path.Dir(at) {
		dir := path.Dir(at)
		up := s.file(dir)
		if up == nil {
			continue
		}
		if f := up.Failures["lstat"]; f != nil && (f.Errno == "ENOENT" || f.Errno == "ENOTDIR") {
			return errNotExist
		}
		switch {
		case up.is(0):
			return errNotDir
		case up.Listed:
			if _, there := slices.BinarySearch(up.Names, path.Base(at)); !there {
				return errNotExist
			}
			return nil
		}
	}
	return nil
}

// Lstat is Reader's.
func (s *Snapshot) Lstat(name string) (Meta, error) {
	a := s.file(name)
	switch {
	case a != nil && a.Mode != "":
		return a.meta, s.name(a)
	case a != nil && a.Failures["lstat"] != nil:
		return Meta{}, a.Failures["lstat"].err("lstat", name)
	}
	if err := s.without(name); err != nil {
		return Meta{}, guest("lstat", name, err)
	}
	return Meta{}, s.lacks("lstat", name, "")
}

// name asks for the names of the accounts of a, as the machine did, which is told.
func (s *Snapshot) name(a *fileAnswer) error {
	for _, n := range a.Named {
		kind, number := userName, strings.TrimPrefix(n, "user ")
		if rest, ok := strings.CutPrefix(n, "group "); ok {
			kind, number = groupName, rest
		}
		if _, err := s.Fact(context.Background(), Fact{kind, number}); err != nil {
			return err
		}
	}
	return nil
}

// LstatAll is Reader's.
func (s *Snapshot) LstatAll(dir string, names []string) []Seen {
	all := make([]Seen, len(names))
	if a := s.file(dir); a != nil && a.Failures["lstatall"] != nil {
		return allFailed(all, a.Failures["lstatall"].err("lstat", dir))
	}
	for i, n := range names {
		name := path.Join(dir, n)
		all[i].Meta, all[i].Err = s.Lstat(name)
		if all[i].Err != nil {
			continue
		}
		in := s.file(name).Seen
		if in == nil {
			all[i] = Seen{Err: s.lacks("lstat", name, "")}
			continue
		}
		all[i].Dev, all[i].Ino, all[i].Links = in.Dev, in.Ino, in.Links
		all[i].Changed, all[i].Err = parseStamp(in.Changed)
	}
	return all
}

// answer returns what is known of name, or why op gets nothing: what answered says it failed with, or cannot be there.
func (s *Snapshot) answer(op, failure, name string, known func(*fileAnswer) bool) (*fileAnswer, error) {
	a := s.file(name)
	switch {
	case a != nil && a.Failures[failure] != nil:
		return nil, a.Failures[failure].err(op, name)
	case a != nil && known(a):
		return a, nil
	case a != nil && a.Failures["lstat"] != nil:
		return nil, a.Failures["lstat"].err(op, name)
	}
	if err := s.without(name); err != nil {
		return nil, guest(op, name, err)
	}
	return a, s.lacks(op, name, "")
}

// Readlink is Reader's.
func (s *Snapshot) Readlink(name string) (string, error) {
	if a := s.file(name); a != nil && a.Mode != "" && a.meta.Mode&fs.ModeSymlink == 0 {
		return "", guest("readlink", name, errInvalid)
	}
	a, err := s.answer("readlink", "readlink", name, func(a *fileAnswer) bool { return a.Target != "" })
	if err != nil {
		return "", err
	}
	return a.Target, nil
}

// ReadDir is Reader's.
func (s *Snapshot) ReadDir(name string) ([]string, error) {
	a, err := s.answer("readdir", "readdir", name, func(a *fileAnswer) bool { return a.Listed })
	if err != nil {
		return nil, err
	}
	return slices.Clone(a.Names), nil
}

// Resolve is Reader's.
func (s *Snapshot) Resolve(name string, follow bool) (string, error) {
	key, get := resolution(follow)
	a, err := s.answer("resolve", key, name, func(a *fileAnswer) bool { return *get(a) != "" })
	if err != nil {
		return "", err
	}
	return *get(a), nil
}

// resolution says where an answer of Resolve is kept.
func resolution(follow bool) (key string, at func(*fileAnswer) *string) {
	if follow {
		return "real", func(a *fileAnswer) *string { return &a.Real }
	}
	return "place", func(a *fileAnswer) *string { return &a.Place }
}

// Program is Reader's.
func (s *Snapshot) Program(name string) (string, error) {
	a := s.file(name)
	switch {
	case a != nil && a.Program != "":
		return a.Program, nil
	case a != nil && a.Failures["program"] != nil:
		return "", a.Failures["program"].err("program", name)
	case path.IsAbs(name) && s.without(name) != nil:
		return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
	case !strings.Contains(name, "/") && s.nowhere(name):
		return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
	}
	return "", s.lacks("program", name, "")
}

// nowhere reports whether none of the usual directories has a file called name.
func (s *Snapshot) nowhere(name string) bool {
	for dir := range strings.SplitSeq(defaultPath, ":") {
		if s.without(path.Join(dir, name)) == nil {
			return false
		}
	}
	return true
}

// Fact is Reader's. Answers are remembered, as on a machine on which nothing happens.
func (s *Snapshot) Fact(ctx context.Context, f Fact) (string, error) { return s.factOf(ctx, s, f) }

func (s *Snapshot) factOf(ctx context.Context, r Reader, f Fact) (string, error) {
	if v, ok := s.facts[f]; ok {
		return v, nil
	}
	if f.Kind == Port {
		if v, ok := s.known[f.String()]; ok {
			return v, nil
		}
		if _, all := s.known[allPorts]; all {
			return "", nil
		}
		return "", s.lacks("fact", f.String(), "")
	}
	v, err := f.Kind.Probe(ctx, r, f.Name)
	if errors.Is(err, exec.ErrNotFound) && !isUnrecorded(err) {
		v, err = "", nil
	}
	if err == nil {
		s.facts[f] = v
	}
	return v, err
}

// allPorts is kept where all ports that something listens on are.
const allPorts = "ports"

// Query is Reader's.
func (s *Snapshot) Query(_ context.Context, p Process) (Result, error) {
	if err := p.check(); err != nil {
		return Result{}, &fs.PathError{Op: "query", Path: title(p), Err: err}
	}
	a := s.queries[queryKey(p)]
	if a == nil {
		if name := p.Argv[0]; !strings.Contains(name, "/") && s.nowhere(name) {
			return Result{}, &fs.PathError{Op: "query", Path: title(p), Err: exec.ErrNotFound}
		}
		return Result{}, s.lacks("query", title(p), "")
	}
	if a.Failure != nil {
		return Result{}, a.Failure.err("query", title(p))
	}
	res := Result{Code: a.Code, Stdout: bytes.Clone(a.Out.bytes()), Stderr: bytes.Clone(a.Err.bytes()), Loose: a.Loose}
	if s.asked != nil {
		return res, s.asked(p, res.Code)
	}
	return res, nil
}

// queryKey tells questions apart.
func queryKey(p Process) string {
	return fmt.Sprintf("%q %q %q %q %t %q", p.Argv, p.User, p.Dir, p.Env, p.Confined, p.Stdin) // fmt prints maps in order
}

func (a *queryAnswer) process() (p Process, err error) {
	p = Process{Argv: a.Query, User: a.User, Dir: a.Dir, Env: a.Env, Confined: a.Confined}
	if p.Stdin, err = base64.StdEncoding.DecodeString(a.Stdin); len(p.Stdin) == 0 {
		p.Stdin = nil
	}
	return p, err
}

// Get is Reader's. What a server on the machine itself would say is in the snapshot, or unknown; other servers are
// asked.
func (s *Snapshot) Get(ctx context.Context, r Request) (*Response, error) {
	if !Loopback(r.URL) {
		if s.Net == nil {
			return nil, s.lacks("get", RedactURL(r.URL), "")
		}
		return s.Net(ctx, r)
	}
	a := s.gets[getKey(r)]
	if a == nil || a.Failure == nil && a.Body == nil && a.Size != 0 && !r.Head {
		return nil, s.lacks("get", RedactURL(r.URL), "")
	}
	if a.Failure != nil {
		return nil, a.Failure.err("get", RedactURL(r.URL))
	}
	return &Response{Status: a.Status, Size: a.Size, ETag: a.ETag, Modified: a.Modified, Type: a.Type,
		Body: io.NopCloser(bytes.NewReader(a.Body.bytes()))}, nil
}

func getKey(r Request) string { return fmt.Sprintf("%t %s", r.Head, RedactURL(r.URL)) }

// Content is Reader's.
func (s *Snapshot) Content(name string) (Content, error) {
	a, err := s.answer("open", "open", name, func(a *fileAnswer) bool { return a.Content != nil })
	switch {
	case a != nil && a.is(fs.ModeDir):
		return Content{}, guest("open", name, errDir)
	case err != nil:
		return Content{}, err
	case a.Content.Left == leftPrivate:
		return Content{}, s.lacks("open", name, "it is private, and no snapshot holds what is")
	}
	return Content{Open: func() (File, error) { return &recordedFile{s: s, name: name, c: a.Content}, nil }}, nil
}

const (
	leftPrivate = "private"
	leftLarge   = "large"
)

// A recordedFile reads what was read there.
type recordedFile struct {
	s    *Snapshot
	name string
	c    *contentAnswer
	at   int64
}

func (f *recordedFile) Read(p []byte) (int, error) {
	f.s.mu.Lock()
	parts, end := f.c.Parts, f.c.End
	f.s.mu.Unlock()
	if end != nil && f.at >= *end {
		return 0, io.EOF
	}
	i, _ := slices.BinarySearchFunc(parts, f.at, func(p *part, at int64) int {
		if p.end() <= at {
			return -1
		}
		return 1
	})
	if i == len(parts) || parts[i].At > f.at {
		return 0, f.s.lacks("read", f.name, "")
	}
	n := copy(p, parts[i].data[f.at-parts[i].At:])
	f.at += int64(n)
	return n, nil
}

func (f *recordedFile) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += f.at
	case io.SeekEnd:
		end := f.c.Seek
		if end == nil {
			end = f.c.End
		}
		if end == nil {
			return 0, f.s.lacks("seek", f.name, "")
		}
		if *end < 0 {
			return 0, guest("seek", f.name, errInvalid)
		}
		off += *end
	}
	if off < 0 {
		return 0, guest("seek", f.name, errInvalid)
	}
	f.at = off
	return off, nil
}

func (f *recordedFile) Close() error { return nil }

// digested is the digest of the whole file, as it was computed there.
func (f *recordedFile) digested(func(File) (string, error)) (string, error) {
	if f.c.SHA256 == "" && !f.c.whole() {
		return "", f.s.lacks("sha256", f.name, "")
	}
	if f.c.SHA256 != "" {
		return f.c.SHA256, nil
	}
	h := sha256.New()
	for _, p := range f.c.Parts {
		h.Write(p.data)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
