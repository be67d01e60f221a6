package mirror

import (
	"os"
	"path"
	"slices"
	"syscall"
	"time"

	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host/tree"
)

// A stateFile is a state on its way to a subdir's file.
type stateFile struct {
	*state.Writer
	file *os.File
}

func (f *filler) newState(s *subdir) (*stateFile, error) {
	file, err := f.tree.Create(state.Name(s.name))
	if err != nil {
		return nil, err
	}
	return &stateFile{state.NewWriter(file), file}, nil
}

// remember notes what was published.
func (f *filler) remember(s *subdir, w *publisher) error {
	h := w.head
	h.Subdir, h.Fingerprint, h.Records, h.Removed = s.name, s.print, s.total, s.removed
	if s.name == conda.Noarch {
		h.Absent = f.plan.absent
	}
	if s.failures() > 0 { // what is missing must be looked for again
		h.Fingerprint = ""
	}
	h.Tags = map[string]string{}
	for i := range s.sources {
		h.Tags[s.sources[i].from.Shown] = s.sources[i].Tag
	}
	for _, name := range f.plan.wantedForms() {
		fi, err := f.root.Lstat(path.Join(s.name, name))
		if err != nil {
			return tree.Wrap(name, err)
		}
		st, _ := fi.Sys().(*syscall.Stat_t)
		h.Forms = append(h.Forms, state.Form{Name: name, Size: fi.Size(), Mtime: fi.ModTime().UnixNano(), Ino: st.Ino})
	}
	if err := f.complete(w.state.file, w.state.End(h)); err != nil {
		return tree.Wrap(state.Name(s.name), err)
	}
	for _, name := range []string{state.ManifestName(s.name), state.Name(s.name)} {
		if err := f.tree.Rename(name); err != nil {
			return err
		}
	}
	s.manifest = h.Manifest
	return nil
}

// saveStates records what was verified so far in subdirs that are not published yet, so that the run after a run that
// was cut short need not hash it again.
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
	h := state.Header{Subdir: s.name}
	if s.state != nil {
		h = s.state.Header
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
		w.Add(file, k)
	}
	for _, it := range s.fetch {
		if it.verified() {
			w.Add(it.file, it.got())
		}
	}
	w.AddOthers(s.state, func(file string) bool {
		i, ok := s.position(file)
		_, found := s.found[file]
		return found || ok && s.fetch[i].verified()
	})
	if err := f.complete(w.file, w.End(h)); err != nil {
		return tree.Wrap(state.Name(s.name), err)
	}
	return f.tree.Rename(state.Name(s.name))
}

// verified reports whether an item was fetched and has its name.
func (it *item) verified() bool { return it.named && it.failed == nil }
