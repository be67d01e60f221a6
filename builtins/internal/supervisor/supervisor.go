// Package supervisor understands what supervisorctl prints and the files that
// supervisord reads, and writes such a file.
//
// Two things to know. The exit status of supervisorctl tells little (a process
// that keeps crashing counts as started), so states are read from its text. And
// the names of processes follow from a configuration without running it, so a
// dry run can say what will run.
//
// The builtin supervise calls it. Formats and defaults are those of supervisor
// 3 and 4 (supervisord.org/configuration.html, subprocess.html).
package supervisor

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The states of a process.
const (
	Stopped  = "STOPPED"
	Starting = "STARTING"
	Running  = "RUNNING"
	Backoff  = "BACKOFF" // exited too soon and will be tried again
	Stopping = "STOPPING"
	Exited   = "EXITED"
	Fatal    = "FATAL" // exited too soon too often
	Unknown  = "UNKNOWN"
)

// A Process is one line of supervisorctl status.
type Process struct {
	Name   string // "GROUP:PROCESS", or one word if the two are equal
	State  string
	Detail string        // what is printed behind the state
	PID    int           // 0 unless it runs
	Uptime time.Duration // of one that runs
}

// ErrDown is what ParseStatus returns if no supervisord answers.
var ErrDown = errors.New("supervisord does not run")

var (
	statusLine = regexp.MustCompile(`^(\S+)\s+(STOPPED|STARTING|RUNNING|BACKOFF|STOPPING|EXITED|FATAL|UNKNOWN)\b\s*(.*)$`)
	pidUptime  = regexp.MustCompile(`^pid (\d+), uptime (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)$`)
	down       = regexp.MustCompile(`no such file|refused connection|ECONNREFUSED|ENOENT|Connection refused|SHUTDOWN_STATE`)
)

// ParseStatus reads what supervisorctl status printed, on both of its outputs.
func ParseStatus(text string) ([]Process, error) {
	var list []Process
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		m := statusLine.FindStringSubmatch(line)
		if m == nil {
			if down.MatchString(line) {
				return nil, fmt.Errorf("%w: %s", ErrDown, line)
			}
			return nil, fmt.Errorf("got %q from supervisorctl, want NAME STATE", line)
		}
		p := Process{Name: m[1], State: m[2], Detail: m[3]}
		if d := pidUptime.FindStringSubmatch(p.Detail); d != nil {
			p.PID, _ = strconv.Atoi(d[1])
			p.Uptime = uptime(d[2:])
		}
		list = append(list, p)
	}
	return list, nil
}

// uptime adds days, hours, minutes and seconds.
func uptime(parts []string) (d time.Duration) {
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.ParseInt(parts[i], 10, 32) // digits, or nothing
		d += time.Duration(n) * unit
	}
	return d
}

// Missing compares wanted names with a status: those that do not run, each with
// its state, such as "worker: FATAL Exited too quickly". It is empty if all run.
func Missing(want []string, have []Process) []string {
	states := map[string]Process{}
	for _, p := range have {
		states[p.Name] = p
	}
	var list []string
	for _, name := range want {
		switch p, ok := states[name]; {
		case !ok:
			list = append(list, name+": unknown to supervisord")
		case p.State != Running:
			list = append(list, strings.TrimSpace(name+": "+p.State+" "+p.Detail))
		}
	}
	return list
}
