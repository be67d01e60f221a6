package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/compress"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
	"runbook/runtime/host/tree"
)

// publish replaces the index of a subdir whose packages are all in place, the plain file last. What an index lists
// must survive a power cut before the index does, and so must each form before another.
func (f *filler) publish(s *subdir) error {
	w, err := f.newPublisher(s)
	if err != nil {
		return err
	}
	defer w.state.file.Close() // which remember has done, if it came to that
	if err := w.write(); err != nil {
		return errors.Join(err, w.abandon())
	}
	if err := f.tree.Commit(s.name); err != nil {
		return err
	}
	if err := f.swap(s); err != nil {
		return err
	}
	if s.publish {
		for _, name := range f.plan.wantedForms() {
			if err := f.tree.Rename(path.Join(s.name, name)); err != nil {
				return err
			}
		}
	}
	if err := f.tree.SyncDir(s.name); err != nil {
		return err
	}
	if err := f.remember(s, w); err != nil {
		return err
	}
	s.done, s.state = true, nil
	return nil
}

// swap puts packages in place of others of the same name, right before the index that lists them.
func (f *filler) swap(s *subdir) error {
	for _, it := range s.fetch {
		if it.failed == nil && it.replaces {
			if err := f.tree.Rename(it.name()); err != nil {
				return err
			}
			it.named = true
		}
	}
	return nil
}

// A publisher writes the forms of one index, the manifest and the state in one pass over the sources.
type publisher struct {
	filler   *filler
	s        *subdir
	files    []*os.File // in the order of forms
	forms    []string
	out      *publish.Fan
	json     hash.Hash
	manifest *publish.Manifest
	state    *stateFile
	shards   *publish.Shards
	head     state.Header
}

func (f *filler) newPublisher(s *subdir) (*publisher, error) {
	w := &publisher{filler: f, s: s, json: sha256.New(), out: publish.NewFan()}
	w.out.Add(w.json)
	var err error
	if s.publish {
		for _, name := range f.plan.wantedForms() {
			if err = w.addForm(path.Join(s.name, name)); err != nil {
				break
			}
		}
	}
	if err == nil {
		w.manifest, err = publish.NewManifest(f.tree, s.name)
	}
	if err == nil {
		w.state, err = f.newState(s)
	}
	if err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	return w, nil
}

func (w *publisher) addForm(name string) error {
	file, err := w.filler.tree.Create(name)
	if err != nil {
		return err
	}
	w.files, w.forms = append(w.files, file), append(w.forms, name)
	switch path.Ext(name) {
	case ".bz2":
		return w.out.Pack(compress.NewBzip2, file)
	case ".json":
		w.out.Add(file)
	default:
		if path.Base(name) == channel.ShardsFile {
			w.shards, err = publish.NewShards(w.filler.tree, w.filler.root, w.s.name, file)
			return err
		}
		return w.out.Pack(compress.NewZstd, file)
	}
	return nil
}

// write goes over the sources.
func (w *publisher) write() error {
	_, err := w.filler.plan.rewrite(w.s, true, w.keep()).Run(context.Background(), w.out)
	err = errors.Join(err, w.out.Close())
	if err != nil {
		return w.cleanError(err)
	}
	if w.shards != nil {
		if err := w.shards.Close(w.s.removed); err != nil {
			return err
		}
	}
	w.head.JSON = hex.EncodeToString(w.json.Sum(nil))
	if w.head.JSON != w.s.json.sum && w.s.sound() {
		return advice.New("run again", "%s/%s: the source changed while it was mirrored", w.s.name, channel.IndexFile)
	}
	for i, file := range w.files {
		w.files[i] = nil
		if err := w.filler.complete(file, nil); err != nil {
			return tree.Wrap(w.forms[i], err)
		}
	}
	w.head.Manifest, err = w.manifest.Close(w.unlisted())
	return err
}

// unlisted ends the manifest with what is not in the index.
func (w *publisher) unlisted() (err error) {
	for _, it := range w.s.fetch {
		if it.failed != nil {
			err = errors.Join(err, w.manifest.AddUnlisted(it.file, max(it.size, 0), "failed", it.failed.Error()))
		}
	}
	for _, p := range w.s.prune {
		err = errors.Join(err, w.manifest.AddUnlisted(p.file, p.size, "removed", ""))
	}
	return err
}

// keep returns what decides on each record again, and notes those that stay.
func (w *publisher) keep() func(int, *repodata.Record) (bool, error) {
	keeps := w.filler.plan.keeps(w.s)
	return func(source int, r *repodata.Record) (bool, error) {
		keep, err := keeps(source, r)
		if !keep || err != nil {
			return keep, err
		}
		k, outcome := w.s.lookup(r.File)
		w.head.Packages++
		if k.Ino != 0 { // it is here, not where a delta is brought to
			w.state.Add(r.File, k)
			w.manifest.Add(r, k, outcome)
		}
		if w.shards != nil {
			err = w.shards.Add(r)
		}
		return true, err
	}
}

// sound reports whether all that the plan counted on could be had.
func (s *subdir) sound() bool {
	for _, it := range s.fetch {
		if it.failed != nil && !it.foreseen {
			return false
		}
	}
	return true
}

// cleanError tells errors of the tree from those of the sources.
func (w *publisher) cleanError(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, syscall.EROFS) || pe.Op == "write") {
		return tree.Wrap(path.Join(w.s.name, channel.IndexFile), err)
	}
	return err
}

// abandon takes back what was begun.
func (w *publisher) abandon() error {
	w.out.Close()
	for i, file := range w.files {
		if file != nil {
			file.Close()
		}
		w.filler.tree.Discard(w.forms[i])
	}
	if w.manifest != nil {
		w.manifest.Abandon()
	}
	if w.state != nil {
		w.state.file.Close()
		w.filler.tree.Discard(state.Name(w.s.name))
	}
	return nil
}

// lookup returns what is known of a file that is listed, and what became of it.
func (s *subdir) lookup(file string) (state.Known, string) {
	i, ok := s.position(file)
	switch {
	case ok && s.fetch[i].replaces:
		return s.fetch[i].got(), "replaced"
	case ok:
		return s.fetch[i].got(), "fetched"
	}
	if k, ok := s.found[file]; ok {
		return k, "kept"
	}
	k, _ := s.state.Find(file)
	return k, "kept"
}

// position finds an item by its file, soonest the one behind what was found before.
func (s *subdir) position(file string) (int, bool) {
	i, ok := s.next, s.next < len(s.fetch) && s.fetch[s.next].file == file
	if !ok {
		i, ok = slices.BinarySearchFunc(s.fetch, file,
			func(it *item, file string) int { return strings.Compare(it.file, file) })
	}
	if ok {
		s.next = i + 1
	}
	return i, ok
}
