package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/client"
)

// checkSolutions compares what a client gets from the mirror with what it gets from the sources.
func (p published) checkSolutions(t *testing.T, questions []question) {
	t.Helper()
	solver, mirror := client.NewSolver(t), client.Serve(t, p.dir)
	var urls []string
	for _, dir := range p.sources {
		urls = append(urls, client.Serve(t, dir).URL)
	}
	for _, q := range questions {
		ask := client.Query{Channels: urls, Platforms: []string{q.platform, "noarch"}, Specs: strings.Fields(q.specs)}
		want, err := solver.Solve(ask)
		if err != nil {
			t.Fatal(err)
		}
		ask.Channels = []string{mirror.URL}
		have, err := solver.Solve(ask)
		if err != nil {
			t.Fatal(err)
		}
		asked := mirror.Asked()
		t.Logf("%s on %s: %d packages; the client asked for %v", q.specs, q.platform, len(have.Packages), client.Variants(asked))
		if !reflect.DeepEqual(have, want) {
			t.Errorf("%s on %s: got %+v, from the source %+v", q.specs, q.platform, have, want)
		}
		if len(have.Packages) != q.packages || (have.Error == "") != (q.packages > 0) {
			t.Errorf("%s on %s: got %d packages, want %d (%s)", q.specs, q.platform, len(have.Packages), q.packages, have.Error)
		}
		for _, pkg := range have.Packages {
			if pkg.Differs != "" {
				t.Errorf("%s is not what its record says: %s", pkg.URL, pkg.Differs)
			}
		}
		if !slices.ContainsFunc(client.Variants(asked), func(v string) bool { return strings.HasPrefix(v, "200 ") }) {
			t.Errorf("the client got no index: %v", asked)
		}
	}
}

// An index is a subdir's, with records as they stand in it.
type index struct {
	Info     struct{ Subdir string }
	Packages map[string]json.RawMessage
	Conda    map[string]json.RawMessage `json:"packages.conda"`
}

func readIndex(t *testing.T, name string) (x index) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &x)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return x
}

// subdirs is those that are published.
func (p published) subdirs(t *testing.T) (all []string) {
	t.Helper()
	found, err := filepath.Glob(p.dir + "/*/repodata.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		all = append(all, filepath.Base(filepath.Dir(name)))
	}
	return all
}

// checkPackages opens every package that is listed, and returns how many there are.
func (p published) checkPackages(t *testing.T) int {
	t.Helper()
	var names []string
	var records []json.RawMessage
	for _, subdir := range p.subdirs(t) {
		x := readIndex(t, p.dir+"/"+subdir+"/repodata.json")
		for _, kind := range []map[string]json.RawMessage{x.Packages, x.Conda} {
			for file, record := range kind {
				names, records = append(names, p.dir+"/"+subdir+"/"+file), append(records, record)
			}
		}
	}
	members, checked := 0, 0
	for i, c := range client.Read(t, names...) {
		var want struct{ Name, Version, Build string }
		if err := json.Unmarshal(records[i], &want); err != nil {
			t.Fatal(err)
		}
		if c.Error != "" {
			t.Errorf("%s: %s", names[i], c.Error)
		} else if c.Index["name"] != want.Name || c.Index["version"] != want.Version || c.Index["build"] != want.Build {
			t.Errorf("%s: holds %v, want %v", names[i], c.Index, want)
		}
		members, checked = members+c.Members, checked+c.Checked
	}
	t.Logf("%d packages with %d members, of which %d were compared with their packages' own hashes", len(names), members, checked)
	return len(names)
}

