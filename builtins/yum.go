package builtins

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

var yumBuiltin = &runtime.Builtin{
	Name: "yum",
	Args: []runtime.Arg{
		param("packages", "list of string", "", "names, NAME-VERSION, absolute names of .rpm files, patterns of such, or URLs"),
		param("state", "string", `"present"`, `"present" or "absent"`).OneOf("present", "absent"),
		param("gpg_check", "bool", "None", "True checks the signatures of all packages, files too, False those of none; see above"),
	},
	Secrets: []string{"packages"},
	Summary: "install RPM packages that are missing or older, in one transaction, or remove them",
	Detail: []string{
		"It calls yum, or dnf where yum is gone. If all packages are files no repository is reached.",
		"A pattern takes the .rpm files that match, and is an error if there are none. " +
			"A newer package that is installed is left alone; NAME-VERSION refuses to go back to an older one. " +
			"A file of the version that is installed, but built another time, is installed again.",
		"If gpg_check is not given, repositories are checked as they are set up here, URLs always, and files not: " +
			"the trace has their digests. The trace says which it was.",
		"A dry run reads the files themselves: " +
			"what they install, which services they bring, which accounts their scripts make.",
	},
	Example: `yum(["nginx", "git"])`,
	New:     newYum,
}

// yumOp is packages that should be installed, or absent.
type yumOp struct {
	packages []string // as the runbook names them
	absent   bool
	check    starlark.Value // of signatures: a bool, or nil to leave that to this machine
}

// The ways to name a package.
var (
	rpmName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+~^-]*(-[0-9]+:[A-Za-z0-9_.+~^-]+)?$`)
	httpURL = regexp.MustCompile(`^(https?|ftp)://[^\s]+\.rpm$`)
)

func newYum(c *runtime.Call) (runtime.Op, string, error) {
	var packages []string
	state := "present"
	var check starlark.Value
	if err := c.Unpack("packages", &packages, "state", &state, "gpg_check", &check); err != nil {
		return nil, "", err
	}
	if _, ok := check.(starlark.Bool); check != nil && check != starlark.None && !ok {
		return nil, "", fmt.Errorf("argument \"gpg_check\": got %s, want a bool", check.Type())
	}
	if len(packages) == 0 {
		return nil, "", errors.New("argument \"packages\": got none, want at least one")
	}
	if err := checkSecretPaths("packages", packages...); err != nil {
		return nil, "", err
	}
	titles := make([]string, len(packages))
	for i, p := range packages {
		packages[i] = strings.TrimPrefix(p, "file://")
		if err := checkPackage(packages[i]); err != nil {
			return nil, "", fmt.Errorf("argument \"packages\": %w", err)
		}
		titles[i] = strings.TrimSuffix(path.Base(packages[i]), ".rpm")
	}
	return &yumOp{packages, state == "absent", check}, shorten(titles), nil
}

// checkPackage returns an error if name is none of the ways to name a package.
func checkPackage(name string) error {
	switch {
	case path.IsAbs(name) || httpURL.MatchString(name):
		return nil
	case anyGlob.MatchString(name):
		return runtime.Hint(fmt.Errorf("got %q, a pattern of names", name),
			"what it matches differs between repositories: list the names, or write the absolute pattern of files")
	case strings.HasSuffix(name, ".rpm"):
		return runtime.Hint(fmt.Errorf("got relative path %q, want an absolute one", name), "begin it with /")
	case strings.ContainsAny(name, "=<> "):
		return runtime.Hint(fmt.Errorf("got %q, want a name or NAME-VERSION", name),
			"write it as in nginx-1.20.1, or nginx-1.20.1-14.el9")
	case !rpmName.MatchString(name):
		return fmt.Errorf("got %q, want a name, an absolute path or a URL that ends in .rpm", name)
	}
	return nil
}

