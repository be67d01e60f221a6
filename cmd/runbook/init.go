package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// baseDir keeps the shipped files as init wrote them last: a merge needs what both sides began with.
const baseDir = ".runbook"

func (p *program) initCommand() *cobra.Command {
	upgrade := false
	c := &cobra.Command{
		Use: "init [DIR]", Short: "Write the shipped runbooks, to be edited",
		Long: "Write the shipped runbooks, a commented " + siteName + " and a file of tests into DIR, the current directory without\n" +
			"one. What a site wants otherwise is best said in " + siteName + ", which no upgrade touches, nor " + siteTestName + ";\n" +
			"the other files may be edited, too.\n" +
			"--upgrade merges what a newer version ships into what the site wrote: no edit is lost, and where both changed the\n" +
			"same lines they are marked and the exit code is 1. " + baseDir + "/ keeps what was written, for the next upgrade.",
		Example: "  runbook init /srv/books\n  runbook diff /srv/books\n  runbook init --upgrade /srv/books",
		Args:    operands(0, 1, "DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := p.workshop(directory(args), !upgrade)
			if err != nil {
				return err
			}
			defer w.root.Close()
			if upgrade {
				return w.upgrade()
			}
			return w.begin()
		},
	}
	c.Flags().BoolVar(&upgrade, "upgrade", false, "merge what this version ships into what is there")
	return c
}

func (p *program) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use: "diff [DIR]", Short: "How the files in DIR differ from the shipped ones",
		Long: "Show what the site changed in the files that init wrote into DIR, then what this version of the program ships otherwise\n" +
			"than they were written. The exit code is 1 if there is either.",
		Example: "  runbook diff /srv/books",
		Args:    operands(0, 1, "DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := p.workshop(directory(args), false)
			if err != nil {
				return err
			}
			defer w.root.Close()
			return w.diff()
		},
	}
}

