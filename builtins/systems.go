package builtins

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"runbook/runtime"
)

// A system is an operating system that a simulated machine can have.
type system struct {
	id, version, like, family string
	systemd                   bool
}

// likes are the systems that can be simulated, and ID_LIKE of each; see os-release(5).
var likes = map[string]string{
	"debian": "", "ubuntu": "debian", "centos": "rhel fedora", "rhel": "fedora", "rocky": "rhel centos fedora",
	"almalinux": "rhel centos fedora", "fedora": "", "ol": "fedora",
	"alpine": "", "opensuse-leap": "suse opensuse", "sles": "suse",
}

func parseSystem(text string) (system, error) {
	id, version, _ := strings.Cut(cmp.Or(text, "debian 12"), " ")
	like, known := likes[id]
	if !known {
		names := slices.Sorted(maps.Keys(likes))
		err := fmt.Errorf("argument \"os\": got %q, want one of %s, and a version", text, strings.Join(names, ", "))
		return system{}, runtime.Nearest(err, id, names)
	}
	if version == "" {
		return system{}, runtime.Hint(fmt.Errorf("argument \"os\": got %q, want a version with it", text),
			`write it as in os = "debian 12" or os = "centos 6.5"`)
	}
	s := system{id: id, version: version, like: like, family: "rhel", systemd: true}
	switch {
	case id == "debian" || like == "debian":
		s.family = "debian"
	case id == "alpine" || strings.HasPrefix(like, "suse"):
		s.family, s.systemd = id, id != "alpine"
	default:
		major, _ := strconv.Atoi(strings.Split(version, ".")[0])
		s.systemd = id == "fedora" || major >= 7
	}
	return s, nil
}

// The programs that a small server has, and those of each family and way to start services.
const (
	usualPrograms = "awk base64 basename bash bunzip2 bzip2 cat chgrp chmod chown cksum cmp cp curl cut date dd df diff " +
		"dirname du echo egrep env expr false fgrep find getent grep gunzip gzip head hostname id install ip kill ln " +
		"logger ls md5sum mkdir mktemp mv nice nohup openssl paste pgrep pkill printf ps pwd readlink realpath rm rmdir " +
		"sed seq sh sha1sum sha256sum sha512sum sleep sort split stat su sync tail tar tee test timeout touch tr true " +
		"tty uname uniq wc which whoami xargs xz zcat"
	usualDaemons = "blkid chpasswd chroot groupadd groupdel groupmod ifconfig init iptables iptables-restore " +
		"iptables-save ldconfig losetup lsof mkfs modprobe mount reboot route runuser shutdown sshd swapon sysctl " +
		"umount useradd userdel usermod visudo"
	userPrograms = "chage crontab gpg passwd ssh ssh-keygen sudo vi"
)

func (b *machineBuilder) programs() error {
	bin, sbin := usualPrograms+" "+userPrograms, usualDaemons
	switch {
	case b.system.family == "debian":
		bin += " apt-cache apt-get apt-mark debconf-set-selections dpkg dpkg-query"
		sbin += " cron update-rc.d service invoke-rc.d"
	case b.system.family == "alpine":
		bin, sbin = bin+" apk", sbin+" crond rc-service rc-update"
	case b.system.family != "rhel":
		bin, sbin = bin+" rpm zypper", sbin+" chkconfig cron service"
	case b.system.systemd:
		bin += " dnf rpm rpmdb yum"
		sbin += " chkconfig crond getenforce restorecon service setenforce setsebool"
	default:
		bin += " rpm rpmdb yum"
		sbin += " chkconfig crond getenforce restorecon service setenforce setsebool"
	}
	if b.system.systemd {
		bin += " hostnamectl journalctl loginctl systemctl systemd-analyze timedatectl"
	}
	there := map[string]string{}
	for name := range strings.FieldsSeq(bin) {
		there[name] = "/usr/bin/" + name
	}
	for name := range strings.FieldsSeq(sbin) {
		there[name] = "/usr/sbin/" + name
	}
	for line := range b.Commands {
		name, _, _ := strings.Cut(line, " ")
		if !path.IsAbs(name) && there[name] == "" { // others may be brought by what the runbook installs
			there[name] = "/usr/bin/" + name
		}
	}
	for line, answer := range b.Commands {
		if answer == nil {
			delete(there, path.Base(line))
		}
	}
	for _, file := range there {
		if err := b.file(file, 0o755, "\x7fELF"); err != nil {
			return err
		}
	}
	return nil
}
