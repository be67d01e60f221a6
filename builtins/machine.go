package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A Machine describes a simulated machine. The zero value of each field is what a small server has.
type Machine struct {
	OS         string // "debian 12", "centos 6.5"
	User       string // who runs the program: root, or one of Users
	Hostname   string
	Users      map[string]Account
	Groups     []string
	Packages   map[string]string // versions by name: "2.6.8-1"
	Services   map[string]string // "running", "stopped disabled", ...
	Listening  map[int]string    // names of processes by port
	Files      []MachineFile
	Memory     int64 // bytes
	CPUs       int
	Disk       map[string]int64 // free bytes by mount point
	Interfaces []string         // besides lo

	// Commands are what programs answer, by name or by the first words of a command line; nil says that there is no
	// such program.
	Commands map[string]Answer
	Web      map[string]string // what servers answer, by URL
}

// An Account is a user of a simulated machine. What is empty is chosen as useradd does.
type Account struct {
	UID                int
	Group, Home, Shell string
	Groups             []string
}

// A MachineFile is a file of a simulated machine.
type MachineFile struct {
	Name   string // absolute
	Mode   fs.FileMode
	Owner  host.Owner
	Text   string
	Target string // of a symbolic link
	Opaque bool   // nobody knows what it holds
}

// An Answer says how a command ends; nil where it does not say.
type Answer func(argv []string) (*host.Said, error)

// A Simulation is a simulated machine on which runs add up.
type Simulation struct {
	Host  *host.Overlay
	user  string   // who runs the program
	state string   // directory for markers
	made  []string // directories, by runs
	runs  []*runtime.Run
}

// Simulate makes the machine.
func (m Machine) Simulate() (*Simulation, error) {
	b, err := newMachineBuilder(m)
	if err != nil {
		return nil, err
	}
	for _, part := range []func() error{b.accounts, b.kernel, b.programs, b.services, b.files, b.facts} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	a := answers{machine: m, sim: b.sim, system: b.system}
	b.sim.Answer, b.sim.Net = a.answer, a.get
	return &Simulation{Host: b.sim.Runs(b.owner(b.User)), user: cmp.Or(b.User, "root"), state: b.stateDir()}, nil
}

// StateOfRuns is where runs on simulated machines keep their markers, as those of root do.
const StateOfRuns = "/var/lib/runbook"

// stateDir is where runs keep their markers.
func (m Machine) stateDir() string {
	if m.User == "" {
		return StateOfRuns
	}
	return m.home(m.User) + "/.local/state/runbook"
}

func (m Machine) home(user string) string { return cmp.Or(m.Users[user].Home, "/home/"+user) }

func (m Machine) owner(user string) host.Owner {
	return host.Owner{User: user, Group: cmp.Or(m.Users[user].Group, user)}
}

// Run runs a runbook on the machine, as runs before left it. The sink of o gets the events, and so does the caller.
func (s *Simulation) Run(ctx context.Context, book *runtime.Runbook, o runtime.Options) ([]trace.Event, error) {
	var events trace.List
	o.Sink = trace.Tee{&events}
	o.State, o.Made = s.state, s.made
	o.Remember = func(dir string) error { s.made = append(s.made, dir); return nil }
	o.Info.User.Name = s.user
	r := runtime.Simulated(s.Host, o)
	s.runs = append(s.runs, r)
	err := r.Do(ctx, book)
	return events.Events, err
}

// Hide returns text with names in the place of the secrets of the runs.
func (s *Simulation) Hide(text string) string {
	for _, r := range s.runs {
		text = r.Hide(text)
	}
	return text
}

// A machineBuilder makes the files and facts of a machine.
type machineBuilder struct {
	Machine
	system system
	sim    *host.Simulated
}

func newMachineBuilder(m Machine) (*machineBuilder, error) {
	s, err := parseSystem(m.OS)
	if m.Interfaces == nil {
		m.Interfaces = []string{"eth0"}
	}
	m.Memory, m.CPUs = cmp.Or(m.Memory, 8<<30), cmp.Or(m.CPUs, 2)
	m.Hostname = cmp.Or(m.Hostname, "machine")
	m.Disk, m.Users = maps.Clone(m.Disk), maps.Clone(m.Users)
	if _, known := m.Users[m.User]; m.User == "root" {
		m.User = ""
	} else if m.User != "" && !known && err == nil {
		err = runtime.Hint(fmt.Errorf("argument \"user\": no account %q", m.User),
			fmt.Sprintf("name it, too: users = {%q: None}", m.User))
	}
	if m.Disk == nil {
		m.Disk = map[string]int64{}
	}
	if _, ok := m.Disk["/"]; !ok {
		m.Disk["/"] = 500 << 30
	}
	return &machineBuilder{m, s, host.NewSimulated()}, err
}

// file makes a file, and the directories above it.
func (b *machineBuilder) file(name string, mode fs.FileMode, text string) error {
	if err := b.dir(path.Dir(name)); err != nil {
		return err
	}
	return b.sim.WriteFile(name, host.Bytes([]byte(text)), host.Meta{Mode: mode})
}

