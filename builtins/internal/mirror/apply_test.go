package mirror

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"runbook/runtime/host/sample"
)

// A bad package is named and left out of the index, and everything else is done.
func TestBadPackages(t *testing.T) {
	const a, b = "/src/linux-64/a-1.0-0.tar.bz2", "/src/linux-64/b-1.0-0.tar.bz2"
	for name, c := range map[string]struct {
		do   func(*rig)
		want string
		n    int // packages that the index then lists
	}{
		"missing":   {func(r *rig) { os.Remove(r.path(b)) }, "1 package could not be mirrored:\nlinux-64/b-1.0-0.tar.bz2: is listed and missing at the source", 2},
		"truncated": {func(r *rig) { r.put(b, "x") }, "1 package could not be mirrored:\nlinux-64/b-1.0-0.tar.bz2: got 1 bytes at the source, want 20000", 2},
		"rotten":    {func(r *rig) { r.put(b, strings.Replace(r.get(b), "b", "x", 1)) }, "linux-64/b-1.0-0.tar.bz2: got md5:", 2},
		"two": {func(r *rig) { r.put(a, "x"); r.put(b, strings.Replace(r.get(b), "b", "x", 1)) },
			"2 packages could not be mirrored:\nlinux-64/a-1.0-0.tar.bz2: got 1 bytes at the source, want 20000\nlinux-64/b-1.0-0.tar.bz2: got md5:", 1},
	} {
		r := newRig(t)
		r.channel("/src", "linux-64", "a")
		m := r.mirror()
		r.must(m)
		file, rec := r.pkg("/src", "linux-64", "a", nil) // replaced upstream
		r.put(a, strings.ToUpper(r.get(a)))
		rec["md5"] = md5Text(r.get(a))
		other, rec2 := r.pkg("/src", "linux-64", "b", nil)
		third, rec3 := r.pkg("/src", "linux-64", "c", nil)
		r.index("/src", "linux-64", map[string]record{file: rec, other: rec2, third: rec3})
		r.channel("/src", "osx-64", "d")
		good, goodB := r.get(a), r.get(b)
		c.do(r)
		for range 2 { // the second run says the same
			if _, err := r.run(m, r.local()); err == nil || !strings.Contains(err.Error(), c.want) ||
				!strings.Contains(advised(err), "the index leaves them out") {
				t.Errorf("%s: got %s", name, advised(err))
			}
			if r.complete("linux-64") != c.n || r.complete("osx-64") != 1 {
				t.Errorf("%s: the rest was not done", name)
			}
		}
		r.put(a, good)
		r.put(b, goodB)
		r.must(m)
		if r.complete("linux-64") != 3 {
			t.Errorf("%s: is not complete", name)
		}
	}
}

func md5Text(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }

var errCrash = errors.New("crash")

// crashRig is a channel with new, replaced and kept packages, mirrored as it was before.
func crashRig(t *testing.T) (*rig, *Mirror) {
	r := newRig(t)
	r.channel("/src", "linux-64", "a", "b")
	m := r.mirror()
	r.must(m)
	records := map[string]record{}
	for _, n := range []string{"a", "b", "c", "d"} {
		file, rec := r.pkg("/src", "linux-64", n, nil)
		if n == "b" {
			r.put("/src/linux-64/"+file, strings.ToUpper(content(file)))
			rec["md5"], rec["size"] = md5Text(r.get("/src/linux-64/"+file)), len(content(file))
		}
		records[file] = rec
	}
	r.index("/src", "linux-64", records)
	r.channel("/src", "win-32", "e")
	return r, m
}

// However early a run ends, the next one gets where an undisturbed one would have.
func TestCrashAnywhere(t *testing.T) {
	sample.Slow(t, "it breaks off many runs")
	whole, m := crashRig(t)
	whole.must(m)
	want := listing(t, whole.path("/dst"))
	ended := false
	for at := 1; !ended; at++ {
		r, m := crashRig(t)
		p, err := m.Plan(context.Background(), r.local())
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int64
		p.testOnlyFault = func(string) error { // for ever, as after a crash
			if n.Add(1) >= int64(at) {
				return errCrash
			}
			return nil
		}
		err = p.Apply(context.Background(), r.local())
		if ended = err == nil; !ended && !errors.Is(err, errCrash) {
			t.Fatal(at, err)
		}
		mid := r.get("/dst/acc/linux-64/repodata.json")
		if n, err := complete(r.path("/dst/acc/linux-64")); err != nil && !strings.Contains(err.Error(), "b-1.0-0") ||
			n == 0 && err == nil {
			t.Errorf("crash %d: %d, %v in %s", at, n, err, mid) // only a replaced file may be ahead of its index
		}
		if !ended {
			if _, err := r.run(m, r.local()); err != nil {
				t.Fatal(at, err)
			}
		}
		r.same(m)
		if have := listing(t, r.path("/dst")); have != want {
			t.Fatalf("crash %d: got\n%swant\n%s", at, have, want)
		}
		if ended && at < 20 {
			t.Errorf("only %d points were tried", at)
		}
	}
}
