// Package mirror copies conda channels into one account's tree, which is then a channel itself.
//
// A [Mirror] says what is wanted. Its Plan reads the sources' indexes, filters them and looks at
// what is there; [Plan.Apply] fetches, verifies, and publishes each subdir's index only when
// every package that it lists is in place. Plan only reads, and all that it declares follows from what it read,
// so a dry run declares what a run does.
//
// Two things to know. What lies on disk is never trusted by its name: it is hashed once, and from
// then on by its size and time, which a file of the account's tree remembers. And nothing is ever deleted: a
// client that still holds an older index finds what that lists.
//
// The builtin mirror calls it; it calls package repodata for indexes, package compress for their side
// files, and a host for everything else.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/repodata"
	"runbook/runtime/host"
)

// A Mirror is an account's tree and what should be in it.
type Mirror struct {
	Config  Config
	Dest    string     // absolute; Config.MirrorDir if empty
	Account string     // directory below Dest
	Owner   host.Owner // of what is made; whoever runs if empty

	Redact   func(url string) string // how a URL is shown
	Progress func(text string)       // may be called often, from one goroutine
}

// An Advised error carries what the person who reads it can do.
type Advised struct {
	Err  error
	Hint string
}

func (a *Advised) Error() string { return a.Err.Error() }

// Unwrap returns the error without the advice.
func (a *Advised) Unwrap() error { return a.Err }

func advise(hint, format string, args ...any) error {
	return &Advised{fmt.Errorf(format, args...), hint}
}

// Dir is the account's tree.
func (m *Mirror) Dir() string { return path.Join(m.dest(), m.Account) }

func (m *Mirror) dest() string {
	if m.Dest == "" {
		return m.Config.MirrorDir
	}
	return m.Dest
}

// Plan finds out what is to be done. It fails where a source cannot be read, lists what it does not
// have, or has an index that cannot be trusted.
func (m *Mirror) Plan(ctx context.Context, r host.Reader) (*Plan, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	p := &Plan{mirror: m, disk: newDisk(r, m.Dir())}
	sources, err := m.sources(r, &p.asking)
	if err != nil {
		return nil, err
	}
	filter := newFilter(m.Config)
	subdirs, err := p.findSubdirs(ctx, sources)
	if err != nil {
		return nil, err
	}
	for _, name := range subdirs {
		l, err := p.read(ctx, sources, name)
		if err != nil {
			return nil, err
		}
		if len(l.parts) == 0 {
			continue
		}
		p.choose(l, filter)
		if err := p.add(ctx, l); err != nil {
			return nil, err
		}
	}
	p.warn(filter.unused()...)
	return p, p.finish(r)
}

func (m *Mirror) check() error {
	switch d := m.dest(); {
	case d == "":
		return advise("give dest=, or mirror_dir in the configuration", "dest: got none")
	case !path.IsAbs(d):
		return fmt.Errorf("dest: got %q, want an absolute path", d)
	case !isName(m.Account):
		return fmt.Errorf("account: got %q, want letters, digits and _.-", m.Account)
	}
	return m.Config.check()
}

// isName reports whether s is one component of a channel's path. Capitals are let pass.
func isName(s string) bool {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r))
	}
	return s != "" && s[0] != '.' && s[0] != '-' && !strings.ContainsFunc(s, bad)
}

// isSubdir reports whether s may be a subdir's name (CEP 26): noarch, or platform-architecture.
func isSubdir(s string) bool {
	platform, arch, ok := strings.Cut(s, "-")
	bad := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_') }
	return s == noarch || ok && platform != "" && arch != "" && !strings.ContainsFunc(platform+arch, bad)
}

const noarch = "noarch"

// findSubdirs returns the subdirs to mirror, noarch always, sorted.
func (p *Plan) findSubdirs(ctx context.Context, sources []*channel) ([]string, error) {
	found := map[string]bool{}
	for _, c := range sources {
		names, err := c.Subdirs(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.shown, err)
		}
		if len(names) == 0 {
			return nil, advise("name the directory that holds linux-64, noarch and so on", "%s: has no SUBDIR/repodata.json", c.shown)
		}
		c.subdirs = map[string]bool{}
		for _, n := range names {
			c.subdirs[n], found[n] = true, true
		}
	}
	names := []string{noarch}
	wanted := p.mirror.Config.Platforms
	for n := range found {
		if n != noarch && (len(wanted) == 0 || slices.Contains(wanted, n)) {
			names = append(names, n)
		}
	}
	for _, n := range wanted {
		if !found[n] {
			p.warn(fmt.Sprintf("platforms: %q is in no channel", n))
		}
	}
	slices.Sort(names)
	return names, nil
}

// read parses the indexes that the sources have of a subdir. A server's list of subdirs may be
// longer than the truth: then there are no parts.
func (p *Plan) read(ctx context.Context, sources []*channel, name string) (*listing, error) {
	l := &listing{name: name}
	for _, c := range sources {
		if !c.subdirs[name] {
			continue
		}
		text, err := c.Index(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, host.ErrUnknown) {
			err = &Advised{err, "a dry run must read a channel's index: have its files, or the archive that holds them, at hand"}
		}
		var index *repodata.Index
		if err == nil {
			if index, err = repodata.Parse(text); err != nil {
				err = &Advised{err, "the index is damaged or cut off: fetch it again, or let conda index make it anew"}
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s/%s/%s: %w", c.shown, name, indexFile, err)
		}
		l.parts = append(l.parts, part{c, index})
	}
	if len(l.parts) == 0 && name == noarch { // without it clients refuse the whole channel
		p.warn("noarch is in no channel: an empty one is made")
		empty := &repodata.Index{Info: []repodata.Member{{Key: "subdir", Raw: `"` + name + `"`}}}
		l.parts = []part{{nil, empty}}
	}
	return l, nil
}
