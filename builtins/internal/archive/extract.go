package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	"runbook/runtime/host/tree"
)

var errChanged = errors.New("the archive changed while it was read")

// Options of Extract. The zero value checks no digest and changes no owner.
type Options struct {
	// SHA256 and MD5 are digests of the archive file in hex; "" checks nothing.
	SHA256, MD5 string
	// Owner, if not nil, is who gets what is made.
	Owner *Owner
	// Progress, if not nil, gets how many bytes of all are written, one call at a time.
	Progress func(done, total int64)
}

// An Owner is a user and a group by number; -1 leaves it to whoever runs.
type Owner struct{ UID, GID int }

// Extract makes those entries below root that want chooses by their names; the
// directories above them must exist or be wanted too.
//
// Files are written under temporary names beside their places, several at once,
// with mode and time, made durable in batches and renamed: nobody sees half a file,
// and a link in the place of a file is replaced, never followed. Without a digest
// each batch is renamed when it is durable, so that an interrupted run can go on
// from there. With one, computed in the same pass, nothing is renamed before the
// whole archive has it. After an error no temporary file is left.
func (l *Listing) Extract(ctx context.Context, root *os.Root, want func(name string) bool, o Options) (err error) {
	owner := Owner{-1, -1}
	if o.Owner != nil {
		owner = *o.Owner
	}
	w, err := tree.New(root, tree.Options{UID: owner.UID, GID: owner.GID, Partial: tmpName})
	if err != nil {
		return err
	}
	defer w.Close()
	x := &extraction{Listing: l, ctx: ctx, root: root, tree: w, o: o, want: want, linkTo: map[string]string{},
		touched: map[string]bool{}}
	if err := x.run(); err != nil {
		x.discard()
		return err
	}
	return nil
}

type extraction struct {
	*Listing
	ctx  context.Context
	root *os.Root
	tree *tree.Writer
	o    Options
	want func(string) bool

	src     *source
	sums    *digests
	linkTo  map[string]string // hard links to make at the end
	made    []string          // directories that were not there
	touched map[string]bool   // directories whose names must be made durable
	total   int64             // bytes to be written
	files   *files
}

func (x *extraction) run() (err error) {
	if err := x.directories(); err != nil {
		return err
	}
	x.plan()
	var tee io.Writer
	if x.o.SHA256 != "" || x.o.MD5 != "" {
		x.sums = newDigests(x.o)
		defer x.sums.stop()
		tee = x.sums
	}
	if x.src, err = open(x.content, tee); err != nil {
		return err
	}
	defer x.src.Close()
	x.files = newFiles(x)
	members, err := walk(x.ctx, x.src, x.strip, x.member)
	if ferr := x.files.wait(); ferr != nil {
		return ferr // the walk saw it, or came to its end before
	}
	if err == nil && members != x.Members {
		err = errChanged
	}
	if err != nil {
		return err
	}
	if x.sums != nil {
		if err := x.sums.verify(); err != nil {
			return err
		}
	}
	return x.publish()
}

// directories makes what is wanted, with a mode that lets files be made in it;
// see publish for others. A later run finds them as they should be.
func (x *extraction) directories() error {
	for _, e := range x.Entries {
		if !e.Mode.IsDir() || !x.want(e.Name) {
			continue
		}
		made, err := x.tree.Mkdir(e.Name, x.tree.Attr(e.Mode.Perm()|0o700))
		if err == nil && !made {
			err = x.repair(e.Name, e.Mode.Perm()|0o700)
		}
		if err != nil {
			return err
		}
		if made {
			x.made = append(x.made, e.Name)
		}
		x.touched[path.Dir(e.Name)] = true
	}
	return nil
}

// repair sets the owner of a directory that is there, then its mode, which a change
// of owner may clear.
func (x *extraction) repair(name string, mode fs.FileMode) error {
	if o := x.o.Owner; o != nil {
		if err := x.root.Lchown(name, o.UID, o.GID); err != nil {
			return err
		}
	}
	return x.root.Chmod(name, mode)
}

// plan finds for every file that has hard links which name gets the data: the
// first that is wanted. A link to a file that is kept as it is gets its own copy.
func (x *extraction) plan() {
	for _, e := range x.Entries {
		if !e.Mode.IsRegular() || x.target[e.Name] != "" {
			continue
		}
		names := x.wanted(e.Name)
		if len(names) == 0 {
			continue
		}
		x.total += e.Size
		for _, n := range names[1:] {
			x.linkTo[n] = names[0]
		}
	}
}

// wanted lists those names of a file that are wanted.
func (x *extraction) wanted(name string) []string {
	names := append([]string{name}, x.links[name]...)
	return slices.DeleteFunc(names, func(n string) bool { return !x.want(n) })
}

// member writes a member's data if it is wanted.
func (x *extraction) member(m member, data io.Reader) error {
	i, ok := x.index[m.Name]
	if !ok {
		return errChanged
	}
	e := x.Entries[i]
	if m.link != "" {
		if x.target[m.Name] == "" {
			return errChanged
		}
		return nil
	}
	if e.Mode.Type() != m.Mode.Type() || e.Size != m.Size || e.Target != m.Target || !e.ModTime.Equal(m.ModTime) {
		return errChanged
	}
	names := []string(nil)
	if e.Mode.IsRegular() {
		names = x.wanted(e.Name)
	}
	if len(names) == 0 {
		return nil
	}
	x.touched[path.Dir(names[0])] = true
	return x.files.add(names[0], m, data)
}

// publish gives everything its place: files, then what points to them, then
// the modes of directories that forbid writing.
func (x *extraction) publish() error {
	if err := x.files.publish(); err != nil {
		return err
	}
	if err := x.pointers(); err != nil {
		return err
	}
	if err := x.tree.Commit(slices.Collect(maps.Keys(x.touched))...); err != nil {
		return err
	}
	for _, e := range slices.Backward(x.Entries) {
		if e.Mode.IsDir() && e.Mode.Perm()&0o700 != 0o700 && x.want(e.Name) {
			if err := x.root.Chmod(e.Name, e.Mode.Perm()); err != nil {
				return err
			}
		}
	}
	return nil
}

// pointers makes symbolic and hard links, replacing what is there.
func (x *extraction) pointers() error {
	for _, e := range x.Entries {
		to, hard := x.linkTo[e.Name]
		var err error
		switch {
		case hard:
			err = x.tree.Link(to, e.Name)
		case e.Target != "" && x.want(e.Name):
			err = x.tree.Symlink(e.Target, e.Name, x.tree.Attr(0))
		default:
			continue
		}
		if err != nil {
			return err
		}
		x.touched[path.Dir(e.Name)] = true
	}
	return nil
}

// discard removes what has no place yet, and directories that are empty by that.
func (x *extraction) discard() {
	if x.files != nil {
		x.files.discard()
	}
	for _, d := range slices.Backward(x.made) {
		x.root.Remove(d)
	}
}
