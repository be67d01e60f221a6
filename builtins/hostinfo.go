package builtins

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

// The properties of the machine. They are read when a script asks, through the
// same host as everything else.
var (
	hostOSBuiltin = property("host.os",
		"tell the distribution as os-release(5) names it: debian, rhel, centos and so on", `log(host.os)`, release("ID"))
	hostVersionBuiltin = property("host.version", "tell the version of the distribution", `log(host.version)`,
		release("VERSION_ID"))
	hostFamilyBuiltin = property("host.family", `tell the kind of distribution: "debian" or "rhel", or its own name`,
		`log(host.family)`, hostFamily)
	hostUserBuiltin     = property("host.user", "tell the account that runs this", `log(host.user)`, hostUser)
	hostHostnameBuiltin = property("host.hostname", "tell the name of the machine", `log(host.hostname)`, hostHostname)
	hostProgramBuiltin  = property("host.program", "tell the file of this program, for a step that installs it",
		`log(host.program)`, hostProgram)
	hostCPUsBuiltin   = property("host.cpus", "tell the number of processors", `log(str(host.cpus))`, hostCPUs)
	hostMemoryBuiltin = property("host.memory", "tell the size of the memory in bytes",
		`log(str(host.memory))`, hostMemory)
	hostInterfacesBuiltin = property("host.interfaces", "tell the names of the network interfaces, sorted",
		`log(", ".join(host.interfaces))`, hostInterfaces)
)

var hostDiskFreeBuiltin = &runtime.Builtin{
	Name:    "host.disk_free",
	Args:    []runtime.Arg{param("path", "path", "", "a file or directory; it need not be there yet")},
	Summary: "tell how many bytes an unprivileged account can still write there",
	Detail:  []string{"What earlier steps of a dry run would have written is subtracted."},
	Example: `log(str(host.disk_free("/srv")))`,
	Read: func(c *runtime.Call, h host.Reader) (starlark.Value, error) {
		var name runtime.Path
		if err := c.Unpack("path", &name); err != nil {
			return nil, err
		}
		free, err := h.Fact(c.Context(), fact(host.DiskFree, string(name)))
		if err != nil {
			return nil, err
		}
		bytes, _, _ := strings.Cut(free, " ") // the mount point follows
		n, err := strconv.ParseInt(bytes, 10, 64)
		return starlark.MakeInt64(n), err
	},
}

var hostListeningBuiltin = &runtime.Builtin{
	Name:    "host.listening",
	Args:    []runtime.Arg{param("port", "int", "", "a TCP port")},
	Summary: `tell what listens on a port, "" if nothing does`,
	Example: `if host.listening(8080) == "":
    log("port 8080 is free")`,
	Read: func(c *runtime.Call, h host.Reader) (starlark.Value, error) {
		var port int
		if err := c.Unpack("port", &port); err != nil {
			return nil, err
		}
		owner, err := h.Fact(c.Context(), fact(host.Port, strconv.Itoa(port)))
		return starlark.String(owner), err
	},
}

// property returns a builtin that is read as a value.
func property(name, summary, example string,
	read func(context.Context, host.Reader) (starlark.Value, error)) *runtime.Builtin {
	return &runtime.Builtin{Name: name, Summary: summary, Example: example, Property: true,
		Read: func(c *runtime.Call, h host.Reader) (starlark.Value, error) { return read(c.Context(), h) }}
}

// release returns a function that returns one value of osRelease.
func release(key string) func(context.Context, host.Reader) (starlark.Value, error) {
	return func(_ context.Context, h host.Reader) (starlark.Value, error) {
		values, err := osRelease(h)
		return starlark.String(values[key]), err
	}
}

