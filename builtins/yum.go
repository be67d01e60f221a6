package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"runbook/builtins/internal/rpm"
	"runbook/runtime"
	"runbook/runtime/host"
)

var yumBuiltin = &runtime.Builtin{
	Name: "yum",
	Args: []runtime.Arg{
		param("packages", "list of string", "", "names, absolute names of .rpm files, patterns of such, or URLs"),
		param("state", "string", `"present"`, `"present" or "absent"`).OneOf("present", "absent"),
	},
	Secrets: []string{"packages"},
	Summary: "install RPM packages that are missing or older, in one transaction, or remove them",
	Detail: []string{
		"It calls yum, or dnf where yum is gone. If all packages are files no repository is reached.",
		"A pattern takes the .rpm files that match, and is an error if there are none. " +
			"A newer package that is installed is left alone.",
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
}

// The ways to name a package.
var (
	rpmName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+~^-]*$`)
	httpURL = regexp.MustCompile(`^(https?|ftp)://[^\s]+\.rpm$`)
)

func newYum(c *runtime.Call) (runtime.Op, string, error) {
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
		if err := checkPackage(packages[i]); err != nil {
			return nil, "", fmt.Errorf("argument \"packages\": %w", err)
		}
		titles[i] = strings.TrimSuffix(path.Base(packages[i]), ".rpm")
	}
	return &yumOp{packages, state == "absent"}, shorten(titles), nil
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
	var differing []rpmPackage
	for _, p := range packages {
		have, err := ask(ctx, h, fact(rpmKind, p.name))
		switch {
		case err != nil:
			return nil, err
		case op.absent && have != "":
			changes = append(changes, change(p.name, have, ""))
		case !op.absent && !p.metBy(have):
			changes = append(changes, change(p.name, have, p.version))
		default:
			continue
		}
		differing = append(differing, p)
	}
	if len(differing) > 0 && !op.absent {
		err = needRoom(ctx, h, "/var/lib/rpm")
	}
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		return op.transact(ctx, h, differing)
	}, changes...), err
}

// transact installs or removes packages in one transaction.
func (op *yumOp) transact(ctx context.Context, h host.Host, packages []rpmPackage) error {
	cmd := removal(packages)
	if !op.absent {
		var err error
		if cmd, err = installation(ctx, h, packages); err != nil {
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
		{"executable file not found", "this machine has no yum and no dnf: the runbook is for one that has"},
	} {
		if strings.Contains(out, failure[0]) {
			return failure[1]
		}
	}
	return "see what it printed; nothing was changed unless it says so"
}

// rpmKind is an installed package; its value is VERSION-RELEASE, with EPOCH:
// in front if it is not 0. Of several that are installed it is the last.
var rpmKind = &host.Kind{Name: "rpm", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
	const format = `%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n`
	res, err := r.Query(ctx, host.Process{Argv: []string{"rpm", "-q", "--qf", format, name}})
	if err != nil || res.Code != 0 {
		return "", err
	}
	lines := strings.Fields(string(res.Stdout))
	if len(lines) == 0 {
		return "", nil
	}
	return strings.TrimPrefix(lines[len(lines)-1], "0:"), nil
}}

// An rpmPackage is one package to be installed or removed.
type rpmPackage struct {
	name    string
	version string       // as rpmKind has it; host.Present if any will do
	source  string       // what yum is told to install: a name, a file or a URL
	header  *rpm.Package // nil where it cannot be read
}

// isFile reports whether it comes from this machine.
func (p rpmPackage) isFile() bool { return path.IsAbs(p.source) }

// metBy reports whether an installed version is good enough. A newer one is.
func (p rpmPackage) metBy(have string) bool {
	if have == "" || p.version == host.Present || have == host.Present {
		return have != ""
	}
	return rpm.CompareEVR(have, p.version) >= 0
}

