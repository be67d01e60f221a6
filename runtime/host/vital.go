package host

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Spare returns an error, with a hint, if the system needs what name leads to: such a directory is never given away,
// closed, moved or removed. below asks for what lies below it, too: a mount point in a tree that is to go. A name that
// leads nowhere is taken as it is.
func Spare(r Reader, name string, below bool) error {
	real, err := r.Resolve(name, false)
	switch {
	case absent(err) || errors.Is(err, ErrUnknown):
		real = name
	case err != nil:
		return err
	}
	why := vital(real)
	if why == "" {
		if why, err = mounted(r, real, below); err != nil {
			return err
		}
	}
	switch {
	case why == "":
		return nil
	case real != name:
		err = fmt.Errorf("%s leads to %s: %s", name, real, why)
	default:
		err = fmt.Errorf("%s: %s", name, why)
	}
	return hinted{err, "name a directory of its own below it"}
}

// SpareName is Spare for a name of which nothing is looked up: where it leads, and what is mounted there.
func SpareName(name string) error {
	if why := vital(name); why != "" {
		return hinted{fmt.Errorf("got %q: %s", name, why), "name a directory of its own below it"}
	}
	return nil
}

const needed = "the system needs it"

// vital says why the system needs name, which has no links, or "". The directories are those of the Filesystem
// Hierarchy Standard 3.0, and those whose owner decides what root runs or whom it lets in.
func vital(name string) string {
	p := parts(name)
	switch {
	case len(p) == 0:
		return needed
	case slices.Contains([]string{"proc", "sys", "dev"}, p[0]) && !strings.HasPrefix(name, "/dev/shm/"):
		return "the kernel keeps it"
	case len(p) == 1 && oneOf(p[0], `
			bin boot etc home lib lib32 lib64 libx32 media mnt opt root run sbin srv tmp usr var`),
		len(p) == 2 && oneOf(p[0], "usr boot"),
		len(p) > 1 && vitalBelow(p[0], strings.Join(p[1:], "/")):
		return needed
	}
	return ""
}

// Keep is Spare for what is to be given to an account other than root: nothing below what the system needs is, either,
// but for what sites keep below /usr/local, /usr/share and the like.
func Keep(r Reader, name string) error {
	if err := Spare(r, name, false); err != nil {
		return err
	}
	real, err := r.Resolve(name, false)
	if err != nil {
		return nil // the host says what is wrong
	}
	p := parts(real)
	for i := 2; i < len(p); i++ {
		above := "/" + strings.Join(p[:i], "/")
		sites := oneOf(above, "/usr/local /usr/share /usr/games /usr/src") || strings.HasPrefix(above, "/usr/local/")
		inner := oneOf(p[0], "etc usr boot") ||
			oneOf(above, "/var/lib/dpkg /var/lib/rpm /var/lib/apt /var/lib/systemd /var/spool/cron")
		if inner && !sites && vital(above) != "" {
			return hinted{fmt.Errorf("%s lies in %s: %s", real, above, needed), "name a directory of its own"}
		}
	}
	return nil
}

func vitalBelow(top, rest string) bool {
	switch top {
	case "etc":
		return strings.HasPrefix(rest, "cron.") && !strings.Contains(rest, "/") || oneOf(rest, `
			alternatives apt audit ca-certificates conf.d crontab dbus-1 default dnf fstab group gshadow grub.d
			init init.d ld.so.conf.d logrotate.d modprobe.d modules-load.d network NetworkManager pam.d passwd
			pki polkit-1 profile.d rc.d rc0.d rc1.d rc2.d rc3.d rc4.d rc5.d rc6.d rcS.d rpm security selinux
			shadow skel ssh ssl sudoers sudoers.d sysconfig sysctl.d systemd systemd/system tmpfiles.d udev
			xinetd.d yum yum.repos.d`)
	case "usr":
		if dir, base, ok := strings.Cut(rest, "/"); ok && oneOf(dir, "lib lib32 lib64 libx32") &&
			(strings.HasSuffix(base, "-linux-gnu") || strings.HasPrefix(base, "ld-") || strings.HasPrefix(base, "libc.so")) {
			return true
		}
		return oneOf(rest, `
			lib/systemd lib/systemd/system lib/modules lib/udev lib/tmpfiles.d lib/sysctl.d local/bin local/etc
			local/lib local/lib64 local/libexec local/sbin local/share local/src`)
	case "var":
		return oneOf(rest, `
			cache db empty lib lib/alternatives lib/apt lib/dnf lib/dpkg lib/pam lib/rpm lib/selinux lib/systemd
			lib/yum local lock log log/audit log/journal mail opt run spool spool/at spool/cron
			spool/cron/crontabs spool/mail tmp`)
	case "run":
		return oneOf(rest, "dbus lock systemd udev user")
	case "root":
		return rest == ".ssh"
	}
	return false
}

func oneOf(name, list string) bool { return slices.Contains(strings.Fields(list), name) }

// mounted says which file system is mounted at name or, if below, below it.
func mounted(r Reader, name string, all bool) (why string, err error) {
	mounts, err := mountPoints(r)
	for _, m := range mounts {
		switch {
		case m == name:
			return "a file system is mounted there", err
		case all && Below(m, name):
			return "a file system is mounted at " + m, err
		}
	}
	return "", err
}
