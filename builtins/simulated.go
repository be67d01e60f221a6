package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"golang.org/x/tools/txtar"

	"runbook/runtime"
	"runbook/runtime/host"
)

// Testing returns the builtins of tests, in the order in which they are documented.
func Testing() []*runtime.Builtin {
	return []*runtime.Builtin{machineBuiltin, checkEqBuiltin, checkContainsBuiltin, checkFailsBuiltin, checkSameBuiltin}
}

var machineBuiltin = &runtime.Builtin{
	Name: "machine",
	Args: []runtime.Arg{
		param("os", "string", `"debian 12"`, "the system and its version: debian, ubuntu, centos, rhel, rocky, almalinux, ol, fedora, opensuse-leap, sles or alpine"),
		param("user", "string", `"root"`, "who runs the program: root, or one of users"),
		param("users", "dict", "{}", `accounts: {"ann": {"uid": 1001, "group": "staff", "groups": ["adm"], "home": "/srv/ann", "shell": "/bin/sh"}}, each of these if need be; {"ann": None} will do`),
		param("groups", "list of string", "[]", "groups besides those of the system and of the accounts"),
		param("packages", "dict", "{}", `what is installed: {"nginx": "1.20.1-1"}`),
		param("services", "dict", "{}", `{"nginx": "running"}: running, stopped, failed, dead or masked, and enabled or disabled behind it if need be`),
		param("listening", "dict", "{}", `who listens on a TCP port: {80: "nginx"}`),
		param("files", "string", `""`, `files as txtar: a line "-- /etc/motd --", then the text; see below`),
		param("memory", "int or string", `"8 GB"`, "its size"),
		param("disk", "size or dict", `"500 GB"`, `free space: of /, or of each file system: {"/": "20 GB", "/data": "1 TB"}`),
		param("interfaces", "list of string", `["eth0"]`, "network interfaces besides lo"),
		param("commands", "dict", "{}", `what programs answer: {"stat": "root\n", "systemctl is-active x": 3, "grep": None}; see below`),
		param("web", "dict", "{}", `what servers answer, by URL: {"https://example.org/x": "text"}; of a server that is named here other URLs give 404`),
		param("hostname", "string", `"machine"`, "its name"),
		param("cpus", "int", "2", "its processors"),
	},
	Summary: "return a simulated machine, on which runbooks are run as a dry run does; it is as empty as a new server",
	Detail: []string{
		"The first line of a file may say more: \"-- /etc/x 0600 ann:staff --\" its mode and owner, \"-- /srv/ --\" is a directory, \"-- /bin/x -> /opt/x --\" a link, and \"-- /srv/x.rpm ? --\" a file that nobody knows the content of.",
		"No program runs. What stat, rpm -q, dpkg-query -W, getent, id, test, cat, uname, hostname and systemctl is-active say follows from the machine. For others commands= says it: a text is the output, a number the exit status, a dict has code, stdout, stderr and files (what the command leaves behind: {path: text}), a function gets the words and returns one of these, or None where it does not say; {\"yum\": None} means that there is no such program. A key of several words is for command lines that begin with them; the longest wins. This holds for run() as well: a status that is no success fails the step.",
		"A question that nobody answers takes its assume=, as in a dry run, or is an error. What unless= asks holds once its command was run, until something changes a file that it names.",
		".run(runbook, vars={}, secrets={}, steps=[], site=None) runs a runbook of the test's directory, or a shipped one, and returns what became of it; runs add up. site is the site's own file: runbook.star beside the test if there is one, False for none. A secret that is not given is made-up-NAME.",
		".read(path), .exists(path), .mode(path), .owner(path) (\"user:group\") and .fact(\"service:nginx\") say what the runs left: mode is a number, a fact that is not so is \"\". The kinds of facts are those of run(touches=).",
		"A run has .outcome (\"done\" or \"failed\"), .error, .hint, .changed and .same (how many ops), .effects and .ops (dicts as in a trace), .steps (those that ran), .skipped ({name: why}), .assumed and .logs.",
	},
	Example: `m = machine(os = "centos 7", files = """
-- /srv/site.conf 0640 root:adm --
port: 8080
""")
check.eq(m.mode("/srv/site.conf"), 0o640)
check.contains(m.read("/srv/site.conf"), "8080")`,
	Test: newMachineValue,
}

// size is a number of bytes: an int, or a text such as "8 GB", with units of 1024.
type size int64

