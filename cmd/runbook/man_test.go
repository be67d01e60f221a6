package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"runbook/cmd/runbook/internal/lab"
)

var manDir = flag.String("man", "", "directory into which TestManPages writes the man pages")

// TestManPages makes the man pages, one for each command, and has man read them. What makes them is not in the program,
// which has the same texts in its help: .ci/release takes them from here, with -man DIR.
func TestManPages(t *testing.T) {
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	root := newProgram().rootCommand()
	forMan(root)
	header := &doc.GenManHeader{Section: "1", Source: "runbook", Manual: "User Commands"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "runbook*.1"))
	if err != nil || len(pages) != len(paths(root)) {
		t.Fatalf("got the pages %q, want one for each of %q (%v)", pages, paths(root), err)
	}
	for _, name := range pages {
		text, err := os.ReadFile(name)
		if err == nil {
			text = bytes.ReplaceAll(text, []byte("[=false]"), nil)
			err = os.WriteFile(name, wantsValue.ReplaceAll(text, []byte(`=\fI$1\fP`)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("man"); err != nil && *manDir == "" {
		lab.Skip(t, "man is not installed")
	} else if err != nil {
		return
	}
	for _, name := range pages {
		c := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", name)
		c.Env = append(os.Environ(), "MANWIDTH=80", "MANPAGER=cat", "LC_ALL=C.UTF-8")
		var complaints strings.Builder
		c.Stderr = &complaints
		text, err := c.Output()
		if err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v: %s", filepath.Base(name), err, &complaints)
		}
		for _, want := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "--help"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: got no %s in\n%s", filepath.Base(name), want, text)
			}
		}
	}
}

// paths are c and the commands below it that people are shown.
func paths(c *cobra.Command) []string {
	all := []string{c.CommandPath()}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			all = append(all, paths(sub)...)
		}
	}
	return all
}

// wantsValue is what cobra/doc writes for a flag without a default, to which forMan gave the name of its value.
var wantsValue = regexp.MustCompile(`(?m)="?([A-Z][A-Za-z=:]*|strings?)"?$`)

// forMan makes the texts of a command, and of those below it, what cobra/doc takes: Markdown.
func forMan(c *cobra.Command) {
	c.DisableAutoGenTag = true
	c.InitDefaultHelpFlag()
	for i, sub := range c.Commands() {
		if i == 0 {
			c.Long = cmp.Or(c.Long, c.Short) + "\n\nCommands:\n"
		}
		if sub.IsAvailableCommand() {
			c.Long += fmt.Sprintf("  %-10s  %s\n", sub.Name(), sub.Short)
		}
	}
	c.Use, c.Short, c.Long = escaped.Replace(c.Use), escaped.Replace(c.Short), markdown(c.Long)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		name, usage := pflag.UnquoteUsage(f)
		if f.DefValue == "" || f.DefValue == "[]" {
			f.DefValue = name
		}
		f.Usage = escaped.Replace(usage)
	})
	for _, sub := range c.Commands() {
		forMan(sub)
	}
}

var escaped = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", `\<`, ">", `\>`, "#", `\#`,
	"[", `\[`, "]", `\]`, "~", `\~`)

// markdown is text as paragraphs, in which lines that are indented stay as they are.
func markdown(text string) string {
	var b strings.Builder
	table := false
	for line := range strings.Lines(text) {
		indented := strings.HasPrefix(line, " ")
		if indented != table {
			b.WriteString("\n")
		}
		if table = indented; table {
			b.WriteString("    " + line)
			continue
		}
		b.WriteString(escaped.Replace(line))
	}
	return b.String()
}
