package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"runbook/cmd/runbook/internal/lsp"
	"runbook/runtime"
)

func (p *program) lspCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lsp", Short: "Help an editor with runbooks, over standard input and output",
		Long: "Speak the Language Server Protocol with an editor over standard input and output: what check finds, as it is typed;\n" +
			"completion, documents, definitions, symbols and the usual layout. README has what VS Code, Neovim and Helix need.\n" +
			"Files beside those that are open are read, and nothing is run. A shipped file that a definition leads to is\n" +
			"written below ~/.cache/runbook first, so that the editor can show it; it cannot be changed there.",
		Args: operands(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			p.rt.GiveUp = nil // a file that computes too much ends its check, and not the server
			err := lsp.Serve(c.Context(), p.in, p.out, lsp.Options{
				Runtime: p.rt, Tests: withTests(), Open: p.openForEditor, Format: formatted,
				Describe: builtinMarkdown, Signature: signature,
				Shipped: p.shippedOnDisk, Version: version(), Log: p.err,
			})
			if errors.Is(err, lsp.ErrNoShutdown) {
				return exit(1)
			}
			return err
		},
	}
}

// openForEditor returns where a file is checked in. It need not be there yet.
func (p *program) openForEditor(file string) (lsp.Book, error) {
	dir, name := filepath.Dir(file), filepath.Base(file)
	if fi, err := os.Stat(dir); !filepath.IsAbs(file) || err != nil || !fi.IsDir() {
		if filepath.Base(dir) == "lib" {
			dir, name = filepath.Dir(dir), "lib/"+name
		}
		return lsp.Book{Library: runtime.Library{Shipped: p.shipped}, Top: dir, Name: name, Close: func() {}}, nil
	}
	lib, err := p.libraryAt(dir, name)
	if err == nil {
		lib, dir, err = p.fromTop(lib, dir)
	}
	if err != nil {
		return lsp.Book{}, err
	}
	if lib.Site, err = p.siteFor(lib, dir, ""); err != nil {
		lib.close()
		return lsp.Book{}, err
	}
	return lsp.Book{Library: lib.Library, Top: filepath.Clean(dir), Name: lib.name, Close: lib.close}, nil
}

// shippedOnDisk writes a shipped file where an editor can open it, and nobody takes it for one to edit.
func (p *program) shippedOnDisk(name string) (string, error) {
	text, err := fs.ReadFile(p.shipped, name)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	file := filepath.Join(cache, "runbook", "shipped", filepath.FromSlash(name))
	if old, err := os.ReadFile(file); err == nil && string(old) == string(text) {
		return file, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".runbook-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o444), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return file, err
}

// builtinMarkdown is what a builtin says of itself, for the small window of an editor.
func builtinMarkdown(b *runtime.Builtin) string {
	var text strings.Builder
	fmt.Fprintf(&text, "```python\n%s\n```\n\n`%s` will %s.\n", signature(b), b.Name, sentence(b.Summary))
	for _, s := range details(b) {
		text.WriteString("\n" + s + "\n")
	}
	for _, a := range b.Params() {
		fmt.Fprintf(&text, "\n- `%s` (%s, %s): %s", a.Name, a.Type, strings.TrimPrefix(defaultText(a), "= "), a.Help)
	}
	fmt.Fprintf(&text, "\n\n```python\n%s\n```\n", strings.TrimSpace(b.Example))
	return text.String()
}
