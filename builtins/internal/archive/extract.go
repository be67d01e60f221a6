package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"runbook/runtime/host"
)

var errChanged = errors.New("the archive changed while it was read")

// Options of Extract. The zero value checks no digest and changes no owner.
type Options struct {
	// SHA256 and MD5 are digests of the archive file in hex; "" checks nothing.
	SHA256, MD5 string
	// Chown, if not nil, gives what was made to its owner: name below root,
	// which must not be followed if it is a link.
	Chown func(root *os.Root, name string) error
	// Progress, if not nil, is told how many bytes of all are written.
	Progress func(done, total int64)
}

// Extract makes those entries below root that want chooses by their names; the
// directories above them must exist or be wanted too.
//
// Files are written under temporary names beside their places, with mode and
// time, synced in batches and renamed: nobody sees half a file, and a link in
// the place of a file is replaced, never followed. Without a digest each batch
// is renamed when it is synced, so that an interrupted run can go on from there.
// With one, computed in the same pass, nothing is renamed before the whole
// archive has it. After an error no temporary file is left.
func (l *Listing) Extract(ctx context.Context, root *os.Root, want func(name string) bool, o Options) error {
	x := &extraction{Listing: l, ctx: ctx, root: root, o: o, want: want, linkTo: map[string]string{},
		touched: map[string]bool{}}
	err := x.run()
	if err != nil {
		x.discard()
	}
	return err
}

type extraction struct {
	*Listing
	ctx  context.Context
	root *os.Root
	o    Options
	want func(string) bool

	src     *source
	sums    *digests
	writing []pending         // open
	ready   []pending         // synced and closed
	linkTo  map[string]string // hard links to make at the end
	made    []string          // directories that were not there
	touched map[string]bool   // directories whose entries must be synced

	batch       int64 // bytes in writing
	done, total int64
}

// A pending file has its content and waits for its name.
type pending struct {
	name string
	file *os.File
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
	members, err := walk(x.ctx, x.src, x.strip, x.member)
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
		fi, err := x.root.Lstat(e.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = x.directory(e)
		case err == nil && !fi.IsDir():
			err = fmt.Errorf("%s: is there and is not a directory", e.Name)
		case err == nil:
			err = x.settle(e.Name, e.Mode.Perm()|0o700)
		}
		if err != nil {
			return err
		}
		x.touched[path.Dir(e.Name)] = true
	}
	return nil
}

// directory makes one that is not there, and gives it its name when it is as it should be.
func (x *extraction) directory(e host.Entry) error {
	tmp := tmpName(e.Name)
	err := x.remove(tmp)
	if err == nil {
		err = x.root.Mkdir(tmp, 0o700)
	}
	if err == nil {
		err = x.settle(tmp, e.Mode.Perm()|0o700)
	}
	if err == nil {
		err = x.root.Rename(tmp, e.Name)
	}
	if err != nil {
		x.remove(tmp)
		return err
	}
	x.made = append(x.made, e.Name)
	return nil
}

// settle sets the owner, then the mode, which a change of owner may clear.
func (x *extraction) settle(name string, mode fs.FileMode) error {
	if x.o.Chown != nil {
		if err := x.o.Chown(x.root, name); err != nil {
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
	return x.file(names[0], m, data)
}

// publish gives everything its place: files, then what points to them, then
// the modes of directories that forbid writing.
func (x *extraction) publish() error {
	if err := x.sync(); err != nil {
		return err
	}
	if err := x.rename(); err != nil {
		return err
	}
	if err := x.pointers(); err != nil {
		return err
	}
	if err := x.syncDirs(); err != nil {
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
		if !hard && (e.Target == "" || !x.want(e.Name)) {
			continue
		}
		tmp := tmpName(e.Name)
		if err := x.remove(tmp); err != nil {
			return err
		}
		err := error(nil)
		if hard {
			err = x.root.Link(to, tmp)
		} else if err = x.root.Symlink(e.Target, tmp); err == nil && x.o.Chown != nil {
			err = x.o.Chown(x.root, tmp)
		}
		if err == nil {
			err = x.root.Rename(tmp, e.Name)
		}
		// Renaming one hard link to another of the same file leaves both: rename(2).
		if err := errors.Join(err, x.remove(tmp)); err != nil {
			return err
		}
		x.touched[path.Dir(e.Name)] = true
	}
	return nil
}

// remove deletes a temporary name, such as one that a killed run left.
func (x *extraction) remove(name string) error {
	err := x.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// discard removes what has no place yet, and directories that are empty by that.
func (x *extraction) discard() {
	for _, p := range x.writing {
		p.file.Close()
		x.remove(tmpName(p.name))
	}
	for _, p := range x.ready {
		x.remove(tmpName(p.name))
	}
	for _, d := range slices.Backward(x.made) {
		x.root.Remove(d)
	}
}
