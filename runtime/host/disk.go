package host

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// DiskFree is the space for files at a path that may not exist yet: the bytes
// that whoever runs may use, a space, and where the file system is mounted.
// An overlay counts what it would hold there as used.
var DiskFree = &Kind{"diskfree", probeDiskFree}

func probeDiskFree(ctx context.Context, r Reader, name string) (string, error) {
	for name != "/" {
		ok, err := Exists(r, name)
		if err != nil && !absent(err) {
			return "", err
		}
		if ok {
			break
		}
		name = path.Dir(name)
	}
	df := Process{Argv: []string{"df", "--output=avail,target", "-B1", "--", name}}
	res, err := r.Query(ctx, df)
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimSpace(string(res.Stdout)), "\n")
	free, mount, ok := strings.Cut(strings.TrimSpace(lines[len(lines)-1]), " ")
	if _, err := strconv.ParseInt(free, 10, 64); err != nil || !ok || res.Code != 0 {
		return "", fmt.Errorf("df %s: exit status %d%s", name, res.Code, lastWords(df, res))
	}
	return free + " " + strings.TrimSpace(mount), nil
}

// diskFree subtracts from what the base has what the overlay would have written.
func (o *Overlay) diskFree(ctx context.Context, name string) (string, error) {
	dir, base, err := walk(steps{o: o}, name, true)
	if err == nil {
		name = path.Join(dir.path(), base)
	}
	v, err := o.base.Fact(ctx, Fact{DiskFree, name})
	free, mount, ok := strings.Cut(v, " ")
	if err != nil || !ok {
		return v, err
	}
	n, err := strconv.ParseInt(free, 10, 64)
	if err != nil {
		return "", err
	}
	mounts, err := mountPoints(o.base)
	if err != nil {
		return "", err
	}
	if o.top != nil {
		n -= o.used(o.top, "/", true, func(name string) bool { return longest(mounts, name) == mount })
	}
	return fmt.Sprintf("%d %s", max(n, 0), mount), nil
}

// used sums up the files that the overlay holds, less what they replace; beside says whether the base has their
// directory. What was removed is not counted as free: something may still hold it open.
func (o *Overlay) used(n *node, name string, beside bool, counts func(string) bool) (bytes int64) {
	if n.base == "" && n.meta.Mode.IsRegular() && !n.unknown && counts(name) {
		bytes += max(n.meta.Size, 0)
		if beside {
			bytes -= o.replaced(name)
		}
		return bytes
	}
	if beside && len(n.kids) > 0 {
		_, err := o.below(name)
		beside = err == nil
	}
	for s, kid := range n.kids {
		if kid != nil {
			bytes += o.used(kid, path.Join(name, s), beside, counts)
		}
	}
	return bytes
}

// replaced is the size of the file that the base has by this name.
func (o *Overlay) replaced(name string) int64 {
	if old, err := o.base.Lstat(name); err == nil && old.Mode.IsRegular() {
		return old.Size
	}
	return 0
}

// longest returns the last mount point on the way to name.
func longest(mounts []string, name string) (found string) {
	found = "/"
	for _, m := range mounts {
		if Below(name, m) && len(m) > len(found) {
			found = m
		}
	}
	return found
}
