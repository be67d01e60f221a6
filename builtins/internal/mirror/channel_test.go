package mirror

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/choose"
	"runbook/builtins/internal/compress"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// A rig is a machine below a directory with a channel at /src and a mirror at /dst/acc.
type rig struct {
	testing.TB
	root string
}

func newRig(t testing.TB) *rig {
	r := &rig{t, t.TempDir()}
	r.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	r.put("/etc/group", "root:x:0:\n")
	return r
}

func (r *rig) local() *host.Local { return host.NewLocal(r.root) }

func (r *rig) path(name string) string { return filepath.Join(r.root, name) }

func (r *rig) put(name, text string) {
	r.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) get(name string) string {
	r.Helper()
	data, err := os.ReadFile(r.path(name))
	if err != nil {
		r.Fatal(err)
	}
	return string(data)
}

func (r *rig) has(name string) bool {
	_, err := os.Lstat(r.path(name))
	return err == nil
}

// A record is a package's as a channel would list it.
type record map[string]any

// content is the text of the package called file.
func content(file string) string { return strings.Repeat(file+"\n", 1000) }

// pkg puts a package into a channel and returns its record.
func (r *rig) pkg(channel, subdir, name string, more record) (string, record) {
	file := name + "-1.0-0.tar.bz2"
	text := content(channel + file)
	r.put(channel+"/"+subdir+"/"+file, text)
	rec := record{"name": name, "version": "1.0", "build": "0", "size": len(text),
		"md5": fmt.Sprintf("%x", md5.Sum([]byte(text)))}
	for k, v := range more {
		rec[k] = v
	}
	return file, rec
}

// channel writes a subdir's index of packages with these names.
func (r *rig) channel(channel, subdir string, names ...string) {
	records := map[string]record{}
	for _, n := range names {
		file, rec := r.pkg(channel, subdir, n, nil)
		records[file] = rec
	}
	r.index(channel, subdir, records)
}

func (r *rig) index(channel, subdir string, records map[string]record) {
	data, err := json.MarshalIndent(map[string]any{"info": record{"subdir": subdir}, "packages": records}, "", "  ")
	if err != nil {
		r.Fatal(err)
	}
	r.put(channel+"/"+subdir+"/repodata.json", string(data))
}

func (r *rig) mirror(channels ...string) *Mirror {
	if len(channels) == 0 {
		channels = []string{"/src"}
	}
	return &Mirror{Config: choose.Config{Channels: channels}, Dest: "/dst", Account: "acc", MaxLoss: DefaultMaxLoss}
}

// run plans and applies like an op, and returns how many changes there were.
func (r *rig) run(m *Mirror, h host.Host) (int, error) {
	p, err := m.Plan(context.Background(), h)
	if err != nil || len(p.Changes()) == 0 {
		return 0, err
	}
	return len(p.Changes()), p.Apply(context.Background(), h)
}

// must runs m until it holds: changes at first, nothing then.
func (r *rig) must(m *Mirror) {
	r.Helper()
	if n, err := r.run(m, r.local()); n == 0 || err != nil {
		r.Fatalf("got %d changes, %v", n, advised(err))
	}
	r.same(m)
}

func (r *rig) same(m *Mirror) {
	r.Helper()
	p, err := m.Plan(context.Background(), r.local())
	if err != nil || len(p.Changes()) != 0 {
		r.Fatalf("second run: got %v, %v", p.Changes(), advised(err))
	}
}

// advised is an error with its advice.
func advised(err error) string {
	if hint := advice.Of(err); hint != "" {
		return err.Error() + " | " + hint
	}
	return fmt.Sprint(err)
}

// complete checks that /dst/acc/SUBDIR is a channel in which every listed package is right, and
// returns how many there are.
func (r *rig) complete(subdir string) int {
	r.Helper()
	n, err := complete(r.path("/dst/acc/" + subdir))
	if err != nil {
		r.Fatal(err)
	}
	plain := r.get("/dst/acc/" + subdir + "/repodata.json")
	for _, ext := range []string{".bz2", ".zst"} {
		c, err := compress.NewReader(strings.NewReader(r.get("/dst/acc/"+subdir+"/repodata.json"+ext)), ext)
		if err != nil {
			r.Fatal(err)
		}
		if data, err := io.ReadAll(c); err != nil || c.Format == compress.Plain || string(data) != plain {
			r.Fatalf("%s%s: holds another index: %.40q, %v", subdir, ext, data, err)
		}
	}
	return n
}

func complete(dir string) (n int, err error) {
	var index struct {
		Packages map[string]struct {
			MD5, SHA256 string
			Size        *int64
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "repodata.json"))
	if err == nil {
		err = json.Unmarshal(data, &index)
	}
	for file, want := range index.Packages {
		data, err := os.ReadFile(filepath.Join(dir, file))
		switch {
		case err != nil:
			return n, err
		case want.Size != nil && int64(len(data)) != *want.Size,
			want.MD5 != "" && fmt.Sprintf("%x", md5.Sum(data)) != want.MD5,
			want.SHA256 != "" && fmt.Sprintf("%x", sha256.Sum256(data)) != want.SHA256:
			return n, fmt.Errorf("%s is not what the index says", file)
		}
		n++
	}
	return n, err
}

// listing is all below a directory, with modes and hashes, without what the mirror remembers.
func listing(t testing.TB, dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == state.Dir {
			return fs.SkipDir
		}
		if err != nil {
			return err
		}
		fi, err := d.Info()
		fmt.Fprintf(&b, "%s %s", strings.TrimPrefix(p, dir), fi.Mode())
		if fi.Mode().IsRegular() {
			data, _ := os.ReadFile(p)
			fmt.Fprintf(&b, " %x", sha256.Sum256(data))
		}
		b.WriteString("\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A guard is a machine on which some contents must not be read.
type guard struct {
	*host.Local
	refuse func(name string) bool
}

func (g guard) Content(name string) (host.Content, error) {
	if g.refuse(name) {
		return host.Content{}, fmt.Errorf("%s was read", name)
	}
	return g.Local.Content(name)
}
