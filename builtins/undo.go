package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/host/before"
	"runbook/runtime/trace"
)

// What somebody has changed since the run, or has put into directories that it made, is kept, or goes, too.
const (
	KeepDrifted = "keep"
	TakeDrifted = "take"
)

// UndoBuiltin is the name of the builtin that [Undo] returns.
const UndoBuiltin = "undo"

// Undo returns the builtin that runbooks made for runbook undo call: it takes a part of one effect back.
func Undo(p *Past) *runtime.Builtin {
	return &runtime.Builtin{
		Name: UndoBuiltin,
		Args: []runtime.Arg{
			param("effect", "int", "", "the number of the effect in its run, from 1"),
			param("part", "string", "", "files, or a kind of facts"),
			param("drifted", "string", `"keep"`, "what happens to what somebody has changed since: it stays, or goes, too").
				OneOf(KeepDrifted, TakeDrifted),
		},
		Summary: "take a part of an effect of an earlier run back",
		Example: `undo(1, "files")`,
		New: func(c *runtime.Call) (runtime.Op, string, error) {
			op := &undoOp{past: p, drifted: KeepDrifted}
			var n int
			if err := c.Unpack("effect", &n, "part", &op.part, "drifted", &op.drifted); err != nil {
				return nil, "", err
			}
			var ok bool
			if op.record, ok = p.records[n]; !ok {
				return nil, "", fmt.Errorf("argument \"effect\": got %d, of which nothing is kept", n)
			}
			op.effect = p.effects[n]
			return op, fmt.Sprintf("%s (effect %d, %s)", effectName(op.effect), n, op.part), nil
		},
	}
}

// An undoOp is a part of an effect that must not be.
type undoOp struct {
	past    *Past
	record  before.Record
	effect  trace.Event
	part    string
	drifted string
}

func (op *undoOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	switch op.part {
	case "files":
		if op.record.From != "" {
			return op.back(ctx, h)
		}
		return op.files(ctx, h)
	case "account":
		return op.accounts(ctx, h)
	case "service", "enabled":
		return op.services(ctx, h)
	case "supervisor":
		return op.supervisors(ctx, h)
	case "cron":
		return op.crontabs(ctx, h)
	case "iptables-rule":
		return op.rules(ctx, h)
	case "hostname":
		return op.settings(ctx, h, hostnameKind, func(_, name string) runtime.Deed { return setHostname(name) })
	case "sysctl":
		return op.settings(ctx, h, sysctlKind, setSysctl)
	case "rpm":
		return op.packages(ctx, h, host.Process{Argv: []string{"rpm", "-e"}})
	case "deb":
		return op.packages(ctx, h, host.Process{Argv: []string{"dpkg", "--purge"}, Env: aptEnv()})
	}
	return nil, fmt.Errorf("argument \"part\": got %q, want %s", op.part, strings.Join(undoParts(op.record), " or "))
}

// back undoes a move.
func (op *undoOp) back(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	from, to := op.record.From, op.record.To
	_, there, err := look(ctx, h, from)
	_, moved, err2 := look(ctx, h, to)
	switch {
	case err != nil || err2 != nil:
		return nil, errors.Join(err, err2)
	case there && !moved:
		return nil, nil
	case there:
		return nil, runtime.Hint(fmt.Errorf("%s is there again", from), "move one of the two away: "+from+" or "+to)
	case !moved:
		return nil, runtime.Hint(fmt.Errorf("%s is not there any more", to), "put it back: "+to)
	}
	move := func(_ context.Context, h host.Host) error { return h.Move(to, from) }
	return runtime.Actions(move, change("path", to, from)), nil
}

