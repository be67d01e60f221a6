package mirror

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"runbook/runtime/host/sample"
)

// Of mirrors that begin at once one does the work; the others are told to wait, or find it done. The tree is never
// damaged, and a mirror that was killed keeps nobody out.
func TestMirrorsAtOnce(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it runs many mirrors")
	rounds, each := 4, 4
	if long() {
		rounds, each = 100, 8
	}
	h := newHistory(t, chance(t), true)
	w := h.watch(t)
	told := map[string]int{}
	for round := range rounds {
		h.next()
		all := make([]*exec.Cmd, each)
		outs := make([]bytes.Buffer, each)
		for i := range all {
			all[i] = h.task.command(t, &outs[i])
			if err := all[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		if round%2 == 1 {
			all[h.rand.IntN(each)].Process.Kill()
		}
		for i, c := range all {
			told[h.outcome(exit(t, c.Wait()), outs[i].String())]++
		}
		h.finish()
	}
	w.end()
	t.Logf("%v, %d looks", told, w.looks.Load())
	if told["done"] == 0 || told["is writing"]+told["has changed"] == 0 {
		t.Errorf("got only %v", told)
	}
}

// outcome says how one of several mirrors has ended.
func (h *history) outcome(code int, text string) string {
	h.Helper()
	switch {
	case code == 0:
		return "done"
	case code == -1:
		return "killed"
	case strings.Contains(text, "another run is writing to this tree | wait until that run is done, then run again"):
		return "is writing"
	case strings.Contains(text, "another run has changed the tree since this one looked at it | run again"):
		return "has changed"
	}
	h.Errorf("a mirror ends with %d: %s", code, text)
	return "in another way"
}

// Eight readers see a whole channel at any moment of a hundred publishes.
func TestReadersDuringPublishes(t *testing.T) {
	t.Parallel()
	h := newHistory(t, chance(t), false)
	h.task.Rate = 0
	h.largest = 5000
	m := h.task.mirror()
	h.next()
	if _, err := h.run(m, h.local()); err != nil {
		t.Fatal(err)
	}
	publishes := sample.Count(t, 30, 100)
	readers := make([]*watcher, 8)
	for i := range readers {
		readers[i] = h.watch(t)
	}
	for range publishes {
		h.next()
		if _, err := h.run(m, h.local()); err != nil || t.Failed() {
			t.Fatal(advised(err))
		}
	}
	looks := []string{}
	for _, w := range readers {
		w.end()
		if looks = append(looks, fmt.Sprint(w.looks.Load())); w.looks.Load() < 5 {
			t.Error("a reader has looked too seldom")
		}
	}
	t.Log("looks: ", strings.Join(looks, " "))
}

// A plan is of the tree that it has looked at, and refuses another.
func TestOldPlans(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a", "b")
	m := r.mirror()
	r.must(m)
	r.channel("/src", "linux-64", "a", "b", "c")
	old, err := m.Plan(t.Context(), r.local())
	if err != nil {
		t.Fatal(err)
	}
	r.channel("/src", "linux-64", "a", "b", "c", "d")
	r.must(m)
	before := listing(t, r.path("/dst"))
	if err := old.Apply(t.Context(), r.local()); err == nil ||
		advised(err) != "linux-64: another run has changed the tree since this one looked at it | run again" {
		t.Errorf("got %s", advised(err))
	}
	if have := listing(t, r.path("/dst")); have != before {
		t.Errorf("the tree is changed:\n%s", difference(have, before))
	}
	r.same(m)
}