func (op *yumOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	packages, err := findPackages(ctx, h, op.packages)
	if err != nil {
		return nil, err
	}
	var changes []host.Change
	var differing, rebuilt []rpmPackage
	for _, p := range packages {
		c, again, err := op.compare(ctx, h, p)
		switch {
		case err != nil:
			return nil, err
		case c == nil:
			continue
		case again:
			rebuilt = append(rebuilt, p)
		default:
			differing = append(differing, p)
		}
		changes = append(changes, *c)
	}
	if len(changes) > 0 && !op.absent {
		err = needRoom(ctx, h, "/var/lib/rpm")
	}
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		return op.transact(ctx, h, differing, rebuilt)
	}, changes...), err
}

// compare returns what is to change of one package, or nil; again says that another build of the same version is
// there.
func (op *yumOp) compare(ctx context.Context, h host.Reader, p rpmPackage) (c *host.Change, again bool, err error) {
	have, err := ask(ctx, h, fact(rpmKind, p.name))
	older := ""
	if err == nil && have == "" && !op.absent && p.pinned() {
		older, err = olderOf(ctx, h, p)
	}
	if err != nil || op.absent && have == "" {
		return nil, false, err
	}
	to := change(p.name, have+older, p.version)
	switch state := p.compare(have); {
	case op.absent:
		to.To = ""
		return &to, false, nil
	case state == different:
		return &to, false, nil
	case state == newer:
		runtime.Observe(ctx, "newer", p.name+" "+have)
		return nil, false, nil
	case p.header == nil || have == host.Present:
		return nil, false, nil
	}
	return compareBuild(ctx, h, p, have)
}

// transact installs or removes packages in one transaction. What is there as another build is installed again, which
// yum takes as a command of its own.
func (op *yumOp) transact(ctx context.Context, h host.Host, packages, rebuilt []rpmPackage) error {
	err := waitForLocks(ctx, h, "/run/yum.pid", "/var/run/yum.pid", "/var/lib/rpm/.rpm.lock",
		"/var/lib/dnf/rpmdb_lock.pid", "/var/cache/dnf/metadata_lock.pid")
	if err == nil && len(packages) > 0 {
		err = op.do(ctx, h, "install", packages)
	}
	if err == nil && len(rebuilt) > 0 {
		err = op.do(ctx, h, "reinstall", rebuilt)
	}
	return err
}

// do is one transaction.
func (op *yumOp) do(ctx context.Context, h host.Host, verb string, packages []rpmPackage) error {
	cmd := removal(packages)
	if !op.absent {
		var err error
		if cmd, err = op.installation(ctx, h, verb, packages); err != nil {
			return err
		}
	}
	cmd.Argv = slices.Insert(cmd.Argv, 0, packageManager(h))
	cmd.Critical = true
	for _, p := range packages {
		if p.isFile() && !op.absent {
			h = runtime.Reading(h, runtime.Read{Path: p.source})
		}
	}
	res, err := h.Exec(ctx, cmd)
	if err != nil {
		return runtime.Hint(err, yumAdvice(res, err))
	}
	// Both programs exit with 0 when a package is installed but its script failed.
	if line := scriptletFailure.Find(append(res.Stdout, res.Stderr...)); line != nil {
		return runtime.Hint(fmt.Errorf("installed, but not set up: %s", line),
			"find out why, then remove the package with state=\"absent\" and run again")
	}
	return nil
}

// What yum, dnf and rpm print about the scripts of packages; see the
// documentation of rpm on scriptlets.
var scriptletFailure = regexp.MustCompile(`(?m)^.*(Error in (PRE|POST|TRIGGER)\w* scriptlet|scriptlet failed).*$`)

func packageManager(h host.Reader) string {
	if program(h, "yum") == "" && program(h, "dnf") != "" {
		return "dnf"
	}
	return "yum"
}

// yumAdvice is a hint for the usual failures.
func yumAdvice(res host.Result, err error) string {
	out := string(res.Stdout) + string(res.Stderr) + err.Error()
	for _, failure := range [][2]string{
		{"nothing provides", "name the packages that it needs, too, or one pattern that takes all of them"},
		{"equires:", "name the packages that it needs, too, or one pattern that takes all of them"},
		{"no enabled repo", "no repository is set up here: name files"},
		{"Unable to find a match", "no repository has it: see the spelling and yum repolist"},
		{"No package", "no repository has it: see the spelling and yum repolist"},
		{"superuser", "start runbook as root"},
		{"be root", "start runbook as root"},
		{"GPG", "import the key that signed it: rpm --import FILE"},
		{"conflicts with", "remove the other package first: yum(..., state=\"absent\")"},
		{"digest", "the file is damaged: fetch it again"},
		{"Could not open", "the file is damaged or not an RPM: fetch it again"},
		{"executable file not found", "this machine has no yum and no dnf: on Debian and Ubuntu it is apt()"},
	} {
		if strings.Contains(out, failure[0]) {
			return failure[1]
		}
	}
	return "see what it printed; nothing was changed unless it says so"
}

