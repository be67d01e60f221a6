package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"runbook/builtins/internal/compress"
	"runbook/builtins/internal/mirror/channel"
)

// A watcher reads the tree of a history all along, as clients do.
type watcher struct {
	h     *history
	sums  map[string]string // digests by what stat tells of a file
	looks atomic.Int64
	stop  chan struct{}
	done  sync.WaitGroup
}

func (h *history) watch(t *testing.T) *watcher {
	w := &watcher{h: h, sums: map[string]string{}, stop: make(chan struct{})}
	w.done.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if err := w.look(); err != nil {
				t.Errorf("version %d: a reader sees: %v", h.version, err)
				return
			}
			w.looks.Add(1)
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *watcher) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.done.Wait()
}

// look checks that each form of each index is whole, and what it lists there and right; and that no file under a final
// name ever holds anything but what the source has had under that name.
func (w *watcher) look() error {
	for _, subdir := range []string{"linux-64", "noarch"} {
		dir := w.h.path("/dst/acc/" + subdir)
		for _, form := range []string{channel.IndexFile, channel.IndexFile + ".zst"} {
			listed, err := readIndex(filepath.Join(dir, form))
			if errors.Is(err, fs.ErrNotExist) {
				continue // nothing is published yet
			}
			if err != nil {
				return err
			}
			for file, want := range listed {
				if err := w.file(subdir, file, want); err != nil {
					return fmt.Errorf("%s/%s lists %w", subdir, form, err)
				}
			}
		}
		names, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, n := range names {
			if strings.HasSuffix(n.Name(), ".tar.bz2") {
				if err := w.file(subdir, n.Name(), ""); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// file checks a package. What the source has had later than want may stand for it: that is the short moment of a swap,
// which a kill makes longer.
func (w *watcher) file(subdir, file, want string) error {
	sum, err := w.sum(filepath.Join(w.h.path("/dst/acc/"+subdir), file))
	if err != nil {
		return err
	}
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	ages := w.h.ever[subdir+"/"+file]
	have, ok := ages[sum]
	switch {
	case !ok:
		return fmt.Errorf("%s/%s, which has bytes that the source never had", subdir, file)
	case want != "" && have < ages[want]:
		return fmt.Errorf("%s/%s, which is older than its record", subdir, file)
	}
	return nil
}

func (w *watcher) sum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	st, _ := fi.Sys().(*syscall.Stat_t)
	key := fmt.Sprint(name, st.Ino, st.Size, st.Mtim, st.Ctim)
	if sum, ok := w.sums[key]; ok {
		return sum, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	w.sums[key] = hex.EncodeToString(h.Sum(nil))
	return w.sums[key], nil
}

// readIndex returns the digests of the files that an index lists.
func readIndex(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := compress.NewReader(f, name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var index struct {
		Packages map[string]struct{ SHA256 string }
	}
	if err := json.NewDecoder(c).Decode(&index); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	listed := map[string]string{}
	for file, rec := range index.Packages {
		listed[file] = rec.SHA256
	}
	return listed, nil
}
