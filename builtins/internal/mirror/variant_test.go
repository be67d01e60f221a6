package mirror

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/builtins/internal/compress"
	"runbook/runtime/fetch/fetchtest"
)

// shardRig is a machine with a channel at /src that has shards and no other index, and those of its packages.
func shardRig(t *testing.T) *rig {
	r := newMemoryRig(t)
	r.channel("/made", "linux-64", "a", "b", "c")
	m := r.mirror("/made")
	m.Shards = true
	r.must(m)
	if err := os.Rename(r.path("/dst/acc"), r.path("/src")); err != nil {
		t.Fatal(err)
	}
	for _, subdir := range []string{"linux-64", "noarch"} {
		for _, form := range []string{"", ".zst", ".bz2"} {
			os.Remove(r.path("/src/" + subdir + "/repodata.json" + form))
		}
	}
	return r
}

// served has the rig's channel on a server, and a mirror of it.
func (r *rig) served(t *testing.T) (*fetchtest.Server, *Mirror, func() (int, error)) {
	s := fetchtest.New(t, os.DirFS(r.path("/src")))
	l := r.local()
	l.Net = s.Client(t).Get
	m := r.mirror(s.URL)
	return s, m, func() (int, error) { return r.run(m, l) }
}

// A channel of nothing but shards is mirrored, from a directory and from a server, and the records are the same.
func TestShardsAlone(t *testing.T) {
	t.Parallel()
	r := shardRig(t)
	r.must(r.mirror())
	fromDir := r.get("/dst/acc/linux-64/repodata.json")
	if n := r.complete("linux-64"); n != 3 {
		t.Errorf("got %d packages", n)
	}
	os.RemoveAll(r.path("/dst"))
	s, _, run := r.served(t)
	if n, err := run(); n == 0 || err != nil || r.complete("linux-64") != 3 ||
		r.get("/dst/acc/linux-64/repodata.json") != fromDir {
		t.Errorf("from a server: %v", advised(err))
	}
	s.Forget()
	if n, err := run(); n != 0 || err != nil || s.Count("*.msgpack.zst") > s.Count("repodata_shards.msgpack.zst") {
		t.Errorf("again: %d changes, %v, %+v", n, err, s.Requests())
	}
}

// A shard that is not what the list says is refused, wherever it comes from.
func TestWrongShards(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(data []byte) []byte{
		"changed":   func(data []byte) []byte { data[len(data)/2] ^= 1; return data },
		"cut off":   func(data []byte) []byte { return data[:len(data)/2] },
		"another's": func([]byte) []byte { return []byte(zstd(t, "\x81\xa8packages\x80")) },
		"empty":     func([]byte) []byte { return nil },
		"gone":      nil,
	} {
		r := shardRig(t)
		files, _ := filepath.Glob(r.path("/src/linux-64/shards/*"))
		data, err := os.ReadFile(files[0])
		if do == nil {
			err = os.Remove(files[0])
		} else if err == nil {
			err = os.WriteFile(files[0], do(data), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _, run := r.served(t)
		_, fromServer := run()
		_, fromDir := r.run(r.mirror(), r.local())
		for _, err := range []error{fromServer, fromDir} {
			if err == nil || !strings.Contains(err.Error(), "linux-64/repodata") || r.has("/dst/acc/linux-64/repodata.json") {
				t.Errorf("%s: got %s", name, advised(err))
			}
		}
	}
}

// Where forms of one index disagree, the one that clients prefer counts, and what is published agrees with itself.
func TestFormsDisagree(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a")
	old := r.get("/src/linux-64/repodata.json")
	r.channel("/src", "linux-64", "a", "b", "c")
	r.put("/src/linux-64/repodata.json.zst", zstd(t, old))
	s, _, run := r.served(t)
	if n, err := run(); n == 0 || err != nil || r.complete("linux-64") != 1 || s.Count("linux-64/repodata.json") != 0 {
		t.Errorf("from a server: %v", err)
	}
	os.RemoveAll(r.path("/dst"))
	r.must(r.mirror())
	if n := r.complete("linux-64"); n != 3 {
		t.Errorf("from a directory: %d packages", n)
	}
}

// An index that says far more than it weighs is read in little memory, and ends at a limit.
func TestBombs(t *testing.T) {
	t.Parallel()
	spaces := 400 << 20
	if long() {
		spaces = 2200 << 20
	}
	for ext, pack := range map[string]func(*bytes.Buffer) error{".zst": bomb(compress.NewZstd, spaces),
		".bz2": bomb(compress.NewBzip2, spaces/10)} {
		r := newMemoryRig(t)
		r.channel("/src", "linux-64", "a")
		m := r.mirror()
		m.NoBzip2 = true
		r.must(m)
		var b bytes.Buffer
		if err := pack(&b); err != nil {
			t.Fatal(err)
		}
		os.Remove(r.path("/src/linux-64/repodata.json"))
		r.put("/src/linux-64/repodata.json"+ext, b.String())
		if _, err := r.run(m, r.local()); err == nil || !strings.Contains(err.Error(), "linux-64") {
			t.Errorf("%s: got %v", ext, err)
		}
		if n, err := complete(r.path("/dst/acc/linux-64")); n != 1 || err != nil {
			t.Errorf("%s: then it has %d packages, %v", ext, n, err)
		}
	}
}

// An index that has nothing any more, from one channel of two or of one, by a file that is gone or one that is empty,
// is an outage upstream and changes nothing.
func TestNothingAnyMore(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{}", "", `{"packages":{}}`, `{"error": "rate limit exceeded"}`, "\n", "gone", "404"} {
		for _, two := range []bool{false, true} {
			r := newMemoryRig(t)
			r.channel("/src", "linux-64", "a", "b")
			r.channel("/src", "noarch", "c")
			r.channel("/more", "linux-64", "d")
			s, m, run := r.served(t)
			if two {
				m.Config.Channels = append(m.Config.Channels, "/more")
			}
			if n, err := run(); n == 0 || err != nil {
				t.Fatal(err)
			}
			before := listing(t, r.path("/dst"))
			switch text {
			case "gone":
				os.RemoveAll(r.path("/src/linux-64"))
			case "404":
				s.Fault("/linux-64/*", fetchtest.Status(http.StatusNotFound), fetchtest.Forever)
			default:
				r.put("/src/linux-64/repodata.json", text)
			}
			_, err := run()
			quiet := !two && (text == "gone" || text == "404") // a subdir that no channel has is left alone
			if quiet != (err == nil) ||
				err != nil && !strings.Contains(advised(err), "lists 0 packages, want at least half of the 2") {
				t.Errorf("%q, two channels %v: got %s", text, two, advised(err))
			}
			if listing(t, r.path("/dst")) != before {
				t.Errorf("%q, two channels %v: something was changed", text, two)
			}
		}
	}
}

// bomb packs an index of nothing but white space.
func bomb(packer func(io.Writer) (io.WriteCloser, error), n int) func(*bytes.Buffer) error {
	return func(b *bytes.Buffer) error {
		z, err := packer(b)
		for spaces := bytes.Repeat([]byte(" "), 1<<20); n > 0 && err == nil; n -= len(spaces) {
			_, err = z.Write(spaces)
		}
		if err == nil {
			_, err = io.WriteString(z, "{}")
		}
		return errors.Join(err, z.Close())
	}
}
