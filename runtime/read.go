package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"path"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A Read is a file that an effect reads, or a directory with the files that it reads
// below it. Those that the run made are left out.
type Read struct {
	Path string
	// Here is the file if it lies beside the runbook; then there is no Path.
	Here *Here
	// SHA256 and MD5 are digests that the effect itself verifies; then none is computed.
	SHA256, MD5 string
	// Files are the absolute names of what is read below Path, a directory.
	Files []string
	// Loose is set of what may be too large to be read for this: it is known by size and
	// time if it is, as Files are.
	Loose bool
}

// looseLimit is how many bytes are read for a digest that may be of sizes and times.
const looseLimit = 1 << 30

// What a digest is of that is not of a file's bytes.
const (
	ofDigests = "names, sizes and digests"
	ofTimes   = "names, sizes and times"
)

// Reading returns h, whose effects read inputs: the trace has their digests.
func Reading(h host.Host, inputs ...Read) host.Host {
	d, ok := h.(*door)
	if !ok {
		return h
	}
	reading := *d
	reading.reads = append(slices.Clone(d.reads), inputs...)
	return &reading
}

// A readFile is a file whose digest is in the trace.
type readFile struct {
	name    string
	content host.Content
	size    int64
	written int64
	sum     string
	version host.Version
	shared  bool // a command names it, and may write it itself
}

// bind returns what the trace says of the inputs of the next effect, and the files
// whose digests were computed. Other calls than these read nothing.
func (d *door) bind(call string) (inputs []trace.Input, files []*readFile, err error) {
	if !slices.Contains([]string{"exec", "write", "tree", "move"}, call) {
		return nil, nil, nil
	}
	for _, in := range d.reads {
		if in.Here != nil {
			inputs = append(inputs, trace.Input{Path: in.Here.String(), SHA256: in.Here.SHA256})
			continue
		}
		group, err := d.inputFiles(in)
		if err != nil {
			return nil, nil, err
		}
		if len(group) == 0 {
			continue
		}
		if in.SHA256 != "" || in.MD5 != "" {
			inputs = append(inputs, trace.Input{Path: in.Path, SHA256: in.SHA256, MD5: in.MD5})
			continue
		}
		about, err := d.describe(in, group)
		if err != nil {
			return nil, nil, err
		}
		inputs, files = append(inputs, about), append(files, group...)
	}
	return inputs, files, nil
}

// inputFiles looks up the files of an input that the run did not make.
func (d *door) inputFiles(in Read) (group []*readFile, err error) {
	names := in.Files
	if names == nil {
		names = []string{in.Path}
	}
	for _, name := range names {
		real, err := d.Reader.Resolve(name, true)
		if err == nil && d.run.made.has(real) {
			continue
		}
		b := &readFile{name: name, shared: in.Loose}
		var m host.Meta
		if err == nil {
			b.content, err = d.Reader.Content(real)
		}
		if err == nil {
			m, err = d.Reader.Lstat(real)
		}
		switch {
		case errors.Is(err, host.ErrUnknown):
			continue // an earlier command would have changed it
		case err != nil:
			return nil, err
		}
		b.size, b.written = m.Size, m.ModTime.UnixNano()
		group = append(group, b)
	}
	return group, nil
}

