package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Started is a process by its number: when it started, for ParseStart, or "" if there is none. It may be up to two
// FileTick too early, never too late to be compared with Seen.Changed: what started at or after a change has read it.
// A name that begins with "+" is a number of microseconds on the kernel's monotonic clock instead, as systemd has them.
var Started = &Kind{"process-start", startTime}

// FileTick is how far the kernel's clock for files may lag behind, and also the unit of times in proc_pid_stat(5).
const FileTick = 10 * time.Millisecond

// FormatStart returns the value that a fact about a start at t has.
func FormatStart(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// ParseStart returns the time in the value of a fact about a start.
func ParseStart(value string) (time.Time, error) { return time.Parse(time.RFC3339Nano, value) }

func startTime(_ context.Context, r Reader, name string) (string, error) {
	clock, since := unix.CLOCK_MONOTONIC, time.Duration(0)
	if usec, ok := strings.CutPrefix(name, "+"); ok {
		n, err := strconv.ParseInt(usec, 10, 64)
		if err != nil {
			return "", fmt.Errorf("got %q, want microseconds", usec)
		}
		since = time.Duration(n) * time.Microsecond
	} else {
		ticks, err := startTicks(r, name)
		if ticks < 0 || err != nil {
			return "", err
		}
		clock, since = unix.CLOCK_BOOTTIME, time.Duration(ticks)*FileTick
	}
	zero, err := zeroOf(clock)
	return FormatStart(zero.Add(since - FileTick)), err
}

// startTicks returns field 22 of /proc/PID/stat, -1 if there is no such process. The second field, the program's name
// in parentheses, may hold anything.
func startTicks(r Reader, pid string) (int64, error) {
	text, err := ReadFile(r, path.Join("/proc", pid, "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(f) < 20 {
		return -1, fmt.Errorf("/proc/%s/stat: got %d fields behind the name, want 50", pid, len(f))
	}
	return strconv.ParseInt(f[19], 10, 64)
}

// zeroOf returns the wall-clock time at which a clock of the kernel stood at zero, rather too early than too late: the
// two clocks are read one after the other.
func zeroOf(clock int) (zero time.Time, err error) {
	var at unix.Timespec
	for range 10 {
		before := time.Now()
		if err := unix.ClockGettime(int32(clock), &at); err != nil {
			return zero, err
		}
		zero = before.Add(-time.Duration(at.Nano()))
		if time.Since(before) < time.Millisecond {
			break
		}
	}
	return zero, nil
}
