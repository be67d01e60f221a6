package mirror

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
	"runbook/runtime/host"
)

// A Verification fetches packages of a channel as a client does, and compares them with what its indexes say.
type Verification struct {
	Channel string // its address
	Access  channel.Access
	Subdirs []string // those to look at; noarch always
	Sample  int      // packages of each subdir; 0: all
	Told    func(text string)

	Packages int   // that were fetched
	Bytes    int64 // of them
}

// A chosen package is one to fetch.
type chosen struct {
	rank [sha256.Size]byte
	file string
	size int64 // -1 if the index does not say
	sum  state.Sum
}

// A draw keeps the packages that rank lowest, the highest of them first. The rank is the digest of the name: a
// draw is as good as one by chance, and the same each time.
type draw []chosen

func (c draw) Len() int           { return len(c) }
func (c draw) Less(i, j int) bool { return string(c[i].rank[:]) > string(c[j].rank[:]) }
func (c draw) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }

// Push is heap.Interface's.
func (c *draw) Push(x any) { *c = append(*c, x.(chosen)) }

// Pop is heap.Interface's.
func (c *draw) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// Do verifies, and stops at the first package that is not what the index says.
func (v *Verification) Do(ctx context.Context, r host.Reader) error {
	ch, err := channel.Open(v.Channel, r, v.Access)
	if err != nil {
		return err
	}
	subdirs, guessed, err := ch.Subdirs(ctx, v.Subdirs)
	if err != nil {
		return err
	}
	listed := false
	for _, subdir := range subdirs {
		err := v.subdir(ctx, ch, subdir)
		if errors.Is(err, fs.ErrNotExist) && (guessed || len(v.Subdirs) > 0) {
			continue // it does not say which it has
		}
		if err != nil {
			return fmt.Errorf("%s: %w", subdir, err)
		}
		listed = true
	}
	if !listed {
		return errors.New("it has no index: not even of noarch")
	}
	return nil
}

func (v *Verification) subdir(ctx context.Context, ch *channel.Channel, subdir string) error {
	index, err := ch.Index(ctx, subdir, "")
	if err != nil {
		return err
	}
	text, err := index.Open()
	if err != nil {
		return err
	}
	defer text.Close()
	var wanted draw
	sum, err := repodata.Scan(text, func(r *repodata.Record) error {
		rank := sha256.Sum256([]byte(r.File))
		if v.Sample == 0 || len(wanted) < v.Sample || string(rank[:]) < string(wanted[0].rank[:]) {
			heap.Push(&wanted, chosen{rank, strings.Clone(r.File), r.Size, state.SumOf(&r.Fields)})
		}
		if v.Sample > 0 && len(wanted) > v.Sample {
			heap.Pop(&wanted)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for _, p := range wanted {
		if v.Told != nil {
			v.Told(subdir + "/" + p.file)
		}
		if err := v.fetch(ctx, ch, subdir, sum.BaseURL, p); err != nil {
			return fmt.Errorf("%s: %w", p.file, err)
		}
	}
	return nil
}

func (v *Verification) fetch(ctx context.Context, ch *channel.Channel, subdir, base string, p chosen) error {
	at, err := ch.Locate(subdir, base, p.file)
	if err != nil {
		return err
	}
	got, err := ch.Fetch(ctx, at, 0, "", true)
	if err != nil {
		return err
	}
	digest := state.NewDigest(p.sum.Kind, false)
	n, err := io.Copy(digest, got)
	if err := cmp.Or(err, got.Close()); err != nil {
		return err
	}
	v.Packages++
	v.Bytes += n
	if p.size >= 0 && n != p.size {
		return fmt.Errorf("got %d bytes, want %d", n, p.size)
	}
	if text := digest.Differs(p.sum, nil); text != "" {
		return errors.New(text)
	}
	return nil
}
