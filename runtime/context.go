package runtime

import (
	"context"
	"errors"
	"path"
	"time"
)

// What Check and deeds may say to the run, by the context that they get.

type runKey struct{}

func runOf(ctx context.Context) *Run {
	r, _ := ctx.Value(runKey{}).(*Run)
	return r
}

// Observe adds to the observed part of the op's result: what is known only
// afterwards and in which a dry run and a run may differ.
func Observe(ctx context.Context, key string, value any) {
	if r := runOf(ctx); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.observed == nil {
			r.observed = map[string]any{}
		}
		r.observed[key] = value
	}
}

// Assume lists a guess that the op under way rests on.
func Assume(ctx context.Context, guess string) {
	if r := runOf(ctx); r != nil {
		r.assume(guess)
	}
}

// Predicting reports whether a dry run has predicted changes already: the real machine
// may answer otherwise once they are made.
func Predicting(ctx context.Context) bool {
	r := runOf(ctx)
	return r != nil && r.predicted && r.counts.Changed > 0
}

// Progress shows how far the op under way is; it goes to the terminal only.
func Progress(ctx context.Context, text string) {
	if r := runOf(ctx); r != nil && r.Progress != nil {
		r.Progress(r.vault.Show(text))
	}
}

// Note shows a line to whoever watches, and in the trace: what a person should
// know about the op under way besides what it changes.
func Note(ctx context.Context, text string) error {
	if r := runOf(ctx); r != nil {
		return r.log(text)
	}
	return nil
}

// ErrNoWaiting is what Sleep returns in a dry run.
var ErrNoWaiting = errors.New("a dry run does not wait")

// Sleep waits between two looks at something. A dry run does not wait: it
// returns ErrNoWaiting, and the look before it was the last.
func Sleep(ctx context.Context, d time.Duration) error {
	if r := runOf(ctx); r != nil {
		return r.sleep(ctx, d)
	}
	return wait(ctx, d)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func noWaiting(context.Context, time.Duration) error { return ErrNoWaiting }

// Made reports whether this run, or an earlier one with the same state directory, made dir, which is without links,
// or a directory above it.
func Made(ctx context.Context, dir string) bool {
	r := runOf(ctx)
	for r != nil && dir != "/" {
		if r.dirs[dir] {
			return true
		}
		dir = path.Dir(dir)
	}
	return false
}
