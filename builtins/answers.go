package builtins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"runbook/runtime/host"
)

// answers are what the programs of a simulated machine say of it: what its description says goes first, then what
// follows from its files and facts.
type answers struct {
	machine Machine
	system  system
	sim     *host.Simulated
}

// The programs whose answers follow from files and facts. told is false for what they are not asked here for.
var derived = map[string]func(answers, context.Context, host.Reader, []string) (string, int, bool){
	"rpm": answers.rpm, "dpkg-query": answers.dpkg, "stat": answers.stat, "getent": answers.getent, "id": answers.id,
	"uname": answers.uname, "hostname": answers.hostname, "whoami": answers.whoami, "test": answers.test,
	"systemctl": answers.systemctl, "cat": answers.cat,
	"true":  func(answers, context.Context, host.Reader, []string) (string, int, bool) { return "", 0, true },
	"false": func(answers, context.Context, host.Reader, []string) (string, int, bool) { return "", 1, true },
}

func (a answers) answer(ctx context.Context, r host.Reader, p host.Process) (*host.Said, error) {
	if described := a.described(p.Argv); described != nil {
		if said, err := described(p.Argv); said != nil || err != nil {
			return said, err
		}
	}
	follows, ok := derived[path.Base(p.Argv[0])]
	if !ok {
		return nil, nil
	}
	if _, err := r.Program(p.Argv[0]); err != nil {
		return nil, nil
	}
	out, code, told := follows(a, ctx, r, p.Argv[1:])
	if !told {
		return nil, nil
	}
	return &host.Said{Result: host.Result{Code: code, Stdout: []byte(out)}}, nil
}

// described returns what the description says of a command, by the longest line that it begins with.
func (a answers) described(argv []string) (said Answer) {
	longest := 0
	for line, answer := range a.machine.Commands {
		words := strings.Fields(line)
		n := len(words)
		if n == 0 || n > len(argv) || n < longest || !slices.Equal(words[1:], argv[1:n]) ||
			words[0] != argv[0] && words[0] != path.Base(argv[0]) {
			continue
		}
		said, longest = answer, n
	}
	return said
}

// options splits words into options, the values of those that are in valued, and the rest.
func options(argv []string, valued string) (opts map[string]string, rest []string) {
	opts = map[string]string{}
	for i := 0; i < len(argv); i++ {
		w := argv[i]
		switch {
		case strings.HasPrefix(w, "-") && slices.Contains(strings.Fields(valued), w) && i+1 < len(argv):
			opts[w] = argv[i+1]
			i++
		case strings.HasPrefix(w, "-") && len(w) > 1:
			name, value, _ := strings.Cut(w, "=")
			opts[name] = value
		default:
			rest = append(rest, w)
		}
	}
	return opts, rest
}

// rpm answers rpm -q [--qf FORMAT] NAME.
func (a answers) rpm(ctx context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	opts, names := options(argv, "--qf --queryformat")
	if _, ok := opts["-q"]; !ok || len(names) != 1 || len(opts) > 2 {
		return "", 0, false
	}
	format := opts["--qf"] + opts["--queryformat"]
	have := a.machine.Packages[names[0]]
	if !strings.Contains(format, "%|") { // rpmKind asks with it what is not known otherwise
		have, _ = r.Fact(ctx, fact(rpmKind, names[0]))
	}
	switch have {
	case "":
		return "package " + names[0] + " is not installed\n", 1, true
	case host.Present:
		return "", 0, false
	}
	epoch, rest, ok := strings.Cut(have, ":")
	if !ok {
		epoch, rest = "(none)", have
	}
	version, release, _ := strings.Cut(rest, "-")
	if format == "" {
		format = "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\n"
	}
	format = strings.ReplaceAll(format, "%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}", have)
	return strings.NewReplacer("%{NAME}", names[0], "%{VERSION}", version, "%{RELEASE}", release, "%{EPOCH}", epoch,
		"%{ARCH}", "x86_64", `\n`, "\n", `\t`, "\t").Replace(format), 0, true
}

