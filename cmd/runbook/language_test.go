package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/trace"
)

const languagePage = "../../builtins/LANGUAGE.md"

// An example is a block of code in a page: the words behind ``` and what is in it.
type example struct {
	language, name, text string
}

func examplesOf(t *testing.T, page string) (all []example) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)(?: (\\S+))?\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, example{m[1], m[2], m[3]})
	}
	return all
}

// Each runbook of a page is without mistakes and does what it says on a simulated machine; done again it changes
// nothing. What is marked as wrong is said to be. Blocks without a name are bodies of steps.
func TestLanguageExamples(t *testing.T) {
	for page, want := range map[string]int{languagePage: 10, "../../README.md": 1} {
		files, ran := fstest.MapFS{}, 0
		examples := examplesOf(t, page)
		for i, e := range examples {
			if e.name == "" && e.language == "python" {
				body := strings.ReplaceAll(strings.TrimSpace(e.text), "\n", "\n    ")
				e = example{e.language, fmt.Sprintf("body%d.star", i), "def s():\n    " + body + "\n\nstep(s)\n"}
			}
			if e.name != "wrong" {
				files[e.name] = &fstest.MapFile{Data: []byte(e.text)}
			}
			examples[i] = e
		}
		for _, e := range examples {
			switch {
			case e.language != "python":
			case e.name == "wrong":
				ran++
				isWrong(t, e.text)
			case strings.HasSuffix(e.name, testEnding):
				ran++
				passes(t, files, e.name)
			case strings.HasPrefix(e.name, "lib/") || e.name == siteName || strings.HasSuffix(e.name, "policy.star"):
			default:
				ran++
				doTwice(t, files, e.name)
			}
		}
		if ran < want {
			t.Errorf("%s: %d examples were run, want %d", page, ran, want)
		}
	}
}

// passes runs the tests of a page.
func passes(t *testing.T, files fstest.MapFS, name string) {
	t.Helper()
	p := newProgram()
	suite, err := p.rt.LoadSuite(runtime.Library{Dir: files, Shipped: p.shipped}, name, builtins.Testing())
	if err != nil {
		t.Errorf("%s: %v (%s)", name, err, runtime.HintOf(err))
		return
	}
	for _, test := range suite.Tests {
		if _, err := test.Do(t.Context()); err != nil {
			t.Errorf("%s: %v (%s)", test.Name, err, runtime.HintOf(err))
		}
	}
}

func isWrong(t *testing.T, text string) {
	t.Helper()
	first, _, _ := strings.Cut(text, "\n")
	want := strings.TrimPrefix(first, "# error: ")
	lib := runtime.Library{Dir: fstest.MapFS{"wrong.star": {Data: []byte(text)}}, Shipped: fstest.MapFS{}}
	mistakes := newProgram().rt.Diagnose(lib, "wrong.star")
	if !strings.Contains(fmt.Sprintf("%+v", mistakes), want) {
		t.Errorf("%s\ngot %+v, want %q", text, mistakes, want)
	}
}

// doTwice checks a book and does it twice on a simulated machine, with the site's file where that is for it.
func doTwice(t *testing.T, files fstest.MapFS, name string) {
	t.Helper()
	lib := runtime.Library{Dir: files, Shipped: newProgram().shipped}
	rt := newProgram().rt
	if mistakes := rt.Diagnose(lib, name); len(mistakes) > 0 {
		t.Errorf("%s: %+v", name, mistakes)
	}
	if name == "travel.star" {
		lib.Site = &runtime.Site{FS: files, Name: siteName, Dir: "/srv"}
	}
	book, err := rt.Load(lib, name, runtime.Inputs{})
	if err != nil {
		t.Errorf("%s: %v (%s)", name, err, runtime.HintOf(err))
		return
	}
	m := builtins.Machine{Services: map[string]string{"web": "stopped", "nginx": "stopped"}}
	m.Files = append(m.Files, builtins.MachineFile{Name: "/etc/nginx/conf.d/default.conf", Mode: 0o644})
	for _, program := range []string{"app", "migrate", "installer", "set-password"} {
		m.Files = append(m.Files, builtins.MachineFile{Name: "/usr/local/bin/" + program, Mode: 0o755, Text: "\x7fELF"})
	}
	sim, err := m.Simulate()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		events, err := sim.Run(t.Context(), book, runtime.Options{Secrets: map[string]string{"password": "made-up-" + name}})
		if err != nil {
			t.Errorf("%s, run %d: %v (%s)", name, n+1, err, runtime.HintOf(err))
		}
		changes := 0
		for _, e := range events {
			if e.Kind == trace.Op {
				changes += len(e.Changes)
			}
		}
		if n == 0 && changes == 0 || n == 1 && changes > 0 {
			t.Errorf("%s, run %d: %d changes", name, n+1, changes)
		}
	}
}

