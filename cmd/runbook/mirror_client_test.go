package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/client"
	"runbook/runtime/host/sample"
)

// These tests mirror channels with the program, serve what comes of it, and use it as others would: a conda client
// solves and fetches from it, and tools that are not ours read every package and index.

// A published mirror is a channel in a new directory, and the data that it was made from.
type published struct {
	sources []string // directories
	dir     string
	told    string
}

// publish mirrors channels, by directory or URL. The mirror is of sources, the directories behind them.
func publish(t *testing.T, code int, sources, channels []string, platforms ...string) published {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("def publish():\n    mirror(%s, %q, account = \"acc\", platforms = %s)\nstep(publish)\n",
		list(channels), dir+"/mirrors", list(platforms))
	if err := os.WriteFile(dir+"/mirror.star", []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	p := published{sources: sources, dir: dir + "/mirrors/acc"}
	p.again(t, code)
	return p
}

// again runs the runbook that made the mirror.
func (p *published) again(t *testing.T, code int) {
	t.Helper()
	dir := filepath.Dir(filepath.Dir(p.dir))
	c := exec.Command(binary(t), "run", dir+"/mirror.star", "--state", dir+"/state")
	out, _ := c.CombinedOutput()
	p.told = string(out)
	if have := c.ProcessState.ExitCode(); have != code {
		t.Fatalf("exit %d, want %d\n%s", have, code, out)
	}
}

func list(texts []string) string {
	var quoted []string
	for _, s := range texts {
		quoted = append(quoted, fmt.Sprintf("%q", s))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// generated is a channel of packages as client.Stubs takes them.
func generated(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	if unread := client.Channel(t, dir, client.Stubs(t, t.TempDir(), packages...)...); len(unread) > 0 {
		t.Fatalf("cannot read %v", unread)
	}
	return dir
}

// application is an application with what it depends on, and with what it does not.
var application = []string{"linux-64/app-1.0-py27_0.tar.bz2 lib >=1.1,tool", "linux-64/lib-1.0-0.tar.bz2", "linux-64/lib-1.1-0.conda",
	"linux-64/tool-1.0-0.tar.bz2 table 3.*", "noarch/table-3.1-0.conda", "noarch/table-4.0-0.tar.bz2", "linux-64/broken-1.0-0.tar.bz2 nothing"}

// compression is a library in both formats, for several platforms.
var compression = []string{"osx-64/zlib-1.2-3.conda", "osx-64/zlib-1.2-3.tar.bz2", "osx-64/zstd-1.0-0.conda zlib", "win-32/zlib-1.2-3.conda", "win-32/zstd-1.0-0.conda nothing",
	"linux-64/zlib-1.2-3.tar.bz2"}

// A question is what a client asks of a mirror, and how many packages it must get; 0 means that there is no solution.
type question struct {
	platform string
	specs    string
	packages int
}

// Channels, alone and merged: what a client solves and gets, whether every package is whole, and every index.
func TestMirrorClient(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it runs other programs that read channels")
	for name, c := range map[string]struct {
		sources   [][]string
		platforms []string
		packages  int
		questions []question
	}{
		"application": {[][]string{application}, nil, 7, []question{
			{"linux-64", "app", 4}, {"linux-64", "lib=1.0 table=4.*", 2}, {"linux-64", "broken", 0}, {"osx-64", "table", 1}, {"osx-64", "app", 0}}},
		"both formats": {[][]string{compression}, []string{"osx-64", "win-32"}, 5, []question{
			{"osx-64", "zlib", 1}, {"osx-64", "zstd", 2}, {"win-32", "zlib", 1}, {"win-32", "zstd", 0}}},
		"merged": {[][]string{{"linux-64/lib-1.1-0.conda tool", "linux-64/lib-2.0-0.conda"}, application}, nil, 8, []question{
			{"linux-64", "app lib=1.1", 4}, {"linux-64", "app", 4}, {"linux-64", "lib", 1}, {"linux-64", "lib=1.1", 3}}},
		"noarch only": {[][]string{{"noarch/table-3.1-0.conda"}}, nil, 1, []question{{"linux-64", "table", 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sources []string
			for _, packages := range c.sources {
				sources = append(sources, generated(t, packages...))
			}
			m := publish(t, 0, sources, sources, c.platforms...)
			t.Run("solve", func(t *testing.T) { m.checkSolutions(t, c.questions) })
			t.Run("packages", func(t *testing.T) {
				if n := m.checkPackages(t); n != c.packages {
					t.Errorf("got %d packages, want %d", n, c.packages)
				}
			})
			t.Run("indexes", func(t *testing.T) { m.checkIndexes(t) })
			t.Run("by HTTP", func(t *testing.T) {
				var urls []string
				for _, dir := range sources {
					urls = append(urls, client.Serve(t, dir).URL)
				}
				sameFiles(t, m.dir, publish(t, 0, sources, urls, c.platforms...).dir)
			})
		})
	}
}

// Each form of an index serves a client by itself. Forms that a client does not read to their end show only where an
// index is longer than a block or two.
func TestMirrorClientVariants(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it runs other programs that read channels")
	solver := client.NewSolver(t)
	source := generated(t, application...)
	noise := rand.NewChaCha8([32]byte{})
	edit(t, source+"/linux-64/repodata.json", func(records map[string]any) {
		for _, record := range records {
			text := make([]byte, 500_000)
			noise.Read(text)
			record.(map[string]any)["description"] = hex.EncodeToString(text)
		}
	})
	m := publish(t, 0, []string{source}, []string{source})
	m.checkIndexes(t)
	server := client.Serve(t, m.dir)
	forms := slices.DeleteFunc([]string{"repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json.bz2",
		"repodata.json"}, func(s string) bool {
		_, err := os.Stat(m.dir + "/linux-64/" + s)
		return err != nil && strings.HasPrefix(s, "repodata_shards") // which need not be there
	})
	for _, form := range forms {
		server.Hide(slices.DeleteFunc(slices.Clone(forms), func(s string) bool { return s == form })...)
		found, err := solver.Solve(client.Query{Channels: []string{server.URL}, Platforms: []string{"linux-64", "noarch"},
			Specs: []string{"app"}})
		if err != nil || len(found.Packages) != 4 {
			t.Errorf("only %s: got %+v, %v", form, found, err)
		}
		asked := client.Variants(server.Asked())
		t.Logf("only %s: the client asked for %v", form, asked)
		if !slices.Contains(asked, "200 "+form) {
			t.Errorf("got it from %v", asked)
		}
	}
}

// The vendor corrects records without touching packages: clients of the mirror see that after its next run, which
// fetches nothing.
func TestMirrorClientHotfix(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it runs other programs that read channels")
	sources := []string{generated(t, application...), generated(t, compression...)}
	m := publish(t, 0, sources, sources)
	ask := []question{{"linux-64", "app", 4}}
	m.checkSolutions(t, ask)
	before := modified(t, m.dir)

	edit(t, sources[0]+"/linux-64/repodata.json", func(records map[string]any) {
		tool := records["tool-1.0-0.tar.bz2"].(map[string]any)
		tool["depends"] = []string{}
		delete(records, "lib-1.0-0.tar.bz2")
	})
	m.again(t, 0)
	ask[0].packages--
	m.checkSolutions(t, append(ask, question{"linux-64", "lib=1.0", 0}))
	m.checkIndexes(t)
	for name, at := range modified(t, m.dir) {
		isPackage := strings.HasSuffix(name, ".conda") || strings.HasSuffix(name, ".tar.bz2")
		if was, ok := before[name]; isPackage && (!ok || was != at) {
			t.Errorf("%s was fetched again", name)
		}
	}
	m.again(t, 0)
	if strings.Contains(m.told, " changed") {
		t.Errorf("the third run changed something:\n%s", m.told)
	}
}

// A channel that lists what it does not have makes the run fail; what is published nevertheless is whole.
func TestMirrorClientIncomplete(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it runs other programs that read channels")
	sources := []string{generated(t, application...)}
	if err := os.Remove(sources[0] + "/linux-64/tool-1.0-0.tar.bz2"); err != nil {
		t.Fatal(err)
	}
	m := publish(t, 1, sources, sources)
	if !strings.Contains(m.told, "tool-1.0-0.tar.bz2") {
		t.Errorf("nobody is told what is missing:\n%s", m.told)
	}
	m.checkPackages(t)
	if _, err := os.Stat(m.dir + "/noarch/repodata.json"); err == nil {
		m.checkSolutions(t, []question{{"linux-64", "lib", 1}})
	}
}
