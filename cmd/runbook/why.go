package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"runbook/cmd/runbook/internal/past"
	"runbook/runtime"
	"runbook/runtime/trace"
)

const whyHelp = `Find which run, step and line made something so last, with its ticket and who approved it.

WHAT is a path, or package:NAME, user:NAME, group:NAME, service:NAME, port:NUMBER. Searched
are the traces of the real runs in the state directory, and those that are named. What a
later run changed or removed counts, also one that takes back another; a path below a
directory that was unpacked, copied or mirrored is answered by that, one below a directory
that a command filled by that command.

An index in the state directory, why.index, keeps what each trace is about; it may be removed.
A trace that is not as it was written is named and left out. Runs that were given --trace
keep theirs elsewhere: name these, too. "not by runbook" is an answer: the exit code is 0.`

func (p *program) whyCommand() *cobra.Command {
	var stateDir string
	var asJSON bool
	c := &cobra.Command{
		Use: "why WHAT [TRACE...]", Short: "Which run, step, line, ticket and approver made it so",
		Long: whyHelp,
		Example: "  runbook why /etc/motd\n  runbook why package:nginx\n  runbook why service:mongod run.jsonl\n" +
			"  runbook why port:8080 --json",
		Args: operands(1, -1, "WHAT"),
		RunE: func(_ *cobra.Command, args []string) error {
			hurry()
			w, err := p.why(args[0], stateDir, args[1:])
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(p.out, w.object())
			}
			_, err = p.out.Write([]byte(w.text()))
			return err
		},
	}
	c.Flags().StringVar(&stateDir, "state", "",
		"`DIR` with the traces (default "+p.rootState+" for root, else below ~/.local/state)")
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}

// A reasonWhy is what traces say of one thing.
type reasonWhy struct {
	what, from string // from is where the traces are
	last       *past.Deed
	since      []past.Deed // after last, which do not make it anew
	there      string      // "" or what the machine has now that the answer does not explain
	traces     int
}