func (b *machineBuilder) dir(name string) error { return runtime.MkdirAll(b.sim, name, 0o755) }

// accounts writes the accounts' files.
func (b *machineBuilder) accounts() error {
	passwd := []string{"root:x:0:0:root:/root:/bin/bash", "bin:x:2:2:bin:/bin:/sbin/nologin"}
	groups := map[string]string{"root": "0", "bin": "2", "adm": "4", "tty": "5", "mail": "12"}
	nobody, first := "nogroup:65534", 1000
	if b.system.family == "debian" {
		groups["sudo"] = "27"
	} else {
		nobody = "nobody:99"
		groups["wheel"] = "10"
	}
	if b.system.family == "rhel" && !b.system.systemd {
		first = 500
	}
	group, number, _ := strings.Cut(nobody, ":")
	groups[group] = number
	passwd = append(passwd, "nobody:x:"+number+":"+number+":nobody:/:/sbin/nologin")
	next := max(first, highest(b.Users)+1)
	for _, g := range b.Groups {
		if err := checkNames(g); err != nil {
			return fmt.Errorf("argument \"groups\": %w", err)
		}
		if groups[g] == "" {
			groups[g] = strconv.Itoa(next + 1000)
			next++
		}
	}
	members := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(b.Users)) {
		u := b.Users[name]
		if err := checkNames(name); err != nil {
			return fmt.Errorf("argument \"users\": %w", err)
		}
		if u.UID == 0 {
			u.UID, next = next, next+1
		}
		b.Users[name] = u
		own := cmp.Or(u.Group, name)
		if groups[own] == "" {
			groups[own] = strconv.Itoa(u.UID)
		}
		for _, g := range u.Groups {
			if groups[g] == "" {
				return runtime.Hint(fmt.Errorf("user %s: no group %s", name, g), fmt.Sprintf("name it, too: groups = [%q]", g))
			}
			members[g] = append(members[g], name)
		}
		passwd = append(passwd, fmt.Sprintf("%s:x:%d:%s::%s:%s", name, u.UID, groups[own],
			cmp.Or(u.Home, "/home/"+name), cmp.Or(u.Shell, "/bin/bash")))
	}
	var lines []string
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		lines = append(lines, fmt.Sprintf("%s:x:%s:%s", g, groups[g], strings.Join(members[g], ",")))
	}
	return errors.Join(b.file("/etc/passwd", 0o644, strings.Join(passwd, "\n")+"\n"),
		b.file("/etc/group", 0o644, strings.Join(lines, "\n")+"\n"))
}

func highest(users map[string]Account) (uid int) {
	for _, u := range users {
		uid = max(uid, u.UID)
	}
	return uid
}

// kernel makes what the system says of itself, and the directories that each has.
func (b *machineBuilder) kernel() error {
	var errs []error
	for _, dir := range strings.Fields("/boot /dev /home /media /mnt /opt /root /run /srv /tmp " +
		"/usr/bin /usr/sbin /usr/lib " +
		"/usr/local/bin /var/cache /var/lib /var/log /var/opt /var/spool /var/tmp /etc/init.d " + StateOfRuns) {
		errs = append(errs, b.dir(dir))
	}
	for _, dir := range []string{"bin", "sbin", "lib"} {
		errs = append(errs, b.sim.Symlink("usr/"+dir, "/"+dir, host.Owner{}))
	}
	s := b.system
	files := map[string]string{
		"/etc/hostname": b.Hostname + "\n", "/proc/sys/kernel/hostname": b.Hostname + "\n",
		"/proc/sys/kernel/random/boot_id":               "11111111-2222-3333-4444-555555555555\n",
		"/proc/sys/net/ipv4/ip_unprivileged_port_start": "1024\n",
		"/proc/self/status":                             b.identity(),
		"/proc/meminfo":                                 fmt.Sprintf("MemTotal: %d kB\n", b.Memory>>10),
		"/proc/cpuinfo":                                 cpuLines(b.CPUs),
		"/proc/self/mounts":                             mountLines(b.Disk),
		"/sys/class/net/lo/address":                     "00:00:00:00:00:00\n",
	}
	for i, name := range b.Interfaces {
		files["/sys/class/net/"+name+"/address"] = fmt.Sprintf("52:54:00:00:00:%02x\n", i+1)
	}
	switch {
	case s.family == "rhel" && !s.systemd:
		files["/etc/redhat-release"] = oldRelease(s)
	default:
		files["/etc/os-release"] = fmt.Sprintf("ID=%s\nVERSION_ID=%q\nID_LIKE=%q\nPRETTY_NAME=%q\n",
			s.id, s.version, s.like, s.id+" "+s.version)
	}
	for name, text := range files {
		errs = append(errs, b.file(name, 0o644, text))
	}
	errs = append(errs, b.file("/usr/bin/runbook", 0o755, "#!/bin/sh\n")) // see host.program
	for dir, free := range b.Disk {
		errs = append(errs, b.dir(dir))
		b.sim.Free[dir] = free
	}
	errs = append(errs, b.sim.SetMeta("/root", host.Meta{Mode: 0o700}),
		b.sim.SetMeta("/tmp", host.Meta{Mode: 0o777 | fs.ModeSticky}),
		b.sim.SetMeta("/var/tmp", host.Meta{Mode: 0o777 | fs.ModeSticky}))
	if s.systemd {
		errs = append(errs, b.dir("/run/systemd/system"), b.dir("/etc/systemd/system"), b.dir("/usr/lib/systemd/system"))
	}
	for _, name := range slices.Sorted(maps.Keys(b.Users)) {
		home := host.Meta{Mode: 0o755, Owner: b.owner(name)}
		errs = append(errs, b.dir(b.home(name)), b.sim.SetMeta(b.home(name), home))
	}
	if b.User != "" {
		own := host.Meta{Mode: 0o700, Owner: b.owner(b.User)}
		errs = append(errs, b.dir(b.stateDir()), b.sim.SetMeta(b.stateDir(), own))
	}
	return errors.Join(errs...)
}

