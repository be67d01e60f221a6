package mirror

import (
	"testing"
	"time"
)

// benchSets are channels as they are, and one where the number of files matters, not their bytes.
var benchSets = map[string]func(*testing.B) *set{"channel": fullSet, "small": smallSet}

// BenchmarkFirst mirrors from local media into an empty tree, every byte verified and all of it durable, beside copying
// without verifying, and beside copying and verifying without making it durable.
//
//	go test ./builtins/internal/mirror -run - -bench First -benchtime 5x
func BenchmarkFirst(b *testing.B) {
	for name, make := range benchSets {
		for form, lean := range map[string]bool{"default": false, "nobzip2": true} {
			b.Run(name+"/"+form, func(b *testing.B) { benchFirst(b, make(b), lean) })
		}
	}
}

func benchFirst(b *testing.B, s *set, lean bool) {
	ours, theirs, verified := newPlace(b), newPlace(b), newPlace(b)
	race(b, racer{
		prepare: ours.fresh,
		do:      mirroring(b, job{Channel: s.dir, Dest: ours.in("tree"), NoBzip2: lean}),
		check:   func() { s.complete(b, ours.in("tree/acc", benchSubdir)) },
		clear:   ours.empty,
	}, racer{
		name:    "cp+sync",
		prepare: theirs.fresh,
		do:      shell(b, `cp -a "$1" "$2"; sync -f "$2"`, s.dir, theirs.in("tree")),
		clear:   theirs.empty,
	}, racer{
		name:    "cp+sha256sum",
		prepare: verified.fresh,
		do:      shell(b, `cp -a "$1" "$2"; cd "$2"; sha256sum --quiet -c "$3"`, s.dir, verified.in("tree"), s.list(b)),
		clear:   verified.empty,
	})
}

// mirroring returns what does a job in another process; its start counts.
func mirroring(b *testing.B, j job) func() time.Duration {
	return func() time.Duration {
		j.run(b)
		return 0
	}
}
