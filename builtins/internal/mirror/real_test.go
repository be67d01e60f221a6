package mirror

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/builtins/internal/choose"
	"runbook/runtime/host"
)

// real is a machine whose /src is a copy of a real channel.
func real(t *testing.T, name string) *rig {
	r := newRig(t)
	if err := os.CopyFS(r.path("/src"), os.DirFS(data(t, name))); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRealChannel(t *testing.T) {
	r := real(t, "channels/conda-forge-2016")
	m := r.mirror()
	r.must(m)
	if n := r.complete("linux-64"); n != 47 {
		t.Errorf("got %d packages", n)
	}
	r.complete("noarch")
	m.Config.PkgList = []string{"zlib", "wheel"}
	m.Account = "some"
	r.must(m)
	if entries, _ := filepath.Glob(r.path("/dst/some/linux-64/*.tar.bz2")); len(entries) != 3 {
		t.Errorf("got %v", entries)
	}
}

func TestOddChannels(t *testing.T) {
	for name, c := range map[string]struct {
		want string // part of the error
		n    int    // packages
	}{
		"conda-index-hotfix": {n: 4}, "conda-index-packages": {n: 4}, "conda-index-corrupt": {}, "mamba-test-server/repo": {n: 1}, "rattler-channels/empty": {},
		"conda-conda_format_repo":                  {want: "4 packages could not be mirrored:\nlinux-64/libgcc-ng-8.2.0-hdf63c60_1.tar.bz2: is listed and missing at the source"},
		"conda-base_url_channel":                   {want: "3 packages could not be mirrored"},
		"mamba-test-server/channel_b":              {want: "2 packages could not be mirrored:\nlinux-64/A_0.1.0.tar.bz2: is listed and missing at the source"},
		"rattler-channels/dummy-no-conda-packages": {want: `got a file name with '\x00'`},
		"rattler-channels/with-wheels":             {want: "31 packages could not be mirrored"},
	} {
		r := real(t, "testchannels/"+name)
		_, err := r.run(r.mirror(), r.local())
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := r.complete("noarch")
		if r.has("/dst/acc/osx-64") {
			n += r.complete("osx-64")
		}
		p, err := r.mirror().Plan(context.Background(), r.local())
		if err != nil || len(p.Changes()) > 0 || p.Report.Packages != c.n {
			t.Errorf("%s: got %d listed, %+v, %v", name, n, p.Report, err)
		}
	}
}

// Both formats of packages, and what a platform's filter leaves.
func TestBothFormats(t *testing.T) {
	r := real(t, "testchannels/conda-conda_format_repo")
	m := r.mirror()
	m.Config.Platforms = []string{"osx-64", "win-32", "zos-z"}
	r.must(m)
	for _, f := range []string{"osx-64/zlib-1.2.11-h1de35cc_3.conda", "osx-64/zlib-1.2.11-h1de35cc_3.tar.bz2",
		"win-32/zlib-1.2.11-h62dcd97_3.conda", "noarch/repodata.json.zst"} {
		if !r.has("/dst/acc/" + f) {
			t.Error("lacks", f)
		}
	}
	p, _ := m.Plan(context.Background(), r.local())
	if r.has("/dst/acc/linux-64") || !strings.Contains(strings.Join(p.Report.Warnings, "\n"), `"zos-z" is in no channel`) {
		t.Error(p.Report.Warnings)
	}
}

// A run without changes, beside a bare loop of stat over the same files.
func BenchmarkNoChange(b *testing.B) {
	const n = 2000
	r := newRig(b)
	records := map[string]record{}
	var names []string
	for i := range n {
		file := fmt.Sprintf("package%d-1.0-0.tar.bz2", i)
		os.MkdirAll(r.path("/src/linux-64"), 0o755)
		os.WriteFile(r.path("/src/linux-64/"+file), []byte(file), 0o644)
		records[file] = record{"name": fmt.Sprint("package", i), "version": "1.0", "build": "0", "size": len(file), "md5": md5Text(file),
			"depends": []string{"python 2.7*", "numpy"}, "license": "BSD", "arch": "x86_64", "platform": "linux", "build_number": 0}
		names = append(names, r.path("/dst/acc/linux-64/"+file))
	}
	r.index("/src", "linux-64", records)
	m := &Mirror{Config: choose.Config{Channels: []string{r.path("/src")}}, Dest: r.path("/dst"), Account: "acc"}
	if _, err := r.run(m, host.NewLocal("/")); err != nil {
		b.Fatal(err)
	}
	b.Run("mirror", func(b *testing.B) {
		for b.Loop() {
			if n, err := r.run(m, host.NewLocal("/")); n != 0 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("stat", func(b *testing.B) {
		for b.Loop() {
			for _, name := range names {
				if _, err := os.Lstat(name); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
