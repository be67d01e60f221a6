package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// A planner finds out what a Plan is to hold. It only reads.
type planner struct {
	plan    *Plan
	skipped int  // channels that a dry run cannot ask
	foreign bool // a file that Mirror.Owner does not own was seen
}

// owned looks at the owner of a file that the mirror keeps. It is false for one that is also the source's own, by a
// hard link, and would have to be given away: only a copy can be.
func (w *planner) owned(m host.Seen) bool {
	p := w.plan
	if o := p.mirror.Owner; o.Or(m.Owner) == m.Owner {
		return true
	}
	w.foreign = true
	return !m.Linked
}

// tally counts what is to be done in a subdir.
func (w *planner) tally(s *subdir) {
	p := w.plan
	t := SubdirReport{Subdir: s.name, Packages: s.packages, Kept: s.kept}
	for _, it := range s.fetch {
		if it.failed != nil {
			continue
		}
		t.Fetch++
		t.Bytes += max(it.size, 0)
		if it.replaces {
			t.Replace++
		}
	}
	s.listed = s.packages - (len(s.fetch) - t.Fetch)
	p.Report.Replace += t.Replace
	p.Report.Packages += t.Packages
	p.Report.Kept += t.Kept
	p.Report.Fetch += t.Fetch
	p.Report.Bytes += t.Bytes
	p.Report.Subdirs = append(p.Report.Subdirs, t)
}

// finish looks at what is not one subdir's, and refuses a plan that cannot be carried out.
func (w *planner) finish(ctx context.Context) error {
	p := w.plan
	var err error
	if p.dirs, err = missingDirs(p.r, p.dir); err != nil {
		return err
	}
	if err := w.findForeign(); err != nil {
		return err
	}
	if err := w.room(ctx); err != nil {
		return err
	}
	if err := w.planDelta(ctx); err != nil {
		return err
	}
	if len(p.Changes()) == 0 {
		return p.failure()
	}
	return nil
}

// staleForms are forms of an index that other tools make and clients may prefer to those that are kept up to date
// here. The glob *repodata*.json is reserved for such (CEP 15 and the like).
var staleForms = []string{
	channel.ShardsFile, "repodata.json.bz2", "current_repodata.json", "current_repodata.json.bz2", "current_repodata.json.zst", "current_repodata.json.gz",
	"repodata.json.gz", "repodata.json.xz", "repodata_from_packages.json", "repodata_from_packages.json.bz2", "repodata_from_packages.json.zst", "repodata.jlap",
}

// findForeign looks for files of others, for forms of an index that nobody keeps up to date, and for subdirs to be
// made.
func (w *planner) findForeign() (err error) {
	p := w.plan
	wanted := p.wantedForms()
	for _, s := range p.subdirs {
		m := p.r.LstatAll(p.dir, []string{s.name})[0]
		if err := unlessAbsent(m.Err); err != nil {
			return err
		}
		s.sharded = p.mirror.Shards && p.r.LstatAll(path.Join(p.dir, s.name), []string{publish.ShardsDir})[0].Err != nil
		if s.fresh = m.Err != nil; s.fresh {
			continue
		}
		if !m.Mode.IsDir() {
			return fmt.Errorf("%s: is there and no directory", path.Join(p.dir, s.name))
		}
		w.owned(m)
		for i, f := range p.r.LstatAll(path.Join(p.dir, s.name), staleForms) {
			if f.Err == nil && !slices.Contains(wanted, staleForms[i]) {
				p.stale = append(p.stale, path.Join(p.dir, s.name, staleForms[i]))
			}
		}
	}
	if m := p.r.LstatAll(p.dir, []string{state.Dir})[0]; m.Err == nil {
		if p.remembered = m.Mode.IsDir(); !p.remembered { // an earlier version's
			p.stale = append(p.stale, path.Join(p.dir, state.Dir))
		}
	}
	if w.foreign && len(p.dirs) == 0 {
		p.foreign, err = host.Differ(p.r, p.dir, p.mirror.Owner)
	}
	return err
}

// room refuses what does not fit, before anything is fetched.
func (w *planner) room(ctx context.Context) error {
	p := w.plan
	p.Report.Free = -1
	if p.Report.Fetch == 0 {
		return nil
	}
	v, err := p.r.Fact(ctx, host.Fact{Kind: host.DiskFree, Name: p.dir})
	if err != nil {
		return nil // a full disk tells in time
	}
	free, mount, _ := strings.Cut(v, " ")
	if p.Report.Free, err = strconv.ParseInt(free, 10, 64); err != nil {
		p.Report.Free = -1
		return nil // nobody knows
	}
	need := p.Report.Bytes
	if p.mirror.Link {
		need = w.copied(ctx, mount)
	}
	for _, s := range p.subdirs {
		if s.publish {
			need += 2 * s.json.size
		}
	}
	if need <= p.Report.Free {
		return nil
	}
	return advice.New(fmt.Sprintf("make room on %s, or take less: platforms=, python_versions=, pkg_list=, latest=",
		mount),
		"%s: got %s free, want %s: %d bytes more", p.dir, size(p.Report.Free), size(need), need-p.Report.Free)
}

