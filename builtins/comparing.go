package builtins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
	"runbook/runtime"
	"runbook/runtime/host"
)

var mirrorCompareBuiltin = &runtime.Builtin{
	Name: "mirror.compare",
	Args: []runtime.Arg{
		param("channel", "string", "", "a directory, or its file:// URL, that holds SUBDIR/repodata.json"),
		param("tree", "path", "", "the directory that should hold SUBDIR/PACKAGE for each of them; somebody else fills it"),
		param("platforms", "list of string", "[]", "subdirs to compare; all that the channel has if empty; noarch always"),
		param("since", "path", "None", "a file that was written when the tree was right: only what changed after it is read"),
		param("digests", "bool", "True", "compare digests, too; otherwise only names and sizes"),
		param("index", "bool", "False", "with since=: a repodata.json in the tree that was removed or changed after that "+
			"differs, too, unless it is the channel's"),
		assumeParam("list of string"),
	},
	Summary: "compare a tree that another program fills with the indexes of a channel",
	Detail: []string{
		"It returns .differ, the names SUBDIR/FILE of what the tree lacks or holds with another size or digest; .bytes, their sizes together; " +
			".packages, how many there should be; and .read, how many had to be read.",
	},
	Example: `mkdir("/srv/media/noarch")
write("/srv/media/noarch/repodata.json", "{}")
if mirror.compare("/srv/media", "/srv/store").differ:
    log("the store is not what the channel says")`,
	Read: readMirrorCompare,
}

func readMirrorCompare(c *runtime.Call, h host.Reader) (starlark.Value, error) {
	t := treeComparison{ctx: c.Context(), h: runtime.Unmasked(h), digests: true}
	var channel string
	var tree, since runtime.Path
	var assume starlark.Value
	err := c.Unpack("channel", &channel, "tree", &tree, "platforms", &t.platforms, "since", &since, "digests", &t.digests,
		"index", &t.index,
		"assume", &assume)
	if err != nil {
		return nil, err
	}
	t.shown = strings.TrimSuffix(channel, "/")
	t.channel, t.tree = path.Clean(strings.TrimPrefix(channel, "file://")), string(tree)
	if !path.IsAbs(t.channel) {
		err := fmt.Errorf("argument \"channel\": got %q, want an absolute directory or a file:// URL", channel)
		return nil, runtime.Hint(err, "mirror() it first; then compare with the mirror")
	}
	err = t.compare(string(since))
	differ := make([]starlark.Value, len(t.differ))
	for i, name := range t.differ {
		differ[i] = starlark.String(name)
	}
	list, err := answer(c, t.tree, starlark.NewList(differ), err, assume)
	if err != nil {
		return nil, err
	}
	return starlarkstruct.FromStringDict(starlark.String("comparison"), starlark.StringDict{
		"differ": list, "packages": starlark.MakeInt(t.packages), "bytes": starlark.MakeInt64(t.bytes),
		"read": starlark.MakeInt(t.read),
	}), nil
}

// A treeComparison compares a tree with a channel's indexes.
type treeComparison struct {
	ctx       context.Context
	h         host.Reader
	channel   string
	shown     string // the channel as the call names it
	tree      string
	platforms []string
	digests   bool
	index     bool
	since     time.Time // zero: everything is read

	differ   []string
	packages int
	read     int
	bytes    int64
	batch    []listedPackage // of one subdir
	flawed   error           // of the tree, not of an index
}

// A listedPackage is what an index says of a file.
type listedPackage struct {
	file string
	size int64 // -1 if it does not say
	sum  state.Sum
}

func (t *treeComparison) compare(since string) error {
	if since != "" {
		s := t.h.LstatAll(path.Dir(since), []string{path.Base(since)})[0]
		if s.Err != nil && !isMissing(s.Err) {
			return s.Err
		}
		t.since = s.Changed
	}
	subdirs := append(slices.Clone(t.platforms), "noarch")
	if len(t.platforms) == 0 {
		var err error
		if subdirs, err = t.h.ReadDir(t.channel); err != nil {
			return err
		}
	}
	slices.Sort(subdirs)
	for _, subdir := range slices.Compact(subdirs) {
		if err := t.compareSubdir(subdir); err != nil {
			return err
		}
	}
	return nil
}