// dpkg answers dpkg-query -W [-f FORMAT] NAME.
func (a answers) dpkg(ctx context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	opts, names := options(argv, "-f")
	if _, ok := opts["-W"]; !ok || len(names) != 1 {
		return "", 0, false
	}
	version, _ := r.Fact(ctx, fact(debKind, names[0]))
	switch {
	case version == "":
		return "", 1, true
	case version == host.Present || strings.Contains(version, " "):
		return "", 0, false
	}
	format := opts["-f"] + opts["--showformat"]
	if format == "" {
		format = "${Package}\t${Version}\n"
	}
	return strings.NewReplacer("${Package}", names[0], "${binary:Package}", names[0], "${Version}", version,
		"${Status}", "install ok installed", "${db:Status-Status}", "installed",
		`\n`, "\n", `\t`, "\t").Replace(format), 0, true
}

// stat answers stat [-L] -c FORMAT FILE.
func (a answers) stat(_ context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	opts, names := options(argv, "-c")
	format := opts["-c"] + opts["--format"]
	if len(names) != 1 || format == "" || !path.IsAbs(names[0]) {
		return "", 0, false
	}
	name := names[0]
	if _, follow := opts["-L"]; follow {
		real, err := r.Resolve(name, true)
		if err != nil {
			return "", 1, isMissing(err)
		}
		name = real
	}
	m, err := r.Lstat(name)
	if err != nil {
		return "", 1, isMissing(err)
	}
	if m.Size < 0 && strings.Contains(format, "%s") {
		return "", 0, false
	}
	uid, gid, err := m.Owner.IDs(context.Background(), r)
	if err != nil && strings.ContainsAny(format, "ug") {
		return "", 0, false
	}
	return strings.NewReplacer("%n", names[0], "%U", m.User, "%G", m.Group,
		"%u", strconv.Itoa(uid), "%g", strconv.Itoa(gid),
		"%a", fmt.Sprintf("%o", m.Mode.Perm()), "%s", strconv.FormatInt(m.Size, 10), "%d", a.device(name),
		"%F", kindOf(m.Mode)).Replace(format) + "\n", 0, true
}

// device is the number of the device that a file is on.
func (a answers) device(name string) string {
	number, found := 2049, "/"
	for i, m := range strings.Split(strings.TrimSpace(mountLines(a.machine.Disk)), "\n") {
		f := strings.Fields(m)
		if len(f) > 1 && host.Below(name, f[1]) && len(f[1]) >= len(found) {
			found, number = f[1], 2049+i
		}
	}
	return strconv.Itoa(number)
}

// getent answers getent passwd|group NAME.
func (a answers) getent(_ context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	if len(argv) != 2 || argv[0] != "passwd" && argv[0] != "group" {
		return "", 0, false
	}
	lines, err := host.Lines(r, "/etc/"+argv[0])
	for _, l := range lines {
		if f := strings.Split(l, ":"); f[0] == argv[1] || len(f) > 2 && f[2] == argv[1] {
			return l + "\n", 0, true
		}
	}
	return "", 2, err == nil
}

// id answers id -u, -un, -g and -gn, with or without a name.
func (a answers) id(ctx context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	opts, names := options(argv, "")
	user := "root"
	if len(names) > 0 {
		user = names[0]
	}
	uid, err := r.Fact(ctx, fact(host.User, user))
	group, err2 := r.Fact(ctx, fact(host.Primary, user))
	if err := errors.Join(err, err2); err != nil || uid == host.Present || len(opts) == 0 {
		return "", 0, false
	}
	if uid == "" {
		return "", 1, true
	}
	gid, _ := r.Fact(ctx, fact(host.Group, group))
	_, named := opts["-n"]
	switch {
	case has(opts, "-un"), has(opts, "-u") && named:
		out = user
	case has(opts, "-u"):
		out = uid
	case has(opts, "-gn"), has(opts, "-g") && named:
		out = group
	case has(opts, "-g"):
		out = gid
	default:
		return "", 0, false
	}
	return out + "\n", 0, true
}

