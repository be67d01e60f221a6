package builtins

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// Finding the process of a service.

// serviceStartKind is when the main process of a service started, for host.ParseStart; "" where no process is found.
var serviceStartKind = &host.Kind{Name: "service-start", Probe: serviceStart}

func serviceStart(ctx context.Context, r host.Reader, name string) (string, error) {
	if !underSystemd(r) {
		return scriptStart(ctx, r, name)
	}
	unit, err := r.Fact(ctx, fact(unitKind, name))
	if err != nil {
		return "", err
	}
	p := properties(unit)
	if pid := p["MainPID"]; pid != "" && pid != "0" {
		return r.Fact(ctx, fact(host.Started, pid))
	}
	if usec := p["ActiveEnterTimestampMonotonic"]; usec != "" && usec != "0" { // forked where systemd lost sight of it
		return r.Fact(ctx, fact(host.Started, "+"+usec))
	}
	return "", nil
}

// scriptStart asks the sources in the order of how sure they are: the number that the script's status names, its pid
// file, a process of that name.
func scriptStart(ctx context.Context, r host.Reader, name string) (string, error) {
	status, err := r.Fact(ctx, fact(scriptStatusKind, name))
	if err != nil {
		return "", err
	}
	for _, find := range []func() ([]string, error){
		func() ([]string, error) { return pidsIn(status), nil },
		func() ([]string, error) { return pidsFiled(r, name) },
		func() ([]string, error) { return pidsNamed(r, name) },
	} {
		pids, err := find()
		if err != nil {
			return "", err
		}
		if start, err := newestStart(ctx, r, pids); start != "" || err != nil {
			return start, err
		}
	}
	return "", nil
}

// pidList is how init scripts name processes: "httpd (pid  12 13) is running...", "start/running, process 12".
var pidList = regexp.MustCompile(`(?i)\b(?:pids?|process(?:es)?)\b[ :]*(\d+(?: +\d+)*)`)

func pidsIn(text string) (pids []string) {
	for _, m := range pidList.FindAllStringSubmatch(text, -1) {
		pids = append(pids, strings.Fields(m[1])...)
	}
	return pids
}

// pidFile is the name of a pid file in a script.
var pidFile = regexp.MustCompile(`/[A-Za-z0-9_./@-]+\.pid\b`)

// pidsFiled returns the numbers in the pid file that a script writes as one word, or else in those of the usual names.
func pidsFiled(r host.Reader, name string) (pids []string, err error) {
	script, err := host.ReadFile(r, path.Join(initDir, name))
	if err != nil {
		return nil, ignoreNotExist(err)
	}
	files := pidFile.FindAllString(string(script), -1)
	for _, dir := range []string{"/run", "/var/run"} {
		files = append(files, path.Join(dir, name+".pid"), path.Join(dir, name, name+".pid"))
	}
	for _, file := range files {
		text, err := host.ReadFile(r, file)
		switch f := strings.Fields(string(text)); {
		case err != nil && !isMissing(err) && !errors.Is(err, fs.ErrPermission):
			return nil, err
		case err == nil && len(f) > 0 && strings.Trim(f[0], "0123456789") == "":
			return f[:1], nil
		}
	}
	return nil, nil
}

// pidsNamed returns the numbers of the processes whose program, or the script that it runs, has a name.
func pidsNamed(r host.Reader, name string) (pids []string, err error) {
	all, err := r.ReadDir("/proc")
	for _, pid := range all {
		if strings.Trim(pid, "0123456789") != "" {
			continue
		}
		line, err := host.ReadFile(r, path.Join("/proc", pid, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		words := strings.SplitN(string(line), "\x00", 3)
		if slices.ContainsFunc(words[:min(2, len(words))], func(w string) bool { return path.Base(w) == name }) {
			pids = append(pids, pid)
		}
	}
	return pids, ignoreNotExist(err)
}

// newestStart returns the latest of the starts of those processes that no other of them made: a child may be younger
// than the settings that it works with, and one that was left over is older.
func newestStart(ctx context.Context, r host.Reader, pids []string) (newest string, err error) {
	for _, pid := range pids {
		if slices.Contains(pids, parentOf(r, pid)) {
			continue
		}
		start, err := r.Fact(ctx, fact(host.Started, pid))
		if err != nil {
			return "", err
		}
		newest, err = laterStart(newest, start)
		if err != nil {
			return "", err
		}
	}
	return newest, nil
}

// laterStart returns the later of two values of facts about starts; either may be "".
func laterStart(a, b string) (string, error) {
	if a == "" || b == "" {
		return a + b, nil
	}
	x, err := host.ParseStart(a)
	if err != nil {
		return "", err
	}
	y, err := host.ParseStart(b)
	if y.After(x) {
		return b, err
	}
	return a, err
}

// parentOf returns the number of the process that made another, "" where that has ended.
func parentOf(r host.Reader, pid string) string {
	lines, err := host.Lines(r, path.Join("/proc", pid, "status"))
	if err != nil {
		return ""
	}
	for _, l := range lines {
		if parent, ok := strings.CutPrefix(l, "PPid:"); ok {
			return strings.TrimSpace(parent)
		}
	}
	return ""
}
