package builtins

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"runbook/builtins/internal/deb"
	"runbook/runtime"
	"runbook/runtime/host"
)

var aptBuiltin = &runtime.Builtin{
	Name: "apt",
	Args: []runtime.Arg{
		param("packages", "list of string", "", "names, NAME=VERSION, absolute names of .deb files, patterns of such, or URLs"),
		param("state", "string", `"present"`, `"present" or "absent"`).OneOf("present", "absent"),
	},
	Secrets: []string{"packages"},
	Summary: "install Debian packages that are missing or older, in one transaction, or remove them",
	Detail: []string{
		"It calls apt-get. If all packages are files no repository is reached. Names are looked up in the lists that the last apt-get update fetched.",
		"A pattern takes the .deb files that match, and is an error if there are none. " +
			"A newer package that is installed is left alone; NAME=VERSION refuses to go back to an older one. One that is on hold is never changed.",
		"Nothing is asked: configuration files that were changed by hand stay as they are. Packages that are half configured are configured. " +
			"What would remove other packages is refused.",
		"What else has to go with a package that is removed is listed, too. The configuration of packages stays.",
		"apt checks the signatures of repositories. A .deb file has none: the trace has its digest. " +
			"A URL must end in NAME_VERSION_ARCH.deb; use download() to have a digest checked first.",
		"A dry run reads the files themselves: " +
			"what they install, which services they bring, which accounts their scripts make.",
	},
	Example: `apt(["nginx", "git"])`,
	New:     newApt,
}

// aptOp is packages that should be installed, or absent.
type aptOp struct {
	packages []string // as the runbook names them
	absent   bool
}

// The ways to name a Debian package.
var (
	debName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(:[a-z0-9][a-z0-9-]*)?$`)
	debURL  = regexp.MustCompile(`^https?://[^\s]+\.deb$`)
)

func newApt(c *runtime.Call) (runtime.Op, string, error) {
	var packages []string
	state := "present"
	if err := c.Unpack("packages", &packages, "state", &state); err != nil {
		return nil, "", err
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
		if err := checkDebian(packages[i], state); err != nil {
			return nil, "", fmt.Errorf("argument \"packages\": %w", err)
		}
		titles[i] = strings.TrimSuffix(path.Base(packages[i]), ".deb")
	}
	return &aptOp{packages, state == "absent"}, shorten(titles), nil
}

// checkDebian returns an error if text is none of the ways to name a package.
func checkDebian(text, state string) error {
	name, version, versioned := strings.Cut(text, "=")
	switch {
	case path.IsAbs(text):
		return nil
	case debURL.MatchString(text):
		if _, _, _, ok := deb.ParseFilename(text); !ok {
			return runtime.Hint(fmt.Errorf("got the URL %q, want one that ends in NAME_VERSION_ARCH.deb",
				host.RedactURL(runtime.Readable(text))), "fetch it first, and name the file: download(URL, \"/srv/x.deb\")")
		}
		return nil
	case anyGlob.MatchString(text):
		return runtime.Hint(fmt.Errorf("got %q, a pattern of names", text),
			"what it matches differs between repositories: list the names, or write the absolute pattern of files")
	case strings.HasSuffix(text, ".deb"):
		return runtime.Hint(fmt.Errorf("got relative path %q, want an absolute one", text), "begin it with /")
	case strings.Contains(text, "/"):
		return runtime.Hint(fmt.Errorf("got %q, want a name without a release", text),
			"write NAME=VERSION, or pin the release in /etc/apt/preferences.d")
	case strings.ContainsAny(text, " <>") || versioned && deb.CheckVersion(version) != nil:
		return runtime.Hint(fmt.Errorf("got %q, want a name or NAME=VERSION", text),
			"write the version in full, as apt-cache policy shows it: nginx=1.22.1-9")
	case !debName.MatchString(name):
		return fmt.Errorf("got %q, want a name, NAME=VERSION, an absolute path or a URL that ends in .deb", text)
	case versioned && state == "absent":
		return runtime.Hint(fmt.Errorf("got %q, want a name without a version for state \"absent\"", text), "write "+name)
	}
	return nil
}