// checkIndexes compares every index with its compressed forms and its records with the sources', of which the first wins.
func (p published) checkIndexes(t *testing.T) {
	t.Helper()
	subdirs := p.subdirs(t)
	if !slices.Contains(subdirs, "noarch") {
		t.Errorf("got %v without noarch, which clients insist on", subdirs)
	}
	for _, subdir := range subdirs {
		name := p.dir + "/" + subdir + "/repodata.json"
		have := readIndex(t, name)
		if own := have.Info.Subdir; own != subdir && own != "" { // in 2016 some said nothing
			t.Errorf("%s: calls itself %q", name, own)
		}
		packages, conda := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		for _, source := range slices.Backward(p.sources) {
			if _, err := os.Stat(source + "/" + subdir); err == nil {
				x := readIndex(t, source+"/"+subdir+"/repodata.json")
				overlay(packages, x.Packages)
				overlay(conda, x.Conda)
			}
		}
		sameRecords(t, name, have.Packages, packages)
		sameRecords(t, name, have.Conda, conda)
		checkForms(t, name, len(packages)+len(conda))
	}
}

func overlay(all, more map[string]json.RawMessage) {
	for file, record := range more {
		all[file] = record
	}
}

func sameRecords(t *testing.T, name string, have, want map[string]json.RawMessage) {
	t.Helper()
	for file, record := range want {
		if !bytes.Equal(have[file], record) {
			t.Errorf("%s: got %s: %s, want %s", name, file, have[file], record)
		}
	}
	if len(have) != len(want) {
		t.Errorf("%s: got %d records, want %d", name, len(have), len(want))
	}
}

// checkForms unpacks an index's compressed forms, by the tools that made them famous and as clients do.
func checkForms(t *testing.T, name string, records int) {
	t.Helper()
	plain, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for ending, tool := range map[string]string{".bz2": "bzip2", ".zst": "zstd"} {
		out, err := exec.Command(client.Tool(t, tool, tool), "-dc", name+ending).Output()
		if err != nil || !bytes.Equal(out, plain) {
			t.Errorf("%s%s: %s says %v and gives %d bytes, want the %d of the plain one", name, ending, tool, err, len(out), len(plain))
		}
	}
	forms := client.Read(t, name, name+".bz2", name+".zst")
	for _, f := range forms {
		if f.Error != "" || f.SHA256 != forms[0].SHA256 || f.Members != records {
			t.Errorf("%s: got %d records and %d bytes, want %d and %d of the same content; %s", f.File, f.Members, f.Bytes, records, forms[0].Bytes, f.Error)
		}
	}
	sharded := filepath.Dir(name) + "/repodata_shards.msgpack.zst"
	if _, err := os.Stat(sharded); err != nil {
		return // which need not be there
	}
	if f := client.Read(t, sharded)[0]; f.Error != "" || f.Members != records {
		t.Errorf("%s: got %d records, want %d; %s", sharded, f.Members, records, f.Error)
	}
}

// sameFiles compares two mirrors but for what the mirror notes for itself.
func sameFiles(t *testing.T, one, other string) {
	t.Helper()
	have, want := contents(t, other), contents(t, one)
	for name, text := range want {
		if have[name] != text {
			t.Errorf("%s: differs", name)
		}
	}
	if len(have) != len(want) {
		t.Errorf("got %d files, want %d", len(have), len(want))
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	walk(t, dir, func(name string, _ fs.FileInfo) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	})
	return all
}

// modified is when each file was changed last.
func modified(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	all := map[string]time.Time{}
	walk(t, dir, func(name string, fi fs.FileInfo) { all[name] = fi.ModTime() })
	return all
}

// walk visits all files that are not hidden, by their own names or a directory's.
func walk(t *testing.T, dir string, visit func(name string, fi fs.FileInfo)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(d.Name(), ".") && name != "."
		if err == nil && d.IsDir() && hidden {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || hidden {
			return err
		}
		fi, err := d.Info()
		visit(name, fi)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// edit changes an index.
func edit(t *testing.T, name string, change func(records map[string]any)) {
	t.Helper()
	var all map[string]any
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err == nil {
		change(all["packages"].(map[string]any))
		text, err = json.MarshalIndent(all, "", "  ")
	}
	if err == nil {
		err = os.Remove(name)
	}
	if err == nil {
		err = os.WriteFile(name, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
