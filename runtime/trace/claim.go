package trace

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// Claims are what the effects of a run have declared, as it was when the run ended: of two that say something of the
// same thing the later one counts.
type Claims struct {
	Files map[string]FileClaim // by absolute name
	Facts map[string]Want      // by KIND:NAME; "" is wanted to be absent
	Trees []Tree
	Given []Given

	touched []touch
	origin  *Origin // of the effect under way
	op      Event   // under way
	ours    []*Origin
}

// An Origin is the effect that a claim comes from, with the op that it belongs to.
type Origin struct {
	Seq                   int // of the effect, from 1
	Step, Op, Target, Pos string
	Failed                bool // the op did not end well: what it was about to do may not be done
}

// A Want is what is to be found, and why. Its value is text: a mode in octal, a name, a hex SHA-256.
type Want struct {
	Value string
	By    *Origin
	// Implied says that the effect did not name it, but made it so: who runs owns what he makes.
	Implied bool
}

// A FileClaim is what a run has declared of one name. An attribute that it has not declared has no By.
type FileClaim struct {
	// Type is "file", "directory", "symbolic link", "absent", or "present" where any will do.
	Type, Mode, Owner, Group Want
	Target                   Want // of a symbolic link
	Content                  Want // SHA-256 of all that it holds
	// Around is the text between the secrets that the file holds, in its order; nil if it holds none.
	Around []string
	Lines  []LineClaim
}

// A LineClaim is what a file is wanted to have, or to lack, whatever else it holds.
type LineClaim struct {
	Text   string
	Absent bool
	By     *Origin
}

// A Tree is what a run has put below a directory. Its digest is that of host.Entries.Totals, "" where it was not known
// before the run.
type Tree struct {
	Dir, Digest  string
	Owner, Group string // of all of it; "" where nothing was said
	By           *Origin
}

// A Given is a directory that was given to an owner, with all below it.
type Given struct {
	Path, Owner, Group string
	By                 *Origin
}

// A touch is what a command changes in ways that nobody can tell beforehand.
type touch struct {
	what    string // a path, or KIND:NAME
	implied bool   // it is only named there: claims that are implied do not stand
	by      *Origin
}

// ClaimsOf returns what the effects of events claim.
func ClaimsOf(events []Event) *Claims {
	c := &Claims{Files: map[string]FileClaim{}, Facts: map[string]Want{}}
	for _, e := range events {
		switch e.Kind {
		case Op:
			c.op, c.ours = e, nil
		case Effect:
			c.origin = &Origin{Seq: e.Seq, Step: e.Step, Op: c.op.Op, Target: c.op.Target, Pos: c.op.Pos, Failed: true}
			c.ours = append(c.ours, c.origin)
			c.effect(e)
		case Result:
			c.result(e)
		}
	}
	return c
}

// result takes over how an op ended: until it has, its effects may not have happened.
func (c *Claims) result(e Event) {
	for _, o := range c.ours {
		o.Failed = e.Outcome == Failed
	}
	sum := detailText(e.Observed, "sha256")
	dest := argText(c.op.Args, "dest")
	if f, ok := c.Files[dest]; ok && e.Op == "download" && sum != "" && len(c.ours) > 0 {
		f.Content = Want{Value: sum, By: c.ours[len(c.ours)-1]}
		c.Files[dest] = f
	}
	c.ours = nil
}

func (c *Claims) effect(e Event) {
	d := e.Detail
	switch e.Call {
	case "exec":
		c.exec(e)
	case "mkdir":
		f := FileClaim{Type: c.want("directory"), Mode: c.want(detailText(d, "mode"))}
		c.made(&f, e)
		c.Files[e.Path] = f
	case "write":
		c.write(e)
	case "symlink":
		f := FileClaim{Type: c.want("symbolic link"), Target: c.want(detailText(d, "target"))}
		c.made(&f, e)
		c.Files[e.Path] = f
	case "meta":
		c.meta(e)
	case "move":
		c.move(detailText(d, "from"), e.Path)
	case "remove":
		c.forget(e.Path)
		c.Files[e.Path] = FileClaim{Type: c.want("absent")}
	case "tree":
		c.tree(e)
	}
}

func (c *Claims) want(value string) Want { return Want{Value: value, By: c.origin} }

// owned sets the owner and the group that an effect names.
func (c *Claims) owned(f *FileClaim, d map[string]any) {
	if owner := detailText(d, "owner"); owner != "" {
		f.Owner = c.want(owner)
	}
	if group := detailText(d, "group"); group != "" {
		f.Group = c.want(group)
	}
}

// made is owned for what is new: it belongs to who makes it.
func (c *Claims) made(f *FileClaim, e Event) {
	if e.User != "" {
		f.Owner = Want{e.User, c.origin, true}
	}
	c.owned(f, e.Detail)
}

