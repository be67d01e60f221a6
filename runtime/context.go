package runtime

import (
	"context"
	"time"
)

// What an op may tell the run it belongs to, by the context that Check and Apply get.

// Observe adds to the observed part of the op's result: what is known only
// afterwards and in which a dry run and a run may differ.
func Observe(ctx context.Context, key string, value any) {}

// Assume notes that the op under way rests on a guess.
func Assume(ctx context.Context, note string) {}

// Progress shows how far the op under way is; it goes to the terminal only.
func Progress(ctx context.Context, text string) {}

// Sleep waits between two looks at something. A dry run does not wait: it
// returns ErrNoWaiting, and the look before it was the last.
func Sleep(ctx context.Context, d time.Duration) error { return nil }
