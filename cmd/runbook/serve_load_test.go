package main

import (
	"bytes"
	"compress/bzip2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/tinylib/msgp/msgp"

	"runbook/runtime/host/sample"
)

// A growing channel gets another package with each publish, and one of its packages is replaced under its name.
type growing struct {
	dir   string
	index map[string]any
	texts map[string]bool // digests of what the replaced package was
	mu    sync.Mutex
}

// content is the bytes of a package that is never replaced.
func content(file string) []byte { return bytes.Repeat([]byte(file+"\n"), 40_000/(len(file)+1)) }

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// grow makes the channel's next state.
func (g *growing) grow(t testing.TB, i int) {
	t.Helper()
	add := func(name string, data []byte) {
		lay(t, g.dir+"/linux-64/"+name+"-1-0.conda", string(data))
		g.index[name+"-1-0.conda"] = map[string]any{"name": name, "version": "1", "build": "0", "build_number": 0, "depends": []string{}, "size": len(data), "sha256": digest(data)}
	}
	replaced := bytes.Repeat(fmt.Appendf(nil, "%06d\n", i), 3000)
	g.mu.Lock()
	g.texts[digest(replaced)] = true
	g.mu.Unlock()
	add("replaced", replaced)
	add(fmt.Sprintf("kept%d", i), content(fmt.Sprintf("kept%d-1-0.conda", i)))
	text, err := json.Marshal(map[string]any{"info": map[string]string{"subdir": "linux-64"}, "packages.conda": g.index})
	if err != nil {
		t.Fatal(err)
	}
	lay(t, g.dir+"/linux-64/repodata.json", string(text))
}

// A conda is a client that reads indexes in all their forms, and packages of them, and holds every byte against its
// digest.
type conda struct {
	url    string
	of     *growing
	http   http.Client
	zstd   *zstd.Decoder
	random *rand.Rand
	tags   map[string]string
	bodies map[string][]byte // by name, of the last answer with a tag
	counts map[string]int
	bytes  int64
}

// get fetches a file, by the tag it has.
func (c *conda) get(name string, fields ...string) (code int, body []byte, err error) {
	r, err := http.NewRequest(http.MethodGet, c.url+name, nil)
	if err != nil {
		return 0, nil, err
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	if tag := c.tags[name]; tag != "" && len(fields) == 0 {
		r.Header.Set("If-None-Match", tag)
	}
	a, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	body, err = io.ReadAll(a.Body)
	c.bytes += int64(len(body))
	c.counts[fmt.Sprint(a.StatusCode)]++
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("%s: cut after %d bytes: %w", name, len(body), err)
	case a.StatusCode == http.StatusNotModified:
		return a.StatusCode, c.bodies[name], nil
	case a.StatusCode >= 300:
		return a.StatusCode, nil, fmt.Errorf("%s: %s", name, a.Status)
	}
	if tag := a.Header.Get("ETag"); a.StatusCode == http.StatusOK && tag != "" {
		if tag == c.tags[name] && !bytes.Equal(body, c.bodies[name]) {
			return 0, nil, fmt.Errorf("%s: one tag of two texts", name)
		}
		c.tags[name], c.bodies[name] = tag, body
	}
	return a.StatusCode, body, nil
}

// read reads an index in one of its forms, and a package that is in it.
func (c *conda) read() error {
	form := []string{"repodata.json", "repodata.json.zst", "repodata.json.bz2", "repodata_shards.msgpack.zst"}[c.random.IntN(4)]
	_, text, err := c.get(form)
	if err != nil {
		return err
	}
	switch filepath.Ext(form) {
	case ".zst":
		text, err = c.zstd.DecodeAll(text, nil)
	case ".bz2":
		text, err = io.ReadAll(bzip2.NewReader(bytes.NewReader(text)))
	}
	if err == nil && strings.Contains(form, "shards") {
		text, err = c.shard(text)
	}
	var index struct {
		Packages map[string]struct{ SHA256 string } `json:"packages.conda"`
	}
	if err == nil {
		err = json.Unmarshal(text, &index)
	}
	if err != nil || len(index.Packages) == 0 {
		return fmt.Errorf("%s: %d packages: %w", form, len(index.Packages), err)
	}
	for file, record := range index.Packages { // in any order: the first is one of them
		if strings.HasPrefix(form, "repodata.") {
			return c.fetch(file, record.SHA256)
		}
		return c.fetch(file, "") // the shard said it in bytes
	}
	return nil
}

