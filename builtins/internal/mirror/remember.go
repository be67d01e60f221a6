package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"syscall"
	"time"

	"runbook/builtins/internal/repodata"
	"runbook/runtime/host/tree"
)

// A stateFile is a state on its way to a subdir's file.
type stateFile struct {
	*stateWriter
	file *os.File
}

func (f *filler) newState(s *subdir) (*stateFile, error) {
	file, err := f.tree.Create(stateName(s.name))
	if err != nil {
		return nil, err
	}
	return &stateFile{newStateWriter(file), file}, nil
}

// remember notes what was published.
func (f *filler) remember(s *subdir, w *publisher) error {
	h := w.head
	h.Subdir, h.Fingerprint, h.Records, h.Removed = s.name, s.print, s.total, s.removed
	if s.failures() > 0 { // what is missing must be looked for again
		h.Fingerprint = ""
	}
	h.Tags = map[string]string{}
	for i := range s.sources {
		h.Tags[s.sources[i].from.shown] = s.sources[i].tag
	}
	for _, name := range f.plan.wantedForms() {
		fi, err := f.root.Lstat(path.Join(s.name, name))
		if err != nil {
			return tree.Wrap(name, err)
		}
		st, _ := fi.Sys().(*syscall.Stat_t)
		h.Forms = append(h.Forms, form{name, fi.Size(), fi.ModTime().UnixNano(), st.Ino})
	}
	if err := f.settle(w.state.file, w.state.end(h)); err != nil {
		return tree.Wrap(stateName(s.name), err)
	}
	for _, name := range []string{manifestName(s.name), stateName(s.name)} {
		if err := f.tree.Rename(name); err != nil {
			return err
		}
	}
	s.manifest = h.Manifest
	return nil
}

// saveStates notes what was verified so far of subdirs that are not published yet, so that a run that is cut short
// has not to be hashed again.
func (f *filler) saveStates() error {
	f.saved = time.Now()
	for _, s := range f.plan.subdirs {
		if s.done {
			continue
		}
		if err := f.saveState(s); err != nil {
			return err
		}
	}
	return nil
}

func (f *filler) saveState(s *subdir) error {
	h := header{Subdir: s.name}
	if s.state != nil {
		h = s.state.header
	}
	h.Interim, h.Fingerprint = true, ""
	if len(s.found) == 0 && !slices.ContainsFunc(s.fetch, (*item).verified) {
		return nil
	}
	w, err := f.newState(s)
	if err != nil {
		return err
	}
	for file, k := range s.found {
		w.add(file, k)
	}
	for _, it := range s.fetch {
		if it.verified() {
			w.add(it.file, it.got())
		}
	}
	w.addOthers(s.state, func(file string) bool {
		i, ok := s.position(file)
		_, found := s.found[file]
		return found || ok && s.fetch[i].verified()
	})
	if err := f.settle(w.file, w.end(h)); err != nil {
		return tree.Wrap(stateName(s.name), err)
	}
	return f.tree.Rename(stateName(s.name))
}

// verified reports whether an item was fetched and has its name.
func (it *item) verified() bool { return it.named && it.failed == nil }

// A manifestWriter writes what became of every file, a line of JSON each, for machines.
type manifestWriter struct {
	*bufferedFile
	h    hash.Hash
	s    *subdir
	line []byte
	f    *filler
}

func (f *filler) newManifest(s *subdir) (*manifestWriter, error) {
	b, err := f.buffered(manifestName(s.name))
	if err != nil {
		return nil, err
	}
	w := &manifestWriter{bufferedFile: b, h: sha256.New(), s: s, f: f}
	w.Writer.Reset(io.MultiWriter(b.file, w.h))
	return w, nil
}

// add writes the line of a file that the index lists. Names and digests need no escapes.
func (w *manifestWriter) add(r *repodata.Record, k known, outcome string) {
	l := append(w.line[:0], `{"name":"`...)
	l = append(append(append(l, w.s.name...), '/'), r.File...)
	l = strconv.AppendInt(append(l, `","size":`...), k.size, 10)
	if r.SHA256 != "" {
		l = append(append(append(l, `,"sha256":"`...), r.SHA256...), '"')
	} else if r.MD5 != "" {
		l = append(append(append(l, `,"md5":"`...), r.MD5...), '"')
	}
	l = append(append(append(l, `,"outcome":"`...), outcome...), "\"}\n"...)
	w.line = l
	w.Write(l)
}

// close ends the manifest with what is not in the index, and returns its digest.
func (w *manifestWriter) close() (string, error) {
	type line struct {
		Name    string `json:"name"`
		Size    int64  `json:"size"`
		Outcome string `json:"outcome"`
		Error   string `json:"error,omitempty"`
	}
	enc := json.NewEncoder(w)
	var err error
	for _, it := range w.s.fetch {
		if it.failed != nil {
			err = errors.Join(err, enc.Encode(line{it.name(), max(it.size, 0), "failed", it.failed.Error()}))
		}
	}
	for _, p := range w.s.prune {
		err = errors.Join(err, enc.Encode(line{w.s.name + "/" + p.file, p.size, "removed", ""}))
	}
	if err == nil {
		err = w.Flush()
	}
	if err := w.f.settle(w.file, err); err != nil {
		return "", tree.Wrap(manifestName(w.s.name), err)
	}
	return hex.EncodeToString(w.h.Sum(nil)), nil
}

// Manifests returns the digest of each subdir's manifest, as lines "SUBDIR SHA256", of the run that published it.
func (p *Plan) Manifests() map[string]string {
	all := map[string]string{}
	for _, s := range p.subdirs {
		switch {
		case s.manifest != "":
			all[s.name] = s.manifest
		case s.state != nil && s.state.Manifest != "":
			all[s.name] = s.state.Manifest
		}
	}
	return all
}
