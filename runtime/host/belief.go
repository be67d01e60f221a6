package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"slices"
	"time"
)

// Exec runs nothing. It believes that c would succeed and do what it declares; of a simulated machine the end may be
// told.
func (o *Overlay) Exec(ctx context.Context, c Cmd) (Result, error) {
	maker, err := o.mayStart(ctx, c)
	res := Result{Unknown: true}
	if len(c.OK) > 0 {
		res.Code = c.OK[0]
	}
	if err == nil && o.sim != nil {
		res, err = o.told(ctx, &c, res)
	}
	if err == nil {
		err = o.exec(c, maker)
	}
	if err != nil {
		return res, &CmdError{title(c.Process), err}
	}
	return res, nil
}

// told returns how c ends if that is said of a simulated machine, else res. What it leaves behind is added to c.
func (o *Overlay) told(ctx context.Context, c *Cmd, res Result) (Result, error) {
	said, err := o.sim.answer(ctx, o, c.Process)
	switch {
	case err != nil || said == nil:
		return res, err
	case !c.Succeeded(said.Result):
		return said.Result, fmt.Errorf("exit status %d%s", said.Code, lastWords(c.Process, said.Result))
	}
	c.Makes = slices.Concat(c.Makes, said.Makes)
	return said.Result, nil
}

// mayStart returns whose is what c makes, or why it cannot be started.
func (o *Overlay) mayStart(ctx context.Context, c Cmd) (maker Owner, err error) {
	if err := ctx.Err(); err != nil {
		return maker, fmt.Errorf("not started: %w", err)
	}
	if err := c.Process.check(); err != nil {
		return maker, err
	}
	if maker, err = o.maker(ctx, c.User); err != nil {
		return maker, err
	}
	return maker, o.startable(ctx, c.Process)
}

// exec does what c declares. What it makes belongs to maker.
func (o *Overlay) exec(c Cmd, maker Owner) error {
	o.acting = true
	defer func() { o.acting = false }()
	o.brought = o.brought || c.Brings || c.MayMake || len(c.Touches) > 0
	o.change()
	clear(o.owners)
	o.mayMake = o.mayMake || c.MayMake
	o.learn(c) // first: what it makes may belong to a user that it makes
	for _, t := range c.Touches {
		if err := o.touch(t); err != nil {
			return err
		}
	}
	for _, t := range slices.Sorted(maps.Keys(c.Gives)) {
		if err := o.gives(t, c.Gives[t]); err != nil {
			return err
		}
	}
	for _, e := range c.Makes {
		name := path.Join("/", e.Name)
		w := steps{o: o, missing: func() *node {
			return &node{meta: Meta{Mode: fs.ModeDir | 0o755, Owner: maker}, changed: true, at: time.Now()}
		}}
		if err := o.believe(w, name, e, maker); err != nil {
			return guest("make", name, err)
		}
	}
	if o.sim == nil {
		return nil
	}
	o.ran(c.Process, maker)
	for _, q := range c.Answers {
		o.hold(q)
	}
	return nil
}

// gives gives a tree, if it is there, to own. That changes no answer about what it holds.
func (o *Overlay) gives(name string, own Owner) error {
	p, err := o.find(name, true)
	if errors.Is(err, errNotExist) {
		return nil
	}
	if err == nil {
		own, err = o.owner(own)
	}
	if err != nil {
		return guest("chown", name, err)
	}
	p.pin()
	p.give(own)
	return nil
}

// give gives n and all below it to own.
func (n *node) give(own Owner) {
	now, was := time.Now(), n.meta.Owner
	n.meta, n.below, n.given = n.meta.given(own), own.Or(n.below), now
	if n.meta.Owner != was {
		n.at = now
	}
	for _, kid := range n.kids {
		if kid != nil {
			kid.give(own)
		}
	}
}

// maker is who owns what a command of user makes.
func (o *Overlay) maker(ctx context.Context, user string) (Owner, error) {
	if user == "" {
		return o.self, nil
	}
	if _, err := idOf(ctx, o, User, user); err != nil {
		return Owner{}, err
	}
	if user != o.self.User && !o.isRoot() {
		return Owner{}, notRoot(user)
	}
	owner, _, err := OwnerFor(ctx, o, user)
	return owner, err
}

// learn takes over the facts that c declares.
func (o *Overlay) learn(c Cmd) {
	for _, f := range c.TouchesFacts {
		delete(o.facts, f)
		o.touched[f] = true
	}
	for _, f := range SortedFacts(c.Assumes) {
		o.assume(fmt.Sprintf("%s = %q", f, c.Assumes[f]))
		o.believeFact(f, c.Assumes[f])
	}
	for f, v := range c.Follows {
		o.believeFact(f, v)
	}
	for f, v := range c.Sets {
		o.believeFact(f, v)
	}
}

func (o *Overlay) believeFact(f Fact, value string) {
	delete(o.touched, f)
	o.facts[f] = value
}

