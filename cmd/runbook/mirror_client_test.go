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

// These tests mirror real channels with the program, serve what comes of it, and use it as others would: a conda client
// solves and fetches from it, and tools that are not ours read every package and index.

// A published mirror is a channel below a directory of its own, and what it was made of.
type published struct {
	sources []string // directories
	dir     string
	told    string
}

// publish mirrors channels, by directory or URL. The mirror is of sources, the directories behind them.
func publish(t *testing.T, code int, sources, channels []string, platforms ...string) published {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("def publish():\n    mirror(%s, %q, account = \"acc\", platforms = %s)\nstep(publish)\n", list(channels), dir+"/mirrors", list(platforms))
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

// realChannels returns the directories of real channels beside the project.
func realChannels(t *testing.T, names ...string) (dirs []string) {
	t.Helper()
	const dataDir = "../../../shared/data"
	if _, err := os.Stat(dataDir); err != nil {
		t.Skip("NOT TESTED HERE: no real channels (../shared/data)")
	}
	for _, name := range names {
		dir, err := filepath.Abs(filepath.Join(dataDir, name))
		if err == nil {
			_, err = os.Stat(dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// stubs is a channel of what the real one of 2016 depends on and lacks.
func stubs(t *testing.T) string {
	t.Helper()
	dir, made := t.TempDir(), t.TempDir()
	var packages []string
	for _, file := range []string{"python-3.4.5-0.conda", "setuptools-25.1.6-0.tar.bz2", "ipython_genutils-0.1.0-0.conda"} {
		packages = append(packages, client.Stub(t, made, file))
	}
	if unread := client.Channel(t, dir, packages...); len(unread) > 0 {
		t.Fatalf("cannot read %v", unread)
	}
	return dir
}

// loose is a channel of real packages without an index.
func loose(t *testing.T) string {
	t.Helper()
	var packages []string
	for _, dir := range realChannels(t, "testchannels/quetz-packages", "testchannels/cph-archives", "testchannels/rattler-clobber", "testchannels/conda-index-archives") {
		for _, ending := range []string{"/*.conda", "/*.tar.bz2"} {
			found, _ := filepath.Glob(dir + ending)
			packages = append(packages, found...)
		}
	}
	packages = slices.DeleteFunc(packages, func(name string) bool { return strings.Contains(name, "_copy") }) // not called what it says it is
	dir := t.TempDir()
	t.Logf("cannot be read, as they come: %v", client.Channel(t, dir, packages...))
	return dir
}

// A question is what a client asks of a mirror, and how many packages it must get; 0 means that there is no solution.
type question struct {
	platform string
	specs    string
	packages int
}

// Real channels, alone and merged: what a client solves and gets, whether every package is whole, and every index.
func TestMirrorClient(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it runs other programs that read channels")
	for name, c := range map[string]struct {
		sources   func(t *testing.T) []string
		platforms []string
		packages  int
		questions []question
	}{
		"conda-forge-2016": {func(t *testing.T) []string { return realChannels(t, "channels/conda-forge-2016") }, nil, 47, []question{
			{"linux-64", "readline pcre libffi zlib xz ca-certificates jpeg", 8}, {"linux-64", "ipython", 0}}},
		"conda-forge-2016 and stubs": {func(t *testing.T) []string { return append(realChannels(t, "channels/conda-forge-2016"), stubs(t)) }, nil, 50, []question{
			{"linux-64", "ipython terminado jsonschema jinja2 wheel", 18}, {"linux-64", "libtiff", 0}}},
		"both formats": {func(t *testing.T) []string { return realChannels(t, "testchannels/conda-conda_format_repo") }, []string{"osx-64", "win-32"}, 4, []question{
			{"osx-64", "zlib", 1}, {"win-32", "zlib", 0}}},
		"hotfix": {func(t *testing.T) []string {
			return realChannels(t, "testchannels/conda-index-hotfix", "testchannels/conda-conda_format_repo")
		}, []string{"osx-64"}, 6, []question{
			{"osx-64", "revoke_test remove_test", 3}, {"osx-64", "hotfix_depends_test track_features_test", 3}}},
		"index": {func(t *testing.T) []string { return realChannels(t, "testchannels/conda-index-packages") }, nil, 4, []question{
			{"linux-64", "run_exports_versions", 1}, {"osx-64", "run_exports_versions=1.*", 1}, {"osx-64", "dummy-package", 0}}},
		"noarch only": {func(t *testing.T) []string { return realChannels(t, "testchannels/mamba-test-server/repo") }, nil, 1, []question{{"linux-64", "test-package", 1}}},
		"loose packages": {func(t *testing.T) []string { return []string{loose(t)} }, nil, 30, []question{
			{"linux-64", "test-package other-package", 2}, {"linux-64", "clobber-with-symlink-b clobber-directory-upgrade", 3}, {"osx-64", "mock", 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sources := c.sources(t)
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

// Each form of an index serves a client by itself. Forms that a client does not read to their end show only where an index
// is longer than a block or two.
func TestMirrorClientVariants(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it runs other programs that read channels")
	solver := client.NewSolver(t)
	source := copied(t, realChannels(t, "channels/conda-forge-2016")[0])
	noise := rand.NewChaCha8([32]byte{})
	edit(t, source+"/linux-64/repodata.json", func(records map[string]any) {
		for _, record := range records {
			text := make([]byte, 50_000)
			noise.Read(text)
			record.(map[string]any)["description"] = hex.EncodeToString(text)
		}
	})
	m := publish(t, 0, []string{source}, []string{source})
	m.checkIndexes(t)
	server := client.Serve(t, m.dir)
	forms := slices.DeleteFunc([]string{"repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json.bz2", "repodata.json"}, func(s string) bool {
		_, err := os.Stat(m.dir + "/linux-64/" + s)
		return err != nil && strings.HasPrefix(s, "repodata_shards") // which need not be there
	})
	for _, form := range forms {
		server.Hide(slices.DeleteFunc(slices.Clone(forms), func(s string) bool { return s == form })...)
		found, err := solver.Solve(client.Query{Channels: []string{server.URL}, Platforms: []string{"linux-64", "noarch"}, Specs: []string{"readline", "zlib"}})
		if err != nil || len(found.Packages) != 3 {
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
	sources := []string{copied(t, realChannels(t, "channels/conda-forge-2016")[0]), stubs(t)}
	m := publish(t, 0, sources, sources)
	ask := []question{{"linux-64", "ipython", 10}}
	m.checkSolutions(t, ask)
	before := modified(t, m.dir)

	edit(t, sources[0]+"/linux-64/repodata.json", func(records map[string]any) {
		ipython := records["ipython-4.2.1-py34_1.tar.bz2"].(map[string]any)
		ipython["depends"] = slices.DeleteFunc(ipython["depends"].([]any), func(s any) bool { return s == "pickleshare" })
		delete(records, "xz-5.2.2-0.tar.bz2")
	})
	m.again(t, 0)
	ask[0].packages--
	m.checkSolutions(t, append(ask, question{"linux-64", "xz", 0}))
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
	sources := realChannels(t, "testchannels/conda-conda_format_repo")
	m := publish(t, 1, sources, sources)
	if !strings.Contains(m.told, "libgcc-ng-8.2.0-hdf63c60_1.tar.bz2") {
		t.Errorf("nobody is told what is missing:\n%s", m.told)
	}
	m.checkPackages(t)
	if _, err := os.Stat(m.dir + "/noarch/repodata.json"); err == nil {
		m.checkSolutions(t, []question{{"osx-64", "zlib", 1}})
	}
}
