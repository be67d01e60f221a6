// Package kept is the directory in which runs keep what they change, as it was, so that it can be put back.
//
// Two things to know. A content lies there once, under its digest, whoever keeps it. And a line of a journal is on the
// disk before the effect that it belongs to, whose event has the line's digest: nobody can change it unseen.
//
// Package cmd/runbook calls it.
package kept

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"runbook/runtime/host/before"
)

// A Store is such a directory.
type Store string

// Blob names the file with the content of a digest.
func (s Store) Blob(sha256 string) string { return filepath.Join(string(s), "blobs", sha256) }

// NewID returns the name of a new journal.
func NewID() string {
	b := make([]byte, 8)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

var isID = regexp.MustCompile(`^[0-9a-f]{16}$`)

func (s Store) journal(id string) string { return filepath.Join(string(s), id+".jsonl") }

// A Journal is the records of one run, which is under way. It is made with the first.
type Journal struct {
	store Store
	id    string
	file  *os.File
}

// Begin returns the journal called id.
func (s Store) Begin(id string) *Journal { return &Journal{store: s, id: id} }

// Close closes the journal.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// Put keeps a content, on the disk, and returns its digest in hex.
func (j *Journal) Put(r io.Reader) (sum string, err error) {
	dir := j.store.Blob("")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name()) // gone already if all went well
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(tmp, h), r)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	sum = hex.EncodeToString(h.Sum(nil))
	return sum, os.Rename(tmp.Name(), j.store.Blob(sum))
}

// Record writes a record, on the disk, and returns the digest of its line in hex.
func (j *Journal) Record(r before.Record) (sum string, err error) {
	line, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	if j.file == nil {
		if err := os.MkdirAll(string(j.store), 0o700); err != nil {
			return "", err
		}
		if j.file, err = os.OpenFile(j.store.journal(j.id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return "", err
		}
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return "", err
	}
	return digest(line), j.file.Sync()
}

func digest(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// Prune removes what the oldest runs have kept, until no more than most bytes of contents are kept. It leaves the run
// called spare, and does nothing as long as there is room.
func (s Store) Prune(most int64, spare string) error {
	blobs, err := os.ReadDir(s.Blob(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	sizes, total := map[string]int64{}, int64(0)
	for _, b := range blobs {
		if fi, ierr := b.Info(); ierr == nil {
			sizes[b.Name()] = fi.Size()
			total += fi.Size()
		}
	}
	if err != nil || total <= most {
		return err
	}
	used, err := s.newest(sizes, most, spare)
	for name := range sizes {
		if err == nil && !used[name] {
			err = os.Remove(s.Blob(name))
		}
	}
	return err
}

// newest removes the journals of all runs but the newest, whose contents are at most most bytes, and returns those.
func (s Store) newest(sizes map[string]int64, most int64, spare string) (used map[string]bool, err error) {
	journals, err := filepath.Glob(filepath.Join(string(s), "*.jsonl"))
	if err != nil {
		return nil, err
	}
	age := func(name string) (t time.Time) {
		if fi, err := os.Stat(name); err == nil {
			t = fi.ModTime()
		}
		return t
	}
	slices.SortFunc(journals, func(a, b string) int { return age(b).Compare(age(a)) })
	used = map[string]bool{}
	for _, name := range journals {
		id := strings.TrimSuffix(filepath.Base(name), ".jsonl")
		records, err := s.Read(id)
		if err != nil {
			return nil, err
		}
		if need := unused(records, used, sizes); id == spare || need <= most {
			most -= need
			mark(records, used)
			continue
		}
		for _, file := range []string{name, name + ".undone", name + ".of"} {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return used, nil
}

// unused returns how many bytes the contents of records have that are not used yet.
func unused(records map[string]before.Record, used map[string]bool, sizes map[string]int64) (n int64) {
	for _, r := range records {
		for _, f := range r.Files {
			if !used[f.SHA256] {
				n += sizes[f.SHA256]
			}
		}
	}
	return n
}

func mark(records map[string]before.Record, used map[string]bool) {
	for _, r := range records {
		for _, f := range r.Files {
			used[f.SHA256] = true
		}
	}
}

// Undone returns what of a run was taken back already, as [Store.NoteUndone] got it.
func (s Store) Undone(id string) (map[string]bool, error) {
	text, err := os.ReadFile(s.journal(id) + ".undone")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	all := map[string]bool{}
	for line := range bytes.Lines(text) {
		if part, whole := bytes.CutSuffix(line, []byte("\n")); whole {
			all[string(part)] = true
		}
	}
	return all, err
}

// NoteUndone notes, on the disk, that a part of a run was taken back.
func (s Store) NoteUndone(id, part string) error {
	return s.append(s.journal(id)+".undone", part)
}

// Link notes that the run called by undoes the run called id. See [Store.Redo].
func (s Store) Link(by, id string) error {
	return s.append(s.journal(by)+".of", id)
}

// Redo forgets what was taken back of the run that the run called by has undone.
func (s Store) Redo(by string) error {
	text, err := os.ReadFile(s.journal(by) + ".of")
	id := string(bytes.TrimSpace(text))
	if err != nil || !isID.MatchString(id) {
		return nil // it was no undo
	}
	err = os.Remove(s.journal(id) + ".undone")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// append adds a line to a file, on the disk.
func (s Store) append(name, line string) error {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// ErrGone says that the journal of a run is not there.
var ErrGone = errors.New("what was there before it is not kept here")

// longest is how many bytes a journal has at most that is read.
const longest = 1 << 30

// Read returns the records of a run by the digests of their lines. The last line may be torn.
func (s Store) Read(id string) (map[string]before.Record, error) {
	if !isID.MatchString(id) {
		return nil, ErrGone
	}
	f, err := os.Open(s.journal(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longest))
	if err != nil {
		return nil, err
	}
	all := map[string]before.Record{}
	for line := range bytes.Lines(text) {
		line, whole := bytes.CutSuffix(line, []byte("\n"))
		var r before.Record
		if err := json.Unmarshal(line, &r); err != nil {
			if !whole {
				break
			}
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		all[digest(line)] = r
	}
	return all, nil
}