func (op *aptOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	packages, err := findDebian(ctx, h, op.packages)
	if err != nil {
		return nil, err
	}
	changes, err := op.interrupted(h)
	if err != nil {
		return nil, err
	}
	mend := len(changes) > 0
	var differing []debPackage
	for _, p := range packages {
		c, err := op.compare(ctx, h, p)
		if err != nil {
			return nil, err
		}
		if c != nil {
			p.broken = strings.HasPrefix(c.From, "half-installed")
			changes, differing = append(changes, *c), append(differing, p)
		}
	}
	switch {
	case len(differing) == 0:
	case op.absent:
		var more []debPackage
		more, err = dependents(ctx, h, differing)
		for _, p := range more {
			changes, differing = append(changes, change(p.name, p.version, "")), append(differing, p)
		}
	default:
		err = needRoom(ctx, h, "/var/lib/dpkg")
	}
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		return op.transact(ctx, h, mend, differing)
	}, changes...), err
}

// interrupted returns a change if dpkg was stopped in the middle of its work: it wants to end that first.
func (op *aptOp) interrupted(h host.Reader) ([]host.Change, error) {
	names, err := h.ReadDir("/var/lib/dpkg/updates")
	if isMissing(err) || errors.Is(err, host.ErrUnknown) || err == nil && len(names) == 0 {
		return nil, nil
	}
	return []host.Change{change("dpkg", "interrupted", "configured")}, err
}

// compare returns what is to change of one package, or nil.
func (op *aptOp) compare(ctx context.Context, h host.Reader, p debPackage) (*host.Change, error) {
	have, err := ask(ctx, h, fact(debKind, p.name))
	if err != nil {
		return nil, err
	}
	var c host.Change
	switch state := p.compare(have); {
	case op.absent && have == "", !op.absent && state == same:
		return nil, nil
	case op.absent:
		c = change(p.name, have, "")
	case state == newer && p.pinned:
		return nil, runtime.Hint(fmt.Errorf("%s: %s is installed, which is newer than %s", p.name, have, p.version),
			"going back may lose data, so it is not done: remove the package first, with state=\"absent\"")
	case state == newer:
		runtime.Observe(ctx, "newer", p.name+" "+have)
		return nil, nil
	default:
		c = change(p.name, have, p.version)
	}
	held, err := ask(ctx, h, fact(heldKind, p.name))
	if err == nil && held != "" {
		return nil, runtime.Hint(fmt.Errorf("%s is on hold at %s, want %s", p.name, have, describeWant(c.To)),
			"somebody decided so; if that is over: apt-mark unhold "+p.name)
	}
	return &c, err
}

func describeWant(version string) string {
	switch version {
	case "":
		return "it removed"
	case host.Present:
		return "it configured"
	}
	return version
}

// transact installs or removes packages in one transaction. What dpkg was stopped in it ends before.
func (op *aptOp) transact(ctx context.Context, h host.Host, mend bool, packages []debPackage) error {
	if err := waitForLocks(ctx, h, "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"); err != nil {
		return err
	}
	if mend {
		argv := []string{"dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"}
		cmd := host.Cmd{Process: host.Process{Argv: argv, Env: aptEnv()}, Critical: true, MayMake: true}
		cmd.TouchesFacts = []host.Fact{fact(servicesKind, "all")}
		if res, err := h.Exec(ctx, cmd); err != nil {
			return runtime.Hint(err, aptAdvice(res, err))
		}
	}
	if len(packages) == 0 {
		return nil
	}
	cmd := debRemoval(packages)
	if !op.absent {
		err := fetchDebian(ctx, h, packages)
		if err == nil {
			cmd, err = debInstallation(ctx, h, packages)
		}
		if err != nil {
			return err
		}
		for _, p := range packages {
			if p.isFile() {
				h = runtime.Reading(h, runtime.Read{Path: p.source})
			}
		}
	}
	res, err := h.Exec(ctx, cmd)
	if err != nil {
		return runtime.Hint(err, aptAdvice(res, err))
	}
	return nil
}

// aptEnv has nobody asked: not by debconf, and not by apt-listchanges.
func aptEnv() map[string]string {
	return map[string]string{"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none"}
}