// files takes away what was not there, and puts back what was.
func (op *undoOp) files(ctx context.Context, h host.Reader) (actions []runtime.Action, err error) {
	if len(op.packaged()) > 0 {
		runtime.Assume(ctx, "what is left of the files of packages that are removed")
	}
	actions, err = op.surplus(ctx, h)
	if err != nil {
		return nil, err
	}
	if all := op.givenBack(ctx, h); all != nil {
		return append(actions, *all), nil
	}
	for _, f := range op.record.Files {
		one, err := op.file(ctx, h, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		actions = append(actions, one...)
	}
	return actions, nil
}

// packaged are the packages that the effect has installed.
func (op *undoOp) packaged() (names []string) {
	for _, f := range op.record.Facts {
		if part := partOf(f); f.Value == "" && (part == "rpm" || part == "deb") {
			names = append(names, f.Name)
		}
	}
	return names
}

// surplus removes what the effect made: a directory as a whole if all in it is the run's.
func (op *undoOp) surplus(ctx context.Context, h host.Reader) (actions []runtime.Action, err error) {
	single := len(op.packaged()) > 0 // a dry run does not know which of its files a package takes along
	gone := map[string]bool{}
	left := 0
	remove := func(name string, files int) {
		actions = append(actions, runtime.Actions(func(_ context.Context, h host.Host) error { return h.Remove(name, files) },
			change(name, filesText(files), ""))...)
	}
	var dirs []string
	for _, name := range op.record.New {
		if isBelow(name, gone) {
			continue
		}
		m, there, err := look(ctx, h, name)
		switch {
		case err != nil:
			return nil, err
		case !there:
		case m.Mode.IsDir():
			foreign, err := op.foreign(ctx, h, name)
			switch {
			case err != nil:
				return nil, err
			case foreign > 0 && op.drifted == KeepDrifted:
				left += foreign // what is the run's goes file by file
				continue
			case foreign == 0 && single:
				dirs = append(dirs, name)
				continue
			}
			if foreign > 0 {
				runtime.Assume(ctx, fmt.Sprintf("%d files in %s that the run did not make, or somebody has changed", foreign, name))
			}
			remove(name, op.past.madeBelow(name))
			gone[name] = true
		default:
			changed, err := op.past.changed(ctx, h, name, m)
			if err != nil {
				return nil, err
			}
			if changed && op.drifted == KeepDrifted {
				left++
				continue
			}
			remove(name, 1)
			gone[name] = true
		}
	}
	for _, dir := range slices.Backward(dirs) {
		if empty, err := op.emptied(h, dir, gone); err != nil || !empty {
			continue
		}
		remove(dir, 1)
		gone[dir] = true
	}
	if left > 0 {
		runtime.Observe(ctx, "left", left)
	}
	return actions, nil
}

// emptied reports whether nothing is in a directory but what is gone.
func (op *undoOp) emptied(h host.Reader, dir string, gone map[string]bool) (bool, error) {
	names, err := h.ReadDir(dir)
	return !slices.ContainsFunc(names, func(n string) bool { return !gone[dir+"/"+n] }), err
}

// isBelow reports whether a directory above name is among dirs.
func isBelow(name string, dirs map[string]bool) bool {
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
		if dirs[name[:i]] {
			return true
		}
	}
	return false
}

// foreign returns how many files in a tree the run has not made, or somebody has changed since.
func (op *undoOp) foreign(ctx context.Context, h host.Reader, dir string) (n int, err error) {
	err = host.Walk(h, dir, func(name string, _ host.Meta) error {
		if op.past.Drifted[name] || !op.past.made[name] && !op.past.owns(name) {
			n++
		}
		return ctx.Err()
	})
	if errors.Is(err, host.ErrUnknown) {
		return n, nil
	}
	return n, err
}

// givenBack gives a tree back to its owner as a whole, if all of it had the same; nil if it must be done file by file.
func (op *undoOp) givenBack(ctx context.Context, h host.Reader) *runtime.Action {
	all := op.record.Files
	if op.record.Call != "meta" || len(all) < 2 {
		return nil
	}
	owner, differ := all[0].Meta().Owner, 0
	for _, f := range all {
		m, there, err := look(ctx, h, f.Path)
		if err != nil || !there || f.Meta().Owner != owner || m.Mode != f.Mode {
			return nil
		}
		if m.Owner != owner {
			differ++
		}
	}
	if differ == 0 {
		return nil
	}
	dir := all[0].Path
	give := func(_ context.Context, h host.Host) error { return h.Chown(dir, owner, differ) }
	c := change(dir, fmt.Sprintf("%d files of others", differ), owner.User+":"+owner.Group)
	return &runtime.Action{Change: c, Do: give}
}

