package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"runbook/runtime"
	"runbook/runtime/host"
)

// What runs is compared with the files that it read when it started: newer_than= of
// the builtins that start things. No run has to remember anything for that, so a
// restart that a run did not get to is made by the next one.

// newerThan are files and directories; what runs must have started after the last
// change of each.
type newerThan []runtime.Path

func newerThanParam(what string) runtime.Arg {
	return param("newer_than", "list of path", "[]", "files, or directories with all below them, that "+what+
		" read when they start; what started before one of them changed is restarted")
}

// check returns an error if one of the files is not there.
func (names newerThan) check(h host.Reader) error {
	for _, n := range names {
		if _, err := lastChange(h, string(n)); err != nil && !errors.Is(err, host.ErrUnknown) {
			return err
		}
	}
	return nil
}

// changedAfter returns the first of the files that changed after a start, which is the
// value of a fact; "" if none did. Where only a real run could know, it assumes a change.
func (names newerThan) changedAfter(ctx context.Context, h host.Reader, started string) (string, error) {
	if len(names) == 0 {
		return "", nil
	}
	start, err := host.ParseStart(started)
	if err != nil {
		return "", err
	}
	for _, n := range names {
		last, err := lastChange(h, string(n))
		switch {
		case errors.Is(err, host.ErrUnknown):
			runtime.Assume(ctx, string(n)+" changed")
			return string(n), nil
		case err != nil:
			return "", err
		case start.Before(last):
			return string(n), nil
		}
	}
	return "", nil
}

// settle waits until a process that starts now is newer than the files beyond the
// precision of clocks. A dry run need not: its own times are exact.
func (names newerThan) settle(ctx context.Context, h host.Reader) error {
	for _, n := range names {
		last, err := lastChange(h, string(n))
		if err == nil {
			err = runtime.Sleep(ctx, time.Until(last.Add(3*host.FileTick)))
		}
		if err != nil && !errors.Is(err, runtime.ErrNoWaiting) && !errors.Is(err, host.ErrUnknown) {
			return err
		}
	}
	return nil
}

// lastChange returns when name, a link to it or anything below it changed last.
func lastChange(h host.Reader, name string) (last time.Time, err error) {
	for p, hops := name, 0; hops < 40; hops++ {
		s := h.LstatAll(path.Dir(p), []string{path.Base(p)})[0]
		switch {
		case isMissing(s.Err):
			return last, runtime.Hint(fmt.Errorf("newer_than %s: there is no such file", name),
				"make it first, or name the directory that it is in")
		case s.Err != nil:
			return last, s.Err
		}
		last = later(last, s.Changed)
		switch {
		case s.Mode.IsDir():
			below, err := lastBelow(h, p)
			return notAhead(name, later(last, below), err)
		case s.Mode&fs.ModeSymlink == 0:
			return notAhead(name, last, nil)
		}
		target, err := h.Readlink(p)
		if err != nil {
			return last, err
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(p), target)
		}
		p = path.Clean(target)
	}
	return last, fmt.Errorf("newer_than %s: too many symbolic links", name)
}

// lastBelow returns when anything below a directory, or a file that a link there leads
// to, changed last.
func lastBelow(h host.Reader, dir string) (last time.Time, err error) {
	names, err := h.ReadDir(dir)
	if err != nil {
		return last, err
	}
	for i, s := range h.LstatAll(dir, names) {
		name, below := path.Join(dir, names[i]), time.Time{}
		switch {
		case s.Err != nil:
			err = s.Err
		case s.Mode.IsDir():
			below, err = lastBelow(h, name)
		case s.Mode&fs.ModeSymlink != 0:
			if file, m, ferr := follow(h, name); ferr == nil && m.Mode.IsRegular() {
				below, err = lastChange(h, file)
			}
		}
		if err != nil {
			return last, err
		}
		last = later(last, later(s.Changed, below))
	}
	return last, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// notAhead refuses a change in the future: nothing that starts could be newer.
func notAhead(name string, last time.Time, err error) (time.Time, error) {
	if ahead := time.Until(last); err == nil && ahead > time.Second {
		err = runtime.Hint(fmt.Errorf("newer_than %s: changed at %s, which is %s in the future", name,
			last.UTC().Format(time.RFC3339), ahead.Round(time.Second)), "see whether the clock is right, then: touch "+name)
	}
	return last, err
}

// What traces call a start that must be newer than files, and its value before their names.
const (
	startedKind  = "started"
	startedAfter = "after the last change of "
)

// startedAs returns the fact about a start that a trace calls what and wants to have a value.
func startedAs(what, value string) (host.Fact, bool) {
	list, ok := strings.CutPrefix(value, startedAfter)
	if !ok {
		return host.Fact{}, false
	}
	var names newerThan
	for i, n := range strings.Split(list, ", /") {
		if i > 0 {
			n = "/" + n
		}
		names = append(names, runtime.Path(n))
	}
	start := fact(serviceStartKind, what)
	if strings.Contains(what, " ") { // of a configuration and a program
		start = fact(processStartKind, what)
	}
	for f := range names.started(what, start) {
		return f, true
	}
	return host.Fact{}, false
}

// started returns what a command must bring about besides: the start that start is a
// fact about is newer than the files. what is the name of what started.
func (names newerThan) started(what string, start host.Fact) map[host.Fact]string {
	if len(names) == 0 {
		return nil
	}
	list := string(names[0])
	for _, n := range names[1:] {
		list += ", " + string(n)
	}
	after, before := startedAfter+list, "before the last change of "+list
	kind := &host.Kind{Name: startedKind, Probe: func(ctx context.Context, r host.Reader, _ string) (string, error) {
		value, err := r.Fact(ctx, start)
		if err != nil || value == "" {
			return "", err
		}
		file, err := names.changedAfter(ctx, r, value)
		if err != nil || file != "" {
			return before, err
		}
		return after, nil
	}}
	return map[host.Fact]string{fact(kind, what): after}
}

// predictedStart is the start of what a dry run would start now.
func predictedStart() string { return host.FormatStart(time.Now()) }
