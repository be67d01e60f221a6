// Package supervisor parses what supervisorctl prints and the files that
// supervisord reads, and writes such a file.
//
// Two things to know. The exit status of supervisorctl is 0 also for a process
// that keeps crashing, so states are read from its text. And the names of
// processes follow from a configuration without running it, so a dry run can say
// what will run.
//
// The builtin supervise calls it. Formats and defaults are those of supervisor
// 3 and 4 (supervisord.org/configuration.html, subprocess.html).
package supervisor

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Two of the states of a process.
const (
	Running = "RUNNING"
	Fatal   = "FATAL" // exited too soon too often
)

// A Process is one line of supervisorctl status.
type Process struct {
	Name  string // "GROUP:PROCESS", or one word if the two are equal
	State string
	PID   string // of one that runs, else ""
}

// ErrDown is what ParseStatus returns if no supervisord answers.
var ErrDown = errors.New("supervisord does not run")

var (
	statusLine = regexp.MustCompile(`^(\S+)\s+` +
		`(STOPPED|STARTING|RUNNING|BACKOFF|STOPPING|EXITED|FATAL|UNKNOWN)\b(?:\s+pid (\d+),)?`)
	down = regexp.MustCompile(`no such file|refused connection|ECONNREFUSED|ENOENT|` +
		`Connection refused|SHUTDOWN_STATE`)
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
		list = append(list, Process{Name: m[1], State: m[2], PID: m[3]})
	}
	return list, nil
}