// touch makes unknown what lies below name, and name itself unless it is a directory.
func (o *Overlay) touch(name string) error {
	w := steps{o: o, missing: func() *node { return &node{unknown: true} }}
	dir, base, err := walk(w, name, true)
	if err != nil {
		return guest("touch", name, err)
	}
	p, err := w.child(dir, base)
	if err != nil {
		return guest("touch", name, err)
	}
	p.pin()
	was := *p.node
	if !p.meta.Mode.IsDir() {
		*p.node = node{unknown: true}
	}
	p.touched, p.changed = true, true
	p.kids, p.base, p.below = nil, "", Owner{}
	if o.sim != nil {
		p.was, p.at = &was, time.Now()
		o.release(path.Clean(name), true)
	}
	return nil
}

// Fact probes through the overlay, never through the base: a probe reads files
// that only the overlay may have.
func (o *Overlay) Fact(ctx context.Context, f Fact) (string, error) {
	if o.touched[f] {
		return "", fmt.Errorf("fact %s: %w", f, ErrUnknown)
	}
	if v, ok := o.facts[f]; ok {
		return v, nil
	}
	if v, ok := o.asked[f]; ok {
		return v, nil
	}
	v, err := o.probe(ctx, f)
	if (errors.Is(err, ErrUnknown) || errors.Is(err, exec.ErrNotFound)) && !isUnrecorded(err) {
		v, err = "", nil // what only a real run could ask is absent
	}
	if err == nil {
		o.asked[f] = v
	}
	return v, err
}

func (o *Overlay) probe(ctx context.Context, f Fact) (string, error) {
	switch f.Kind {
	case DiskFree:
		return o.diskFree(ctx, f.Name)
	case Port: // nothing that an overlay keeps to itself has a socket
		return o.base.Fact(ctx, f)
	case userName, groupName:
		if name := o.predicted(f); name != "" {
			return name, nil
		}
	}
	return f.Kind.Probe(ctx, probing{o}, f.Name)
}

// predicted returns the name of an account that only the overlay knows.
func (o *Overlay) predicted(number Fact) string {
	kind := User
	if number.Kind == groupName {
		kind = Group
	}
	for _, f := range SortedFacts(o.facts) {
		if f.Kind == kind && o.facts[f] == number.Name {
			return f.Name
		}
	}
	return ""
}

// probing is the overlay as a probe sees it: what it asks is not listed as assumed.
type probing struct{ *Overlay }

func (p probing) Query(ctx context.Context, q Process) (Result, error) { return p.query(ctx, q) }

// believe makes e what is called name. A directory that is there stays as it is.
func (o *Overlay) believe(w steps, name string, e Entry, maker Owner) error {
	dir, base, err := o.parent(w, name)
	if err != nil {
		return err
	}
	old, err := o.present(dir, base)
	if err != nil {
		return err
	}
	if made, err := o.stays(name, e, old, maker); made || err != nil {
		return err
	}
	own, err := o.owner(e.Owner)
	if err != nil {
		return err
	}
	n := &node{meta: e.Meta, content: e.Content, target: e.Target}
	n.complete(name)
	if maker != (Owner{}) {
		if n.meta.Mode.Perm() == 0 { // a command's umask is not for us to know
			n.meta.Mode |= usual(n.meta.Mode)
		}
		n.touched = n.touched || old != nil && old.unknown && e.Mode.IsDir()
		n.meta.Owner = own.Or(maker)
		dir.exist(maker)
		o.put(dir, base, n)
		return nil
	}
	return o.replace(dir, base, old, n, own)
}

// usual are the permissions of what most programs make.
func usual(m fs.FileMode) fs.FileMode {
	if m.IsDir() {
		return 0o755
	}
	return 0o644
}

// exist turns directories that may be there into such that are, because a
// command makes something in them; what else they hold stays unknown.
func (p *place) exist(maker Owner) {
	for ; p != nil; p = p.up {
		if p.unknown {
			p.unknown, p.touched, p.changed = false, true, true
			p.meta = Meta{Mode: fs.ModeDir | 0o755, Owner: maker}
		}
	}
}

// stays reports whether e is there already: a directory stays as it is and,
// for commands, so does a link that leads to one.
func (o *Overlay) stays(name string, e Entry, old *place, maker Owner) (bool, error) {
	switch {
	case old == nil || old.unknown:
		return false, nil
	case old.meta.Mode.IsDir() && !e.Mode.IsDir() && e.Mode&fs.ModeIrregular == 0:
		return false, errDir
	case old.meta.Mode&fs.ModeSymlink != 0 && e.Mode.IsDir() && maker != (Owner{}):
		p, err := o.find(name, true)
		return err == nil && (p.unknown || p.meta.Mode.IsDir()), nil
	}
	return old.meta.Mode.IsDir(), nil
}

// complete fills in what a command left out of a file that it declared: the size of a
// text or a link; else an unknown content, and an unknown size (-1).
func (n *node) complete(name string) {
	if n.meta.Mode&fs.ModeIrregular != 0 { // of any type: it looks like a file, but may have others below
		n.meta.Mode &^= fs.ModeIrregular
		n.touched = true
	}
	switch {
	case n.meta.Mode&fs.ModeSymlink != 0:
		n.meta.Mode |= fs.ModePerm
		n.meta.Size = int64(len(n.target))
	case !n.meta.Mode.IsRegular() || n.content.Open != nil:
	case n.content.Text != nil:
		n.meta.Size = int64(len(n.content.Text))
	default:
		n.content = Unknown(name)
		if n.meta.Size == 0 {
			n.meta.Size = -1
		}
	}
}