func (c *Claims) write(e Event) {
	old, d := c.Files[e.Path], e.Detail
	f := FileClaim{Type: c.want("file"), Mode: c.want(detailText(d, "mode"))}
	if c.isNew() {
		c.made(&f, e)
	} else { // it keeps the owner of what was there
		f.Owner, f.Group = old.Owner, old.Group
		c.owned(&f, d)
	}
	if sum := cmp.Or(detailText(d, "sha256"), c.copied(e)); sum != "" {
		f.Content = c.want(sum)
		f.Around = around(c.op, e)
	}
	if c.op.Op == "line" {
		f.Lines = c.lines(old.Lines)
	}
	c.Files[e.Path] = f
}

// isNew reports whether the op under way makes a file: it says then that there was no mode before.
func (c *Claims) isNew() bool {
	return slices.ContainsFunc(c.op.Changes, func(h host.Change) bool { return h.What == "mode" && h.From == "" })
}

// copied returns the digest of the one file that an op copies, "" if it does something else.
func (c *Claims) copied(e Event) string {
	name := argText(c.op.Args, "src")
	if c.op.Op == "download" {
		name = strings.TrimPrefix(argText(c.op.Args, "url"), "file://")
	}
	src := c.Files[name]
	switch copies := c.op.Op == "copy" || c.op.Op == "download"; {
	case copies && len(e.Inputs) == 1 && e.Inputs[0].Of == "":
		return e.Inputs[0].SHA256
	case copies && src.Content.By != nil && len(src.Around) == 0: // the run made it before
		return src.Content.Value
	}
	return ""
}

// around returns the text between the secrets of what an effect writes, nil if there are none or nobody can tell.
func around(op, e Event) []string {
	text, known := detailText(e.Detail, "text"), e.Detail["text"] != nil
	if !known {
		text, known = contentOf(op.Changes, detailText(e.Detail, "sha256"))
	}
	if !known {
		return nil
	}
	l := newLiterals()
	_, text = l.in(e, text)
	if len(secretsIn(text)) == 0 {
		return nil
	}
	parts := secretName().Split(text, -1)
	for i := range parts {
		parts[i] = l.unmark(parts[i])
	}
	return parts
}

// lines adds those of an op that wants one to those that ops before it wanted in the same file.
func (c *Claims) lines(old []LineClaim) (all []LineClaim) {
	for _, ch := range c.op.Changes {
		if ch.What != "line" {
			continue
		}
		all = slices.DeleteFunc(slices.Clone(old), func(l LineClaim) bool { return l.Text == ch.From || l.Text == ch.To })
		if ch.From != "" {
			all = append(all, LineClaim{ch.From, true, c.origin})
		}
		if ch.To != "" {
			all = append(all, LineClaim{ch.To, false, c.origin})
		}
		old = all
	}
	return all
}

func (c *Claims) meta(e Event) {
	d := e.Detail
	if detailText(d, "files") == "" {
		f := c.Files[e.Path]
		f.Mode = c.want(detailText(d, "mode"))
		c.owned(&f, d)
		c.Files[e.Path] = f
		return
	}
	g := Given{e.Path, detailText(d, "owner"), detailText(d, "group"), c.origin}
	c.Given = slices.DeleteFunc(c.Given, func(old Given) bool { return host.Below(old.Path, g.Path) })
	c.Given = append(c.Given, g)
	for name, f := range c.Files {
		if !host.Below(name, g.Path) {
			continue
		}
		if g.Owner != "" {
			f.Owner = Want{}
		}
		if g.Group != "" {
			f.Group = Want{}
		}
		c.Files[name] = f
	}
}

// forget drops what is claimed of name and all below it.
func (c *Claims) forget(name string) {
	maps.DeleteFunc(c.Files, func(n string, _ FileClaim) bool { return host.Below(n, name) })
	c.Trees = slices.DeleteFunc(c.Trees, func(t Tree) bool { return host.Below(t.Dir, name) })
	c.Given = slices.DeleteFunc(c.Given, func(g Given) bool { return host.Below(g.Path, name) })
}

// move takes what is claimed of a name, and of all below it, to another.
func (c *Claims) move(from, to string) {
	moved := Claims{Files: map[string]FileClaim{}}
	for name, f := range c.Files {
		if host.Below(name, from) {
			moved.Files[to+strings.TrimPrefix(name, from)] = f
		}
	}
	for _, t := range c.Trees {
		if host.Below(t.Dir, from) {
			t.Dir = to + strings.TrimPrefix(t.Dir, from)
			moved.Trees = append(moved.Trees, t)
		}
	}
	for _, g := range c.Given {
		if host.Below(g.Path, from) {
			g.Path = to + strings.TrimPrefix(g.Path, from)
			moved.Given = append(moved.Given, g)
		}
	}
	c.forget(from)
	c.forget(to)
	maps.Copy(c.Files, moved.Files)
	c.Trees, c.Given = append(c.Trees, moved.Trees...), append(c.Given, moved.Given...)
	if f := c.Files[to]; f.Type.By == nil {
		f.Type = c.want("present")
		c.Files[to] = f
	}
	c.Files[from] = FileClaim{Type: c.want("absent")}
}

