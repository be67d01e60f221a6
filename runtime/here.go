package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/host"
	"runbook/runtime/nearest"
	"runbook/runtime/trace"
)

// Files beside a runbook. They are read while it is loaded, so that their digests are among its sources, and through
// its Library, so that a plan for another machine has them, too.

const (
	maxHeres = 500      // files
	maxHere  = 2 << 30  // bytes of one
	maxKept  = 1 << 20  // of one that is kept in memory, and can be a text
	maxTexts = 16 << 20 // of all that are
)

// A Here is a file beside the runbook, or beside the site's own file: what here() returns. It holds what it held when
// the runbook was loaded.
type Here struct {
	Name   string
	SHA256 string // hex
	Size   int64
	Site   bool // it lies beside the site's own file

	text    []byte // if it is small
	file    heldFile
	version host.Version
}

// A heldFile stays open as long as its runbook is in use.
type heldFile interface {
	fs.File
	io.ReaderAt
}

var _ starlark.HasBinary = (*Here)(nil)

// String returns the call that returns h.
func (h *Here) String() string { return fmt.Sprintf("here(%q)", h.Name) }

// Type implements starlark.Value, as those below do.
func (h *Here) Type() string { return "here" }

// Freeze does nothing: a file never changes.
func (h *Here) Freeze() {}

// Truth is true.
func (h *Here) Truth() starlark.Bool { return true }

// Hash returns an error.
func (h *Here) Hash() (uint32, error) { return 0, errors.New("unhashable: here") }

// Binary refuses to make a text of a file.
func (h *Here) Binary(syntax.Token, starlark.Value, starlark.Side) (starlark.Value, error) {
	return nil, h.misuse()
}

func (h *Here) misuse() error {
	return Hint(fmt.Errorf("%s is a file and no text", h),
		fmt.Sprintf("read(%s) is what it holds; copy, write, extract, template and read take the file itself", h))
}

// Content is what the file holds. Reading it fails if the file was written since the runbook was loaded.
func (h *Here) Content() host.Content {
	if h.file == nil {
		return host.Bytes(h.text)
	}
	return h.version.Guard(h.String(), host.Content{Open: func() (host.File, error) {
		return openedHere{io.NewSectionReader(h.file, 0, h.Size), h.file}, nil
	}})
}

// Bytes returns what a small file holds.
func (h *Here) Bytes() ([]byte, error) {
	switch {
	case h.file != nil && h.Size <= maxKept:
		return nil, Hint(fmt.Errorf("%s is one text too many: they have more than %d MiB together", h, maxTexts>>20),
			"copy() and extract() take files of any size")
	case h.file != nil:
		return nil, Hint(fmt.Errorf("%s has %d KiB, want at most %d for a text", h, h.Size>>10, maxKept>>10),
			"copy() and extract() take files of any size")
	}
	return h.text, nil
}

type openedHere struct {
	*io.SectionReader
	file fs.File
}

func (o openedHere) Stat() (fs.FileInfo, error) { return o.file.Stat() }
func (openedHere) Close() error                 { return nil }

// hereOf returns the builtin that finds files beside the runbook, or beside the site's own file.
func hereOf(site bool) *Builtin {
	return &Builtin{
		Name:    "here",
		Summary: "return a file that lies beside the runbook, for copy, write, extract, template and read",
		Args:    []Arg{arg("path", "string", "", "its name, from the runbook's directory on; in what runbook.star has, from that of runbook.star on")},
		Detail: []string{
			"It is looked for in that directory, which the name may not leave, then among the shipped files.",
			"The file is read before anything is done: its SHA-256 is among the sources in the trace, so that a plan holds only for that content. A function that makes the name writes out its directory, here(\"files/\" + name): all files in there are read, then. At the top of a file any name may be made.",
			"It is shown to everybody who sees the trace: what is secret does not belong into it, but comes from secret() by template().",
		},
		Example: `copy(here("files/motd"), "/etc/motd")`,
		anytime: true,
		declare: func(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
			var name string
			if err := c.Unpack("path", &name); err != nil {
				return nil, err
			}
			h, err := l.here(name, site)
			if err != nil {
				return nil, err
			}
			return h, nil
		},
	}
}

