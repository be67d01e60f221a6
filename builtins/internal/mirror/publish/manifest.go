package publish

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"os"
	"strconv"

	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
	"runbook/runtime/host/tree"
)

// A Manifest is written with what became of every file of a subdir, a line of JSON each, for machines.
type Manifest struct {
	tree   *tree.Writer
	subdir string
	file   *os.File
	out    *bufio.Writer
	h      hash.Hash
	line   []byte
}

// NewManifest begins a subdir's.
func NewManifest(w *tree.Writer, subdir string) (*Manifest, error) {
	file, err := w.Create(state.ManifestName(subdir))
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(file, h), 128<<10)
	return &Manifest{tree: w, subdir: subdir, file: file, out: out, h: h}, nil
}

// Add writes the line of a file that the index lists; errors come from Close. Names and digests need no escapes.
func (m *Manifest) Add(r *repodata.Record, k state.Known, outcome string) {
	l := append(m.line[:0], `{"name":"`...)
	l = append(append(append(l, m.subdir...), '/'), r.File...)
	l = strconv.AppendInt(append(l, `","size":`...), k.Size, 10)
	if r.SHA256 != "" {
		l = append(append(append(l, `,"sha256":"`...), r.SHA256...), '"')
	} else if r.MD5 != "" {
		l = append(append(append(l, `,"md5":"`...), r.MD5...), '"')
	}
	l = append(append(append(l, `,"outcome":"`...), outcome...), "\"}\n"...)
	m.line = l
	m.out.Write(l)
}

// AddUnlisted writes the line of a file that the index does not list, with what was wrong with it, if anything was.
func (m *Manifest) AddUnlisted(file string, size int64, outcome, problem string) error {
	return json.NewEncoder(m.out).Encode(struct {
		Name    string `json:"name"`
		Size    int64  `json:"size"`
		Outcome string `json:"outcome"`
		Error   string `json:"error,omitempty"`
	}{m.subdir + "/" + file, size, outcome, problem})
}

// Close finishes the file, unless err is one, and returns the manifest's hex SHA-256.
func (m *Manifest) Close(err error) (string, error) {
	if err == nil {
		err = m.out.Flush()
	}
	if err := m.tree.Finish(m.file, m.tree.Attr(FileMode), err); err != nil {
		return "", tree.Wrap(state.ManifestName(m.subdir), err)
	}
	return hex.EncodeToString(m.h.Sum(nil)), nil
}

// Abandon takes the file back.
func (m *Manifest) Abandon() {
	m.file.Close()
	m.tree.Discard(state.ManifestName(m.subdir))
}
