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

// What is known of supervisord.
var (
	// statusKind is the processes of the supervisord of a configuration, which
	// is the fact's name: "up" and a line "NAME STATE" for each; "" if none runs.
	statusKind = &host.Kind{Name: "supervisord", Probe: askSupervisord}
	// processKind is one process; the fact's name is "CONFIG NAME", its value
	// its state. Of "GROUP:*" it is the first state that is not RUNNING, if any.
	processKind = &host.Kind{Name: "supervisor", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
		i := strings.LastIndexByte(name, ' ')
		status, err := r.Fact(ctx, fact(statusKind, name[:i]))
		return stateIn(status, name[i+1:]), err
	}}
)

func stateIn(status, name string) (state string) {
	group, all := strings.CutSuffix(name, "*")
	for l := range strings.Lines(status) {
		n, s, _ := strings.Cut(strings.TrimSpace(l), " ")
		if n != name && !(all && strings.HasPrefix(n, group)) {
			continue
		}
		if state = s; s != supervisor.Running {
			break
		}
	}
	return state
}

// believedStatus is the status in which the wanted processes run.
func believedStatus(sets map[host.Fact]string) string {
	text := "up\n"
	for _, f := range host.SortedFacts(sets) {
		if f.Kind == processKind {
			text += f.Name[strings.LastIndexByte(f.Name, ' ')+1:] + " " + supervisor.Running + "\n"
		}
	}
	return text
}

// askSupervisord asks as the owner of the configuration: the socket is his,
// and root has no business running his programs.
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
		text += p.Name + " " + p.State + "\n"
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
