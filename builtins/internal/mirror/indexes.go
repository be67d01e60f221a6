package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// findIndexes opens the index of each subdir in each channel, and finds the subdirs in which nothing has changed. A
// server's list of subdirs may be longer than the truth: those that no channel has are left out.
func (w *planner) findIndexes(ctx context.Context) error {
	p := w.plan
	for _, s := range p.subdirs {
		s.state, s.unread = w.readState(s.name)
	}
	for i, c := range p.channels {
		if c.Has == nil {
			continue
		}
		p.show("asking " + c.Shown)
		if err := w.findAll(ctx, i, c); err != nil {
			return err
		}
		w.noteAbsent(c)
	}
	var there []*subdir
	for _, s := range p.subdirs {
		makes := true
		var err error
		if len(s.sources) == 0 {
			makes, err = w.makesEmpty(s)
		}
		if err != nil {
			return err
		}
		if !makes {
			continue
		}
		there = append(there, s)
		if err := w.compareState(ctx, s); err != nil {
			return err
		}
	}
	p.subdirs = there
	for _, n := range p.mirror.Config.Platforms {
		if n != conda.Noarch && !slices.Contains(p.names(), n) {
			p.warn(fmt.Sprintf("platforms: %q is in no channel", n))
		}
	}
	return nil
}

// makesEmpty reports whether a subdir that no channel has is made all the same: without noarch clients refuse the
// whole channel. One that is there is left alone.
func (w *planner) makesEmpty(s *subdir) (bool, error) {
	p := w.plan
	if s.name != conda.Noarch {
		if s.state != nil {
			p.warn(s.name + " is in no channel any more: what is there stays as it is")
		}
		return false, nil
	}
	there, err := host.Exists(p.r, path.Join(p.dir, s.name, channel.IndexFile))
	if there && (s.state == nil || s.state.Packages > 0) {
		p.warn("noarch is in no channel: the one that is there stays as it is")
		return false, err
	}
	p.warn("noarch is in no channel: an empty one is kept for clients, which want one")
	return true, err
}

// findAll asks one channel for its indexes: a server for many at once.
func (w *planner) findAll(ctx context.Context, i int, c *channel.Channel) error {
	p := w.plan
	found := make([]*channel.Index, len(p.subdirs))
	errs := make([]error, len(p.subdirs))
	var done sync.WaitGroup
	slots := make(chan struct{}, 8)
	for n, s := range p.subdirs {
		if !c.Has[s.name] {
			continue
		}
		have := s.tag(c)
		if c.Local {
			found[n], errs[n] = c.Index(ctx, s.name, have)
			continue
		}
		slots <- struct{}{}
		done.Go(func() {
			found[n], errs[n] = c.Index(ctx, s.name, have)
			<-slots
		})
	}
	done.Wait()
	served := false
	for n, s := range p.subdirs {
		switch err := errs[n]; {
		case errors.Is(err, fs.ErrNotExist) || found[n] == nil && err == nil:
		case err != nil && w.skips(c, err):
			return nil
		case err != nil:
			return sourceError(c, s.name, err)
		default:
			served = true
			s.sources = append(s.sources, sourced{from: c, n: i, Index: found[n]})
		}
	}
	if !served && !c.Local {
		return advice.New("see whether the address is that of a channel, which has such directories",
			"channel %s: has none of %s", c.Shown, strings.Join(p.names(), ", "))
	}
	return nil
}

func (p *Plan) names() (names []string) {
	for _, s := range p.subdirs {
		names = append(names, s.name)
	}
	return names
}

// tag returns what the index of a channel was when the state was written.
func (s *subdir) tag(c *channel.Channel) string {
	if s.state == nil || s.state.Fingerprint == "" {
		return ""
	}
	return s.state.Tags[c.Shown]
}

// readState returns what was verified; unread says that an earlier effect of a dry run would have written it.
func (w *planner) readState(subdir string) (known *state.State, unread bool) {
	p := w.plan
	name := path.Join(p.dir, state.Name(subdir))
	if m, err := p.r.Lstat(name); err != nil || !m.Mode.IsRegular() {
		return nil, false // then everything is hashed, which is never wrong
	}
	text, err := host.ReadFile(p.r, name)
	if err != nil {
		return nil, errors.Is(err, host.ErrUnknown)
	}
	return state.Parse(text, subdir), false
}