// file puts one file back.
func (op *undoOp) file(ctx context.Context, h host.Reader, f before.File) ([]runtime.Action, error) {
	m, there, err := look(ctx, h, f.Path)
	if err != nil {
		return nil, err
	}
	want := f.Meta()
	if there && op.drifted == KeepDrifted {
		if changed, err := op.past.changed(ctx, h, f.Path, m); err != nil || changed {
			runtime.Observe(ctx, "left", f.Path)
			return nil, err
		}
	}
	if there && m.Mode.Type() != want.Mode.Type() {
		return nil, runtime.Hint(fmt.Errorf("is %s, want %s", host.TypeName(m.Mode), f.Type), "move what is in the way")
	}
	meta := host.Meta{Mode: want.Mode &^ fs.ModeType, Owner: want.Owner}
	switch {
	case !there && f.Type == "directory":
		return runtime.Actions(makeDir(f.Path, meta), change(f.Path, "", "directory")), nil
	case f.Type == "symbolic link":
		return op.link(h, f, m, there)
	case f.SHA256 == "": // only its mode and owner were changed
		if !there {
			return nil, nil
		}
		changes := metaChanges(m, meta)
		return runtime.Actions(setMeta(f.Path, meta), named(f.Path, changes)...), nil
	}
	same := there
	if there {
		if same, err = as(ctx, h, f, m); err != nil {
			return nil, err
		}
	}
	if same {
		return runtime.Actions(setMeta(f.Path, meta), named(f.Path, metaChanges(m, meta))...), nil
	}
	meta.Size, meta.ModTime = f.Size, f.Time
	blob := op.past.Blob(f.SHA256)
	content, err := contentOf(h, source{path: blob})
	if err != nil {
		return nil, fmt.Errorf("what it held is not kept any more: %w", err)
	}
	if sum, err := host.SHA256(ctx, runtime.Unmasked(h), blob); err != nil || sum != f.SHA256 {
		return nil, errors.Join(err, fmt.Errorf("what is kept of it was changed: %s has the digest %s", blob, sum))
	}
	write := reading(writeFile(f.Path, content, meta), runtime.Read{Path: blob})
	changes := []host.Change{op.content(h, f, m, there)}
	if there {
		changes = append(changes, named(f.Path, metaChanges(m, meta))...)
	}
	return runtime.Actions(write, changes...), nil
}

// content is how the content of a file changes back: its lines, if everybody may read them.
func (op *undoOp) content(h host.Reader, f before.File, m host.Meta, there bool) host.Change {
	const all, most = 0o004, 64 << 10
	if f.Mode&all != 0 && (!there || m.Mode&all != 0 && m.Size <= most) && f.Size <= most {
		was, err := readUpTo(h, op.past.Blob(f.SHA256), most)
		have := ""
		if there && err == nil {
			var text []byte
			text, err = readUpTo(h, f.Path, most)
			have = showText(text)
		}
		if err == nil {
			return change(f.Path, have, showText(was))
		}
	}
	from := ""
	if there {
		from = fmt.Sprintf("%d other bytes", m.Size)
	}
	return change(f.Path, from, fmt.Sprintf("%d bytes, sha256 %s, as before", f.Size, f.SHA256))
}

// named puts a name before changes, which are of one of several files.
func named(name string, changes []host.Change) []host.Change {
	for i := range changes {
		changes[i].What = name + " " + changes[i].What
	}
	return changes
}

// as reports whether a file, which is there, holds what it did.
func as(ctx context.Context, h host.Reader, f before.File, m host.Meta) (bool, error) {
	switch {
	case m.Mode.Type() != f.Mode.Type():
		return false, nil
	case !m.Mode.IsRegular() || f.SHA256 == "":
		return true, nil
	case m.Size >= 0 && m.Size != f.Size:
		return false, nil
	}
	sum, err := host.SHA256(ctx, runtime.Unmasked(h), f.Path)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, f.Path+" holds something else")
		return false, nil
	}
	return sum == f.SHA256, err
}

// link puts a symbolic link back.
func (op *undoOp) link(h host.Reader, f before.File, m host.Meta, there bool) (actions []runtime.Action, err error) {
	have, owner := "", f.Meta().Owner
	if there {
		if have, err = h.Readlink(f.Path); err != nil {
			return nil, err
		}
	}
	if there && have == f.Target {
		give := func(_ context.Context, h host.Host) error { return h.Chown(f.Path, owner, 1) }
		return runtime.Actions(give, named(f.Path, ownerChanges(m.Owner, owner))...), nil
	}
	put := func(_ context.Context, h host.Host) error {
		if there {
			if err := h.Remove(f.Path, 1); err != nil {
				return err
			}
		}
		return h.Symlink(f.Target, f.Path, owner)
	}
	return runtime.Actions(put, change(f.Path, have, f.Target)), nil
}

// filesText says how many files there are.
func filesText(n int) string {
	if n == 1 {
		return "a file"
	}
	return fmt.Sprintf("%d files", n)
}