func (c *Claims) tree(e Event) {
	d := e.Detail
	t := Tree{Dir: e.Path, Digest: detailText(d, "digest"), Owner: detailText(d, "owner"), Group: detailText(d, "group"),
		By: c.origin}
	name := detailText(d, "file")
	if name == "" {
		c.Trees = append(c.Trees, t)
		return
	}
	f := FileClaim{Type: c.want("present")}
	if sum := detailText(d, "sha256"); sum != "" {
		f.Type, f.Content = c.want("file"), c.want(sum)
	}
	if c.op.Op == "download" {
		f.Type = c.want("file")
		for _, ch := range c.op.Changes {
			if ch.What == "mode" && ch.To != "" {
				f.Mode = c.want(ch.To)
			}
		}
	} else {
		c.Trees = append(c.Trees, t)
	}
	if c.isNew() {
		c.made(&f, e)
	}
	c.owned(&f, d)
	c.Files[strings.TrimSuffix(e.Path, "/")+"/"+name] = f
}

func (c *Claims) exec(e Event) {
	for fact, value := range e.Sets {
		c.Facts[fact] = c.want(value)
		user, ok := strings.CutPrefix(fact, "cron:")
		if user, _, _ = strings.Cut(user, " "); ok {
			c.replaced(user, e)
		}
	}
	touches, _ := asRead(e.Detail["touches"]).([]any)
	for _, t := range touches {
		if what, ok := t.(string); ok {
			c.touched = append(c.touched, touch{what, false, c.origin})
		}
	}
	if c.op.Op == "yum" || c.op.Op == "apt" {
		c.touched = append(c.touched, touch{"/", true, c.origin})
	}
	for _, w := range e.Argv {
		for _, name := range host.PathsIn(w, "/") {
			c.touched = append(c.touched, touch{name, true, c.origin})
		}
	}
	for _, name := range c.creates() {
		f := c.Files[name]
		f.Type = c.want("present")
		c.Files[name] = f
	}
}

// replaced claims that the lines of a crontab are gone in whose place another one is.
func (c *Claims) replaced(user string, e Event) {
	for _, ch := range c.op.Changes {
		if ch.What != "line" || ch.From == "" {
			continue
		}
		for l := range strings.SplitSeq(ch.From, "\n") {
			if fact := "cron:" + user + " " + l; e.Sets[fact] == "" {
				c.Facts[fact] = c.want("")
			}
		}
	}
}

// creates returns the files that the command of the op under way makes.
func (c *Claims) creates() (names []string) {
	switch name := argText(c.op.Args, "creates"); {
	case c.op.Op == "run" && name != "":
		return []string{"/" + strings.Trim(name, "/")}
	case c.op.Op == "conda.bootstrap":
		prefix := argText(c.op.Args, "prefix")
		return []string{prefix + "/conda-meta/history", prefix + "/bin/conda"}
	}
	return nil
}

// Doubt returns why it would prove nothing if a claim about a path or a fact did not hold; "" if it would prove that
// somebody else has changed it.
func (c *Claims) Doubt(what string, w Want) string {
	if w.By.Failed {
		return "the run failed there, and may not have done it"
	}
	for _, t := range c.touched {
		if t.by.Seq > w.By.Seq && t.covers(what) && !t.implied {
			return "a later command of the run may have changed it: " + t.by.String()
		}
	}
	return ""
}

// Stands reports whether a claim about a path stands at all: one that is implied does not where a later command of the
// run names the path, or what is above or below it.
func (c *Claims) Stands(name string, w Want) bool {
	return !w.Implied || !slices.ContainsFunc(c.touched, func(t touch) bool {
		return t.by.Seq > w.By.Seq && t.what != "" && (t.covers(name) || host.Below(t.what, name))
	})
}

func (t touch) covers(what string) bool {
	switch {
	case strings.HasPrefix(what, "/"):
		return strings.HasPrefix(t.what, "/") && host.Below(what, t.what)
	case strings.HasPrefix(what, "cron:"):
		user, _, _ := strings.Cut(strings.TrimPrefix(what, "cron:"), " ")
		return t.what == "crontab:"+user
	case strings.HasPrefix(what, "iptables-rule:"):
		return t.what == "firewall:rules"
	}
	return t.what == what
}

// String returns o in words: the op, its step and its place.
func (o *Origin) String() string {
	text := Brief(strings.TrimSpace(o.Op + " " + o.Target))
	return text + prefixed(", step ", o.Step) + prefixed(", ", o.Pos)
}
