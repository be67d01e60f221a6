// Package mirror copies conda channels into one account's tree, which is then a channel itself.
//
// A [Mirror] says what is wanted. Its Plan reads the sources' indexes, filters them and looks at
// what is there; [Plan.Apply] fetches, verifies, publishes each subdir's index when every package that it
// lists is in place, and removes what nobody lists any more, if that is asked for. Plan only reads, and all
// that it declares follows from what it read, so a dry run declares what a run does.
//
// Two things to know. What lies on disk is never trusted by its name: it is hashed once, and from
// then on known by its size, time and inode, which a state beside the tree remembers. And indexes are never
// held as values: they are scanned, and the records that stay are copied through byte for byte.
//
// The builtin mirror calls it; it calls package choose for what to take, package repodata for indexes, shards and
// compress for their other forms, and a host for everything else.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/choose"
	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// A Mirror is an account's tree and what should be in it.
type Mirror struct {
	Config  choose.Config
	Dest    string     // absolute; Config.MirrorDir if empty
	Account string     // directory below Dest
	Owner   host.Owner // of what is made; whoever runs if empty

	Access      channel.Access
	Connections int   // requests under way at once; DefaultConnections if 0
	Rate        int64 // bytes a second that are fetched at most; 0 means no limit
	Link        bool  // hard links instead of copies, where source and tree share a file system
	Full        bool  // read every byte of the tree again, whatever is known of it
	Both        bool  // compare MD5 as well as SHA-256 where a record has both
	NoBzip2     bool  // leave out repodata.json.bz2, which only clients of 2016 need
	Shards      bool  // also write the index as shards (CEP 16)

	Prune        bool // remove packages that the index no longer lists
	PruneRemoved bool // also those that the source keeps as "removed"
	MaxLoss      int  // percent of packages that may vanish from a source before Prune refuses

	Delta string // directory that gets what the tree got since Since; nothing if empty
	Since string // state directory of the tree that the delta is for; what this tree had if empty

	Redact   func(url string) string         // how a URL is shown
	Assume   func(note string)               // takes note of a guess
	Progress func(text string)               // may be called twice a second, from one goroutine
	Raw      func(r host.Reader) host.Reader // files as they are, of a host that hides things in them

	dir   string                  // instead of Dest and Account
	bases map[string]*state.State // packages that are elsewhere, by subdir; see delta
}

// Usual values of a Mirror.
const (
	DefaultConnections = 16
	DefaultMaxLoss     = 10
)

// Dir is the account's tree.
func (m *Mirror) Dir() string {
	if m.dir != "" {
		return m.dir
	}
	return path.Join(m.dest(), m.Account)
}

func (m *Mirror) dest() string {
	if m.Dest == "" {
		return m.Config.MirrorDir
	}
	return m.Dest
}