const indexFile = "repodata.json"

func (t *treeComparison) compareSubdir(subdir string) error {
	c, err := t.h.Content(path.Join(t.channel, subdir, indexFile))
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := c.Reader()
	if err != nil {
		return err
	}
	defer f.Close()
	const many = 2048
	_, err = repodata.Scan(f, func(r *repodata.Record) error {
		t.packages++
		t.batch = append(t.batch, listedPackage{strings.Clone(r.File), r.Size, state.SumOf(&r.Fields)})
		if len(t.batch) < many {
			return nil
		}
		t.flawed = t.flush(subdir)
		return t.flawed
	})
	if err != nil && t.flawed == nil && t.ctx.Err() == nil {
		return runtime.Hint(fmt.Errorf("channel %s/%s/%s: %w", t.shown, subdir, indexFile, err),
			"the index is damaged or cut off: fetch it again, or let conda index make it anew")
	}
	if err == nil {
		err = t.flush(subdir)
	}
	if err == nil && t.index && !t.since.IsZero() {
		err = t.compareIndex(subdir)
	}
	return err
}

// flush compares the batch with the tree.
func (t *treeComparison) flush(subdir string) error {
	names := make([]string, len(t.batch))
	for i, p := range t.batch {
		names[i] = p.file
	}
	var doubts []int // of which only the bytes can tell
	wrong := make([]bool, len(t.batch))
	for i, s := range t.h.LstatAll(path.Join(t.tree, subdir), names) {
		p := t.batch[i]
		switch {
		case s.Err != nil && !isMissing(s.Err):
			return s.Err
		case s.Err != nil || !s.Mode.IsRegular() || p.size >= 0 && s.Size != p.size:
			wrong[i] = true
		case t.digests && p.sum.Kind != state.None && (t.since.IsZero() || s.Changed.After(t.since)):
			doubts = append(doubts, i)
		}
	}
	if err := t.hash(subdir, doubts, wrong); err != nil {
		return err
	}
	for i, p := range t.batch {
		if wrong[i] {
			t.differ = append(t.differ, subdir+"/"+p.file)
			t.bytes += max(p.size, 0)
		}
	}
	t.batch = t.batch[:0]
	return t.ctx.Err()
}

// hash reads files, some at once, and notes which are wrong.
func (t *treeComparison) hash(subdir string, doubts []int, wrong []bool) error {
	const workers = 4
	errs := make([]error, len(wrong))
	slots := make(chan struct{}, workers)
	var done sync.WaitGroup
	for n, i := range doubts {
		p := t.batch[i]
		content, err := t.h.Content(path.Join(t.tree, subdir, p.file))
		if err != nil {
			errs[i] = err
			break
		}
		if n%100 == 0 {
			runtime.Progress(t.ctx, t.tree+"/"+subdir+"/"+p.file)
		}
		slots <- struct{}{}
		done.Go(func() {
			d := state.NewDigest(p.sum.Kind, false)
			errs[i] = readInto(t.ctx, d, content)
			wrong[i] = d.Differs(p.sum, nil) != ""
			<-slots
		})
	}
	done.Wait()
	t.read += len(doubts)
	return errors.Join(errs...)
}

// compareIndex notes an index that was removed from the tree or changed there.
func (t *treeComparison) compareIndex(subdir string) error {
	dir := path.Join(t.tree, subdir)
	index, holder := t.h.LstatAll(dir, []string{indexFile})[0], t.h.LstatAll(t.tree, []string{subdir})[0]
	if holder.Err != nil && !isMissing(holder.Err) {
		return holder.Err
	}
	switch {
	case holder.Err != nil:
		return nil // its packages are missed already
	case isMissing(index.Err):
		if holder.Changed.After(t.since) {
			t.differ = append(t.differ, subdir+"/"+indexFile)
		}
		return nil
	case index.Err != nil:
		return index.Err
	case !index.Changed.After(t.since):
		return nil
	}
	want, err := host.ReadFile(t.h, path.Join(t.channel, subdir, indexFile))
	if err != nil {
		return err
	}
	have, err := host.ReadFile(t.h, path.Join(dir, indexFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	t.read++
	if !bytes.Equal(have, want) {
		t.differ = append(t.differ, subdir+"/"+indexFile)
	}
	return nil
}
