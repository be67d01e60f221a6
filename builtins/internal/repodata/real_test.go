package repodata

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// dataDir may have real indexes, which are no part of the project.
const dataDir = "../../../../shared/data"

// indexes returns the names of generated indexes and of all real ones.
func indexes(tb testing.TB) []string {
	names := []string{generated(tb, 3000, false), generated(tb, 300, true)}
	err := filepath.WalkDir(dataDir, func(name string, d fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(name), "repodata") && filepath.Ext(name) == ".json" {
			names = append(names, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return names
}

func text(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// rewritten returns the rewrite of texts that keeps all.
func rewritten(trusted bool, texts ...string) (string, error) {
	rw := &Rewrite{Trusted: trusted}
	for _, t := range texts {
		rw.Sources = append(rw.Sources, text(t))
	}
	var b bytes.Buffer
	_, err := rw.Run(context.Background(), &b)
	return b.String(), err
}

func TestIndexes(t *testing.T) {
	for _, name := range indexes(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		records, sum, err := scanText(string(data))
		if strings.Contains(name, "/dummy-no-conda-packages/") { // was made to be refused
			if err == nil || !strings.Contains(err.Error(), `got a file name with '\x00'`) {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		compare(t, name, string(data), records)
		for _, r := range records {
			if (!strings.HasPrefix(name, dataDir) || strings.HasPrefix(name, dataDir+"/indexes")) && (!r.Named() || r.Size <= 0 || len(r.MD5) != 32) {
				t.Errorf("%s: got %+v", r.File, r.Fields)
			}
		}
		out, err := rewritten(false, string(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameIndex(t, name, string(data), out, sum)
		sameOutputs(t, name, string(data), out)
	}
}

// sameIndex fails unless out means the same as the index that it was made of, but for the documented changes.
func sameIndex(t *testing.T, name, index, out string, sum *Summary) {
	var have, want map[string]any
	if err := json.Unmarshal([]byte(out), &have); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	json.Unmarshal([]byte(index), &want)
	for _, key := range []string{"info", "packages", "packages.conda"} {
		if want[key] == nil {
			want[key] = map[string]any{}
		}
	}
	info := want["info"].(map[string]any)
	for _, key := range []string{"base_url", "repodata_revisions", "channel_relations"} {
		delete(info, key)
	}
	if v := want["repodata_version"]; v != nil && (sum.BaseURL != "" || v == 2.0) {
		want["repodata_version"] = 1.0
	}
	if v3, ok := want["v3"].(map[string]any); ok && v3["conda"] == nil && v3["tar.bz2"] == nil {
		delete(want, "v3")
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("%s: is not written as read: %.300s", name, out)
	}
}

// sameOutputs fails unless reading otherwise gives the same bytes.
func sameOutputs(t *testing.T, name, index, out string) {
	if trusted, err := rewritten(true, index); err != nil || trusted != out {
		t.Errorf("%s: trusted: got %.300s, %v", name, trusted, err)
	}
	if again, err := rewritten(false, out); err != nil || again != out {
		t.Errorf("%s: again: got %.300s, %v", name, again, err)
	}
	once, err := rewritten(false, index, "{}")
	if err != nil {
		t.Errorf("%s: merged: %v", name, err)
	}
	if !same(t, once, out) {
		t.Errorf("%s: merged: got %.300s", name, once)
	}
	if _, _, err := scanText(once); err != nil {
		t.Errorf("%s: merged: %v", name, err)
	}
}
