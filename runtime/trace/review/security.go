package review

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"runbook/runtime/trace"
)

// A Class is a kind of change that matters to security.
type Class struct {
	ID       string
	Title    string
	Controls []string // of NIST SP 800-53 that such a change is evidence for, whatever the runbook names
}

// Classes of changes, in the order in which they are told.
const (
	accounts = iota
	sudoers
	setuid
	ports
	firewall
	scheduled
	boot
	writable
	downloads
	packages
	privilege
	exposed
	unconfined
)

// Classes returns the kinds of changes that are told first.
func Classes() []Class {
	return []Class{
		accounts:   {"accounts", "Accounts and groups", []string{"AC-2"}},
		sudoers:    {"sudoers", "What accounts may do as root", []string{"AC-6"}},
		setuid:     {"setuid", "Setuid, setgid and capabilities", []string{"AC-6"}},
		ports:      {"ports", "Listening ports", []string{"CM-7"}},
		firewall:   {"firewall", "Firewall", []string{"SC-7"}},
		scheduled:  {"scheduled", "Scheduled commands", []string{"CM-7"}},
		boot:       {"boot", "Services at boot", []string{"CM-7"}},
		writable:   {"writable", "Files that others can write", []string{"AC-3"}},
		downloads:  {"downloads", "Downloads and their digests", []string{"SI-7"}},
		packages:   {"packages", "Packages, whose scripts run as root", []string{"CM-11"}},
		privilege:  {"privilege", "Logins, kernel and other privilege", []string{"AC-6"}},
		exposed:    {"exposed", "Secrets that every account can see while a command runs", []string{"IA-5"}},
		unconfined: {"unconfined", "Commands that the kernel did not hold to what they declare", []string{"SC-39"}},
	}
}

// A finding is a change that matters to security. Its text has passed [trace.Quote].
type finding struct {
	class int
	text  string
	warn  bool
}

// findings returns what matters to security of an op that changes something, each once.
func (k *classifier) findings(a trace.Act) []finding {
	f := finder{op: a.Event, known: k}
	f.name()
	for _, e := range a.Effects {
		f.sets(e)
		f.files(e)
		f.command(e)
		if text(e.Detail["signatures"]) == "not checked" {
			f.warn(packages, "%s %s: signatures are not checked", f.op.Op, f.op.Target)
		}
		if names := texts(e.Detail["argv_exposed"]); len(names) > 0 {
			f.warn(exposed, "%s shows the secret %s", trace.Spaced(e.Argv), strings.Join(names, ", "))
		}
	}
	for _, s := range trace.Unenforced(a.Effects, a.Result) {
		f.warn(unconfined, "%s %s: %s", a.Event.Op, a.Event.Target, s)
	}
	f.download(a)
	return f.all
}

type finder struct {
	known *classifier
	op    trace.Event
	all   []finding
}

// A classifier knows of what class files and programs are. Directories stand for all that is below them.
type classifier struct{ files, dirs, programs map[string]int }

func newClassifier() *classifier {
	k := &classifier{map[string]int{}, map[string]int{}, map[string]int{}}
	for _, p := range decisiveFiles() {
		for name := range strings.FieldsSeq(p.names) {
			if dir, ok := strings.CutSuffix(name, "/"); ok {
				k.dirs[dir] = p.class
			} else {
				k.files[name] = p.class
			}
		}
	}
	for _, p := range decisivePrograms() {
		for name := range strings.FieldsSeq(p.names) {
			k.programs[name] = p.class
		}
	}
	return k
}

// classOfPath says what a file decides about.
func (k *classifier) classOfPath(name string) (class int, ok bool) {
	if !strings.HasPrefix(name, "/") {
		return 0, false
	}
	if class, ok := k.files[name]; ok {
		return class, true
	}
	for dir := name; dir != "/" && dir != ""; dir = dir[:strings.LastIndexByte(dir, '/')] {
		if class, ok := k.dirs[dir]; ok {
			return class, true
		}
	}
	return privilege, strings.Contains(name, "/.ssh/")
}

func (f *finder) add(class int, format string, args ...any) {
	f.note(finding{class, trace.Brief(fmt.Sprintf(format, args...)), false})
}

func (f *finder) warn(class int, format string, args ...any) {
	f.note(finding{class, trace.Brief(fmt.Sprintf(format, args...)), true})
}

func (f *finder) note(n finding) {
	same := func(o finding) bool { return o.class == n.class && o.text == n.text }
	if !slices.ContainsFunc(f.all, same) {
		f.all = append(f.all, n)
	}
}

// classOfOp says what a builtin is for, -1 if that depends on how it is used.
func classOfOp(name string) int {
	classes := map[string]int{
		"useradd": accounts, "group": accounts, "sudoers": sudoers, "cron": scheduled, "iptables": firewall, "iptables.save": firewall,
		"unit": boot, "yum": packages, "apt": packages, "sysctl": privilege, "mount": privilege,
	}
	if class, ok := classes[name]; ok {
		return class
	}
	return -1
}

