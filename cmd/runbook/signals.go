package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"runbook/runtime"
)

// interruptible returns a context that SIGINT and SIGTERM end. Each of these signals
// prints the op that the run still waits for.
//
// A run that outlives its terminal is not ended by SIGHUP and SIGPIPE. They are caught
// rather than ignored, because children inherit what is ignored.
func (s *session) interruptible(ctx context.Context, outlives bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if outlives {
		signal.Notify(signals, syscall.SIGHUP, syscall.SIGPIPE)
	}
	go func() {
		for sig := range signals {
			s.signalled(sig, cancel)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

func (s *session) signalled(sig os.Signal, cancel context.CancelCauseFunc) {
	switch sig {
	case syscall.SIGPIPE:
		return
	case syscall.SIGHUP:
		fmt.Fprintln(s.err, "runbook: the terminal is gone: the run goes on")
		return
	}
	name := unix.SignalName(sig.(syscall.Signal))
	cancel(&runtime.Error{
		Class: runtime.Interrupted, Err: errors.New("interrupted by " + name),
		Advice: "what is done stays; the same command goes on from there",
	})
	if op := s.watch.underWay(); op != "" {
		if s.console.there() {
			fmt.Fprintln(s.err) // after the ^C that the terminal shows
		}
		fmt.Fprintln(s.err, "runbook: "+name+": the run ends as soon as this does: "+shown(op))
	}
}