// describe computes the digest of one input.
func (d *door) describe(in Read, group []*readFile) (trace.Input, error) {
	about := trace.Input{Path: in.Path}
	total := int64(0)
	for _, b := range group {
		total += b.size
	}
	loose := (in.Loose || in.Files != nil) && total > looseLimit
	if !loose {
		if err := d.sum(group, total); err != nil {
			return about, err
		}
	}
	if in.Files == nil && !loose {
		about.SHA256 = group[0].sum
		return about, nil
	}
	about.Of = ofDigests
	if loose {
		about.Of = ofTimes
	}
	var lines []string
	for _, b := range group {
		known := b.sum
		if loose {
			known = fmt.Sprint(b.written)
		}
		lines = append(lines, fmt.Sprintf("%q %d %s\n", strings.TrimPrefix(b.name, in.Path), b.size, known))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	about.SHA256 = hex.EncodeToString(sum[:])
	return about, nil
}

// sum computes the digests of files, several at a time.
func (d *door) sum(files []*readFile, total int64) error {
	ctx, cancel := context.WithCancelCause(d.run.ctx)
	defer cancel(nil)
	next := make(chan *readFile)
	done := make(chan int64)
	var workers sync.WaitGroup
	for range min(len(files), goruntime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for b := range next {
				var err error
				if b.sum, b.version, err = d.run.Digests.Sum(ctx, b.content); err != nil {
					cancel(fmt.Errorf("%s: %w", b.name, err))
				}
				done <- b.size
			}
		})
	}
	go func() {
		for _, b := range files {
			next <- b
		}
		close(next)
		workers.Wait()
		close(done)
	}()
	read := int64(0)
	for n := range done {
		if read += n; d.run.Progress != nil && total > 64<<20 {
			d.run.Progress(fmt.Sprintf("digests of what is read: %d of %d MB", read>>20, total>>20))
		}
	}
	return context.Cause(ctx)
}

// steady returns c, the content of a copy, with an error where the file that it is a
// copy of changed after its digest was computed.
func steady(files []*readFile, c host.Content) host.Content {
	if len(files) != 1 || c.Open == nil {
		return c
	}
	return files[0].version.Guard(files[0].name, c)
}

// unchanged returns an error if a file that a command does not write itself changed after its digest was computed.
func unchanged(files []*readFile) error {
	for _, b := range files {
		if b.shared {
			continue
		}
		if err := b.version.Check(b.name, b.content); err != nil {
			return err
		}
	}
	return nil
}

// accountFiles are where commands like useradd write.
var accountFiles = []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"}

// A made set is the files that a run has made, by names without links.
type made struct {
	seed  maphash.Seed
	files map[uint64]bool // by hash: a mirror has a million of them
	trees []string        // with all below them
	any   bool            // a command may have made others, where systems keep what they install
}

func newMade() *made { return &made{seed: maphash.MakeSeed(), files: map[uint64]bool{}} }

func (m *made) file(name string) { m.files[maphash.String(m.seed, name)] = true }

func (m *made) tree(name string) { m.trees = append(m.trees, name) }

// installed are the trees in which package managers put things.
var installed = []string{"/usr", "/etc", "/opt", "/var", "/boot", "/bin", "/sbin", "/lib", "/lib32", "/lib64"}

func (m *made) has(name string) bool {
	in := func(dir string) bool { return host.Below(name, dir) }
	return m.files[maphash.String(m.seed, name)] || slices.ContainsFunc(m.trees, in) ||
		m.any && slices.ContainsFunc(installed, in)
}

// real returns name without links, itself where that cannot be told.
func (d *door) real(name string) string {
	real, err := d.Reader.Resolve(name, false)
	if err != nil {
		return path.Clean(name)
	}
	return real
}

// makes remembers what a command makes.
func (d *door) makes(c host.Cmd) {
	for _, r := range d.reads {
		if real, err := d.Reader.Resolve(r.Path, true); err == nil && r.Loose { // it may change it, too
			d.run.made.file(real)
		}
	}
	for _, t := range c.Touches {
		d.run.made.tree(d.real(t))
	}
	for f := range c.Sets {
		if f.Kind == host.User || f.Kind == host.Group || f.Kind == host.Primary || f.Kind == host.Groups {
			for _, name := range accountFiles {
				d.run.made.file(d.real(name))
			}
		}
	}
	for _, e := range c.Makes {
		switch name := d.real(path.Join("/", e.Name)); {
		case e.Mode.IsRegular():
			d.run.made.file(name)
		case !e.Mode.IsDir():
			d.run.made.tree(name)
		}
	}
	d.run.made.any = d.run.made.any || c.MayMake
}
