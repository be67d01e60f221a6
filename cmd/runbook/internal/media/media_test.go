package media

import (
	"archive/tar"
	"compress/bzip2"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

func TestMain(m *testing.M) {
	lab.MaybeInit()
	os.Exit(m.Run())
}

func TestArchives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, err := Build(dir, Options{Full: true})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{ // some members of each
		Full: {"scratch/anaconda-full-2016-08-06/anaconda-suite/pkgs/win-64/repodata.json", "scratch/anaconda-full-2016-08-06/mongodb-org-2.6.8-1.x86_64.rpm",
			"scratch/anaconda-full-2016-08-06/anaconda-suite/miniconda/Miniconda-latest-Windows-x86.exe", "scratch/anaconda-full-2016-08-06/wakari/pkgs/noarch/repodata.json.bz2",
			"scratch/anaconda-full-2016-08-06/anaconda-cluster/pkgs/osx-64/repodata.json", "scratch/anaconda-full-2016-08-06/R/pkgs/linux-64/r-base-3.3.1-1.tar.bz2"},
		Linux64: {"linux-64-2016-08-03/", "linux-64-2016-08-03/anaconda-suite/pkgs/linux-64/cas-mirror-2.1.1-py27_0.tar.bz2", "linux-64-2016-08-03/anaconda-suite/pkgs/noarch/repodata.json",
			"linux-64-2016-08-03/miniconda/Miniconda-latest-Linux-x86_64.sh", "linux-64-2016-08-03/mongodb-org-tools-2.6.8-1.x86_64.rpm"},
		Cluster:   {"scratch/", "scratch/cluster/", "scratch/cluster/anaconda-cluster/pkgs/linux-64/anaconda-cluster-1.4.0-py27_0.tar.bz2"},
		R:         {"linux-64-R-Packages/repodata.json", "linux-64-R-Packages/r-ggplot2-2.1.0-r3.3.1_0.tar.bz2"},
		Miniconda: {"./", "./Miniconda2-4.1.11-Linux-x86_64.sh", "./Miniconda3-4.1.11-MacOSX-x86_64.sh", "./Miniconda3-4.1.11-Windows-x86_64.exe"},
		Notebook:  {"scratch/notebook/anaconda-notebook/pkgs/linux-64/repodata.json", "scratch/notebook/mongodb-org-server-2.6.8-1.x86_64.rpm"},
	}
	if len(m.Archives) != len(want) {
		t.Errorf("got %d archives, want %d", len(m.Archives), len(want))
	}
	for _, file := range m.Archives {
		checkArchive(t, file, want[filepath.Base(file)])
	}
}

// checkArchive reads an archive and compares its .md5 and .list.
func checkArchive(t *testing.T, file string, want []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum, names := md5.New(), map[string]bool{}
	var list strings.Builder
	for r := tar.NewReader(io.TeeReader(f, sum)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if names[h.Name] {
			t.Errorf("%s: %s twice", file, h.Name)
		}
		names[h.Name] = true
		fmt.Fprintln(&list, h.Name)
	}
	io.Copy(sum, f)
	for _, name := range want {
		if !names[name] {
			t.Errorf("%s: no member %s", file, name)
		}
	}
	stem := strings.TrimSuffix(file, ".tar")
	for name, want := range map[string]string{stem + ".md5": fmt.Sprintf("%x  %s\n", sum.Sum(nil), filepath.Base(file)), stem + ".list": list.String()} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// The same sources make the same bytes.
func TestReproducible(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it makes all media twice")
	var sums [2]string
	for i := range sums {
		m, err := Build(t.TempDir(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range m.Archives {
			data, err := os.ReadFile(strings.TrimSuffix(file, ".tar") + ".md5")
			if err != nil {
				t.Fatal(err)
			}
			sums[i] += string(data)
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ:\n%s%s", sums[0], sums[1])
	}
}

// Every record's package is there, with that size and MD5, and the compressed index is the same index.
func TestChannels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Expanded(dir); err != nil {
		t.Fatal(err)
	}
	indexes, err := filepath.Glob(filepath.Join(dir, "*/pkgs/*/repodata.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(indexes) != 17 { // six platforms of the suite, five of cluster, four of R, two of wakari
		t.Errorf("got %d indexes: %v", len(indexes), indexes)
	}
	for _, name := range indexes {
		checkIndex(t, name)
	}
}

func checkIndex(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.Open(name + ".bz2")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	if unpacked, err := io.ReadAll(bzip2.NewReader(packed)); err != nil || string(unpacked) != string(data) {
		t.Errorf("%s.bz2 is not the same index: %v", name, err)
	}
	var index struct {
		Packages map[string]struct {
			MD5  string
			Size int
		}
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	for file, r := range index.Packages {
		content, err := os.ReadFile(filepath.Join(filepath.Dir(name), file))
		if err != nil || len(content) != r.Size || fmt.Sprintf("%x", md5.Sum(content)) != r.MD5 {
			t.Errorf("%s: %s: got %d bytes, %v, want %d with MD5 %s", name, file, len(content), err, r.Size, r.MD5)
		}
	}
}
