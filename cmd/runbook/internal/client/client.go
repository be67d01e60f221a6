// Package client reads channels as others do: it solves with rattler, a conda client, opens packages with Debian's
// conda-package-streaming, and makes them with its conda-package-handling.
//
// Two things to know: nothing here uses code of the program under test; and a test whose tools are absent is left out,
// except in CI (see lab.Skip).
// Tests of cmd/runbook call it; it calls packages lab and npm.
package client

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
	"runbook/cmd/runbook/internal/npm"
)

//go:embed npm read.py
var files embed.FS

// A Solver is rattler below node.
type Solver struct{ dir string }

// A Query asks for packages of channels, given by URL.
type Query struct {
	Channels  []string `json:"channels"`
	Platforms []string `json:"platforms"`
	Specs     []string `json:"specs"`
}

// A Solution is the packages that fulfil a query, or the client's reason why none do. No channel's URL is in it, so
// that solutions from different places can be compared.
type Solution struct {
	Packages []Package
	Error    string
}

// A Package is what the client's index says of one, and what it then got: the SHA-256 of the bytes, and how they differ
// from what the index says.
type Package struct {
	Name, Version, Build, Subdir, MD5, SHA256, URL string
	Depends                                        []string
	Size                                           int64
	Got, Differs                                   string
}

// NewSolver installs rattler into the user's cache, once.
func NewSolver(t testing.TB) Solver {
	t.Helper()
	return Solver{npm.Install(t, "conda-client", files)}
}

// Solve asks rattler, which fetches indexes and then every package of the solution.
func (s Solver) Solve(q Query) (found Solution, err error) {
	ask, err := json.Marshal(q)
	if err != nil {
		return found, err
	}
	out, err := run(exec.Command("node", filepath.Join(s.dir, "solve.cjs")), string(ask))
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	return found, err
}

// Contents is what was found in a file: of a package its members, how many of them its own list of hashes confirmed,
// and its own record; of an index the number of its records and the SHA-256 of its text, or how many shards were
// confirmed by their hashes. Bytes are unpacked.
type Contents struct {
	File, SHA256, Error string
	Members, Checked    int
	Bytes               int64
	Index               map[string]any
}

// Read reads packages and indexes whole, in order. What is wrong with one stands in its Contents.
func Read(t testing.TB, names ...string) (all []Contents) {
	t.Helper()
	python := Python(t)
	script, err := files.ReadFile("read.py")
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(exec.Command(python, "-c", string(script)), strings.Join(append(names, ""), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var c Contents
		if err := d.Decode(&c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if len(all) != len(names) {
		t.Fatalf("read.py: got %d lines for %d files", len(all), len(names))
	}
	return all
}

// Python is the interpreter that knows Debian's modules, with those for conda's packages.
func Python(t testing.TB) string {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c",
		"import conda_package_streaming, msgpack, zstandard").CombinedOutput(); err != nil {
		const packages = "python3-conda-package-streaming and python3-msgpack"
		lab.Skip(t, fmt.Sprintf("no reader of packages: %v (Debian's %s) %s", err, packages, out))
	}
	return python
}

// Tool is where a program is; debian is the package that has it.
func Tool(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lab.Skip(t, fmt.Sprintf("%v (Debian's %s)", err, debian))
	}
	return path
}

func run(c *exec.Cmd, stdin string) ([]byte, error) {
	var out, complaint bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &complaint
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, complaint.Bytes())
	}
	return out.Bytes(), nil
}