// here returns a file, which it reads if the runbook is still being loaded.
func (l *loader) here(name string, site bool) (*Here, error) {
	lib, key := l.lib, name
	if site {
		if lib = lib.site(); l.lib.Site.FS != nil {
			key = "site " + name
		}
	}
	switch h := l.heres[key]; {
	case h != nil:
		return h, nil
	case l.run != nil:
		return nil, cmp.Or(localName(name), notRead(name))
	case len(l.heres) == maxHeres:
		return nil, fmt.Errorf("here: got more than %d files", maxHeres)
	}
	if err := localName(name); err != nil {
		return nil, err
	}
	h, origin, err := l.find(lib, name)
	if err != nil {
		return nil, l.noHere(lib, name, err)
	}
	if h.Site = site; site && origin == "local" {
		origin = "site"
	}
	if l.heres == nil {
		l.heres = map[string]*Here{}
	}
	l.heres[key] = h
	l.book.Sources = append(l.book.Sources, trace.Source{Name: name, SHA256: h.SHA256, Origin: origin})
	l.book.texts = append(l.book.texts, string(h.text))
	return h, nil
}

// heresBelow reads all files of a directory, of which a function names one by a text that it makes.
func (l *loader) heresBelow(dir string, site bool) error {
	if dir == "." {
		return Hint(errors.New("here: got a name that the function makes, want at least its directory written out"),
			`write here("files/" + name), so that all files in files/ can be read while the runbook is loaded`)
	}
	if err := localName(dir); err != nil {
		return err
	}
	lib := l.lib
	if site {
		lib = lib.site()
	}
	var names []string
	for _, fsys := range []fs.FS{lib.Dir, lib.Shipped} {
		names = append(names, filesBelow(fsys, dir)...)
	}
	if len(names) == 0 {
		return Hint(fmt.Errorf("here: there are no files in %s/", dir),
			"it is looked for in the runbook's directory, then among the shipped files")
	}
	for _, name := range names {
		if _, err := l.here(name, site); err != nil {
			return err
		}
	}
	return nil
}

// filesBelow returns the names of the files in a directory; none if it cannot be read.
func filesBelow(fsys fs.FS, dir string) (names []string) {
	if fsys == nil {
		return nil
	}
	entries, _ := fs.ReadDir(fsys, dir)
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if fi, err := fs.Stat(fsys, name); err == nil && fi.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}

// notRead is the error about a file that was not read while the runbook was loaded.
func notRead(name string) error {
	return Hint(fmt.Errorf("here: %q was not read while the runbook was loaded", name),
		fmt.Sprintf("put it there; a name that is made needs its directory written out: here(%q + name)", path.Dir(name)+"/"))
}

// localName refuses names of files that do not lie below the runbook's directory.
func localName(name string) error {
	switch {
	case path.IsAbs(name):
		return Hint(fmt.Errorf("here: got the absolute path %q, want one from the runbook's directory on", name),
			"a file of the machine is named without here()")
	case name == "." || !fs.ValidPath(name):
		return Hint(fmt.Errorf("here: got %q, want a name below the runbook's directory", name),
			`write it without "." and "..": here("files/x.conf")`)
	}
	return nil
}