// Plan finds out what is to be done. It fails where an index cannot be read or trusted, and where there is too little
// space; packages that are known to be missing are for Apply to tell, after all else is done.
func (m *Mirror) Plan(ctx context.Context, r host.Reader) (*Plan, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	p := &Plan{mirror: m, r: r, dir: m.Dir()}
	w := &planner{plan: p}
	var err error
	if p.channels, err = m.channels(r); err != nil {
		return nil, err
	}
	if p.selector, err = choose.NewSelector(m.Config); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{w.findSubdirs, w.findIndexes, w.survey, w.filter, w.findPrunable,
		w.finish} {
		if err := step(ctx); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (m *Mirror) check() error {
	switch d := m.dest(); {
	case m.dir != "":
	case d == "":
		return advice.New("give dest=, or mirror_dir in the configuration", "dest: got none")
	case !path.IsAbs(d):
		return fmt.Errorf("dest: got %q, want an absolute path", d)
	case !isName(m.Account):
		return fmt.Errorf("account: got %q, want letters, digits and _.-", m.Account)
	case m.Connections < 0 || m.Connections > 256:
		return fmt.Errorf("connections: got %d, want 1 to 256", m.Connections)
	case m.Rate < 0:
		return fmt.Errorf("rate: got %d, want bytes a second", m.Rate)
	case m.MaxLoss < 0 || m.MaxLoss > 100:
		return fmt.Errorf("max_loss: got %d, want percent", m.MaxLoss)
	case m.PruneRemoved && !m.Prune:
		return advice.New("add prune=True", "prune_removed: got it without prune")
	case m.Since != "" && m.Delta == "":
		return advice.New("add delta=, the directory to write to", "since: got it without delta")
	}
	for _, u := range m.Access.BaseURLs {
		if channel.OriginOf(u) == "" || strings.Contains(u, "@") {
			return advice.New(`write "https://HOST"`,
				"base_urls: got %q, want the address of a server without credentials", m.show(u))
		}
	}
	return m.Config.Check()
}

// channels opens the configured channels.
func (m *Mirror) channels(r host.Reader) ([]*channel.Channel, error) {
	var list []*channel.Channel
	for _, location := range m.Config.Channels {
		shown := m.show(location)
		c, err := channel.Open(location, r, m.Access)
		if err != nil {
			return nil, fmt.Errorf("channel %s: %w", shown, err)
		}
		if c.Local && c.Directory() == m.Dir() {
			return nil, fmt.Errorf("channel %s: is the tree that is mirrored to", shown)
		}
		c.Shown = shown
		list = append(list, c)
	}
	return list, nil
}

// show returns a channel's location as people may see it.
func (m *Mirror) show(location string) string {
	if m.Redact != nil && strings.Contains(location, "://") {
		return m.Redact(location)
	}
	return location
}

// isName reports whether s is one component of a channel's path. Capitals are let pass.
func isName(s string) bool {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r))
	}
	return s != "" && s[0] != '.' && s[0] != '-' && !strings.ContainsFunc(s, bad)
}

// findSubdirs lists the subdirs to mirror, noarch always, sorted.
func (w *planner) findSubdirs(ctx context.Context) error {
	p := w.plan
	found := map[string]bool{}
	for _, c := range p.channels {
		names, guessed, err := c.Subdirs(ctx, p.mirror.Config.Platforms)
		switch {
		case err != nil && w.skips(c, err):
			continue
		case err != nil:
			return sourceError(c, "", err)
		case len(names) == 0:
			return advice.New("name the directory that holds linux-64, noarch and so on", "%s: has no SUBDIR/%s", c.Shown,
				channel.IndexFile)
		}
		if guessed {
			names = w.guess(c, names)
		}
		c.Has = map[string]bool{}
		for _, n := range names {
			c.Has[n], found[n] = true, true
		}
	}
	names := []string{conda.Noarch}
	wanted := p.mirror.Config.Platforms
	for n := range found {
		if n != conda.Noarch && (len(wanted) == 0 || slices.Contains(wanted, n)) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		p.subdirs = append(p.subdirs, &subdir{name: n})
	}
	return nil
}

// skips reports whether a channel is left out, because a dry run cannot ask for it without a secret while others can be
// asked.
func (w *planner) skips(c *channel.Channel, err error) bool {
	p := w.plan
	if c.Local || !errors.Is(err, host.ErrUnknown) || p.mirror.Assume == nil {
		return false
	}
	w.skipped++
	if w.skipped == len(p.channels) {
		return false
	}
	p.mirror.Assume("channel " + c.Shown + ", which needs a secret, has nothing that the others have not")
	return true
}

// sourceError says which channel, and which file of it, an error is about, and what may help.
func sourceError(c *channel.Channel, subdir string, err error) error {
	at := c.Shown
	if subdir != "" {
		at += "/" + subdir + "/" + channel.IndexFile
	}
	var pe *fs.PathError
	hint := "see whether the server can be reached from here, and by which proxy: " +
		"HTTPS_PROXY in the environment, or proxy="
	if c.Local {
		hint = "see whether the medium is mounted and the path right"
	}
	switch {
	case errors.Is(err, host.ErrUnknown) && !c.Local:
		return fmt.Errorf("channel %s: %w", at, err) // a secret is missing; the error says what to do
	case errors.Is(err, host.ErrUnknown):
		hint = "a dry run must read a channel's index: have its files, or the archive that holds them, at hand"
	case errors.As(err, &pe) && c.Local:
		err = pe.Err
	case errors.Is(err, context.Canceled):
		return err
	}
	return advice.On(fmt.Errorf("channel %s: %w", at, err), hint)
}
