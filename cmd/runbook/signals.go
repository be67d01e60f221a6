package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// interruptible returns a context that SIGINT and SIGTERM end: the op under way ends,
// then the run. A second one of them, or SIGQUIT, ends everything at once.
//
// A run that outlives its terminal is not ended by SIGHUP and SIGPIPE. They are caught
// rather than ignored, because children inherit what is ignored.
func (s *session) interruptible(ctx context.Context, outlives bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.ending.over = make(chan struct{})
	signals := make(chan os.Signal, 8)
	signal.Reset(syscall.SIGQUIT) // which ends the program before a run
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if outlives {
		signal.Notify(signals, syscall.SIGHUP, syscall.SIGPIPE)
	}
	go func() {
		for sig := range signals {
			again := ctx.Err() != nil || sig == syscall.SIGQUIT
			err := s.signalled(sig, again)
			if err == nil {
				continue
			}
			if cancel(err); again {
				s.endNow(err)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		quietly()
		close(signals)
		close(s.ending.over)
		cancel(nil)
	}
}

// signalled returns the error that the run is to end with; nil if it goes on.
func (s *session) signalled(sig os.Signal, again bool) error {
	switch sig {
	case syscall.SIGPIPE:
		return nil
	case syscall.SIGHUP:
		fmt.Fprintln(s.err, "runbook: the terminal is gone: the run goes on")
		return nil
	}
	name := unix.SignalName(sig.(syscall.Signal))
	err := &runtime.Error{
		Class: runtime.Interrupted, Err: errors.New("interrupted by " + name),
		Advice: "what is done stays; the same command goes on from there",
	}
	if op := s.watch.underWay(); op != "" && !again {
		if s.console.there() {
			fmt.Fprintln(s.err) // after the ^C that the terminal shows
		}
		fmt.Fprintln(s.err, "runbook: "+name+": the run ends as soon as this does: "+shown(op)+" (once more: at once)")
	}
	return err
}

// An ending is what is needed to end a run that nobody waits for.
type ending struct {
	over     chan struct{}           // closed when the run has ended by itself
	conclude func(head string) error // nil of a dry run

	mu     sync.Mutex
	run    *runtime.Run
	record *trace.File
}

func (e *ending) begun(r *runtime.Run, record *trace.File) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.run, e.record = r, record
}

// endNow ends the commands under way and then the program, unless the run ends by
// itself now. Any goroutine may call it.
func (s *session) endNow(err error) {
	s.local.EndProcesses()
	select {
	case <-s.ending.over:
		return
	case <-time.After(500 * time.Millisecond):
	}
	s.ending.mu.Lock() // for good: whoever comes later finds the program ending
	if s.ending.run != nil {
		err = errors.Join(err, s.ending.run.Abort(err))
		if s.ending.conclude != nil {
			err = errors.Join(err, s.ending.conclude(s.ending.record.Head()))
		}
	}
	report(s.err, err)
	os.Exit(exitCode(err))
}

// quietly ends the program on SIGQUIT as other programs do, without a dump of its
// goroutines.
func quietly() {
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		os.Exit(130)
	}()
}