// identity is what /proc/self/status says of who runs the program.
func (b *machineBuilder) identity() string {
	uid := 0
	if b.User != "" {
		uid = b.Users[b.User].UID
	}
	return fmt.Sprintf("Name:\trunbook\nUid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid)
}

// oldRelease is /etc/redhat-release of Enterprise Linux 6, which has no os-release.
func oldRelease(s system) string {
	if s.id == "rhel" {
		return "Red Hat Enterprise Linux Server release " + s.version + " (Santiago)\n"
	}
	return strings.ToUpper(s.id[:1]) + s.id[1:] + " release " + s.version + " (Final)\n"
}

func cpuLines(n int) (text string) {
	for i := range n {
		text += fmt.Sprintf("processor\t: %d\n", i)
	}
	return text
}

func mountLines(disk map[string]int64) (text string) {
	for i, dir := range slices.Sorted(maps.Keys(disk)) {
		text += fmt.Sprintf("/dev/vd%c %s ext4 rw 0 0\n", 'a'+i%26, dir)
	}
	return text
}

// services makes what starts each service, and the facts about it.
func (b *machineBuilder) services() error {
	all := map[string]string{"crond": "running", "sshd": "running"}
	if b.system.family == "debian" {
		all = map[string]string{"cron": "running", "ssh": "running"}
	} else if b.system.family != "rhel" {
		all = map[string]string{"sshd": "running"}
	}
	maps.Copy(all, b.Services)
	states := []string{running, stopped, failed, dead, "masked"}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		state, boot := running, ""
		for word := range strings.FieldsSeq(all[name]) {
			switch {
			case word == "enabled" || word == "disabled":
				boot = word
			case slices.Contains(states, word):
				state = word
			default:
				return fmt.Errorf("argument \"services\": %s: got %q, want one of %s, and perhaps enabled or disabled",
					name, word, strings.Join(states, ", "))
			}
		}
		if boot == "" && state == running {
			boot = "enabled"
		}
		b.sim.Known[fact(serviceKind, name)], b.sim.Known[fact(enabledKind, name)] = state, cmp.Or(boot, "disabled")
		file, mode := "/etc/init.d/"+name, fs.FileMode(0o755)
		if b.system.systemd {
			file, mode = "/usr/lib/systemd/system/"+name+".service", 0o644
		}
		if err := b.file(file, mode, "#!/bin/sh\n"); err != nil {
			return err
		}
	}
	return nil
}

func (b *machineBuilder) files() error {
	for _, f := range b.Files {
		if !path.IsAbs(f.Name) {
			err := fmt.Errorf("argument \"files\": got the name %q, want an absolute one", f.Name)
			return runtime.Hint(err, "begin it with /")
		}
		name := path.Clean(f.Name)
		if err := b.dir(path.Dir(name)); err != nil {
			return err
		}
		meta := host.Meta{Mode: f.Mode, Owner: f.Owner}
		err := error(nil)
		switch {
		case f.Target != "":
			err = b.sim.Symlink(f.Target, name, f.Owner)
		case f.Mode.IsDir():
			if err = b.dir(name); err == nil {
				err = b.sim.SetMeta(name, meta)
			}
		case f.Opaque:
			meta.Size = -1
			err = b.sim.WriteFile(name, host.Unknown(name), meta)
		default:
			err = b.sim.WriteFile(name, host.Bytes([]byte(f.Text)), meta)
		}
		if err != nil {
			return fmt.Errorf("argument \"files\": %w", err)
		}
	}
	return nil
}

// facts are those that no file tells.
func (b *machineBuilder) facts() error {
	for name, version := range b.Packages {
		kind := rpmKind
		if b.system.family == "debian" {
			kind = debKind
		}
		b.sim.Known[fact(kind, name)] = cmp.Or(version, host.Present)
	}
	for port, owner := range b.Listening {
		b.sim.Known[fact(host.Port, strconv.Itoa(port))] = owner
	}
	started := host.FormatStart(time.Now()) // after all files
	for f, state := range maps.Clone(b.sim.Known) {
		if f.Kind == serviceKind && state == running {
			b.sim.Known[fact(serviceStartKind, f.Name)] = started
		}
	}
	return nil
}
