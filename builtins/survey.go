package builtins

import (
	"context"
	"strings"

	"runbook/runtime/host"
)

// Survey asks a machine what most runbooks come to ask: its system, accounts, packages, services, crontabs, firewall,
// interfaces and disk space, and what the usual directories hold. What cannot be told is passed over.
func Survey(ctx context.Context, base host.Base) {
	h := host.NewOverlay(base, base.Self()) // names lead there as they do in a dry run
	s := surveyor{ctx, h}
	s.properties()
	for _, dir := range strings.Fields(surveyed) {
		_, _ = h.Lstat(dir)
		_, _ = h.ReadDir(dir)
	}
	s.accounts()
	s.software()
	_, _, _ = firewall(ctx, h)
	for _, dir := range []string{"/", "/home", "/opt", "/srv", "/tmp", "/usr", "/var"} {
		s.fact(host.DiskFree, dir)
	}
}

// surveyed are the directories whose names are noted: what is not among them is not there.
const surveyed = `/ /etc /etc/init.d /etc/systemd/system /lib/systemd/system /usr/lib/systemd/system /run/systemd/system
	/home /opt /srv /usr /usr/local /var /var/lib /var/cache
	/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin`

// A surveyor asks and forgets: whoever is asked remembers.
type surveyor struct {
	ctx context.Context
	h   *host.Overlay
}

func (s surveyor) fact(k *host.Kind, name string) string {
	v, _ := s.h.Fact(s.ctx, fact(k, name))
	return v
}

func (s surveyor) properties() {
	_, _ = osRelease(s.h)
	_, _ = hostHostname(s.ctx, s.h)
	_, _ = hostProgram(s.ctx, s.h)
	_, _ = hostCPUs(s.ctx, s.h)
	_, _ = hostMemory(s.ctx, s.h)
	_, _ = interfaces(s.h)
	s.fact(host.Self, "")
	_, _ = host.Lines(s.h, "/proc/self/mounts")
}

// accounts asks about accounts by name, and for their crontabs.
func (s surveyor) accounts() {
	groups, _ := host.Lines(s.h, "/etc/group")
	for _, l := range groups {
		name, _, _ := strings.Cut(l, ":")
		s.fact(host.Group, name)
	}
	users, _ := host.Lines(s.h, "/etc/passwd")
	for _, l := range users {
		name, _, _ := strings.Cut(l, ":")
		for _, k := range []*host.Kind{host.User, host.Home, host.Primary, host.Groups} {
			s.fact(k, name)
		}
		s.fact(crontabKind, name)
	}
}

// software asks for services and packages.
func (s surveyor) software() {
	for _, name := range strings.Fields(s.fact(servicesKind, "all")) {
		s.fact(serviceKind, name)
		s.fact(enabledKind, name)
	}
	_, _ = s.h.Query(s.ctx, host.Process{Argv: []string{"dpkg-query", "-W"}})
	all, err := s.h.Query(s.ctx, host.Process{Argv: []string{"rpm", "-qa", "--qf", `%{NAME}\n`}})
	if err != nil || all.Code != 0 {
		return
	}
	for _, name := range strings.Fields(string(all.Stdout)) {
		s.fact(rpmKind, name)
	}
}
