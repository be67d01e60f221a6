package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
	"runbook/runtime/host/tree"
)

// A channeldata is the file that names the subdirs of a tree, so that whoever mirrors it from a server need not ask for
// all that there may be.
type channeldata struct {
	before  string   // which the file that is there names
	subdirs []string // sorted
	text    []byte
}

// describe finds out whether the tree has the file that it should have. A delta does without: it holds only a part of
// a channel.
func (w *planner) describe(context.Context) error {
	p := w.plan
	if p.mirror.dir != "" {
		return nil
	}
	names := p.names()
	others, err := p.r.ReadDir(p.dir)
	if err := unlessAbsent(err); err != nil && !errors.Is(err, host.ErrUnknown) {
		return err
	}
	for _, n := range others {
		if conda.IsSubdir(n) && p.r.LstatAll(path.Join(p.dir, n), []string{channel.IndexFile})[0].Err == nil {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	d := &channeldata{subdirs: slices.Compact(names)}
	m := p.r.LstatAll(p.dir, []string{channel.DataFile})[0]
	if err := unlessAbsent(m.Err); err != nil {
		return err
	}
	if m.Err == nil && m.Mode.IsRegular() {
		w.owned(m)
		if have, err := host.ReadFile(p.r, path.Join(p.dir, channel.DataFile)); err == nil {
			had, err := channel.ParseData(have)
			slices.Sort(had)
			if err == nil && slices.Equal(had, d.subdirs) {
				return nil
			}
			d.before = strings.Join(had, " ")
		}
	}
	d.text, err = json.MarshalIndent(map[string]any{
		"channeldata_version": 1, "packages": struct{}{}, "subdirs": d.subdirs,
	}, "", "  ")
	d.text = append(d.text, '\n')
	p.data = d
	return err
}

func (d *channeldata) change() host.Change {
	return host.Change{What: channel.DataFile, From: d.before, To: strings.Join(d.subdirs, " ")}
}

// describe writes the file, after all that it names is there.
func (f *filler) describe() error {
	d := f.plan.data
	if d == nil {
		return nil
	}
	file, err := f.tree.Create(channel.DataFile)
	if err != nil {
		return err
	}
	_, err = file.Write(d.text)
	if err := f.complete(file, err); err != nil {
		return tree.Wrap(channel.DataFile, err)
	}
	return f.tree.Rename(channel.DataFile)
}

func (p *Plan) dataEntry() host.Entry {
	c := host.Bytes(p.data.text)
	return host.Entry{Name: channel.DataFile, Meta: p.meta(publish.FileMode, int64(len(p.data.text))), Content: c}
}

// absences are believed for so long that a mirror made every night seldom asks, and a new platform is not missed.
const believed = 7 * 24 * time.Hour

// guess returns the subdirs to ask a server for that does not say which it has: all but those that it lacked a while
// ago.
func (w *planner) guess(c *channel.Channel, names []string) []string {
	p := w.plan
	if p.absent == nil {
		p.absent = map[string]state.Absence{}
	}
	p.absent[c.Shown] = state.Absence{}
	s, _ := w.readState(conda.Noarch)
	if s == nil || p.mirror.Full {
		return names
	}
	a := s.Absent[c.Shown]
	if age := time.Since(time.Unix(a.Asked, 0)); age < 0 || age > believed {
		return names
	}
	p.absent[c.Shown] = a
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(a.Subdirs, n) })
}

// noteAbsent remembers what a server lacks that was asked for all.
func (w *planner) noteAbsent(c *channel.Channel) {
	p := w.plan
	a, guessed := p.absent[c.Shown]
	if !guessed {
		return
	}
	if a.Asked == 0 {
		a.Asked = time.Now().Unix()
	}
	for _, s := range p.subdirs {
		has := slices.ContainsFunc(s.sources, func(x sourced) bool { return x.from == c })
		if c.Has[s.name] && !has && s.name != conda.Noarch && !slices.Contains(a.Subdirs, s.name) {
			a.Subdirs = append(a.Subdirs, s.name)
		}
	}
	p.absent[c.Shown] = a
}
