package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/choose"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
	"runbook/runtime/host"
)

// A Plan is what a mirror lacks. It belongs to the state of the machine that it was made on.
type Plan struct {
	Report Report

	mirror     *Mirror
	r          host.Reader
	dir        string // the account's tree
	channels   []*channel.Channel
	selector   *choose.Selector
	subdirs    []*subdir
	dirs       []string // absolute, parents first, that WriteTree does not make
	stale      []string // absolute, forms of an index that nobody keeps up to date
	remembered bool     // stateDir is there
	foreign    int      // files in the tree that Mirror.Owner does not own
	refusals   []error  // what was not done, for reasons other than a package
	delta      *delta
	data       *channeldata             // that must be written
	absent     map[string]state.Absence // by channel that does not say what it has

	progress *progress // once Apply has begun

	testOnlyFault func(name string) error // asked before each change to the tree; its error stands for a crash there
	testOnlyPause func(try int)           // instead of waiting before another try
}

// A Report says what a plan found. It is complete once the plan is made.
type Report struct {
	Subdirs     []SubdirReport
	Packages    int   // that the new indexes list
	Kept        int   // of them there already
	Fetch       int   // to be fetched, Replace included
	Replace     int   // of another content under the same name
	Bytes       int64 // to be fetched
	Free        int64 // bytes on the tree's file system; -1 if nobody asked because nothing is fetched
	Prune       int   // packages to remove
	PruneBytes  int64
	FilteredOut int
	Unverified  int // packages whose record has no digest
	Warnings    []string
}

// A SubdirReport is one subdir's part of a Report.
type SubdirReport struct {
	Subdir         string
	Packages, Kept int
	Fetch, Replace int
	Bytes          int64
	Prune          int
	PruneBytes     int64
}

// A subdir is one, and what is to be done in it.
type subdir struct {
	name    string
	fresh   bool // is to be made
	state   *state.State
	unread  bool   // the state is what an earlier effect of a dry run would have written
	print   string // fingerprint of all that decides
	sources []sourced
	done    bool // nothing has changed since the state was written

	total    map[string]int // records, by channel
	removed  []string
	packages int // that pass the filters
	listed   int // of them, in the new index
	kept     int
	sharded  bool                   // the directory of shards is to be made
	bare     bool                   // there is no index yet
	found    map[string]state.Known // what was hashed now
	fetch    []*item                // sorted by file
	next     int                    // of fetch, where position looks first
	json     plainIndex             // as it will be published
	publish  bool
	forms    []string // that are wrong or missing, if the plain one is right
	prune    []pruned
	manifest string // hex SHA-256, once it is written
}

// A sourced index is a subdir's in one channel.
type sourced struct {
	from *channel.Channel
	n    int // of the channel, as it is configured
	*channel.Index
	summary *repodata.Summary // once it was read
}

// A plainIndex is a repodata.json by its size and digest.
type plainIndex struct {
	size int64
	sum  string // hex SHA-256
}

// An item is one package to be fetched. There may be a million.
type item struct {
	in       *subdir
	file     string
	size     int64  // bytes; -1 while unknown
	mtime    int64  // nanoseconds since 1970, of the file, once it is verified
	ino      uint64 // likewise
	failed   error
	md5      *state.Sum // beside a SHA-256, if both are wanted
	sum      state.Sum
	source   uint16 // in subdir.sources
	replaces bool   // a file of the same name with other bytes
	foreseen bool   // the plan knew that it would fail
	named    bool   // has its name
}

// got is what is known of the file, once it is verified.
func (it *item) got() state.Known {
	return state.Known{Size: it.size, Mtime: it.mtime, Ino: it.ino, Sum: it.sum}
}

// name is the item's in the account's tree.
func (it *item) name() string { return it.in.name + "/" + it.file }

func (it *item) from() *sourced { return &it.in.sources[it.source] }

func (p *Plan) warn(texts ...string) { p.Report.Warnings = append(p.Report.Warnings, texts...) }

func (p *Plan) show(text string) {
	if p.mirror.Progress != nil {
		p.mirror.Progress(text)
	}
}

// count warns of n things, if there are any; format has one %d.
func (p *Plan) count(n int, format string) {
	if n > 0 {
		p.warn(fmt.Sprintf(format, n))
	}
}

// packages is how many there are, in words.
func packages(n int) string {
	if n == 1 {
		return "1 package"
	}
	return fmt.Sprintf("%d packages", n)
}

// survey has the selector see every record, if it must, before it keeps any.
func (w *planner) survey(ctx context.Context) error {
	p := w.plan
	if !p.selector.NeedsAll() || w.unchanged() {
		return nil
	}
	for _, s := range p.subdirs {
		if s.done { // others changed, and with them what this one should hold
			s.done = false
			if err := w.reopen(ctx, s); err != nil {
				return err
			}
		}
		taken := s.shadows()
		for i := range s.sources {
			x := &s.sources[i]
			err := x.scan(func(r *repodata.Record) error {
				if !taken.shadowed(r) {
					p.selector.See(s.name, x.n, r)
				}
				return ctx.Err()
			})
			if err != nil {
				return s.indexError(x, err)
			}
		}
	}
	p.warn(p.selector.Decide()...)
	return nil
}