func has(opts map[string]string, name string) bool { _, ok := opts[name]; return ok }

func (a answers) uname(_ context.Context, _ host.Reader, argv []string) (out string, code int, told bool) {
	kernel := "6.1.0-18-amd64"
	if a.system.family == "rhel" {
		kernel = "5.14.0-427.el9.x86_64"
	}
	if !a.system.systemd {
		kernel = "2.6.32-431.el6.x86_64"
	}
	values := map[string]string{"": "Linux", "-s": "Linux", "-r": kernel, "-m": "x86_64", "-n": a.machine.Hostname,
		"-o": "GNU/Linux"}
	out, told = values[strings.Join(argv, " ")]
	return out + "\n", 0, told
}

func (a answers) hostname(_ context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	lines, err := host.Lines(r, "/proc/sys/kernel/hostname")
	return strings.Join(lines, "") + "\n", 0, len(argv) == 0 && err == nil
}

func (a answers) whoami(context.Context, host.Reader, []string) (string, int, bool) {
	return "root\n", 0, true
}

// test answers test -e, -f, -d and -L.
func (a answers) test(_ context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	if len(argv) != 2 || !path.IsAbs(argv[1]) {
		return "", 0, false
	}
	name := argv[1]
	if argv[0] != "-L" {
		real, err := r.Resolve(name, true)
		if err != nil {
			return "", 1, isMissing(err)
		}
		name = real
	}
	m, err := r.Lstat(name)
	if err != nil {
		return "", 1, isMissing(err)
	}
	isLink := m.Mode.Type() != 0 && !m.Mode.IsDir()
	holds := map[string]bool{"-e": true, "-f": m.Mode.IsRegular(), "-d": m.Mode.IsDir(), "-L": isLink}
	yes, told := holds[argv[0]]
	if !yes {
		code = 1
	}
	return "", code, told
}

// systemctl answers systemctl is-active and is-enabled.
func (a answers) systemctl(ctx context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	opts, words := options(argv, "")
	if len(words) != 2 || len(opts) > 1 {
		return "", 0, false
	}
	name := strings.TrimSuffix(words[1], ".service")
	known := func(k *host.Kind) (string, bool) { // others would ask systemctl
		v, ok := a.sim.Known[fact(k, name)]
		if now, err := r.Fact(ctx, fact(k, name)); ok && err == nil {
			return now, true
		}
		return v, false
	}
	switch words[0] {
	case "is-active":
		state, ok := known(serviceKind)
		out = map[string]string{running: "active", failed: "failed"}[state]
		if out == "" {
			out = "inactive"
		}
		if out != "active" {
			code = 3
		}
		return out + "\n", code, ok
	case "is-enabled":
		state, ok := known(enabledKind)
		if state != "enabled" {
			code = 1
		}
		return state + "\n", code, ok
	}
	return "", 0, false
}

func (a answers) cat(_ context.Context, r host.Reader, argv []string) (out string, code int, told bool) {
	for _, name := range argv {
		text, err := host.ReadFile(r, name)
		switch {
		case isMissing(err):
			return "", 1, true
		case err != nil || !path.IsAbs(name):
			return "", 0, false
		}
		out += string(text)
	}
	return out, 0, len(argv) > 0
}

// get answers for servers.
func (a answers) get(_ context.Context, q host.Request) (*host.Response, error) {
	text, ok := a.machine.Web[q.URL]
	if !ok {
		for known := range a.machine.Web {
			if origin(known) == origin(q.URL) {
				return &host.Response{Status: 404, Body: io.NopCloser(strings.NewReader(""))}, nil
			}
		}
		return nil, nil
	}
	if q.Head {
		text = ""
	}
	return &host.Response{Status: 200, Size: int64(len(text)), Body: io.NopCloser(strings.NewReader(text))}, nil
}

// origin is a URL up to the path.
func origin(location string) string {
	scheme, rest, _ := strings.Cut(location, "://")
	server, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + server
}