// why searches the traces of the state directory and the named ones.
func (p *program) why(what, stateDir string, named []string) (*reasonWhy, error) {
	dir, err := p.stateAt(stateDir)
	if err != nil {
		return nil, err
	}
	q, err := questionOf(what)
	if err != nil {
		return nil, err
	}
	w := &reasonWhy{what: what, from: filepath.Join(string(dir), "traces")}
	if len(q.Paths) > 0 {
		w.what = q.Paths[0]
	}
	files, err := tracesIn(w.from)
	if err != nil {
		return nil, err
	}
	for _, f := range named {
		if _, err := os.Stat(f); err != nil {
			return nil, mistake("", "trace: %w", err)
		}
		if f, err = filepath.Abs(f); err == nil && !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	index := ""
	if ours(string(dir), true) == nil { // else it would lie there as a stranger's
		index = filepath.Join(string(dir), "why.index")
	}
	found := past.Search(q, files, past.OpenIndex(index))
	for _, f := range found.Broken {
		fmt.Fprintln(p.err, "runbook: trace "+trace.Quote(f)+": left out, it is not as it was written\n"+
			"  hint: see: runbook audit verify "+trace.Spaced([]string{f}))
	}
	w.traces = found.Traces
	w.conclude(found.Deeds)
	if len(q.Paths) > 0 {
		w.look()
	}
	return w, nil
}

// tracesIn returns the traces in a directory, which may not be there yet.
func tracesIn(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, runtime.Hint(fmt.Errorf("state directory: %w", err), "ask as who runs runbook, or name it: --state DIR")
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".jsonl" && !e.IsDir() {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

// asked are the kinds of facts that an answer about a thing comes from.
func asked() map[string][]string {
	return map[string][]string{
		"package": {"rpm", "deb", "conda"}, "user": {"user", "home", "shell", "comment", "primary", "groups"},
		"group": {"group"}, "service": {"service", "enabled", "started"}, "port": {"port"},
	}
}

// questionOf returns what to search for.
func questionOf(what string) (q past.Question, err error) {
	q.Lists = keptHas
	kind, name, isFact := strings.Cut(what, ":")
	kinds := asked()[kind]
	switch {
	case what == "":
		return q, mistake("name a path, or package:NAME, user:NAME, ...", "why: got an empty name")
	case isFact && kinds != nil && name == "":
		return q, mistake("name it: runbook why "+kind+":NAME", "why: got %q, which names no %s", what, kind)
	case isFact && kinds != nil:
		q.Facts = func(fact string) bool { return isAbout(fact, kinds, name) }
		return q, nil
	case isFact && !strings.Contains(kind, "/"):
		if _, err := os.Lstat(what); err != nil {
			known := slices.Sorted(maps.Keys(asked()))
			hint := "ask for a path, or one of: " + strings.Join(known, ", ") + "; ./" + what + " is a path"
			return q, unknown("kind", kind, known, hint)
		}
	}
	abs, err := filepath.Abs(what)
	if err != nil {
		return q, err
	}
	q.Paths = []string{abs}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil && abs != "/" {
		if real := filepath.Join(dir, filepath.Base(abs)); real != abs {
			q.Paths = append(q.Paths, real)
		}
	}
	return q, nil
}

// isAbout reports whether a fact of one of these kinds is about name. Of conda it is a package of any prefix, whatever
// version was asked for.
func isAbout(fact string, kinds []string, name string) bool {
	kind, of, _ := strings.Cut(fact, ":")
	if !slices.Contains(kinds, kind) {
		return false
	}
	if kind != "conda" {
		return of == name
	}
	_, spec, _ := strings.Cut(of, " ")
	spec = spec[strings.LastIndex(spec, "::")+1:]
	end := strings.IndexAny(spec, " =<>!~[")
	if end < 0 {
		end = len(spec)
	}
	return strings.TrimPrefix(spec[:end], ":") == name
}

// keptHas reports whether the list that a run keeps of a tree has a name, or something below it.
func keptHas(file, digest, name string) (has, known bool) {
	list, err := listings(file)(digest)
	if err != nil {
		return false, false
	}
	for _, e := range list {
		if e.Name == name || strings.HasPrefix(e.Name, name+"/") {
			return true, true
		}
	}
	return false, true
}

// conclude chooses among deeds, which are in the order of time.
func (w *reasonWhy) conclude(deeds []past.Deed) {
	for i, d := range deeds {
		if d.What == past.Made || d.What == past.Gone {
			w.last, w.since = &deeds[i], nil
			continue
		}
		w.since = append(w.since, d)
	}
	if w.last == nil && len(w.since) > 0 { // nothing made it, but something changed it
		last := w.since[len(w.since)-1]
		w.last, w.since = &last, nil
	}
	slices.Reverse(w.since)
}

// look says what the machine has now, where that is not what the answer says.
func (w *reasonWhy) look() {
	fi, err := os.Lstat(w.what)
	missing := errors.Is(err, fs.ErrNotExist)
	gone := w.last != nil && w.last.What == past.Gone
	switch {
	case w.last != nil && !gone && missing:
		w.there = "it is not there now, and no run removed it"
	case gone && err == nil:
		w.there = "it is there now, made by something else since"
	case err == nil && fi.Mode()&fs.ModeSymlink != 0:
		if target, err := os.Readlink(w.what); err == nil {
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(w.what), target)
			}
			w.there = "it is a symbolic link; for where it leads: runbook why " + trace.Spaced([]string{target})
		}
	}
}

// text is the answer for people.
func (w *reasonWhy) text() string {
	var b bytes.Buffer
	name := trace.Brief(w.what)
	if w.last == nil {
		fmt.Fprintf(&b, "%s: not by runbook, as far as %s in %s and those named tell\n", name,
			counted(w.traces, "trace"), trace.Quote(w.from))
	} else {
		fmt.Fprintf(&b, "%s %s\n", name, deedWords(*w.last))
		writeDeed(&b, *w.last)
	}
	for i, d := range w.since {
		if i == mostSince {
			fmt.Fprintf(&b, "\nand %s more before that: --json has all\n", counted(len(w.since)-i, "change"))
			break
		}
		fmt.Fprintf(&b, "\nsince then it %s\n", deedWords(d))
		writeDeed(&b, d)
	}
	if w.there != "" {
		fmt.Fprintln(&b, "\n"+w.there)
	}
	return b.String()
}

const mostSince = 3 // changes since that people are shown

// deedWords says what a deed did.
func deedWords(d past.Deed) string {
	words, e := "was made", d.Effect
	switch {
	case d.What == past.Gone && e.Call == "move":
		words = "was moved to " + trace.Brief(e.Path)
	case d.What == past.Gone:
		words = "was removed"
	case d.What == past.Touched && e.Call == "move":
		words = "may lie among what was moved to " + trace.Brief(d.Via)
	case d.What == past.Touched && e.Call == "tree":
		words = "may lie among what was put below " + trace.Brief(d.Via) + ", of which no list is kept"
	case d.What == past.Touched:
		words = "may have been made or changed by a command that works below " + trace.Brief(d.Via)
	case d.What == past.Changed && e.Call == "tree":
		words = "got files"
	case d.What == past.Changed:
		words = "got mode or owner"
	case e.Call == "exec" && d.Value != "" && d.Value != "present":
		words = "was set: " + trace.Brief(d.Via) + " = " + trace.Brief(d.Value)
	case e.Call == "exec":
		words = "was made by a command"
	case e.Call == "write":
		words = "was written"
	case e.Call == "move":
		from, _ := e.Detail["from"].(string)
		words = "was moved here from " + trace.Brief(from)
	case e.Call == "tree":
		words = "was put there with all that lies below " + trace.Brief(e.Path)
	}
	if d.Failed {
		words += ", as far as that came: the step failed there"
	}
	return words + " by"
}

// writeDeed writes where a deed comes from.
func writeDeed(b *bytes.Buffer, d past.Deed) {
	who := d.Run.User.Name
	if d.Run.User.SudoUser != "" {
		who += " (sudo of " + d.Run.User.SudoUser + ")"
	}
	rows := [][2]string{
		{"run", d.Began.Time.UTC().Format(time.RFC3339) + "  " + d.Run.Runbook + "  as " + who + " on " + d.Run.Host.Hostname},
		{"step", d.Effect.Step},
		{"line", d.Op.Pos + "  " + d.Op.Op + " " + d.Op.Target},
		{"ticket", d.Run.Ticket},
	}
	if d.Run.Follows != "" {
		rows = append(rows, [2]string{"plan", d.Run.Follows})
	}
	for _, a := range d.Run.Approvals {
		rows = append(rows, [2]string{"approved", "by " + a.String()})
	}
	for _, r := range append(rows, [2]string{"trace", d.Trace}) {
		fmt.Fprintf(b, "  %-9s%s\n", r[0], trace.Quote(cmp.Or(r[1], "(none)")))
	}
}

// object is the answer for programs.
func (w *reasonWhy) object() map[string]any {
	deed := func(d past.Deed) map[string]any {
		outcome := map[past.What]string{past.Made: "made", past.Gone: "removed", past.Changed: "changed",
			past.Touched: "perhaps"}[d.What]
		return map[string]any{
			"did": outcome, "via": d.Via, "value": d.Value, "failed": d.Failed, "time": d.Began.Time.UTC().Format(time.RFC3339),
			"runbook": d.Run.Runbook, "user": d.Run.User, "host": d.Run.Host.Hostname, "step": d.Effect.Step,
			"pos": d.Op.Pos, "op": d.Op.Op, "target": d.Op.Target, "call": d.Effect.Call, "seq": d.Effect.Seq,
			"ticket": d.Run.Ticket, "plan": d.Run.Follows, "approvals": append([]trace.Approval{}, d.Run.Approvals...),
			"trace": d.Trace,
		}
	}
	since := []any{}
	for _, d := range w.since {
		since = append(since, deed(d))
	}
	out := map[string]any{"what": w.what, "by": nil, "since": since, "note": w.there, "traces": w.traces}
	if w.last != nil {
		out["by"] = deed(*w.last)
	}
	return out
}
