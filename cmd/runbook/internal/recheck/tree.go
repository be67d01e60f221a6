package recheck

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// Trees: what a run has unpacked, copied or mirrored below a directory, and what it gave to an owner.

// trees compares all trees, the last one first. Where two have a file of the same name, the later one counts.
func (k *checking) trees() {
	for _, t := range slices.Backward(k.claims.Trees) {
		if k.ctx.Err() == nil {
			k.tree(t)
		}
	}
}

func (k *checking) tree(t trace.Tree) {
	want := trace.Want{Value: t.Digest, By: t.By}
	if t.Digest == "" {
		k.cannot(t.Dir, "tree", want, "what it was to hold was not known before the run")
		return
	}
	entries, err := k.Listing(t.Digest)
	switch {
	case err == nil:
		k.entries(t, entries)
	case errors.Is(err, fs.ErrNotExist):
		k.whole(t, want)
	default:
		k.cannot(t.Dir, "tree", want, reason(err))
	}
}

// whole compares the digest of a tree of which nobody has kept a list: it tells only if nothing else lies there.
func (k *checking) whole(t trace.Tree, want trace.Want) {
	var all host.Manifest
	err := host.Walk(k.host, t.Dir, func(name string, m host.Meta) error {
		if name == t.Dir {
			return k.ctx.Err()
		}
		e := host.Entry{Name: strings.TrimPrefix(name, strings.TrimSuffix(t.Dir, "/")+"/"), Meta: m}
		if m.Mode&fs.ModeSymlink != 0 {
			var err error
			if e.Target, err = k.host.Readlink(name); err != nil {
				return err
			}
		}
		all = append(all, e)
		return k.ctx.Err()
	})
	if missing(err) {
		want.Value = "directory"
		k.compare(t.Dir, "type", want, "absent", false)
		return
	}
	if err != nil {
		k.cannot(t.Dir, "tree", want, reason(err))
		return
	}
	if _, _, have := all.All().Totals(); have != t.Digest {
		k.cannot(t.Dir, "tree", want, "the list of its files, which the run kept beside the trace, is not there")
		return
	}
	k.report.Held++
}

// entries compares the entries of a tree, those of one directory at once.
func (k *checking) entries(t trace.Tree, all []host.Entry) {
	for len(all) > 0 {
		dir := path.Join(t.Dir, path.Dir(all[0].Name))
		n := 1
		for n < len(all) && path.Join(t.Dir, path.Dir(all[n].Name)) == dir {
			n++
		}
		names := make([]string, n)
		for i, e := range all[:n] {
			names[i] = path.Base(e.Name)
		}
		for i, s := range k.host.LstatAll(dir, names) {
			name := path.Join(dir, names[i])
			if by := k.placed[name]; by == nil && !k.lost(name) && !k.replaced(name, t.By) && k.ctx.Err() == nil {
				k.entry(name, t, all[i], s)
			}
			if k.placed[name] == nil {
				k.placed[name] = t.By
			}
		}
		all = all[n:]
	}
}

// replaced reports whether a later effect has made, moved or removed what a name of a tree leads to.
func (k *checking) replaced(name string, by *trace.Origin) bool {
	for ; name != "/" && name != "."; name = path.Dir(name) {
		f := k.claims.Files[name]
		if f.Type.By != nil && f.Type.By.Seq > by.Seq && f.Type.Value != "directory" {
			return true
		}
	}
	return false
}

// entry compares one file of a tree.
func (k *checking) entry(name string, t trace.Tree, e host.Entry, s host.Seen) {
	want := func(value string) trace.Want { return trace.Want{Value: value, By: t.By} }
	switch {
	case missing(s.Err):
		k.compare(name, "type", want(host.TypeName(e.Mode)), "absent", false)
		return
	case s.Err != nil:
		k.cannot(name, "type", want(host.TypeName(e.Mode)), reason(s.Err))
		return
	case s.Mode.Type() != e.Mode.Type():
		k.compare(name, "type", want(host.TypeName(e.Mode)), host.TypeName(s.Mode), false)
		return
	}
	k.report.Held++
	own := k.claims.Files[name]
	f := trace.FileClaim{}
	if e.Mode.IsRegular() && (own.Mode.By == nil || own.Mode.By.Seq < t.By.Seq) {
		f.Mode = want(host.ModeText(e.Mode))
	}
	if !k.givenSince(name, t.By) {
		f.Owner, f.Group = want(t.Owner), want(t.Group)
		f = unless(f, own, t.By)
	}
	k.meta(name, f, s.Meta)
	k.filled(name, t, e, s.Meta)
}

