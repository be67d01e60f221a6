package cache

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestDir(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	broken := errors.New("broken")
	if _, err := Dir("x", func(dir string) error { os.WriteFile(filepath.Join(dir, "half"), nil, 0o644); return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of fill", err)
	}
	var fills atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			dir, err := Dir("x", func(dir string) error {
				fills.Add(1)
				return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o644)
			})
			if entries, _ := os.ReadDir(dir); err != nil || len(entries) != 1 || entries[0].Name() != "whole" {
				t.Errorf("got %v, %v", entries, err)
			}
		})
	}
	all.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times, want once", n)
	}
}

func TestKey(t *testing.T) {
	if Key("a", "bc") == Key("ab", "c") || Key("a") != Key("a") || len(Key()) != 16 {
		t.Error("keys do not tell texts apart")
	}
}
