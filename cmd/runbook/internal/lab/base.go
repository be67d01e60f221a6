package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab/cache"
)

const (
	suite = "bookworm"
	// What the shipped runbooks touch (dnf and rpm, iptables, cron, supervisor, useradd), and what tests look with.
	packages = "dnf,rpm,createrepo-c,iptables,iproute2,cron,supervisor,curl," +
		"ca-certificates,procps,sudo,bzip2,xz-utils,gnupg,e2fsprogs"
	// Debian has no yum, keeps the rpm database in the caller's home, and would ask for releasever on every run.
	settings = `ln -s dnf-3 "$1/usr/bin/yum"
mkdir -p "$1/etc/rpm" "$1/etc/dnf/vars" "$1/etc/yum.repos.d" "$1/etc/sysconfig"
echo "%_dbpath /var/lib/rpm" > "$1/etc/rpm/macros"
echo 6 > "$1/etc/dnf/vars/releasever"
echo "127.0.0.1 localhost jail" > "$1/etc/hosts"
echo jail > "$1/etc/hostname"
: > "$1/etc/resolv.conf"`
	// The first calls of dnf and rpm make their databases, which would show up as changes later.
	databases = `chroot "$1" dnf -q --disablerepo="*" list --installed >/dev/null 2>&1 || true
chroot "$1" rpm -qa
rm -rf "$1/var/cache/dnf" "$1/var/log/dnf"*`
)

// Base returns the base root: Debian with the tools of Red Hat's family that the shipped runbooks use.
// It is made once per machine and recipe, in half a minute, from the Debian archive, and must not be written to.
// Where that cannot be, the test is skipped (see Skip).
func Base(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "a base root is made as root")
	}
	dir, err := cache.Dir("base-"+cache.Key(recipe()...), func(dir string) error {
		if _, err := exec.LookPath("mmdebstrap"); err != nil {
			return err
		}
		t.Logf("making the base root %s with mmdebstrap", dir)
		return debootstrap(dir)
	})
	if err != nil {
		Skip(t, fmt.Sprintf("no base root: %v", err))
	}
	return dir
}

// recipe is the arguments of mmdebstrap before the suite. Manuals and translations are left out, as they are a third
// of it.
func recipe() []string {
	args := []string{"--quiet", "--variant=minbase", "--components=main", "--include=" + packages}
	for _, dir := range []string{"man", "doc", "locale"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+dir+"/*")
	}
	return append(args, "--customize-hook="+settings, "--customize-hook="+databases)
}

func debootstrap(dir string) error {
	c := exec.Command("mmdebstrap", append(recipe(), suite, dir)...)
	if out, err := c.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("mmdebstrap %s: %w: %s", dir, err, strings.Join(lines[max(0, len(lines)-5):], "; "))
	}
	return nil
}