// osRelease returns the values of os-release(5). Enterprise Linux 6 has only a line
// such as "CentOS release 6.5 (Final)" in another file.
func osRelease(h host.Reader) (map[string]string, error) {
	values := map[string]string{}
	lines, err := host.Lines(h, "/etc/os-release")
	for _, l := range lines {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), "="); ok && !strings.HasPrefix(k, "#") {
			values[k] = strings.Trim(v, `"'`)
		}
	}
	if len(values) > 0 || err != nil {
		return values, err
	}
	lines, err = host.Lines(h, "/etc/redhat-release")
	if len(lines) == 0 || err != nil {
		return values, err
	}
	name, rest, _ := strings.Cut(lines[0], " release ")
	values["ID"], values["ID_LIKE"] = "rhel", "rhel"
	if f := strings.Fields(name); len(f) > 0 && f[0] != "Red" {
		values["ID"] = strings.ToLower(f[0])
	}
	if f := strings.Fields(rest); len(f) > 0 {
		values["VERSION_ID"] = f[0]
	}
	return values, nil
}

func hostFamily(_ context.Context, h host.Reader) (starlark.Value, error) {
	f, err := family(h)
	return starlark.String(f), err
}

// family returns "debian", "rhel", or the name that the system gives itself.
func family(h host.Reader) (string, error) {
	values, err := osRelease(h)
	for _, id := range strings.Fields(values["ID"] + " " + values["ID_LIKE"]) {
		switch id {
		case "debian", "ubuntu":
			return "debian", err
		case "rhel", "fedora", "centos":
			return "rhel", err
		}
	}
	return values["ID"], err
}

func hostUser(ctx context.Context, h host.Reader) (starlark.Value, error) {
	name, err := h.Fact(ctx, fact(host.Self, ""))
	return starlark.String(name), err
}

func hostHostname(_ context.Context, h host.Reader) (starlark.Value, error) {
	lines, err := host.Lines(h, "/proc/sys/kernel/hostname")
	if err != nil || len(lines) == 0 {
		lines, err = host.Lines(h, "/etc/hostname")
	}
	return starlark.String(strings.TrimSpace(strings.Join(lines, ""))), err
}

// hostProgram returns the file that runs. A machine that is only planned for has it where packages put it.
func hostProgram(_ context.Context, h host.Reader) (starlark.Value, error) {
	file, err := h.Readlink("/proc/self/exe")
	if errors.Is(err, fs.ErrNotExist) {
		return starlark.String("/usr/bin/runbook"), nil
	}
	return starlark.String(strings.TrimSuffix(file, " (deleted)")), err
}

// hostCPUs returns the number of processors in proc_cpuinfo(5).
func hostCPUs(_ context.Context, h host.Reader) (starlark.Value, error) {
	lines, err := host.Lines(h, "/proc/cpuinfo")
	n := 0
	for _, l := range lines {
		if strings.HasPrefix(l, "processor") {
			n++
		}
	}
	return starlark.MakeInt(n), err
}

// hostMemory returns MemTotal of proc_meminfo(5), which is in units of 1024 bytes.
func hostMemory(_ context.Context, h host.Reader) (starlark.Value, error) {
	lines, err := host.Lines(h, "/proc/meminfo")
	for _, l := range lines {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return starlark.MakeInt64(kib << 10), err
		}
	}
	return starlark.MakeInt(0), cmp.Or(err, errors.New("/proc/meminfo: no MemTotal"))
}

func hostInterfaces(_ context.Context, h host.Reader) (starlark.Value, error) {
	names, err := interfaces(h)
	list := make([]starlark.Value, len(names))
	for i, n := range names {
		list[i] = starlark.String(n)
	}
	return starlark.NewList(list), err
}

// interfaces returns the names of the network interfaces. Their directory also has
// files of the bonding driver, which have no address.
func interfaces(h host.Reader) (names []string, err error) {
	const dir = "/sys/class/net"
	all, err := h.ReadDir(dir)
	for _, n := range all {
		if ok, err := host.Exists(h, path.Join(dir, n, "address")); ok && err == nil {
			names = append(names, n)
		}
	}
	return names, ignoreNotExist(err)
}
