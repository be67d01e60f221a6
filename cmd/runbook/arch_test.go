package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// These tests keep the rules by which the code stays small and its arrows
// point one way. A rule that is in the way is changed here, on purpose.

// ladder says which packages of the project one may import, besides those of
// the standard library; "x/..." stands for x and all below it.
var ladder = map[string][]string{
	"builtins":                         {"runtime", "runtime/trace", "runtime/host", "runtime/host/before", "runtime/host/tree", "runtime/fetch", "builtins/internal/..."},
	"cmd/runbook":                      {"cmd/runbook/internal/kept", "cmd/runbook/internal/lsp", "cmd/runbook/internal/past", "cmd/runbook/internal/recheck", "cmd/runbook/internal/serve", "cmd/runbook/internal/signing", "builtins", "runbooks", "runtime", "runtime/host", "runtime/host/before", "runtime/trace", "runtime/trace/review", "runtime/fetch"},
	"cmd/runbook/internal/recheck":     {"runtime/host", "runtime/trace"},
	"cmd/runbook/internal/past":        {"runtime/host", "runtime/trace"},
	"cmd/runbook/internal/kept":        {"runtime/host/before"},
	"cmd/runbook/internal/lsp":         {"runtime"},
	"cmd/runbook/internal/serve":       {"cmd/runbook/internal/serve/pages", "builtins/mirrored/...", "runtime/nearest"},
	"cmd/runbook/internal/serve/pages": {"builtins/mirrored/catalog"},
	"builtins/mirrored/catalog":        {"builtins/mirrored", "builtins/internal/..."},
	"builtins/mirrored":                {"builtins/internal/...", "runtime/host"},
	"cmd/runbook/internal/signing":     {},
	"cmd/runbook/internal/...":         {"cmd/runbook/internal/..."}, // tools of the tests
	"builtins/internal/...":            {"builtins/internal/...", "runtime/host", "runtime/host/tree", "runtime/fetch", "runtime/nearest"},
	"runtime":                          {"runtime/secret", "runtime/trace", "runtime/host", "runtime/host/before", "runtime/nearest"},
	"runtime/secret":                   {"runtime/host"},
	"runtime/trace":                    {"runtime/host"},
	"runtime/trace/review":             {"runtime/trace", "runtime/host"},
	"runtime/fetch":                    {"runtime/host", "runtime/host/tree"},
	"runtime/fetch/fetchtest":          {"runtime/fetch"},
	"runtime/host":                     {},
	"runtime/host/before":              {"runtime/host"},
	"runtime/host/tree":                {"runtime/host"},
	"runtime/host/hosttest":            {"runtime/host"},
	"runtime/host/sample":              {},
	"runtime/nearest":                  {},
	"runbooks":                         {},
}

// doors says who may use what comes from elsewhere, and what of the standard
// library reaches out of the program. What laboratory and media of the tests
// do is their own affair.
var doors = map[string][]string{
	"go.starlark.net/...":                  {"runtime", "builtins"},
	"github.com/fatih/color":               {"runtime/trace"},
	"github.com/google/shlex":              {"builtins"},
	"gopkg.in/yaml.v3":                     {"cmd/runbook", "builtins"},
	"github.com/spf13/...":                 {"cmd/runbook"},
	"golang.org/x/term":                    {"cmd/runbook"},
	"golang.org/x/crypto/ssh/...":          {"cmd/runbook/internal/signing"},
	"github.com/hiddeco/sshsig":            {"cmd/runbook/internal/signing"},
	"golang.org/x/sys/unix":                {"cmd/runbook", "cmd/runbook/internal/serve", "runtime/host"}, // serve asks what a client took
	"golang.org/x/tools/txtar":             {"builtins"},
	"golang.org/x/time/...":                {"builtins/internal/mirror"},
	"github.com/klauspost/compress/...":    {"builtins/internal/compress"},
	"github.com/ulikunitz/xz":              {"builtins/internal/compress"},
	"github.com/dsnet/compress/...":        {"builtins/internal/compress"},
	"github.com/tinylib/msgp/...":          {"builtins/internal/shards"},
	"github.com/bazelbuild/buildtools/...": {"cmd/runbook"},
	"github.com/aymanbagabas/go-udiff":     {"cmd/runbook"},
	"github.com/yuin/goldmark/...":         {"cmd/runbook"},
	"github.com/a-h/templ/lsp/...":         {"cmd/runbook/internal/lsp"},
	"pault.ag/go/debian/...":               {"builtins/internal/deb"},
	"os/exec":                              {"runtime/host"},
	"net/http":                             {"runtime/fetch", "runtime/fetch/fetchtest", "cmd/runbook/internal/serve"}, // serve listens, and connects nowhere
	"github.com/google/rpmpack":            {},
	"github.com/rogpeppe/go-internal/...":  {"runtime/trace"},
}

