package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/builtins/internal/mirror/state"
)

// flip changes one bit of a file. Of what stat returns only ctime changes, which no program can set.
func (r *rig) flip(name string, bit int64) {
	r.Helper()
	fi, err := os.Stat(name)
	if err != nil {
		r.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	at := bit % (fi.Size() * 8)
	if _, err = f.ReadAt(b[:], at/8); err == nil {
		b[0] ^= 1 << (at % 8)
		_, err = f.WriteAt(b[:], at/8)
	}
	if err == nil {
		err = os.Chtimes(name, fi.ModTime(), fi.ModTime())
	}
	if err != nil {
		r.Fatal(err)
	}
}

// Whatever bit has turned over in whatever file, reading everything finds it and puts it right, and nothing else is
// fetched. Without that only what stat tells is looked at.
func TestBitRot(t *testing.T) {
	t.Parallel()
	rounds := 20
	if long() {
		rounds = 500
	}
	random := chance(t)
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", letters(20)...)
	m := r.mirror()
	m.Shards = true
	r.must(m)
	want := listing(t, r.path("/dst"))
	packages, _ := filepath.Glob(r.path("/dst/acc/linux-64/*.tar.bz2"))
	others, _ := filepath.Glob(r.path("/dst/acc/*/repodata*"))
	shards, _ := filepath.Glob(r.path("/dst/acc/linux-64/shards/*"))
	flips := 0
	for i := range rounds {
		random.Shuffle(len(packages), func(i, j int) { packages[i], packages[j] = packages[j], packages[i] })
		bad := 1 + random.IntN(8)
		hit := append(slices.Clone(packages[:bad]), others[i%len(others)])
		if i%3 == 0 {
			hit = append(hit, shards[random.IntN(len(shards))])
		}
		for _, name := range hit {
			r.flip(name, random.Int64N(1<<40))
			flips++
		}
		r.repairs(m, bad)
		if have := listing(t, r.path("/dst")); have != want {
			t.Fatalf("round %d: not put right:\n%s", i, difference(have, want))
		}
	}
	t.Logf("%d bits", flips)
}

// repairs checks that so many packages are found to be bad by who reads everything, and by nobody else, and fetches
// them.
func (r *rig) repairs(m *Mirror, bad int) {
	r.Helper()
	m.Full = false
	if p, err := m.Plan(context.Background(), r.local()); err != nil || len(p.Changes()) > 0 {
		r.Errorf("what stat does not tell was noticed: %v, %v", p.Changes(), err)
	}
	m.Full = true
	p, err := m.Plan(context.Background(), r.local())
	if err != nil || p.Report.Replace != bad || p.Report.Fetch != bad {
		r.Fatalf("%d packages are bad, got %+v, %v", bad, p.Report, err)
	}
	if err := p.Apply(context.Background(), r.local()); err != nil {
		r.Fatal(err)
	}
}

// Any one thing that stat tells differently has a file read again.
func TestChangedFilesAreRead(t *testing.T) {
	t.Parallel()
	const name = "/dst/acc/linux-64/a-1.0-0.tar.bz2"
	bad := func(r *rig) string { return strings.Replace(r.get(name), "a", "x", 1) }
	for what, do := range map[string]func(r *rig, was time.Time) error{
		"time": func(r *rig, was time.Time) error {
			r.put(name, bad(r))
			return os.Chtimes(r.path(name), was, was.Add(1))
		},
		"past": func(r *rig, was time.Time) error {
			r.put(name, bad(r))
			return os.Chtimes(r.path(name), was, time.Unix(0, 0))
		},
		"future": func(r *rig, was time.Time) error {
			r.put(name, bad(r))
			return os.Chtimes(r.path(name), was, time.Unix(1<<33, 0))
		},
		"size": func(r *rig, was time.Time) error { r.put(name, bad(r)+"x"); return os.Chtimes(r.path(name), was, was) },
		"inode": func(r *rig, was time.Time) error {
			r.put(name+".new", bad(r))
			os.Rename(r.path(name+".new"), r.path(name))
			return os.Chtimes(r.path(name), was, was)
		},
	} {
		r := newMemoryRig(t)
		r.channel("/src", "linux-64", "a", "b")
		m := r.mirror()
		r.must(m)
		want := listing(t, r.path("/dst"))
		fi, err := os.Stat(r.path(name))
		if err := errors.Join(err, do(r, fi.ModTime())); err != nil {
			t.Fatal(err)
		}
		if r.must(m); listing(t, r.path("/dst")) != want {
			t.Errorf("%s: not put right", what)
		}
	}
}

// sealed gives the text of a state its digest.
func sealed(text []byte) []byte {
	sum := sha256.Sum256(text)
	return append(text, sum[:]...)
}

// lyingState has a digest that is right and entries that are not.
func lyingState(entries string) string {
	line := `{"Subdir":"linux-64"}`
	text := append([]byte(state.Magic+entries), line...)
	return string(sealed(binary.LittleEndian.AppendUint32(text, uint32(len(line)))))
}

// badStates are what can become of what a mirror remembers of linux-64.
func badStates(r *rig) map[string]func() {
	name := "/dst/acc/" + state.Name("linux-64")
	text := r.get(name)
	bad := map[string]func(){
		"gone":           func() { os.Remove(r.path(name)) },
		"all gone":       func() { os.RemoveAll(r.path("/dst/acc/" + state.Dir)) },
		"a link":         func() { os.Rename(r.path(name), r.path("/other")); os.Symlink("/other", r.path(name)) },
		"another subdir": func() { r.put(name, r.get("/dst/acc/"+state.Name("noarch"))) },
		"another tree": func() {
			m := r.mirror()
			m.Account = "other"
			r.must(m)
			r.put(name, r.get("/dst/other/"+state.Name("linux-64")))
		},
		"of the future":   func() { r.put(name, strings.Replace(text, "state 2\n", "state 3\n", 1)) },
		"of the past":     func() { r.put(name, `{"version": 1}`) },
		"more behind":     func() { r.put(name, text+"x") },
		"no packages":     func() { r.put(name, lyingState("")) },
		"length":          func() { r.put(name, lyingState("\xffa")) },
		"half an entry":   func() { r.put(name, lyingState("\x13a-1.0-0.tar.bz2xxxx")) },
		"no name":         func() { r.put(name, lyingState("\x00")) },
		"header's length": func() { r.put(name, string(sealed([]byte(state.Magic+"{}\xff\xff\xff\x7f")))) },
		"no header":       func() { r.put(name, string(sealed([]byte(state.Magic+"x\x00\x00\x00\x00")))) },
	}
	for _, n := range []int{0, 1, len(state.Magic), len(text) / 2, len(text) - 33, len(text) - 1} {
		bad[fmt.Sprint("cut at ", n)] = func() { r.put(name, text[:n]) }
	}
	return bad
}

// Whatever becomes of what a mirror remembers, nothing is believed that is not so: a wrong package beside it is
// found, and the tree becomes what it should be.
func TestBadStates(t *testing.T) {
	t.Parallel()
	names := []string{}
	for name := range badStates(stateRig(t)) {
		names = append(names, name)
	}
	for _, name := range names {
		r := stateRig(t)
		want := listing(t, r.path("/dst/acc"))
		r.put("/dst/acc/linux-64/b-1.0-0.tar.bz2", strings.Replace(r.get("/dst/acc/linux-64/b-1.0-0.tar.bz2"), "b", "x", 1))
		badStates(r)[name]()
		if _, err := r.run(r.mirror(), r.local()); err != nil {
			t.Errorf("%s: %s", name, advised(err))
			continue
		}
		if have := listing(t, r.path("/dst/acc")); have != want {
			t.Errorf("%s: got\n%s", name, difference(have, want))
		}
		r.same(r.mirror())
	}
}

func stateRig(t *testing.T) *rig {
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a", "b")
	r.must(r.mirror())
	return r
}

// Every bit of a state counts.
func TestStateBits(t *testing.T) {
	t.Parallel()
	r := stateRig(t)
	text := []byte(r.get("/dst/acc/" + state.Name("linux-64")))
	for i := range len(text) * 8 {
		text[i/8] ^= 1 << (i % 8)
		if state.Parse(text, "linux-64") != nil {
			t.Fatalf("bit %d was not missed", i)
		}
		text[i/8] ^= 1 << (i % 8)
	}
	if state.Parse(text, "linux-64") == nil || state.Parse(text, "noarch") != nil {
		t.Error("the state itself is not taken, or for another's")
	}
}