// unless takes out of f the owners that another claim has set since.
func unless(f, own trace.FileClaim, by *trace.Origin) trace.FileClaim {
	if own.Owner.By != nil && own.Owner.By.Seq > by.Seq {
		f.Owner = trace.Want{}
	}
	if own.Group.By != nil && own.Group.By.Seq > by.Seq {
		f.Group = trace.Want{}
	}
	return f
}

// givenSince reports whether a directory that holds name was given to somebody after an effect.
func (k *checking) givenSince(name string, by *trace.Origin) bool {
	return slices.ContainsFunc(k.claims.Given, func(g trace.Given) bool {
		return g.By.Seq > by.Seq && host.Below(name, g.Path)
	})
}

// filled compares what a file of a tree holds: by its digest, or else by its size and its time.
func (k *checking) filled(name string, t trace.Tree, e host.Entry, m host.Meta) {
	want := func(value string) trace.Want { return trace.Want{Value: value, By: t.By} }
	switch {
	case e.Mode&fs.ModeSymlink != 0:
		have, err := k.host.Readlink(name)
		if err != nil {
			k.cannot(name, "target", want(e.Target), reason(err))
			return
		}
		k.compare(name, "target", want(e.Target), have, have == e.Target)
	case !e.Mode.IsRegular() || e.Size < 0:
	case m.Size != e.Size:
		k.compare(name, "content", want(size(e.Size)), size(m.Size), false)
	case k.Deep && e.Sum != "":
		have, err := host.SHA256(k.ctx, k.host, name)
		if err != nil {
			k.cannot(name, "content", want(e.Sum), reason(err))
			return
		}
		k.compare(name, "content", want(e.Sum), have, have == e.Sum)
	case !e.ModTime.IsZero():
		w := "written " + e.ModTime.UTC().Format(timeFormat)
		k.compare(name, "content", want(w), "written "+m.ModTime.UTC().Format(timeFormat), e.ModTime.Equal(m.ModTime))
	default:
		k.report.Held++
		if e.Sum != "" {
			k.report.Unread++
		} else {
			k.report.Sized++
		}
	}
}

const timeFormat = "2006-01-02T15:04:05.999999999Z"

func size(n int64) string { return fmt.Sprintf("%d bytes", n) }

// given compares who owns a tree that was given away.
func (k *checking) given(g trace.Given) {
	if k.lost(g.Path) || k.gone[g.Path] || k.ctx.Err() != nil {
		return
	}
	o := host.Owner{User: g.Owner, Group: g.Group}
	want := trace.Want{Value: strings.TrimSuffix(g.Owner+":"+g.Group, ":"), By: g.By}
	n, _, err := host.Differ(k.host, g.Path, o)
	if _, _, ierr := o.IDs(k.ctx, k.host); ierr != nil { // nobody has that name any more
		k.compare(g.Path, "owner", want, "nobody of that name", false)
		return
	}
	switch {
	case missing(err):
		want.Value = "present"
		k.compare(g.Path, "type", want, "absent", false)
		return
	case err != nil:
		k.cannot(g.Path, "owner", want, reason(err))
		return
	case n == 0:
		k.report.Held++
		return
	}
	others, err := k.others(g, o)
	if err != nil {
		k.cannot(g.Path, "owner", want, reason(err))
		return
	}
	if n = min(n, len(others)); n == 0 {
		k.report.Held++
		return
	}
	k.compare(g.Path, "owner", want, others[0]+more(n-1), false)
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d more", n)
}

// others returns whose files in a tree are not its owner's, but for those that the run itself gave to others later:
// "NAME is USER:GROUP's".
func (k *checking) others(g trace.Given, o host.Owner) (all []string, err error) {
	if o, err = o.Resolve(k.ctx, k.host); err != nil {
		return nil, err
	}
	err = host.Walk(k.host, g.Path, func(name string, m host.Meta) error {
		if o.Or(m.Owner) != m.Owner && !k.owned(name, g) {
			all = append(all, fmt.Sprintf("%s: %s:%s", name, m.User, m.Group))
		}
		return k.ctx.Err()
	})
	return all, err
}

// owned reports whether a later effect than g says who owns a name.
func (k *checking) owned(name string, g trace.Given) bool {
	f := k.claims.Files[name]
	later := func(w trace.Want) bool { return w.By != nil && w.By.Seq > g.By.Seq }
	if later(f.Type) || later(f.Owner) || later(f.Group) || k.givenSince(name, g.By) {
		return true
	}
	by := k.placed[name]
	return by != nil && by.Seq > g.By.Seq
}