func (s *size) Unpack(v starlark.Value) error {
	if n, ok := v.(starlark.Int); ok {
		bytes, fits := n.Int64()
		if *s = size(bytes); fits && bytes >= 0 {
			return nil
		}
	}
	text, _ := starlark.AsString(v)
	number := strings.TrimRight(text, " BKMGTikmgtb")
	unit := strings.ToUpper(strings.TrimRight(strings.TrimSpace(text[len(number):]), "iBb"))
	power := strings.Index("KMGT", unit)
	if unit == "" {
		power = -1
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || len(unit) > 1 || unit != "" && power < 0 {
		return fmt.Errorf("got %s, want a number of bytes, or a text such as \"8 GB\"", v)
	}
	*s = size(n * float64(int64(1)<<(10*(power+1))))
	return nil
}

// diskSizes is free space by mount point.
type diskSizes map[string]int64

func (d *diskSizes) Unpack(v starlark.Value) error {
	*d = diskSizes{}
	dict, ok := v.(*starlark.Dict)
	if !ok {
		var s size
		err := s.Unpack(v)
		(*d)["/"] = int64(s)
		return err
	}
	for _, item := range dict.Items() {
		dir, _ := starlark.AsString(item[0])
		var s size
		if err := s.Unpack(item[1]); err != nil {
			return err
		}
		if !path.IsAbs(dir) {
			return fmt.Errorf("got the directory %s, want an absolute one", item[0])
		}
		(*d)[path.Clean(dir)] = int64(s)
	}
	return nil
}

// accountTable is users= of machine.
type accountTable map[string]Account

func (a *accountTable) Unpack(v starlark.Value) error {
	dict, ok := v.(*starlark.Dict)
	if !ok {
		return runtime.Hint(fmt.Errorf("got %s, want a dict", v.Type()), `write it as in users = {"ann": None}`)
	}
	*a = accountTable{}
	for _, item := range dict.Items() {
		name, _ := starlark.AsString(item[0])
		var u Account
		switch more := item[1].(type) {
		case starlark.NoneType:
		case starlark.Int:
			u.UID, _ = starlark.AsInt32(more)
		case *starlark.Dict:
			if err := u.take(more); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		default:
			return fmt.Errorf("%s: got %s, want a dict or None", name, more.Type())
		}
		(*a)[name] = u
	}
	return nil
}

func (u *Account) take(d *starlark.Dict) error {
	texts := map[string]*string{"group": &u.Group, "home": &u.Home, "shell": &u.Shell}
	for _, item := range d.Items() {
		key, _ := starlark.AsString(item[0])
		text, isText := starlark.AsString(item[1])
		var err error
		switch {
		case key == "uid":
			u.UID, err = starlark.AsInt32(item[1])
		case key == "groups":
			u.Groups, err = runtime.StringList(item[1])
		case texts[key] == nil:
			return runtime.Nearest(fmt.Errorf("no key %s, want uid, group, groups, home or shell", item[0]), key,
				[]string{"uid", "group", "groups", "home", "shell"})
		case !isText:
			err = fmt.Errorf("got %s, want text", item[1].Type())
		default:
			*texts[key] = text
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// portTable is listening= of machine.
type portTable map[int]string

func (p *portTable) Unpack(v starlark.Value) error {
	dict, ok := v.(*starlark.Dict)
	if !ok {
		return fmt.Errorf("got %s, want a dict of ports", v.Type())
	}
	*p = portTable{}
	for _, item := range dict.Items() {
		port, err := starlark.AsInt32(item[0])
		owner, isText := starlark.AsString(item[1])
		if err != nil || port < 1 || port > 65535 || !isText || owner == "" {
			return fmt.Errorf("got %s: %s, want a port and the name of a process", item[0], item[1])
		}
		(*p)[port] = owner
	}
	return nil
}

// parseFiles returns the files of a txtar.
func parseFiles(text string) (files []MachineFile, err error) {
	archive := txtar.Parse([]byte(text))
	if before := strings.TrimSpace(string(archive.Comment)); before != "" {
		first, _, _ := strings.Cut(before, "\n")
		return nil, runtime.Hint(fmt.Errorf("argument \"files\": got %q before the first file", first),
			"a file begins with a line such as: -- /etc/motd --")
	}
	for _, f := range archive.Files {
		file, err := parseFile(f)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(files, func(o MachineFile) bool { return path.Clean(o.Name) == path.Clean(file.Name) }) {
			return nil, fmt.Errorf("argument \"files\": %s is there twice", file.Name)
		}
		files = append(files, file)
	}
	return files, nil
}

// parseFile returns one file of a txtar.
func parseFile(f txtar.File) (file MachineFile, err error) {
	file = MachineFile{Mode: 0o644, Text: string(f.Data)}
	words := strings.Fields(f.Name)
	file.Name = words[0]
	if strings.HasSuffix(file.Name, "/") {
		file.Mode = fs.ModeDir | 0o755
	}
	for i, w := range words[1:] {
		mode, merr := strconv.ParseUint(w, 8, 32)
		user, group, owned := strings.Cut(w, ":")
		switch {
		case w == "?":
			file.Opaque = true
		case w == "->" && i == 0 && len(words) == 3:
			file.Target = words[2]
		case file.Target != "":
		case merr == nil && len(w) > 2:
			file.Mode = file.Mode&fs.ModeDir | fs.FileMode(mode)&fs.ModePerm
		case owned && user != "":
			file.Owner = host.Owner{User: user, Group: group}
		default:
			return file, runtime.Hint(fmt.Errorf("argument \"files\": %s: got %q behind the name", file.Name, w),
				`write it as in "-- /etc/x 0640 root:adm --", "-- /bin/x -> /opt/x --" or "-- /srv/x.rpm ? --"`)
		}
	}
	if strings.TrimSpace(file.Text) != "" && (file.Mode.IsDir() || file.Opaque || file.Target != "") {
		err := fmt.Errorf("argument \"files\": %s: got a text for what is no file of known content", file.Name)
		return file, runtime.Hint(err, `a directory, a link and a file with "?" have none`)
	}
	return file, nil
}

// commandTable is commands= of machine.
func commandTable(c *runtime.Call, v starlark.Value) (map[string]Answer, error) {
	if v == nil {
		return nil, nil
	}
	dict, ok := v.(*starlark.Dict)
	if !ok {
		return nil, fmt.Errorf("argument \"commands\": got %s, want a dict", v.Type())
	}
	all := map[string]Answer{}
	for _, item := range dict.Items() {
		line, _ := starlark.AsString(item[0])
		answer, err := commandAnswer(c, line, item[1])
		if err != nil {
			return nil, fmt.Errorf("argument \"commands\": %s: %w", item[0], err)
		}
		all[line] = answer
	}
	return all, nil
}

// commandAnswer is what one key of commands= has.
func commandAnswer(c *runtime.Call, line string, v starlark.Value) (Answer, error) {
	fn, isFunction := v.(starlark.Callable)
	switch {
	case line == "":
		return nil, errors.New("want a program, or the beginning of a command line")
	case v == starlark.None && strings.Contains(line, " "):
		return nil, errors.New("got None, which says that there is no such program, for several words")
	case v == starlark.None:
		return nil, nil
	case !isFunction:
		said, err := parseAnswer(v)
		return func([]string) (*host.Said, error) { return said, nil }, err
	}
	return func(argv []string) (*host.Said, error) {
		words := make([]starlark.Value, len(argv))
		for i, w := range argv {
			words[i] = starlark.String(w)
		}
		v, err := c.CallFunction(fn, starlark.NewList(words))
		if err != nil || v == starlark.None {
			return nil, err
		}
		said, err := parseAnswer(v)
		if err != nil {
			err = fmt.Errorf("commands: %q: %w", line, err)
		}
		return said, err
	}, nil
}

// parseAnswer takes a text, an exit status, or a dict of both.
func parseAnswer(v starlark.Value) (*host.Said, error) {
	said := &host.Said{}
	switch v := v.(type) {
	case starlark.String:
		said.Stdout = []byte(v)
		return said, nil
	case starlark.Int:
		code, err := starlark.AsInt32(v)
		said.Code = code
		return said, err
	case *starlark.Dict:
		for _, item := range v.Items() {
			if err := takeAnswer(said, item[0], item[1]); err != nil {
				return nil, err
			}
		}
		return said, nil
	}
	return nil, fmt.Errorf("got %s, want a text, an exit status, or a dict with code, stdout, stderr and files", v.Type())
}

func takeAnswer(said *host.Said, key, value starlark.Value) (err error) {
	name, _ := starlark.AsString(key)
	text, isText := starlark.AsString(value)
	switch {
	case name == "code":
		said.Code, err = starlark.AsInt32(value)
	case name == "stdout" && isText:
		said.Stdout = []byte(text)
	case name == "stderr" && isText:
		said.Stderr = []byte(text)
	case name == "files":
		dict, ok := value.(*starlark.Dict)
		if !ok {
			return fmt.Errorf("files: got %s, want a dict of paths and texts", value.Type())
		}
		for _, item := range dict.Items() {
			file, _ := starlark.AsString(item[0])
			text, isText := starlark.AsString(item[1])
			if !path.IsAbs(file) || !isText {
				return fmt.Errorf("files: got %s: %s, want an absolute path and a text", item[0], item[1].Type())
			}
			said.Makes = append(said.Makes, host.Entry{Name: path.Clean(file), Content: host.Bytes([]byte(text)),
				Meta: host.Meta{Mode: 0o644, Size: int64(len(text))}})
		}
	case slices.Contains([]string{"stdout", "stderr"}, name):
		err = fmt.Errorf("%s: got %s, want text", name, value.Type())
	default:
		err = fmt.Errorf("got the key %s, want code, stdout, stderr or files", key)
	}
	return err
}

func newMachineValue(c *runtime.Call) (starlark.Value, error) {
	var m Machine
	var files string
	var commands starlark.Value
	var memory size
	err := c.Unpack("os", &m.OS, "user", &m.User, "users", (*accountTable)(&m.Users),
		"groups", &m.Groups, "packages", &m.Packages,
		"services", &m.Services, "listening", (*portTable)(&m.Listening), "files", &files, "memory", &memory,
		"disk", (*diskSizes)(&m.Disk), "interfaces", &m.Interfaces, "commands", &commands, "web", &m.Web,
		"hostname", &m.Hostname, "cpus", &m.CPUs)
	if err != nil {
		return nil, err
	}
	m.Memory = int64(memory)
	m.Files, err = parseFiles(files)
	if err == nil {
		m.Commands, err = commandTable(c, commands)
	}
	var sim *Simulation
	if err == nil {
		sim, err = m.Simulate()
	}
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	c.Tests().HideWith(sim.Hide)
	return &machineValue{sim, c.Tests()}, nil
}

// A machineValue is a simulated machine as tests have it.
type machineValue struct {
	*Simulation
	suite *runtime.Suite
}

var _ starlark.HasAttrs = (*machineValue)(nil)

func (*machineValue) String() string        { return "<machine>" }
func (*machineValue) Type() string          { return "machine" }
func (*machineValue) Freeze()               {}
func (*machineValue) Truth() starlark.Bool  { return true }
func (*machineValue) Hash() (uint32, error) { return 0, errors.New("unhashable: machine") }
func (*machineValue) AttrNames() []string {
	return []string{"exists", "fact", "mode", "owner", "read", "run"}
}

// Attr returns a method.
func (m *machineValue) Attr(name string) (starlark.Value, error) {
	if name == "run" {
		return starlark.NewBuiltin("machine.run", m.run), nil
	}
	ask := map[string]func(*machineValue, string) (starlark.Value, error){
		"exists": (*machineValue).exists, "fact": (*machineValue).fact, "mode": (*machineValue).mode,
		"owner": (*machineValue).owner, "read": (*machineValue).read,
	}[name]
	if ask == nil {
		return nil, nil
	}
	arg := "path"
	if name == "fact" {
		arg = "name"
	}
	return starlark.NewBuiltin("machine."+name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple,
		kwargs []starlark.Tuple) (starlark.Value, error) {
		var text string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, arg, &text); err != nil {
			return nil, err
		}
		if arg == "path" && !path.IsAbs(text) {
			return nil, fmt.Errorf("%s: got relative path %q, want an absolute one", b.Name(), text)
		}
		v, err := ask(m, text)
		if err != nil {
			err = fmt.Errorf("%s: %w", b.Name(), err)
		}
		return v, err
	}), nil
}

func (m *machineValue) exists(name string) (starlark.Value, error) {
	ok, err := host.Exists(m.Host, path.Clean(name))
	return starlark.Bool(ok), err
}

func (m *machineValue) read(name string) (starlark.Value, error) {
	text, err := host.ReadFile(m.Host, path.Clean(name))
	if errors.Is(err, host.ErrUnknown) {
		err = runtime.Hint(fmt.Errorf("%s: a command or a download made it, and nobody said what it holds", name),
			"say what the command leaves behind: commands = {\"PROGRAM\": {\"files\": {\"PATH\": \"text\"}}}")
	}
	return starlark.String(m.Hide(string(text))), err
}

func (m *machineValue) mode(name string) (starlark.Value, error) {
	_, meta, err := follow(m.Host, path.Clean(name))
	return starlark.MakeInt(int(meta.Mode.Perm())), err
}

func (m *machineValue) owner(name string) (starlark.Value, error) {
	_, meta, err := follow(m.Host, path.Clean(name))
	return starlark.String(meta.User + ":" + meta.Group), err
}

func (m *machineValue) fact(name string) (starlark.Value, error) {
	kind, rest, _ := strings.Cut(name, ":")
	k := kindNamed(kind)
	if k == nil || rest == "" {
		err := fmt.Errorf("got %q, want KIND:NAME; the kinds are %s", name, strings.Join(kindNames(), " "))
		return nil, runtime.Nearest(err, kind, kindNames())
	}
	v, err := m.Host.Fact(context.Background(), fact(k, rest))
	return starlark.String(v), err
}