// removal returns the command that removes packages, without its program.
func removal(packages []rpmPackage) host.Cmd {
	cmd := host.Cmd{Process: host.Process{Argv: []string{"remove", "-y"}}, Sets: map[host.Fact]string{}}
	for _, p := range packages {
		cmd.Argv = append(cmd.Argv, p.name)
		cmd.Sets[fact(rpmKind, p.name)] = ""
	}
	cmd.TouchesFacts = []host.Fact{fact(servicesKind, "all")}
	return cmd
}

// installation returns the command that installs packages, without its program.
func (op *yumOp) installation(ctx context.Context, h host.Reader, verb string, packages []rpmPackage) (
	host.Cmd, error) {
	cmd := host.Cmd{
		Process: host.Process{Argv: []string{verb, "-y"}},
		Sets:    map[host.Fact]string{}, Assumes: map[host.Fact]string{}, Follows: map[host.Fact]string{},
	}
	if !slices.ContainsFunc(packages, func(p rpmPackage) bool { return !p.isFile() }) {
		cmd.Argv = append(cmd.Argv, "--disablerepo=*")
	}
	options, said := op.signatures(h, packages)
	cmd.Argv, cmd.Detail = append(cmd.Argv, options...), map[string]any{"signatures": said}
	opaque := false
	for _, p := range packages {
		cmd.Argv = append(cmd.Argv, p.source)
		cmd.Sets[fact(rpmKind, p.name)] = p.version
		if p.header == nil {
			opaque = true
			continue
		}
		cmd.Follows[fact(rpmArchKind, p.name)] = p.header.Arch
		cmd.Follows[p.build()] = host.Present
		if verb == "reinstall" {
			cmd.Sets[p.build()] = host.Present
		}
		if err := declare(ctx, h, &cmd, p.header); err != nil {
			return cmd, err
		}
	}
	if opaque {
		cmd.MayMake = true
		cmd.TouchesFacts = append(cmd.TouchesFacts, fact(servicesKind, "all"))
	}
	return cmd, nil
}

// signatures returns the options that say whose signatures are checked, and what the trace says of it.
func (op *yumOp) signatures(h host.Reader, packages []rpmPackage) (options []string, said string) {
	files := slices.ContainsFunc(packages, func(p rpmPackage) bool { return p.isFile() })
	urls := slices.ContainsFunc(packages, func(p rpmPackage) bool { return httpURL.MatchString(p.source) })
	switch {
	case op.check == starlark.True:
		return []string{"--setopt=gpgcheck=1", "--setopt=*.gpgcheck=1", "--setopt=localpkg_gpgcheck=1"}, "checked"
	case op.check == starlark.False:
		return []string{"--nogpgcheck"}, "not checked"
	case urls:
		return []string{"--setopt=localpkg_gpgcheck=1"}, "of files and URLs checked, of repositories as they are set up"
	case files && checksFiles(h):
		return nil, "of files checked, as this machine is set up"
	case files:
		return nil, "of files not checked, as this machine is set up"
	}
	return nil, "of repositories as they are set up"
}

// filesChecked is in a configuration that has signatures of local files checked; see yum.conf(5), dnf.conf(5).
var filesChecked = regexp.MustCompile(`(?mi)^[ \t]*localpkg_gpgcheck[ \t]*=[ \t]*(1|yes|true|on)\b`)

func checksFiles(h host.Reader) bool {
	return slices.ContainsFunc([]string{"/etc/yum.conf", "/etc/dnf/dnf.conf"}, func(name string) bool {
		text, err := host.ReadFile(h, name)
		return err == nil && filesChecked.Match(text)
	})
}