func (w *planner) unchanged() bool {
	p := w.plan
	for _, s := range p.subdirs {
		if !s.done {
			return false
		}
	}
	return true
}

func (x *sourced) scan(f func(*repodata.Record) error) error {
	r, err := x.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = repodata.Scan(r, f)
	return err
}

// indexError says whose index is wrong.
func (s *subdir) indexError(x *sourced, err error) error {
	return advice.On(fmt.Errorf("channel %s/%s/%s: %w", x.from.Shown, s.name, channel.IndexFile, err),
		"the index is damaged or cut off: fetch it again, or let conda index make it anew")
}

// shadows tells which files are an earlier channel's; nil where there is only one.
type shadows map[string]bool

func (s *subdir) shadows() shadows {
	if len(s.sources) < 2 {
		return nil
	}
	return shadows{}
}

// shadowed reports whether a file of that name was seen before.
func (t shadows) shadowed(r *repodata.Record) bool {
	if t == nil {
		return false
	}
	if t[r.File] {
		return true
	}
	t[strings.Clone(r.File)] = true
	return false
}

// Manifests returns the digest of each subdir's manifest, as lines "SUBDIR SHA256", of the run that published it.
func (p *Plan) Manifests() map[string]string {
	all := map[string]string{}
	for _, s := range p.subdirs {
		switch {
		case s.manifest != "":
			all[s.name] = s.manifest
		case s.state != nil && s.state.Manifest != "":
			all[s.name] = s.state.Manifest
		}
	}
	return all
}

// Apply does what Changes says. All packages that can be had are fetched and all subdirs are
// published without the others before an error names those.
func (p *Plan) Apply(ctx context.Context, h host.Host) error {
	if err := p.delta.begin(h); err != nil {
		return err
	}
	for _, d := range p.dirs {
		err := h.Mkdir(d, host.Meta{Mode: publish.DirMode, Owner: p.mirror.Owner})
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) { // both make it under one name at first
			return advice.New("run again", "%s: another run has changed the tree since this one looked at it", d)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range p.stale {
		if err := h.Remove(f, 1); err != nil {
			return err
		}
	}
	if p.data != nil || slices.ContainsFunc(p.subdirs, (*subdir).writes) {
		fill := func(ctx context.Context, root *host.Root) error { return p.fill(ctx, h, root) }
		if err := h.WriteTree(ctx, p.dir, p.manifest(), fill); err != nil {
			return full(p.dir, err)
		}
	}
	if p.foreign > 0 {
		if err := h.Chown(p.dir, p.mirror.Owner, p.foreign); err != nil {
			return err
		}
	}
	if err := p.failure(); err != nil {
		return err
	}
	if err := p.remove(h); err != nil {
		return err
	}
	return p.delta.apply(ctx, h, p.mirror.Raw)
}

// full says what to do about a tree that cannot be written to.
func full(dir string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "make room on the file system of " + dir +
			", for bytes or for files (df, df -i): what is there stays, and the next run goes on from it"
	case errors.Is(err, syscall.EROFS):
		hint = "the file system of " + dir +
			" is mounted read-only: see why (dmesg tells), mount it for writing, and run again"
	case errors.Is(err, fs.ErrPermission):
		hint = "run as the owner of " + dir +
			", or as root with owner=; a drive that keeps no modes, such as FAT, must be mounted with fmask=133,dmask=022"
	case errors.Is(err, syscall.EIO):
		hint = "the disk of " + dir + " has errors: dmesg tells; what is there stays, and the next run goes on from it"
	}
	return advice.On(err, hint)
}

// writes reports whether anything is written for a subdir.
func (s *subdir) writes() bool {
	for _, it := range s.fetch {
		if it.failed == nil {
			return true
		}
	}
	return s.publish || s.remembers()
}

// Reads returns the files of this machine that the tree is made from: indexes, which
// have the digests of packages, and packages whose record has none.
func (p *Plan) Reads() (files []string) {
	for _, s := range p.subdirs {
		if !s.writes() {
			continue
		}
		for i := range s.sources {
			if f := s.sources[i].File; f != "" {
				files = append(files, f)
			}
		}
		for _, it := range s.fetch {
			at, err := it.where()
			if it.failed == nil && it.sum.Kind == state.None && err == nil && path.IsAbs(at) {
				files = append(files, at)
			}
		}
	}
	if p.delta != nil && p.delta.plan != nil {
		files = append(files, p.delta.plan.Reads()...)
	}
	return files
}