// shard returns one of the shards that their index names, as JSON.
func (c *conda) shard(index []byte) ([]byte, error) {
	var list struct{ Shards map[string]string }
	text, err := unpacked(index)
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, err
	}
	for _, sum := range list.Shards {
		raw, err := base64.StdEncoding.DecodeString(sum)
		if err != nil {
			return nil, err
		}
		_, body, err := c.get("shards/" + hex.EncodeToString(raw) + ".msgpack.zst")
		if err != nil {
			return nil, err
		}
		if digest(body) != hex.EncodeToString(raw) {
			return nil, fmt.Errorf("the shard %x has other bytes", raw)
		}
		if body, err = c.zstd.DecodeAll(body, nil); err != nil {
			return nil, err
		}
		return unpacked(body)
	}
	return nil, fmt.Errorf("no shards in %s", text)
}

func unpacked(packed []byte) ([]byte, error) {
	var text bytes.Buffer
	_, err := msgp.UnmarshalAsJSON(&text, packed)
	return text.Bytes(), err
}

// fetch fetches a package, or a part of it, and compares its bytes.
func (c *conda) fetch(file, sum string) error {
	if strings.HasPrefix(file, "replaced") {
		_, body, err := c.get(file)
		if err != nil {
			return err
		}
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		if !c.of.texts[digest(body)] {
			return fmt.Errorf("%s: %d bytes that it never was", file, len(body))
		}
		return nil
	}
	want := content(file)
	if sum != "" && sum != digest(want) {
		return fmt.Errorf("%s: the index says another digest", file)
	}
	if c.random.IntN(2) == 0 {
		from := c.random.IntN(len(want) - 1)
		to := from + c.random.IntN(len(want)-from-1)
		code, body, err := c.get(file, "Range", fmt.Sprintf("bytes=%d-%d", from, to))
		if err == nil && (code != http.StatusPartialContent || !bytes.Equal(body, want[from:to+1])) {
			err = fmt.Errorf("%s: bytes %d to %d are others: %d, %d bytes", file, from, to, code, len(body))
		}
		return err
	}
	_, body, err := c.get(file)
	if err == nil && !bytes.Equal(body, want) {
		err = fmt.Errorf("%s: %d other bytes", file, len(body))
	}
	return err
}

// A real mirror publishes a channel every second, with its indexes in all forms, while clients do what they can: they get
// no wrong byte, nothing is missing that an index names, and nobody is refused.
func TestServeWhilePublishing(t *testing.T) {
	sample.Slow(t, "it publishes a channel some times")
	long := 6 * time.Second
	if sample.Full() {
		long = time.Minute
	}
	g := &growing{dir: t.TempDir(), index: map[string]any{}, texts: map[string]bool{}}
	g.grow(t, 0)
	m := publish(t, 0, []string{g.dir}, []string{g.dir})
	script := filepath.Dir(filepath.Dir(m.dir)) + "/mirror.star"
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	lay(t, script, strings.Replace(string(text), `account = "acc"`, `account = "acc", shards = True`, 1))
	m.again(t, 0)
	url := serving(t, filepath.Dir(m.dir)) + "/acc/linux-64/"
	stop := make(chan struct{})
	var all sync.WaitGroup
	clients := make([]*conda, 8)
	for i := range clients {
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer decoder.Close()
		c := &conda{url: url, of: g, http: http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, zstd: decoder, random: rand.New(rand.NewPCG(uint64(i), 1)), tags: map[string]string{},
			bodies: map[string][]byte{}, counts: map[string]int{}}
		clients[i] = c
		all.Go(func() {
			for ; ; c.counts["rounds"]++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.read(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	publishes := 0
	for begun := time.Now(); time.Since(begun) < long && !t.Failed(); {
		next := time.Now().Add(time.Second)
		publishes++
		g.grow(t, publishes)
		m.again(t, 0)
		time.Sleep(time.Until(next))
	}
	close(stop)
	all.Wait()
	counts, sent := map[string]int{}, int64(0)
	for _, c := range clients {
		sent += c.bytes
		for what, n := range c.counts {
			counts[what] += n
		}
	}
	t.Logf("%v during %d publishes in %v, %d MB", counts, publishes, long, sent>>20)
	if counts["200"] == 0 || counts["206"] == 0 || counts["304"] == 0 || publishes < 2 {
		t.Errorf("got only %v in %d publishes", counts, publishes)
	}
}