// The commands that the pages show work in a directory with their files and nothing else, but for runs, which are for
// the machine at hand; their tests pass and nothing in them is mistaken.
func TestPagesCommands(t *testing.T) {
	program := binary(t)
	for page, want := range map[string]int{languagePage: 3, "../../README.md": 5} {
		dir := t.TempDir()
		for _, e := range examplesOf(t, page) {
			if e.name == "" || e.name == "wrong" {
				continue
			}
			name := filepath.Join(dir, e.name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(e.text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		lines := []string{"runbook check", "runbook test"}
		for _, m := range regexp.MustCompile(`(?m)^    (runbook (?:\S+ )+ +|runbook (?:\S+ )+\S+$)`).FindAllString(string(text), -1) {
			books := regexp.MustCompile(`\b(web|first|secrets)\.star`)
			if line := strings.TrimSpace(m); !strings.HasPrefix(line, "runbook run ") && books.MatchString(line) {
				lines = append(lines, line)
			}
		}
		for _, line := range lines {
			c := exec.Command(program, strings.Fields(line)[1:]...)
			c.Dir, c.Env = dir, append(os.Environ(), "XDG_STATE_HOME="+dir)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
		if len(lines) < want {
			t.Errorf("%s: %d commands were tried, want %d: %q", page, len(lines), want, lines)
		}
	}
}

// TestLanguagePage keeps the generated parts of the page what the program says of itself.
func TestLanguagePage(t *testing.T) {
	have, err := os.ReadFile(languagePage)
	if err != nil {
		t.Fatal(err)
	}
	want := string(have)
	for name, text := range generatedParts() {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- end -->\n"
		before, rest, found := strings.Cut(want, begin)
		_, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Errorf("the page has no place for %q", name)
			continue
		}
		want = before + begin + text + end + after
	}
	if *update {
		if err := os.WriteFile(languagePage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(have) != want {
		t.Errorf("%s is stale: go test ./cmd/runbook -run TestLanguagePage -update", languagePage)
	}
}

func generatedParts() map[string]string {
	var loading []string
	for _, b := range newProgram().rt.Builtins() {
		if kind := b.Kind(); !b.ForSite() && (kind == "pure" || kind == "declare") && b.Name != "confirm" {
			loading = append(loading, fmt.Sprintf("[`%s`](README.md#%s)", b.Name, anchor(b.Name)))
		}
	}
	var own []string
	for _, name := range newProgram().rt.Universe() {
		own = append(own, "`"+name+"`")
	}
	types := "| type | in the runbook | on the command line |\n| --- | --- | --- |\n"
	about := map[string]string{
		"string": "a text | as it is", "bool": "`True` or `False` | `true` or `false`", "int": "a whole number | `8080`",
		"path": "an absolute path | a relative one is taken from the current directory", "list": "a list of texts | `a,b,c`",
	}
	v, _ := newProgram().rt.Builtin("var")
	for _, a := range v.Params() {
		for _, name := range a.Choices {
			types += fmt.Sprintf("| `%s` | %s |\n", name, about[name])
		}
	}
	codes := "| exit code | what it means |\n| --- | --- |\n"
	for _, row := range exitMeanings() {
		codes += fmt.Sprintf("| %d | %s |\n", row.code, row.meaning)
	}
	return map[string]string{
		"loading": strings.Join(loading, ", ") + ".\n", "universe": strings.Join(own, ", ") + ".\n",
		"types": types, "exit codes": codes,
	}
}
