package runtime

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"

	"runbook/runtime/host"
)

// What a script may use, apart from what builtins do for it. A runbook that is
// not a mistake needs a hundredth of it.
const (
	scriptMemory = 256 << 20       // bytes
	scriptTime   = 2 * time.Second // of CPU, for a load or a step
	loadSteps    = 10_000_000      // Starlark instructions, for a file
	runSteps     = 100_000_000     // and for a step
	actSteps     = 1000            // what a builtin that asks or changes a host counts for
	patience     = time.Second / 2 // for the instruction that a cancelled script is in
)

var (
	errMemory = errors.New("the script needs more than 256 MiB of memory")
	errTime   = errors.New("the script ran too long without an end")
)

// A meter measures what a script uses, from a goroutine of its own, and cancels it
// in time. A cancelled script ends with the instruction it is in, and that one can
// take for ever, too: then giveUp is told, where there is one.
type meter struct {
	giveUp func(error) // may be nil
	ctx    context.Context

	mu      sync.Mutex
	threads []*starlark.Thread

	acting atomic.Int32 // builtins that ask or change a host, which may take long
	base   atomic.Int64 // bytes in use that are not the script's
	began  atomic.Int64 // CPU time when the load or the step began, and what builtins used since
}

func newMeter(ctx context.Context, giveUp func(error)) *meter {
	m := &meter{giveUp: giveUp, ctx: ctx}
	m.base.Store(memory())
	m.began.Store(cpuTime())
	return m
}

// meter returns the meter of a load of the file called name.
func (rt *Runtime) meter(name string) *meter {
	if rt.GiveUp == nil {
		return newMeter(context.Background(), nil)
	}
	return newMeter(context.Background(), func(err error) {
		rt.GiveUp(explain(&Error{Class: Mistake, Pos: name, Err: err}))
	})
}

// thread makes a thread that may take so many instructions.
func (m *meter) thread(name string, steps uint64) *starlark.Thread {
	t := &starlark.Thread{Name: name}
	t.SetMaxExecutionSteps(steps)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.threads = append(m.threads, t)
	return t
}

// step makes the thread of the next step, which starts anew.
func (m *meter) step(name string) *starlark.Thread {
	m.mu.Lock()
	m.threads = nil
	m.mu.Unlock()
	m.began.Store(cpuTime())
	return m.thread(name, runSteps)
}

func (m *meter) cancel(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.threads {
		t.Cancel(err.Error())
	}
}

// act calls do, which is a builtin: its time is not the script's, and its memory
// is not, unless it only reads for the script.
func (m *meter) act(reads bool, do func() (starlark.Value, error)) (starlark.Value, error) {
	used, time := memory(), cpuTime()
	m.acting.Add(1)
	defer func() {
		m.began.Add(cpuTime() - time)
		if !reads {
			m.base.Add(memory() - used)
		}
		m.acting.Add(-1)
	}()
	return do()
}

// watch looks at the script until stop is called.
func (m *meter) watch() (stop func()) {
	done := make(chan struct{})
	go func() {
		ticks := time.NewTicker(5 * time.Millisecond)
		defer ticks.Stop()
		w := watcher{meter: m}
		for !w.look() {
			select {
			case <-done:
				return
			case <-ticks.C:
			}
		}
	}()
	return func() { close(done) }
}

// A watcher remembers why a script must end, and since when.
type watcher struct {
	*meter
	why   error
	since time.Time
	used  int64 // CPU time then
}

// look returns whether it has given up.
func (w *watcher) look() bool {
	if w.acting.Load() > 0 {
		return false
	}
	used := w.memory()
	if used > scriptMemory {
		runtime.GC() // what is in use counts, not what was
		used = w.memory()
	}
	why := w.ctx.Err()
	switch {
	case why != nil:
		why = context.Cause(w.ctx)
	case used > scriptMemory:
		why = errMemory
	case cpuTime()-w.began.Load() > int64(scriptTime):
		why = errTime
	default:
		w.why = nil // another step than the one that was cancelled
		return false
	}
	if w.why == nil {
		w.why, w.since, w.used = why, time.Now(), cpuTime()
		w.cancel(why)
	}
	waited, spent := time.Since(w.since), time.Duration(cpuTime()-w.used)
	if w.giveUp == nil || used < scriptMemory*3/2 && spent < patience && waited < 4*patience {
		return false
	}
	w.giveUp(w.why)
	return true
}

// memory is how many bytes the script uses. What was not its own, and garbage, may be gone since.
func (m *meter) memory() int64 {
	base, now := m.base.Load(), memory()
	if now < base {
		m.base.CompareAndSwap(base, now)
	}
	return max(0, now-base)
}

// memory is how many bytes are in use, on the heap and on stacks.
func memory() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() + s[1].Value.Uint64())
}

// cpuTime is the CPU time that this process has used, in nanoseconds. The clock on
// the wall goes on while a process waits for others.
func cpuTime() int64 { return int64(host.CPUTime()) }