// copied returns how many bytes cannot be linked because they lie on another file system than the tree's.
func (w *planner) copied(ctx context.Context, mount string) (bytes int64) {
	p := w.plan
	near := map[*channel.Channel]bool{}
	for _, c := range p.channels {
		if c.Local {
			v, err := p.r.Fact(ctx, host.Fact{Kind: host.DiskFree, Name: c.Directory()})
			_, other, _ := strings.Cut(v, " ")
			near[c] = err == nil && other == mount
		}
	}
	for _, s := range p.subdirs {
		for _, it := range s.fetch {
			if it.failed == nil && !near[it.from().from] {
				bytes += max(it.size, 0)
			}
		}
	}
	return bytes
}

// Changes tells what Apply will do; nothing if the mirror is as it should be.
func (p *Plan) Changes() (changes []host.Change) {
	for _, d := range p.dirs {
		changes = append(changes, host.Change{What: d, To: "directory"})
	}
	for _, f := range p.stale {
		changes = append(changes, host.Change{What: f, From: "nobody keeps it up to date"})
	}
	for i, s := range p.subdirs {
		changes = append(changes, p.subdirChanges(s, p.Report.Subdirs[i])...)
	}
	if p.foreign > 0 {
		changes = append(changes, host.Change{What: "owner", From: fmt.Sprintf("%d files of others", p.foreign),
			To: strings.Trim(p.mirror.Owner.User+":"+p.mirror.Owner.Group, ":")})
	}
	return append(changes, p.delta.changes()...)
}

func (p *Plan) subdirChanges(s *subdir, t SubdirReport) (changes []host.Change) {
	if t.Fetch > 0 {
		to := fmt.Sprintf("%d, %s to fetch", t.Kept+t.Fetch, size(t.Bytes))
		if t.Replace > 0 {
			to += fmt.Sprintf(", %d of them in place of other bytes", t.Replace)
		}
		changes = append(changes, host.Change{What: s.name + " packages", From: fmt.Sprint(t.Kept), To: to})
	}
	if s.publish {
		changes = append(changes, host.Change{What: path.Join(s.name, channel.IndexFile), From: s.before(),
			To: fmt.Sprintf("%d records, sha256 %s", s.listed, s.json.sum)})
	}
	if t.Prune > 0 {
		changes = append(changes, host.Change{What: s.name + " unlisted packages",
			From: fmt.Sprintf("%d, %s", t.Prune, size(t.PruneBytes))})
	}
	if len(changes) == 0 && s.remembers() {
		changes = append(changes, host.Change{What: state.Name(s.name), To: "what was verified"})
	}
	return changes
}

// before describes the index that is replaced.
func (s *subdir) before() string {
	switch {
	case len(s.forms) > 0 && !slices.Contains(s.forms, channel.IndexFile):
		return "the same, without " + strings.Join(s.forms, ", ")
	case s.fresh || s.bare:
		return ""
	case s.state != nil && s.state.JSON != "":
		return fmt.Sprintf("%d records", s.state.Packages)
	}
	return "another"
}

// remembers reports whether there is something worth writing down although nothing else changes.
func (s *subdir) remembers() bool {
	return !s.done && (s.state == nil || s.state.Interim || len(s.found) > 0)
}

// failure names every package that could not be had, and what was refused; nil if there is nothing.
func (p *Plan) failure() error {
	const most = 10
	var b strings.Builder
	n, hint := 0, "everything else is in place; the index leaves them out. Replace the bad files at the source, or leave them out with blacklist=, and run again"
	for _, s := range p.subdirs {
		for _, it := range s.fetch {
			if it.failed == nil {
				continue
			}
			if n++; n <= most {
				fmt.Fprintf(&b, "\n%s: %v", it.name(), it.failed)
			}
			if its := advice.Of(it.failed); its != "" {
				hint = its + ". Everything else is in place; the index leaves these out"
			}
		}
	}
	if n == 0 {
		return p.refused()
	}
	if n > most {
		fmt.Fprintf(&b, "\nand %d more", n-most)
		if len(p.Changes()) > 0 {
			b.WriteString(", which the manifests in " + path.Join(p.dir, state.Dir) + " name")
		}
	}
	err := fmt.Errorf("%s could not be mirrored:%s", packages(n), b.String())
	return errors.Join(advice.On(err, hint), p.refused())
}

// size shows bytes as people read them.
func size(n int64) string {
	const unit = 1000
	f, i := float64(n), 0
	for f >= unit && i < 5 {
		f, i = f/unit, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + []string{"", "kB", "MB", "GB", "TB", "PB"}[i]
}

func (p *Plan) meta(mode fs.FileMode, size int64) host.Meta {
	return host.Meta{Mode: mode, Owner: p.mirror.Owner, Size: size}
}
