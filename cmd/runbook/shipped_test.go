package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/trace"
)

// shippedSuites loads the tests of the shipped runbooks.
func shippedSuites(t testing.TB) (suites []*runtime.Suite) {
	t.Helper()
	p := newProgram()
	files, err := filepath.Glob("../../runbooks/*" + testEnding)
	if err != nil || len(files) == 0 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		lib := runtime.Library{Dir: os.DirFS("../../runbooks"), Shipped: p.shipped}
		s, err := p.rt.LoadSuite(lib, filepath.Base(file), builtins.Testing())
		if err != nil {
			t.Fatal(err)
		}
		suites = append(suites, s)
	}
	return suites
}

// The tests of the shipped runbooks pass, and reach every requirement of the libraries.
func TestShippedTests(t *testing.T) {
	t.Parallel()
	reached, refused := map[string]bool{}, map[string]bool{}
	last := ""
	watch := func(e trace.Event) {
		if e.Kind == trace.Op && e.Op == "require" {
			last = strings.Join(strings.Split(e.Pos, ":")[:2], ":")
			reached[last] = true
		}
		if e.Kind == trace.Result && e.Op == "require" && e.Outcome == trace.Failed {
			refused[last] = true
		}
	}
	for _, s := range shippedSuites(t) {
		s.Watch = watch
		for _, test := range s.Tests {
			if _, err := test.Do(context.Background()); err != nil {
				t.Errorf("%s: %v (%s)", test.Name, err, runtime.HintOf(err))
			}
		}
	}
	for _, place := range requirements(t) {
		if !reached[place] {
			t.Errorf("no test of a shipped runbook reaches the requirement at %s", place)
		}
		if !refused[place] && strings.HasPrefix(place, "lib/preflight.star") {
			t.Errorf("no test of a shipped runbook fails the requirement at %s", place)
		}
	}
}

// requirements are the places of require() in the libraries.
func requirements(t *testing.T) (places []string) {
	t.Helper()
	shipped := newProgram().shipped
	files, err := fs.Glob(shipped, "lib/*.star")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(shipped, file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if regexp.MustCompile(`\brequire\(`).MatchString(line) {
				places = append(places, fmt.Sprintf("%s:%d", file, i+1))
			}
		}
	}
	if len(places) < 20 {
		t.Fatalf("found only %d requirements: %v", len(places), places)
	}
	return places
}

// Files of tests are no runbooks, and are formatted as these are.
func TestTestsAreNotShipped(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../runbooks/*" + testEnding)
	if err != nil || len(files) < 4 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := formatted(file, old); err != nil || string(text) != string(old) {
			t.Errorf("%s is not formatted: go run ./cmd/runbook fmt runbooks (%v)", file, err)
		}
	}
	isTest := func(name string) bool { return strings.HasSuffix(name, testEnding) }
	if names := newProgram().shippedNames(); slices.ContainsFunc(names, isTest) {
		t.Errorf("got %v", names)
	}
}

func BenchmarkShippedTests(b *testing.B) {
	suites := shippedSuites(b)
	for b.Loop() {
		for _, s := range suites {
			for _, test := range s.Tests {
				if _, err := test.Do(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