func directory(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// A workshop is a directory in which a site keeps the shipped runbooks. Nothing leads out of it.
type workshop struct {
	*program
	dir  string
	root *os.Root
}

// workshop opens a directory, which it makes if it may. One that others can write is refused: they could have put
// there what a merge takes for the site's, or for what was shipped.
func (p *program) workshop(dir string, makes bool) (*workshop, error) {
	if makes {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, mistake("", "%w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, mistake("", "%w", err)
	}
	if err := trusted(dir); err != nil {
		root.Close()
		return nil, mistake("what is there is run: see who could have written it, then chown and chmod go-w", "%w", err)
	}
	return &workshop{p, dir, root}, nil
}

// shippedFiles are the names of all shipped files.
func (w *workshop) shippedFiles() (names []string, err error) {
	err = fs.WalkDir(w.shipped, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// begin writes the files. It refuses to replace one.
func (w *workshop) begin() error {
	names, err := w.shippedFiles()
	if err != nil {
		return err
	}
	for _, name := range append(names, siteName, siteTestName, baseDir) {
		if _, err := w.root.Lstat(name); err == nil {
			return mistake("runbook init --upgrade merges into what is there; or name another directory",
				"%s is there already", filepath.Join(w.dir, name))
		}
	}
	for _, name := range names {
		if err := w.take(name, w.text(name)); err != nil {
			return err
		}
	}
	if err := errors.Join(w.write(siteName, siteTemplate), w.write(siteTestName, siteTests)); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "%s: %d files; what your site wants otherwise goes into %s, its tests into %s\n",
		trace.Quote(w.dir), len(names)+2, siteName, siteTestName)
	return nil
}

func (w *workshop) text(name string) string {
	data, _ := fs.ReadFile(w.shipped, name) // it is listed there
	return string(data)
}

// read returns what a file of the site holds; ok is false if it is not there.
func (w *workshop) read(name string) (text string, ok bool, err error) {
	fi, err := w.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		return "", false, mistake("put a file in its place, or name the directory that it leads to",
			"%s is a symbolic link", filepath.Join(w.dir, name))
	}
	if err == nil {
		err = runtime.TextFile(fi, longestBook)
	}
	if err != nil {
		return "", false, mistake("", "%s: %w", filepath.Join(w.dir, name), err)
	}
	data, err := w.root.ReadFile(name)
	return string(data), err == nil, err
}

const longestBook = 16 << 20 // bytes

// write makes a file hold a text, in one moment. It keeps the mode of one that is there.
func (w *workshop) write(name, text string) error {
	if err := w.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return replaceBelow(w.root, name, []byte(text))
}

// take writes a shipped file, and what it is for the next merge.
func (w *workshop) take(name, text string) error {
	return errors.Join(w.write(name, text), w.write(filepath.Join(baseDir, name), w.text(name)))
}

// upgrade merges what is shipped into what the site has.
func (w *workshop) upgrade() error {
	if _, err := w.root.Stat(baseDir); err != nil {
		return mistake("without what init wrote there is nothing to merge with: run init in a new directory and take your "+
			"changes there", "%s: not made by runbook init", w.dir)
	}
	names, err := w.shippedFiles()
	if err != nil {
		return err
	}
	conflicts, told := 0, false
	for _, name := range names {
		n, what, err := w.upgradeFile(name)
		if err != nil {
			return err
		}
		if conflicts += n; what != "" {
			told = true
			fmt.Fprintln(w.out, trace.Quote(name)+": "+what)
		}
	}
	gone, err := w.noLongerShipped(names)
	if err != nil {
		return err
	}
	for _, name := range gone {
		told = true
		fmt.Fprintln(w.out, trace.Quote(name)+": no longer shipped; it stays as your own, unless you delete it")
	}
	switch {
	case conflicts > 0:
		fmt.Fprintln(w.out, counted(conflicts, "place")+" that both changed: keep what is right of what stands between "+
			"<<<<<<< and >>>>>>>, then runbook check")
		return exit(1)
	case !told:
		fmt.Fprintln(w.out, trace.Quote(w.dir)+": nothing new in this version; runbook diff shows what your site changed")
	}
	return nil
}

// noLongerShipped returns the files that an earlier version shipped and that are still there. They are told once.
func (w *workshop) noLongerShipped(names []string) (gone []string, err error) {
	err = fs.WalkDir(w.root.FS(), baseDir, func(name string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(baseDir, name)
		if err != nil || !e.Type().IsRegular() || slices.Contains(names, rel) {
			return err
		}
		if _, there := w.root.Lstat(rel); there == nil {
			gone = append(gone, rel)
		}
		return w.root.Remove(name)
	})
	return gone, err
}

// upgradeFile merges one file. It returns what is to be said about it, and how many places are left for a person.
func (w *workshop) upgradeFile(name string) (conflicts int, what string, err error) {
	mine, there, err := w.read(name)
	base, known, err2 := w.read(filepath.Join(baseDir, name))
	if err = errors.Join(err, err2); err != nil {
		return 0, "", err
	}
	theirs := w.text(name)
	switch open := marks(mine); {
	case !there && known:
		return 0, "left out, as your site removed it", nil
	case !there:
		return 0, "new", w.take(name, theirs)
	case len(open) > 0:
		return len(open), "left alone, with the marks of the last merge, at " + lineList(open), nil
	case mine == theirs, theirs == base:
		return 0, "", w.take(name, mine)
	case mine == base:
		return 0, "upgraded", w.take(name, theirs)
	}
	merged, conflicts := mergeFile(base, mine, theirs)
	what = "merged with your changes"
	if conflicts > 0 {
		what = "merged, with " + counted(conflicts, "conflict") + ", at " + lineList(marks(merged))
	}
	return conflicts, what, w.take(name, merged)
}

// The lines that begin a place that both changed, stand between what they have there, and end it.
const (
	markYours   = "<<<<<<< yours\n"
	markBetween = "=======\n"
	markShipped = ">>>>>>> shipped\n"
)

// marks returns the numbers of the lines that begin a place that both changed.
func marks(text string) (at []string) {
	n := 0
	for line := range strings.Lines(text) {
		if n++; strings.TrimRight(line, "\r\n") == strings.TrimSpace(markYours) {
			at = append(at, fmt.Sprint(n))
		}
	}
	return at
}

func lineList(at []string) string {
	if len(at) == 1 {
		return "line " + at[0]
	}
	return "lines " + strings.Join(at, ", ")
}

// diff shows what the site changed and what is shipped otherwise now.
func (w *workshop) diff() error {
	names, err := w.shippedFiles()
	if err != nil {
		return err
	}
	var changed, newer strings.Builder
	missing := 0
	for _, name := range names {
		mine, there, err := w.read(name)
		base, known, err2 := w.read(filepath.Join(baseDir, name))
		if err = errors.Join(err, err2); err != nil {
			return err
		}
		if !known {
			base = w.text(name)
		}
		switch {
		case there:
			changed.WriteString(udiff.Unified("shipped/"+name, "yours/"+name, base, mine))
		case known:
			fmt.Fprintf(&changed, "%s: removed\n", name)
		default:
			fmt.Fprintf(&newer, "%s: new\n", name)
			missing++
		}
		newer.WriteString(udiff.Unified("shipped/"+name, "newer/"+name, base, w.text(name)))
	}
	if missing == len(names) {
		return mistake("name the directory that runbook init wrote to", "%s: has none of the shipped runbooks", w.dir)
	}
	for _, part := range []struct{ title, text string }{
		{"# what your site changed", changed.String()}, {"# what this version ships otherwise", newer.String()},
	} {
		if part.text != "" {
			fmt.Fprintf(w.out, "%s\n%s", part.title, part.text)
		}
	}
	if changed.Len()+newer.Len() > 0 {
		return exit(1)
	}
	return nil
}

// mergeFile merges texts that may lack their last newline. The site's keeps the line ends of Windows, if it has them.
func mergeFile(base, mine, theirs string) (text string, conflicts int) {
	const windows = "\r\n"
	if strings.Count(mine, windows) < strings.Count(mine, "\n") || mine == "" {
		return merge(ended(base), ended(mine), ended(theirs))
	}
	text, conflicts = merge(ended(base), ended(strings.ReplaceAll(mine, windows, "\n")), ended(theirs))
	return strings.ReplaceAll(text, "\n", windows), conflicts
}

// A stretch is a part of a base text that somebody replaced, in lines.
type stretch struct {
	from, to int // of the base
	text     []string
}

// merge merges two changes of a base text. Where both changed the same lines, each stands between marks.
func merge(base, mine, theirs string) (text string, conflicts int) {
	lines := strings.SplitAfter(base, "\n")
	x, y := stretches(base, mine), stretches(base, theirs)
	var out strings.Builder
	at := 0
	for len(x) > 0 || len(y) > 0 {
		from, to := begins(x, y)
		nx, ny := 0, 0
		for more := true; more; more = meeting(x, nx, from, to) > nx { // all that meet
			nx = meeting(x, nx, from, to)
			to = reach(x[:nx], to)
			ny = meeting(y, ny, from, to)
			to = reach(y[:ny], to)
		}
		out.WriteString(strings.Join(lines[at:from], ""))
		a, b := applied(lines, from, to, x[:nx]), applied(lines, from, to, y[:ny])
		switch {
		case nx == 0 || a == b:
			out.WriteString(b)
		case ny == 0:
			out.WriteString(a)
		default:
			conflicts++
			out.WriteString(markYours + ended(a) + markBetween + ended(b) + markShipped)
		}
		x, y, at = x[nx:], y[ny:], to
	}
	out.WriteString(strings.Join(lines[at:], ""))
	return out.String(), conflicts
}

// begins returns the first stretch of both sides.
func begins(x, y []stretch) (from, to int) {
	all := slices.Concat(x[:min(1, len(x))], y[:min(1, len(y))])
	first := slices.MinFunc(all, func(a, b stretch) int { return a.from - b.from })
	return first.from, first.to
}

// meeting returns how many stretches there are up to the last one, from the n'th on, that has lines between from and
// to, or stands at their edge.
func meeting(list []stretch, n, from, to int) int {
	for n < len(list) && list[n].from <= to && list[n].to >= from {
		to = max(to, list[n].to)
		n++
	}
	return n
}

// reach returns where stretches end, or to if that is later.
func reach(list []stretch, to int) int {
	for _, s := range list {
		to = max(to, s.to)
	}
	return to
}

// stretches are the lines of base that text has otherwise.
func stretches(base, text string) (all []stretch) {
	for _, e := range udiff.Lines(base, text) {
		from := strings.Count(base[:e.Start], "\n")
		all = append(all, stretch{from, from + strings.Count(base[e.Start:e.End], "\n"), []string{e.New}})
	}
	return all
}

// applied returns the lines between from and to with stretches of one side.
func applied(lines []string, from, to int, side []stretch) string {
	var out strings.Builder
	for _, s := range side {
		out.WriteString(strings.Join(lines[from:s.from], "") + strings.Join(s.text, ""))
		from = s.to
	}
	out.WriteString(strings.Join(lines[from:to], ""))
	return out.String()
}

func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}