// find looks a file up beside the runbook, then among the shipped ones.
func (l *loader) find(lib Library, name string) (h *Here, origin string, err error) {
	own, err := l.hold(lib.Dir, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	shipped, serr := l.hold(lib.Shipped, name)
	switch {
	case err == nil && serr != nil:
		return own, "local", nil
	case err == nil && own.SHA256 != shipped.SHA256:
		return own, "edited", nil
	}
	return shipped, "shipped", serr
}

// hold reads a file, which counts for no script. A large one stays open.
func (l *loader) hold(fsys fs.FS, name string) (h *Here, err error) {
	if fsys == nil {
		return nil, fs.ErrNotExist
	}
	_, err = l.meter.act(false, func() (starlark.Value, error) {
		h, err = l.open(fsys, name)
		return nil, err
	})
	return h, err
}

func (l *loader) open(fsys fs.FS, name string) (*Here, error) {
	fi, err := fs.Stat(fsys, name)
	if err == nil {
		err = TextFile(fi, maxHere)
	}
	if err != nil {
		return nil, err
	}
	h := &Here{Name: name, Size: fi.Size()}
	if h.Size <= maxKept && l.held+h.Size <= maxTexts {
		if h.text, err = readText(fsys, name, maxKept); err != nil {
			return nil, err
		}
		h.Size = int64(len(h.text))
		l.held += h.Size
		sum := sha256.Sum256(h.text)
		h.SHA256 = hex.EncodeToString(sum[:])
		return h, nil
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	var ok bool
	if h.file, ok = f.(heldFile); !ok {
		return nil, errors.Join(fmt.Errorf("cannot be read twice, and has %d KiB", h.Size>>10), f.Close())
	}
	h.SHA256, h.version, err = l.rt.digests.Sum(context.Background(), h.Content())
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return h, nil
}

// noHere is the error about a file that cannot be read.
func (l *loader) noHere(lib Library, name string, err error) error {
	switch {
	case errors.Is(err, errDirectory):
		return Hint(fmt.Errorf("here: %s is a directory, want a file", name),
			"name its files one by one, or pack them: extract(here(\"files.tar\"), ...)")
	case strings.HasSuffix(err.Error(), "path escapes from parent"):
		return Hint(fmt.Errorf("here: %s: %w", name, cause(err)), "a link must not lead out of the directory: copy the file")
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("here: %s: %w", name, cause(err))
	}
	err = fmt.Errorf("here: there is no %s", name)
	if near := nearest.Of(name, filesOf(lib.Dir, lib.Shipped)); near != "" {
		return Hint(err, fmt.Sprintf("did you mean %q?", near))
	}
	return Hint(err, "it is looked for in the runbook's directory, then among the shipped files")
}

// filesOf returns the names of files, for a guess at which was meant: not of all, where there are many.
func filesOf(all ...fs.FS) (names []string) {
	for _, fsys := range all {
		if fsys == nil {
			continue
		}
		seen := 0
		_ = fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error { // what cannot be read is not guessed
			seen++
			switch {
			case seen > 2000:
				return fs.SkipAll
			case err != nil || e.IsDir() && name != "." && strings.HasPrefix(e.Name(), "."):
				return fs.SkipDir
			case !e.IsDir() && path.Ext(name) != ".star":
				names = append(names, name)
			}
			return nil
		})
	}
	return names
}

// heresOf reads the files that a file of the runbook names by here(), so that all are known, and found, before anything
// runs, in branches that no run takes, too.
func (l *loader) heresOf(f *syntax.File, site bool) error {
	c := &checker{rt: l.rt, pre: l.pre, loader: l, placeholders: l.book.placeholders}
	c.know.c = c
	c.know.learn(f)
	s := hereScan{l: l, site: site, know: &c.know}
	for _, stmt := range f.Stmts {
		_, inside := stmt.(*syntax.DefStmt)
		s.walk(stmt, !inside)
	}
	if len(s.wrong) > 0 {
		return s.wrong
	}
	return nil
}

type hereScan struct {
	l     *loader
	site  bool
	know  *knower
	wrong Errors
}

// walk looks at what runs while the file is loaded if it is early, else later.
func (s *hereScan) walk(root syntax.Node, early bool) {
	syntax.Walk(root, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.LambdaExpr:
			if n != root {
				s.walk(n, false)
				return false
			}
		case *syntax.CallExpr:
			if predeclaredName(n.Fn) == "here" && len(n.Args) == 1 {
				s.call(n.Args[0], early)
			}
		}
		return true
	})
}

// call looks at the argument of a call of here.
func (s *hereScan) call(arg syntax.Expr, early bool) {
	if named, ok := arg.(*syntax.BinaryExpr); ok && named.Op == syntax.EQ {
		arg = named.Y
	}
	var err error
	rule := "missing-file"
	switch name, literal := arg.(*syntax.Literal); {
	case literal && name.Token == syntax.STRING:
		_, err = s.l.here(name.Value.(string), s.site)
	case !literal && !early:
		prefix, _ := beginning(s.know.value(arg))
		err, rule = s.l.heresBelow(path.Dir(prefix+"_"), s.site), "computed-file"
	}
	if err != nil {
		where := spanOf(arg)
		s.wrong = append(s.wrong, &Error{Class: Mistake, Pos: where.start.String(), end: where.end, Err: err, rule: rule})
	}
}

// here is what Check knows of what a call of here returns.
func (c *checker) here(call *syntax.CallExpr) starlark.Value {
	if len(call.Args) == 1 {
		if name, ok := call.Args[0].(*syntax.Literal); ok && name.Token == syntax.STRING {
			if h, err := c.loader.here(name.Value.(string), false); err == nil {
				return h
			}
		}
	}
	return unknown{typ: "here"}
}

// refuseHeres refuses files where texts are made of values.
func refuseHeres(values ...starlark.Value) error {
	for _, v := range values {
		if h, ok := v.(*Here); ok {
			return h.misuse()
		}
	}
	return nil
}

// operand refuses what the right side of "%" must not be.
func operand(v starlark.Value) error {
	if err := newScale(maxNesting).add(v, 0); err != nil {
		return err
	}
	if values, ok := v.(starlark.Tuple); ok {
		return refuseHeres(values...)
	}
	return refuseHeres(v)
}
