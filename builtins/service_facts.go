package builtins

import (
	"context"
	"path"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// The states of a service. dead is one that ended without being stopped.
const (
	running = "running"
	stopped = "stopped"
	failed  = "failed"
	dead    = "dead"
)

// What is known of services.
var (
	// serviceKind is a service; its value is running, stopped, failed, dead,
	// masked, starting or stopping.
	serviceKind = &host.Kind{Name: "service", Probe: serviceState}
	// enabledKind is a service at boot; its value is enabled or disabled.
	enabledKind = &host.Kind{Name: "enabled", Probe: serviceAtBoot}
	// servicesKind has one fact, "all": the names of the services that are
	// installed. Packages whose content a dry run cannot see touch it.
	servicesKind = &host.Kind{Name: "services", Probe: installedServices}
	// openedKind has one fact, "others". It is known until something starts
	// that may open ports that nobody named.
	openedKind = &host.Kind{Name: "opened", Probe: func(context.Context, host.Reader, string) (string, error) { return "none", nil }}
	// unitKind is what systemd says of a unit.
	unitKind = &host.Kind{Name: "unit", Probe: showUnit}
)

// The directories of units and init scripts; the first that has a name wins.
const (
	initDir  = "/etc/init.d"
	unitDirs = "/etc/systemd/system /run/systemd/system /usr/lib/systemd/system /lib/systemd/system"
)

// underSystemd is the test of sd_booted(3).
func underSystemd(r host.Reader) bool {
	ok, err := host.Exists(r, "/run/systemd/system")
	return ok && err == nil
}

func serviceState(ctx context.Context, r host.Reader, name string) (string, error) {
	if !underSystemd(r) {
		return scriptState(ctx, r, name)
	}
	unit, err := r.Fact(ctx, fact(unitKind, name))
	if err != nil {
		return "", err
	}
	switch p := properties(unit); {
	case p["LoadState"] == "masked":
		return "masked", nil
	case p["LoadState"] == "not-found" || p["LoadState"] == "":
		return unstartedUnit(r, name), nil
	case p["ActiveState"] == "active" || p["ActiveState"] == "reloading":
		return running, nil
	case p["ActiveState"] == "activating":
		return "starting", nil
	case p["ActiveState"] == "deactivating":
		return "stopping", nil
	case p["ActiveState"] == "failed":
		return failed, nil
	}
	return stopped, nil
}

// unstartedUnit answers for a unit that systemd does not know: one that only
// an overlay shows has never run.
func unstartedUnit(r host.Reader, name string) string {
	for dir := range strings.FieldsSeq(unitDirs) {
		if ok, err := host.Exists(r, path.Join(dir, name+".service")); ok && err == nil {
			return stopped
		}
	}
	if ok, err := host.Exists(r, path.Join(initDir, name)); ok && err == nil {
		return stopped
	}
	return ""
}

// showUnit asks for states: systemctl(1) warns against relying on exit statuses.
func showUnit(ctx context.Context, r host.Reader, name string) (string, error) {
	res, err := r.Query(ctx, host.Process{Argv: []string{"systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState", name + ".service"}})
	return string(res.Stdout), err
}

func properties(text string) map[string]string {
	p := map[string]string{}
	for l := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(l), "=")
		p[k] = v
	}
	return p
}

// scriptState asks an init script. The statuses are those of the Linux
// Standard Base: 0 runs, 1 and 2 died, 3 is stopped.
func scriptState(ctx context.Context, r host.Reader, name string) (string, error) {
	script := path.Join(initDir, name)
	if ok, err := host.Exists(r, script); !ok || err != nil {
		return "", err
	}
	res, err := r.Query(ctx, host.Process{Argv: scriptCommand(r, name, "status")})
	if err != nil {
		return "", err
	}
	switch {
	case strings.Contains(string(res.Stdout)+string(res.Stderr), "unrecognized service"):
		return stopped, nil // the script is there only in an overlay
	case res.Code == 0:
		return running, nil
	case res.Code == 1 || res.Code == 2:
		return dead, nil
	}
	return stopped, nil
}

// scriptCommand goes through service(8), which cleans the environment, where there is one.
func scriptCommand(r host.Reader, name, verb string) []string {
	if program(r, "service") != "" {
		return []string{"service", name, verb}
	}
	return []string{path.Join(initDir, name), verb}
}

func serviceAtBoot(ctx context.Context, r host.Reader, name string) (string, error) {
	state, err := r.Fact(ctx, fact(serviceKind, name))
	if err != nil || state == "" {
		return "", err
	}
	if underSystemd(r) {
		unit, err := r.Fact(ctx, fact(unitKind, name))
		if strings.HasPrefix(properties(unit)["UnitFileState"], "enabled") {
			return "enabled", err
		}
		return "disabled", err
	}
	if strings.Contains(bootLinks(r, name), "S") {
		return "enabled", nil
	}
	return "disabled", nil
}

// bootLinks tells what the runlevels that a machine comes up in do about an
// init script: "S" or "K" for each link such as S01NAME.
func bootLinks(r host.Reader, name string) (letters string) {
	for _, level := range []string{"2", "3", "4", "5"} {
		names, err := r.ReadDir("/etc/rc" + level + ".d")
		if err != nil {
			continue // not every system has all of them
		}
		for _, n := range names {
			if len(n) > 3 && n[3:] == name {
				letters += n[:1]
			}
		}
	}
	return letters
}

func installedServices(_ context.Context, r host.Reader, _ string) (string, error) {
	var all []string
	for dir := range strings.FieldsSeq(initDir + " " + unitDirs) {
		names, err := r.ReadDir(dir)
		if err != nil {
			continue // not every system has every directory
		}
		for _, n := range names {
			if unit, ok := strings.CutSuffix(n, ".service"); ok || dir == initDir && n != "README" {
				all = append(all, unit)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " "), nil
}