// name takes what the builtin is for.
func (f *finder) name() {
	class := classOfOp(f.op.Op)
	if class < 0 {
		return
	}
	var parts []string
	for _, c := range f.op.Changes {
		switch {
		case strings.Contains(c.From+c.To, "\n"):
			parts = append(parts, c.What+" (text, see the step)")
		case c.From == "":
			parts = append(parts, strings.TrimSpace(c.What+" "+c.To))
		default:
			parts = append(parts, c.What+" "+c.From+" -> "+cmp.Or(c.To, "(none)"))
		}
	}
	f.add(class, "%s %s%s", f.op.Op, f.op.Target, prefixed(": ", strings.Join(parts, ", ")))
}

func prefixed(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

// sets takes the facts that hold afterwards.
func (f *finder) sets(e trace.Event) {
	for _, key := range slices.Sorted(maps.Keys(e.Sets)) {
		kind, name, _ := strings.Cut(key, ":")
		value := e.Sets[key]
		switch kind {
		case "port", "opened":
			f.add(ports, "port %s%s", name, prefixed(", by ", value))
		case "enabled":
			f.add(boot, "%s: %s", name, value)
		case "user", "group":
			if f.op.Op != "useradd" && f.op.Op != "group" {
				f.add(accounts, "%s %s", kind, name)
			}
		}
	}
}

// files takes what is written, and how.
func (f *finder) files(e trace.Event) {
	at := e.Path
	if file := text(e.Detail["file"]); file != "" {
		at = path.Join(at, file)
	}
	for _, name := range []string{at, text(e.Detail["from"]), text(e.Detail["to"]), text(e.Detail["target"])} {
		if class, ok := f.known.classOfPath(name); ok && e.Call != "exec" {
			f.add(class, "%s %s", e.Call, name)
		}
	}
	mode, err := strconv.ParseUint(text(e.Detail["mode"]), 8, 32)
	if err != nil {
		return
	}
	owner := cmp.Or(text(e.Detail["owner"]), e.User)
	group := text(e.Detail["group"])
	spelt := fmt.Sprintf("%s: mode %04o, owner %s%s", at, mode, owner, prefixed(", group ", group))
	switch {
	case mode&0o6000 != 0:
		f.warn(setuid, "%s", spelt)
	case mode&0o1002 == 0o1002:
		f.add(writable, "%s (each removes only its own)", spelt)
	case mode&0o002 != 0:
		f.warn(writable, "%s", spelt)
	case mode&0o020 != 0 && isRoot(owner) && group != "" && !isRoot(group):
		f.warn(writable, "%s", spelt)
	}
}

func isRoot(name string) bool { return name == "root" || name == "0" }

// text returns a value of an effect's detail as text.
func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

type decisive struct {
	class int
	names string
}

// decisiveFiles are files that decide about something; one with a slash at its end stands for all below it.
func decisiveFiles() []decisive {
	return []decisive{
		{accounts, "/etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/subuid /etc/subgid /etc/login.defs /etc/default/useradd"},
		{sudoers, "/etc/sudoers /etc/sudoers.d/ /etc/doas.conf /etc/polkit-1/ /usr/share/polkit-1/"},
		{firewall, "/etc/sysconfig/iptables /etc/sysconfig/ip6tables /etc/iptables/ /etc/nftables.conf /etc/nftables/ /etc/firewalld/ /etc/ufw/ /etc/hosts.allow /etc/hosts.deny"},
		{scheduled, "/etc/crontab /etc/cron.d/ /etc/cron.hourly/ /etc/cron.daily/ /etc/cron.weekly/ /etc/cron.monthly/ /etc/anacrontab /var/spool/cron/ /etc/at.allow /etc/cron.allow"},
		{boot, "/etc/systemd/ /usr/lib/systemd/ /lib/systemd/ /etc/init.d/ /etc/rc.d/ /etc/rc.local /etc/inittab /etc/xinetd.d/"},
		{downloads, "/etc/yum.repos.d/ /etc/apt/ /etc/pki/ /etc/ssl/ /usr/share/keyrings/"},
		{privilege, "/etc/pam.d/ /etc/security/ /etc/ssh/ /root/ /boot/ /etc/default/grub /etc/selinux/ /etc/apparmor.d/ /etc/sysctl.conf /etc/sysctl.d/ /etc/modprobe.d/ /etc/modules-load.d/ /etc/fstab " +
			"/etc/ld.so.preload /etc/ld.so.conf /etc/ld.so.conf.d/ /etc/nsswitch.conf /etc/resolv.conf /etc/hosts /etc/profile /etc/profile.d/ /etc/audit/ /etc/rsyslog.conf /etc/rsyslog.d/"},
	}
}

// command takes the words of a command. A word that a shell reads may be many.
func (f *finder) command(e trace.Event) {
	if e.Call != "exec" || len(e.Argv) == 0 {
		return
	}
	line := trace.Spaced(e.Argv)
	words := wordsOf(e.Argv)
	told := len(f.all) > 0 && f.all[0].class == classOfOp(f.op.Op) // by the builtin's own line
	for i, w := range words {
		class, ok := f.known.programs[path.Base(w)]
		if ok && (i == 0 || runsOthers(path.Base(words[0]))) && !(told && class == classOfOp(f.op.Op)) {
			f.add(class, "command %s", line)
		}
		own := f.op.Op == "service" || f.op.Op == "unit"
		if path.Base(w) == "systemctl" && slices.ContainsFunc(words, changesBoot) && !own {
			f.add(boot, "command %s", line)
		}
		if class, ok := f.known.classOfPath(w); ok {
			f.add(class, "command %s", line)
		}
		if isURL(w) {
			f.warn(downloads, "command %s", line)
		}
		if path.Base(words[0]) == "chmod" || runsOthers(path.Base(words[0])) && slices.ContainsFunc(words, isChmod) {
			f.mode(w, line)
		}
	}
}

func isURL(word string) bool {
	scheme, rest, ok := strings.Cut(word, "://")
	return ok && rest != "" && slices.Contains(strings.Fields("http https ftp git ssh"), scheme)
}

func changesBoot(word string) bool {
	return slices.Contains(strings.Fields("enable disable mask unmask preset set-default"), word)
}

func isChmod(word string) bool { return path.Base(word) == "chmod" }

// mode takes a word that chmod may read as a mode.
func (f *finder) mode(word, line string) {
	n, err := strconv.ParseUint(word, 8, 32)
	who, what, symbolic := strings.Cut(word, "+")
	octal := err == nil && len(word) >= 3
	symbolic = symbolic && strings.Trim(who, "ugoa") == ""
	switch {
	case octal && n&0o6000 != 0, symbolic && strings.Contains(what, "s"):
		f.warn(setuid, "command %s", line)
	case octal && n&0o002 != 0, symbolic && strings.Contains(what, "w") && strings.ContainsAny(cmp.Or(who, "a"), "oa"):
		f.warn(writable, "command %s", line)
	}
}

// wordsOf returns the words of a command, those of its words that hold several one by one.
func wordsOf(argv []string) (words []string) {
	for _, a := range argv {
		words = append(words, strings.FieldsFunc(a, separates)...)
	}
	return append(words, "")
}

func separates(r rune) bool { return strings.ContainsRune(" \t\n;|&()<>=\"'`$,", r) }

// runsOthers reports whether a program runs what its arguments say.
func runsOthers(name string) bool {
	const all = "sh bash dash ksh zsh su sudo runuser env nice nohup timeout setsid xargs find chroot systemd-run " +
		"perl python python3"
	return slices.Contains(strings.Fields(all), name)
}

// decisivePrograms are programs that change such things.
func decisivePrograms() []decisive {
	return []decisive{
		{accounts, "useradd adduser usermod userdel deluser groupadd addgroup groupmod groupdel gpasswd passwd chpasswd chage newusers vipw chsh chfn"},
		{sudoers, "visudo"},
		{setuid, "setcap"},
		{firewall, "iptables ip6tables iptables-restore ip6tables-restore iptables-save nft firewall-cmd ufw ipset"},
		{scheduled, "crontab at batch"},
		{boot, "chkconfig update-rc.d insserv systemd-sysusers"},
		{downloads, "curl wget ftp scp sftp rsync pip pip3 npm gem cpan"},
		{packages, "yum dnf rpm apt apt-get dpkg zypper"},
		{privilege, "setenforce semanage setsebool restorecon sysctl modprobe insmod mount umount authconfig authselect ssh-keygen ssh-copy-id auditctl grubby update-grub update-ca-trust update-ca-certificates"},
	}
}

// download takes what comes over the network, and whether it is compared with a digest.
func (f *finder) download(a trace.Act) {
	url := text(a.Event.Args["url"])
	switch a.Event.Op {
	case "download":
	case "mirror":
		f.add(downloads, "mirror %s: channels are verified against their index", a.Event.Target)
		return
	default:
		return
	}
	for _, algorithm := range []string{"sha256", "md5"} {
		if sum := text(a.Event.Args[algorithm]); sum != "" {
			f.add(downloads, "%s: %s %s", cmp.Or(url, a.Event.Target), algorithm, sum)
			return
		}
	}
	got := ""
	for _, e := range a.Effects {
		got = cmp.Or(got, text(e.Detail["sha256"]))
	}
	if a.Result != nil {
		got = cmp.Or(got, text(a.Result.Observed["sha256"]))
	}
	f.warn(downloads, "%s: no digest is asked for%s", cmp.Or(url, a.Event.Target), prefixed("; it had sha256 ", got))
}