const testTools = "cmd/runbook/internal/..."

// A source is a parsed file; dir is its package as seen from the top.
type sourceFile struct {
	dir, name string
	test      bool
	ast       *ast.File
	text      string
}

func (s sourceFile) String() string { return path.Join(s.dir, s.name) }

const top = "../.."

func sources(t *testing.T, fset *token.FileSet) (all []sourceFile) {
	t.Helper()
	err := filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".") && name != top):
			return fs.SkipDir
		case e.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		all = append(all, sourceFile{path.Dir(rel), path.Base(rel), strings.HasSuffix(name, "_test.go"), f, string(text)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found only %d Go files below %s", len(all), top)
	}
	return all
}

func matches(pattern, pkg string) bool {
	base, below := strings.CutSuffix(pattern, "/...")
	return pkg == base || below && strings.HasPrefix(pkg, base+"/")
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// rung returns what pkg may import.
func rung(pkg string) ([]string, bool) {
	if allowed, ok := ladder[pkg]; ok {
		return allowed, true
	}
	for p, allowed := range ladder {
		if matches(p, pkg) {
			return allowed, true
		}
	}
	return nil, false
}

func TestImports(t *testing.T) {
	for _, s := range sources(t, token.NewFileSet()) {
		if s.test {
			continue
		}
		allowed, known := rung(s.dir)
		if !known {
			t.Errorf("%s: package %s has no place in the ladder", s, s.dir)
		}
		for _, spec := range s.ast.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			own, isOwn := strings.CutPrefix(imported, "runbook/")
			switch {
			case isOwn && !matchesAny(allowed, own):
				t.Errorf("%s: %s may not import %s", s, s.dir, own)
			case !isOwn && (!matches(testTools, s.dir) || ladder[s.dir] != nil):
				throughDoor(t, s, imported)
			}
		}
	}
}

// throughDoor checks an import from outside the project.
func throughDoor(t *testing.T, s sourceFile, imported string) {
	for _, p := range slices.Sorted(maps.Keys(doors)) {
		if !matches(p, imported) {
			continue
		}
		if !matchesAny(doors[p], s.dir) {
			t.Errorf("%s: imports %s, which belongs to %s", s, imported, strings.Join(doors[p], ", "))
		}
		return
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		t.Errorf("%s: %s has no door", s, imported)
	}
}

func TestComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t, token.NewFileSet()) {
		if s.test {
			continue
		}
		documented[s.dir] = documented[s.dir] || s.ast.Doc.Text() != ""
		if s.ast.Name.Name == "main" {
			continue
		}
		for _, d := range s.ast.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s has no doc comment", s, name)
			}
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no file has a package comment", dir)
		}
	}
}

// undocumented returns the exported names of a declaration without a comment.
// A group may have one for all. Methods of unexported types, and those whose
// contract is in the standard library, need none.
func undocumented(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		wellKnown := d.Recv != nil && slices.Contains([]string{"Error", "String", "Unwrap"}, d.Name.Name)
		if d.Name.IsExported() && d.Doc == nil && !wellKnown && (d.Recv == nil || ast.IsExported(receiver(d))) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, id := range s.Names {
					if id.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

func receiver(d *ast.FuncDecl) string {
	x := d.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	if generic, ok := x.(*ast.IndexExpr); ok {
		x = generic.X
	}
	id, _ := x.(*ast.Ident)
	return id.Name
}

var mode = regexp.MustCompile(`(?i)dry_?run`)

// A run's mode is chosen in cmd/runbook and told in the trace; who else could
// ask for it could also get it wrong.
func TestNobodyAsksForTheMode(t *testing.T) {
	for _, s := range sources(t, token.NewFileSet()) {
		if s.test || s.dir == "cmd/runbook" || matches("runtime/trace/...", s.dir) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && mode.MatchString(id.Name) {
				t.Errorf("%s: mentions %s", s, id.Name)
			}
			return true
		})
	}
}

func TestTopLevel(t *testing.T) {
	want := []string{"cmd", "runtime", "builtins", "runbooks", "testscripts", "go.mod", "go.sum", "README.md"}
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(want, e.Name()) && !strings.HasPrefix(e.Name(), ".") && !ignored(t, e.Name()) {
			t.Errorf("%s does not belong at the top", e.Name())
		}
	}
}

// ignored reports whether git is told to leave a file at the top out.
func ignored(t *testing.T, name string) bool {
	text, err := os.ReadFile(filepath.Join(top, ".gitignore"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	return slices.Contains(lines, "/"+name) || slices.Contains(lines, "/"+name+"/")
}
