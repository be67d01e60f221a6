package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// Changes says what Apply will do; nothing if the mirror is as it should be.
func (p *Plan) Changes() (changes []host.Change) {
	for _, d := range p.dirs {
		changes = append(changes, host.Change{What: d, To: "directory"})
	}
	for _, f := range p.stale {
		changes = append(changes, host.Change{What: f, From: "nobody keeps it up to date"})
	}
	for i, t := range p.Report.Subdirs { // of a plan that failed only some are counted
		changes = append(changes, p.subdirChanges(p.subdirs[i], t)...)
	}
	if p.foreign > 0 {
		changes = append(changes, host.Change{What: "owner", From: fmt.Sprintf("%d files of others", p.foreign),
			To: strings.Trim(p.mirror.Owner.User+":"+p.mirror.Owner.Group, ":")})
	}
	if p.data != nil && len(changes) == 0 {
		changes = append(changes, p.data.change())
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
	return !s.done && !s.unread && (s.state == nil || s.state.Interim || len(s.found) > 0)
}

// failure names every package that could not be had, and what was refused; nil if there is nothing.
func (p *Plan) failure() error {
	const most = 10
	var b strings.Builder
	n, hint := 0, "everything else is in place; the index leaves them out. Replace the bad files at the source, "+
		"or leave them out with blacklist=, and run again"
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