// findPackages returns the packages that names stand for, each once.
func findPackages(ctx context.Context, h host.Reader, names []string) ([]rpmPackage, error) {
	var all []rpmPackage
	for _, n := range names {
		sources, err := expand(h, n, ".rpm")
		if err != nil {
			return nil, err
		}
		for _, s := range sources {
			p, err := findPackage(ctx, h, s)
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(all, func(q rpmPackage) bool { return q.name == p.name })
			if i < 0 {
				all = append(all, p)
			} else if all[i].source != p.source {
				return nil, runtime.Hint(fmt.Errorf("%s and %s are both %s", all[i].source, p.source, p.name),
					"name only one of them")
			}
		}
	}
	return all, nil
}

func findPackage(ctx context.Context, h host.Reader, source string) (rpmPackage, error) {
	if !path.IsAbs(source) && !httpURL.MatchString(source) {
		return rpmPackage{name: source, version: host.Present, source: source}, nil
	}
	err := host.ErrUnknown
	if path.IsAbs(source) {
		var p rpmPackage
		if p, err = readPackage(h, source); err == nil {
			return p, nil
		}
	}
	name, version, rel, _, ok := rpm.ParseFilename(source)
	if !errors.Is(err, host.ErrUnknown) || !ok {
		return rpmPackage{}, err
	}
	version += "-" + rel
	runtime.Assume(ctx, fmt.Sprintf("%s is %s %s", path.Base(source), name, version))
	return rpmPackage{name: name, version: version, source: source}, nil
}

func readPackage(h host.Reader, file string) (rpmPackage, error) {
	c, err := runtime.Unmasked(h).Content(file)
	if err != nil {
		return rpmPackage{}, err
	}
	f, err := c.Reader()
	if err != nil {
		return rpmPackage{}, err
	}
	defer f.Close()
	header, err := rpm.Read(f)
	if err != nil {
		return rpmPackage{}, runtime.Hint(fmt.Errorf("%s: %w", file, err), "it is damaged or no RPM: fetch it again")
	}
	version := strings.TrimPrefix(header.EVR(), "0:")
	return rpmPackage{name: header.Name, version: version, source: file, header: header}, nil
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
func installation(ctx context.Context, h host.Reader, packages []rpmPackage) (host.Cmd, error) {
	cmd := host.Cmd{
		Process: host.Process{Argv: []string{"install", "-y"}},
		Sets:    map[host.Fact]string{},
		Assumes: map[host.Fact]string{},
	}
	if !slices.ContainsFunc(packages, func(p rpmPackage) bool { return !p.isFile() }) {
		cmd.Argv = append(cmd.Argv, "--disablerepo=*")
	}
	opaque := false
	for _, p := range packages {
		cmd.Argv = append(cmd.Argv, p.source)
		cmd.Sets[fact(rpmKind, p.name)] = p.version
		if p.header == nil {
			opaque = true
			continue
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

// declare adds to cmd what p brings: files, services that wait to be started,
// and the accounts that its scripts make.
func declare(ctx context.Context, h host.Reader, cmd *host.Cmd, p *rpm.Package) error {
	if err := assumeAccounts(ctx, h, cmd, p); err != nil {
		return err
	}
	for _, s := range append(p.Units(), p.InitScripts()...) {
		s = strings.TrimSuffix(s, ".service")
		if err := assume(ctx, h, cmd, fact(serviceKind, s), stopped); err != nil {
			return err
		}
		cmd.TouchesFacts = append(cmd.TouchesFacts, fact(enabledKind, s))
	}
	return declareFiles(h, cmd, p)
}

// declareFiles adds the files of p to cmd, without directories that are there,
// which may be links, and documentation, which some systems do not install.
func declareFiles(h host.Reader, cmd *host.Cmd, p *rpm.Package) error {
	for _, f := range p.Files {
		if f.Ghost || isDocumentation(f.Name) {
			continue
		}
		owner := host.Owner{User: f.Owner, Group: f.Group}
		meta := host.Meta{Mode: f.Mode, Owner: owner, Size: f.Size, ModTime: f.ModTime}
		e := host.Entry{Name: f.Name, Meta: meta, Target: f.Target}
		_, err := h.Lstat(f.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, host.ErrUnknown):
		case err != nil:
			return err
		case !f.Mode.IsRegular():
			continue
		}
		if f.Mode.IsRegular() {
			e.Content = host.Unknown(f.Name)
		}
		cmd.Makes = append(cmd.Makes, e)
	}
	return nil
}
