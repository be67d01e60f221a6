package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// Query asks the base, if nothing changed here can matter to the answer. What a
// script asks can only read there.
func (o *Overlay) Query(ctx context.Context, p Process) (Result, error) {
	if p.Asker != "" && o.Mute {
		return Result{}, mute{}
	}
	p.Confined = p.Asker != ""
	res, err := o.query(ctx, p)
	if err == nil && o.changed && o.sim == nil {
		o.assume(title(p) + " answers as it did before the run")
	}
	return res, err
}

// mute is the error of a question that a run without questions leaves out.
type mute struct{}

func (mute) Error() string        { return "not asked: this run asks nothing that the runbook names" }
func (mute) Is(target error) bool { return target == ErrUnknown }

func (o *Overlay) query(ctx context.Context, p Process) (Result, error) {
	if o.sim != nil {
		return o.sim.ask(ctx, o, p)
	}
	if p.User != "" {
		if v, err := o.base.Fact(ctx, Fact{User, p.User}); err != nil {
			return Result{}, guest("query", title(p), err)
		} else if v == "" {
			return Result{}, o.later(p, fmt.Sprintf("no user %q", p.User), nil)
		}
	}
	if w := o.meets(ctx, p); w != "" {
		return Result{}, guest("query", title(p), fmt.Errorf("%s: %w", w, ErrUnknown))
	}
	res, err := o.base.Query(ctx, p)
	if errors.Is(err, exec.ErrNotFound) {
		return res, o.later(p, p.Argv[0], err)
	}
	return res, err
}

// later is the error for what the base lacks. After a change it may only be missing yet.
func (o *Overlay) later(p Process, what string, err error) error {
	switch {
	case !o.changed && err != nil:
		return err
	case !o.changed:
		return guest("query", title(p), errors.New(what))
	case err != nil:
		return guest("query", title(p), fmt.Errorf("%s: %w: %w", what, ErrUnknown, exec.ErrNotFound))
	}
	return guest("query", title(p), fmt.Errorf("%s: %w", what, ErrUnknown))
}

// meets returns the first word of p that names something changed here.
func (o *Overlay) meets(ctx context.Context, p Process) string {
	if !o.changed || len(p.Argv) == 0 {
		return ""
	}
	if name := p.Argv[0]; !strings.Contains(name, "/") {
		for d := range strings.SplitSeq(defaultPath, ":") {
			if o.touches(path.Join(d, name)) {
				return name
			}
		}
	}
	dir := p.Dir
	if dir == "" && p.User != "" {
		dir, _ = o.base.Fact(ctx, Fact{Home, p.User})
	}
	if p.Dir != "" && o.touches(p.Dir) {
		return p.Dir
	}
	words := append(slices.Clone(p.Argv), string(p.Stdin))
	for _, k := range slices.Sorted(maps.Keys(p.Env)) {
		words = append(words, p.Env[k])
	}
	for _, w := range words {
		if slices.ContainsFunc(PathsIn(w, path.Join("/", dir)), o.touches) {
			return cut(w, 80)
		}
	}
	return ""
}

// PathsIn returns the names of files that w may mean: all of it as seen from
// dir, and whatever begins with a slash in it ("--config=/x", "file:///x",
// "-C/x", "/a:/b", "cat /x | wc").
func PathsIn(w, dir string) []string {
	if w == "" {
		return nil
	}
	const stop = " \t\n:,;='\"|&<>()@"
	names := []string{}
	if !strings.HasPrefix(w, "/") && !strings.ContainsAny(w, " \n") {
		names = append(names, path.Join(dir, w))
	}
	for i := range len(w) {
		starts := i == 0 || strings.ContainsRune(stop, rune(w[i-1])) || w[0] == '-' && !strings.Contains(w[:i], "/")
		if w[i] != '/' || !starts {
			continue
		}
		rest := w[i:]
		names = append(names, path.Clean(strings.TrimLeft(rest, "/")))
		if end := strings.IndexAny(rest, stop); end > 0 {
			names = append(names, path.Clean(strings.TrimLeft(rest[:end], "/")))
		}
	}
	for i, n := range names {
		names[i] = path.Join("/", n)
	}
	return names
}

// touches reports whether name is, contains or lies below something changed,
// as it is written or where its links lead.
func (o *Overlay) touches(name string) bool {
	if o.touchesLiterally(name) {
		return true
	}
	dir, base, err := walk(steps{o: o}, name, true)
	if err != nil || dir == nil {
		return errors.Is(err, ErrUnknown)
	}
	return o.touchesLiterally(path.Join(dir.path(), base))
}

func (o *Overlay) touchesLiterally(name string) bool {
	n := o.top
	for _, p := range parts(name) {
		if n == nil {
			return false
		}
		if n.changed || n.touched || n.unknown {
			return true
		}
		kid, ok := n.kids[p]
		if ok && kid == nil {
			return true
		}
		n = kid
	}
	return n != nil && (n.changed || n.touched || n.unknown || len(n.kids) > 0)
}
