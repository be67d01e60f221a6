package mirror

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"runbook/builtins/internal/mirror/channel"
)

// BenchmarkAgain looks at a mirror in which nothing is to be done, beside rsync on the same trees: the engine alone,
// and a whole runbook with its trace.
//
//	go test ./builtins/internal/mirror -run - -bench Again -benchtime 21x
func BenchmarkAgain(b *testing.B) {
	b.Run("engine", func(b *testing.B) {
		s := manyFiles(b, 2000)
		j := job{Channel: s.dir, Dest: filepath.Join(b.TempDir(), "ours")}
		j.run(b)
		race(b, racer{do: func() time.Duration { return j.again(b).Plan }}, s.rsync(b))
	})
	b.Run("runbook", func(b *testing.B) {
		s := manyFiles(b, 2000)
		run := runbook(b, s.dir)
		run()
		race(b, racer{do: run}, s.rsync(b))
	})
}

// manyFiles is a set in which what counts is how many there are; old enough for the time of its index to tell.
func manyFiles(b *testing.B, n int) *set {
	s := newSet(b, n, func(i int) int64 { return int64(1000 + i) }, 0)
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(s.dir, benchSubdir, channel.IndexFile), hourAgo, hourAgo); err != nil {
		b.Fatal(err)
	}
	return s
}

// again does a job that finds nothing to do.
func (j job) again(b *testing.B) outcome {
	b.Helper()
	o := j.run(b)
	if o.Changes != 0 {
		b.Fatalf("got %d changes, want none", o.Changes)
	}
	return o
}

// rsync copies the set, then does so again when it is asked.
func (s *set) rsync(b *testing.B) racer {
	to := filepath.Join(b.TempDir(), "theirs")
	r := racer{name: "rsync", needs: "rsync", do: shell(b, `rsync -a "$1/" "$2/"`, s.dir, to)}
	if _, err := exec.LookPath("rsync"); err == nil {
		r.do()
	}
	return r
}

// runbook builds the program and returns what runs a runbook that mirrors a channel.
func runbook(b *testing.B, channel string) func() time.Duration {
	b.Helper()
	dir := b.TempDir()
	bin, file, state := filepath.Join(dir, "runbook"), filepath.Join(dir, "mirror.star"), filepath.Join(dir, "state")
	if out, err := exec.Command("go", "build", "-o", bin, "runbook/cmd/runbook").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	text := fmt.Sprintf("\"Mirrors a channel.\"\n\ndef fetch():\n    \"Mirror it.\"\n    mirror([%q], %q)\n\nstep(fetch)\n", channel, filepath.Join(dir, "tree"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	return shell(b, `"$1" run --quiet --state "$2" "$3"`, bin, state, file)
}
