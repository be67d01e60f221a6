package mirror

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/state"

	"golang.org/x/sys/unix"
)

// indexRecords are as many as the largest subdir of conda-forge has.
const indexRecords = 500_000

// BenchmarkIndex filters and publishes an index of 270 MB whose packages are all there already, then looks at the
// mirror again, in which nothing is to be done. Peers read, filter and write the plain index alone.
//
//	go test ./builtins/internal/mirror -run - -bench Index -benchtime 3x -timeout 30m
func BenchmarkIndex(b *testing.B) {
	x := newBigIndex(b)
	for name, lean := range map[string]bool{"bzip2": false, "nobzip2": true} {
		b.Run(name, func(b *testing.B) {
			j := x.job(lean)
			var peakKB []int
			race(b, racer{prepare: func() { x.reset(b) }, do: func() time.Duration {
				o := j.run(b)
				peakKB = append(peakKB, o.PeakKB)
				return o.Plan + o.Apply
			}}, x.peers(b)...)
			b.ReportMetric(float64(median(peakKB))/1e3, "peak-MB")
		})
	}
	b.Run("again", func(b *testing.B) {
		j := x.job(true)
		x.reset(b)
		j.run(b)
		var peakKB []int
		race(b, racer{do: func() time.Duration {
			o := j.again(b)
			peakKB = append(peakKB, o.PeakKB)
			return o.Plan
		}})
		b.ReportMetric(float64(median(peakKB))/1e3, "peak-MB")
	})
}

// A bigIndex is one, beside a mirror whose files are empty, but known to be what the index says: so they fit on any
// disk.
type bigIndex struct {
	dir   string // the channel
	tree  string // of all accounts
	state []byte // of the mirror before it is run
}

func newBigIndex(b *testing.B) *bigIndex {
	dir := b.TempDir()
	x := &bigIndex{dir: filepath.Join(dir, "channel"), tree: filepath.Join(dir, "tree")}
	for _, d := range []string{x.dir + "/" + benchSubdir, x.in(benchSubdir), x.in(state.Dir)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	if err := x.write(); err != nil {
		b.Fatal(err)
	}
	return x
}

func (x *bigIndex) in(name ...string) string {
	return filepath.Join(append([]string{x.tree, "acc"}, name...)...)
}

func (x *bigIndex) index() string { return filepath.Join(x.dir, benchSubdir, channel.IndexFile) }

func (x *bigIndex) job(lean bool) job {
	return job{Channel: x.dir, Dest: x.tree, NoBzip2: lean, License: []string{"GPL"}}
}

// write makes index, files and state.
func (x *bigIndex) write() error {
	f, err := os.Create(x.index())
	if err != nil {
		return err
	}
	defer f.Close()
	stateFile, err := os.Create(x.in(state.Name(benchSubdir)))
	if err != nil {
		return err
	}
	defer stateFile.Close()
	entries, w := state.NewWriter(stateFile), bufio.NewWriter(f)
	fmt.Fprintf(w, "{\n  \"info\": {\n    \"subdir\": %q\n  },\n  \"packages\": {", benchSubdir)
	for i := range indexRecords {
		comma := ","
		if i == 0 {
			comma = ""
		}
		file, sum, text := bigRecord(i)
		fmt.Fprintf(w, "%s\n    %q: %s", comma, file, text)
		k, err := emptyFile(x.in(benchSubdir, file))
		if err != nil {
			return err
		}
		k.Sum = state.ParseSum(state.SHA256, sum)
		entries.Add(file, k)
	}
	fmt.Fprint(w, "\n  }\n}\n")
	if err := entries.End(state.Header{Subdir: benchSubdir, Interim: true}); err != nil {
		return err
	}
	if x.state, err = os.ReadFile(x.in(state.Name(benchSubdir))); err != nil {
		return err
	}
	hourAgo := time.Now().Add(-time.Hour)
	if err := w.Flush(); err != nil {
		return err
	}
	return os.Chtimes(x.index(), hourAgo, hourAgo)
}

// bigRecord is like one of conda-forge.
func bigRecord(i int) (file, sum, text string) {
	h := sha256.Sum256(fmt.Append(nil, i))
	sum = hex.EncodeToString(h[:])
	licenses := []string{"MIT", "BSD-3-Clause", "GPL-3.0-or-later", "Apache-2.0", "BSD-3-Clause", "MIT",
		"LGPL-2.1-only", "Apache-2.0"}
	depends := []string{"__glibc >=2.17,<3.0.a0", "libgcc >=13", "libstdcxx >=13", "python >=3.11,<3.12.0a0",
		"python_abi 3.11.* *_cp311", "numpy >=1.19,<3"}
	name := fmt.Sprintf("pkg%05d", i/40)
	version := fmt.Sprintf("%d.%d", i/8%5, i%8)
	build := fmt.Sprintf("py311h%s_%d", sum[:7], i%4)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\n      "+format, args...) }
	line("\"build\": %q,", build)
	line("\"build_number\": %d,", i%4)
	line("\"depends\": [\n        \"%s\"\n      ],", strings.Join(depends[:1+i%6], "\",\n        \""))
	line("\"license\": %q,", licenses[i%8])
	line("\"license_family\": %q,", strings.SplitN(licenses[i%8], "-", 2)[0])
	line("\"md5\": %q,", sum[32:])
	line("\"name\": %q,", name)
	line("\"sha256\": %q,", sum)
	line("\"size\": 0,")
	line("\"subdir\": %q,", benchSubdir)
	line("\"timestamp\": %d,", 1600000000000+int64(i)*1000)
	line("\"version\": %q", version)
	return name + "-" + version + "-" + build + ".tar.bz2", sum, "{" + b.String() + "\n    }"
}

func emptyFile(name string) (state.Known, error) {
	var st unix.Stat_t
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err == nil {
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
	}
	return state.Known{Mtime: st.Mtim.Nano(), Ino: st.Ino}, err
}

// reset makes the mirror what it was: all packages, no index.
func (x *bigIndex) reset(b *testing.B) {
	forms, _ := filepath.Glob(x.in(benchSubdir, channel.IndexFile+"*"))
	for _, f := range forms {
		os.Remove(f)
	}
	if err := os.WriteFile(x.in(state.Name(benchSubdir)), x.state, 0o644); err != nil {
		b.Fatal(err)
	}
}

// peers write the plain index only.
func (x *bigIndex) peers(b *testing.B) []racer {
	const script = `
import json, sys
d = json.load(open(sys.argv[1]))
d["packages"] = {k: v for k, v in d["packages"].items() if not v["license"].startswith("GPL")}
json.dump(d, open(sys.argv[2], "w"), indent=2)
`
	out := filepath.Join(b.TempDir(), "out.json")
	return []racer{
		{name: "python", needs: "python3", do: shell(b, `python3 -c "$1" "$2" "$3"`, script, x.index(), out)},
		{name: "encoding/json", do: func() time.Duration {
			if err := filterIndex(x.index(), out); err != nil {
				b.Fatal(err)
			}
			return 0
		}},
	}
}

func filterIndex(name, out string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var index map[string]any
	if err := json.Unmarshal(text, &index); err != nil {
		return err
	}
	records, _ := index["packages"].(map[string]any)
	for file, r := range records {
		if license, _ := r.(map[string]any)["license"].(string); strings.HasPrefix(license, "GPL") {
			delete(records, file)
		}
	}
	if text, err = json.MarshalIndent(index, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(out, text, 0o644)
}
