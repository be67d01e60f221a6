package builtins

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"runbook/builtins/internal/supervisor"
	"runbook/runtime/host"
)

// What is known of a supervisord and its processes.

// The kinds of facts about supervisord.
var (
	// statusKind is the processes of the supervisord of a configuration, which
	// is the fact's name: "up" and a line "NAME STATE PID" for each; "" if none runs.
	statusKind = &host.Kind{Name: "supervisord", Probe: askSupervisord}
	// processStartKind is when a process started, for host.ParseStart; "" if it does not run. The fact's name is
	// "CONFIG NAME"; of "GROUP:*" it is the first of all.
	processStartKind = &host.Kind{Name: "supervisor-start", Probe: processStart}
	// processKind is one process; the fact's name is "CONFIG NAME", its value
	// its state. Of "GROUP:*" it is the first state that is not RUNNING, if any.
	processKind = &host.Kind{Name: "supervisor", Probe: processState}
)

func processState(ctx context.Context, r host.Reader, name string) (string, error) {
	i := strings.LastIndexByte(name, ' ')
	status, err := r.Fact(ctx, fact(statusKind, name[:i]))
	return stateIn(status, name[i+1:]), err
}

func processStart(ctx context.Context, r host.Reader, name string) (first string, err error) {
	i := strings.LastIndexByte(name, ' ')
	status, err := r.Fact(ctx, fact(statusKind, name[:i]))
	for _, p := range linesOf(status, name[i+1:]) {
		if err != nil || len(p) < 3 {
			return "", err
		}
		var start, last string
		if start, err = r.Fact(ctx, fact(host.Started, p[2])); err == nil && start != "" {
			last, err = laterStart(first, start)
		}
		if first == "" || last != start {
			first = start
		}
	}
	return first, err
}

// stateIn returns the state of a process, or of all processes of "GROUP:*", in a status.
func stateIn(status, name string) (state string) {
	for _, p := range linesOf(status, name) {
		if state = p[1]; state != supervisor.Running {
			break
		}
	}
	return state
}

// linesOf returns the words of the lines about a process, or all processes of "GROUP:*", in a status.
func linesOf(status, name string) (lines [][]string) {
	group, all := strings.CutSuffix(name, "*")
	for l := range strings.Lines(status) {
		if f := strings.Fields(l); len(f) > 1 && (f[0] == name || all && strings.HasPrefix(f[0], group)) {
			lines = append(lines, f)
		}
	}
	return lines
}

// believedStatus is the status in which the wanted processes run.
func believedStatus(sets map[host.Fact]string) string {
	text := "up\n"
	for _, name := range processes(sets) {
		text += name + " " + supervisor.Running + "\n"
	}
	return text
}

// askSupervisord asks as the owner of the configuration: the socket is his,
// and root should not run his programs.
func askSupervisord(ctx context.Context, r host.Reader, config string) (string, error) {
	m, err := r.Lstat(config)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	res, err := r.Query(ctx, statusQuery(r, config, m.User))
	if err != nil {
		return "", err
	}
	list, err := supervisor.ParseStatus(string(res.Stdout) + string(res.Stderr))
	if errors.Is(err, supervisor.ErrDown) {
		return "", nil
	}
	text := "up\n"
	for _, p := range list {
		text += strings.TrimSpace(p.Name+" "+p.State+" "+p.PID) + "\n"
	}
	return text, err
}

// besideConfig returns the program that goes with a configuration: for
// PREFIX/etc/FILE that of PREFIX/bin, if it is there or may be.
func besideConfig(r host.Reader, config, name string) string {
	if dir := path.Dir(config); path.Base(dir) == "etc" && dir != "/etc" {
		file := path.Join(path.Dir(dir), "bin", name)
		if ok, err := host.Exists(r, file); ok || errors.Is(err, host.ErrUnknown) {
			return file
		}
	}
	if file := program(r, name); file != "" {
		return file
	}
	return name
}

func statusQuery(r host.Reader, config, user string) host.Process {
	return host.Process{Argv: []string{besideConfig(r, config, "supervisorctl"), "-c", config, "status"}, User: user}
}