// aptAdvice is a hint for the usual failures.
func aptAdvice(res host.Result, err error) string {
	out := string(res.Stdout) + string(res.Stderr) + err.Error()
	for _, failure := range [][2]string{
		{"maintainer script", "its script failed, and the package is half configured: cure what the script says, and run again"},
		{"script subprocess returned error", "its script failed, and the package is half configured: cure what the script says, and run again"},
		{"trying to overwrite", "two packages have the same file: remove the other one first, with state=\"absent\""},
		{"unmet dependencies", "name the packages that it needs, too, or one pattern that takes all of them"},
		{"Unable to locate package", "no repository has it: see the spelling, and fetch the lists first: run(\"apt-get update\")"},
		{"has no installation candidate", "no repository has it: see the spelling, and fetch the lists first: run(\"apt-get update\")"},
		{"for '", "no repository has that version: apt-cache policy NAME shows which there are"},
		{"Packages need to be removed", "it conflicts with what is installed: remove that first, with state=\"absent\""},
		{"Held packages", "a package on hold would change: see apt-mark showhold"},
		{"Could not get lock", "another package manager runs: let it end, then run again"},
		{"could not be authenticated", "its repository is not signed by a key that this machine knows"},
		{"Failed to fetch", "the lists may be old: run(\"apt-get update\"), and see whether this machine reaches the repository"},
		{"need to be reinstalled", "it was broken off while it was unpacked: name its .deb file"},
		{"are you root", "start runbook as root"},
		{"Permission denied", "start runbook as root"},
		{"did not take effect", "it may be a virtual package: name the one that provides it; see apt-cache showpkg NAME"},
		{"executable file not found", "this machine has no apt-get: on Red Hat's family it is yum()"},
	} {
		if strings.Contains(out, failure[0]) {
			return failure[1]
		}
	}
	return "see what it printed"
}

// debRemoval returns the command that removes packages. Their configuration stays.
func debRemoval(packages []debPackage) host.Cmd {
	cmd := host.Cmd{Sets: map[host.Fact]string{}, Critical: true}
	cmd.Process = host.Process{Argv: append([]string{"apt-get", "remove", "-y"}, aptOptions()...), Env: aptEnv()}
	for _, p := range packages {
		cmd.Argv = append(cmd.Argv, p.name)
		cmd.Sets[fact(debKind, p.name)] = ""
	}
	cmd.TouchesFacts = []host.Fact{fact(servicesKind, "all")}
	return cmd
}

// aptOptions wait for locks, as new versions of apt can, and draw nothing.
func aptOptions() []string { return []string{"-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0"} }

// debInstallation returns the command that installs packages.
func debInstallation(ctx context.Context, h host.Reader, packages []debPackage) (host.Cmd, error) {
	cmd := host.Cmd{
		Process: host.Process{Env: aptEnv()}, Critical: true,
		Sets: map[host.Fact]string{}, Assumes: map[host.Fact]string{},
		Detail: map[string]any{"signatures": "of repositories, as apt checks them"},
	}
	cmd.Argv = slices.Concat([]string{"apt-get", "install", "-y", "--no-remove",
		"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"}, aptOptions())
	if !slices.ContainsFunc(packages, func(p debPackage) bool { return !p.isFile() }) {
		cmd.Argv = append(cmd.Argv, "-o", "Dir::Etc::SourceList=/dev/null", "-o", "Dir::Etc::SourceParts=/dev/null")
		cmd.Detail["signatures"] = "none: .deb files have none"
	}
	if slices.ContainsFunc(packages, func(p debPackage) bool { return p.broken }) {
		cmd.Argv = append(cmd.Argv, "--reinstall")
	}
	opaque := false
	for _, p := range packages {
		cmd.Argv = append(cmd.Argv, p.source)
		cmd.Sets[fact(debKind, p.name)] = p.version
		if p.header == nil {
			opaque = true
			continue
		}
		if err := declareDebian(ctx, h, &cmd, p.header); err != nil {
			return cmd, err
		}
	}
	if opaque {
		cmd.MayMake = true
		cmd.TouchesFacts = append(cmd.TouchesFacts, fact(servicesKind, "all"))
	}
	return cmd, nil
}
