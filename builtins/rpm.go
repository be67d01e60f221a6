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

// What rpm knows of packages, and what the header of a file says.

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

var (
	// rpmArchKind is for which architectures a package is installed: "i686 x86_64".
	rpmArchKind = &host.Kind{Name: "rpm-arch", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
		lines, err := rpmTags(ctx, r, `%{ARCH}\n`, name)
		lines = slices.DeleteFunc(lines, func(l string) bool { return !plainArch.MatchString(l) })
		return strings.Join(lines, " "), err
	}}
	// rpmBuildKind is a build of a package, "NAME SHA256 SHA1" with digests of its header; its value is present, or
	// unknown where rpm keeps no digest of what is installed.
	rpmBuildKind = &host.Kind{Name: "rpm-build", Probe: func(ctx context.Context, r host.Reader, build string) (string, error) {
		words := strings.Fields(build)
		if len(words) != 3 {
			return "", nil
		}
		for i, tag := range []string{"SHA256HEADER", "SHA1HEADER"} { // old rpms do not know the first
			lines, err := rpmTags(ctx, r, "%{"+tag+`}\n`, words[0])
			lines = slices.DeleteFunc(lines, func(l string) bool { return !hexDigest.MatchString(l) })
			switch {
			case err != nil:
				return "", err
			case slices.Contains(lines, words[i+1]):
				return host.Present, nil
			case len(lines) > 0:
				return "", nil
			}
		}
		return "unknown", nil
	}}
	// machineKind has one fact, "arch": for what rpm takes this machine.
	machineKind = &host.Kind{Name: "rpm-machine", Probe: func(ctx context.Context, r host.Reader, _ string) (string, error) {
		res, err := r.Query(ctx, host.Process{Argv: []string{"rpm", "--eval", "%{_arch}"}})
		if err != nil || res.Code != 0 {
			return "", err
		}
		return strings.TrimSpace(string(res.Stdout)), nil
	}}

	plainArch = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	hexDigest = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// rpmTags asks rpm about an installed package; each instance of it is a line. It returns none if rpm does not know the
// package, or a tag.
func rpmTags(ctx context.Context, r host.Reader, format, name string) ([]string, error) {
	res, err := r.Query(ctx, host.Process{Argv: []string{"rpm", "-q", "--qf", format, name}})
	if err != nil || res.Code != 0 {
		return nil, err
	}
	return strings.Fields(string(res.Stdout)), nil
}

// An rpmPackage is one package to be installed or removed.
type rpmPackage struct {
	name    string
	version string       // as rpmKind has it; host.Present if any will do
	source  string       // what yum is told to install: a name, a file or a URL
	header  *rpm.Package // nil where it cannot be read
}

// isFile reports whether it comes from this machine.
func (p rpmPackage) isFile() bool { return path.IsAbs(p.source) }

// pinned reports whether the runbook names a version, if p is no file.
func (p rpmPackage) pinned() bool { return p.version == host.Present && labelled.MatchString(p.source) }

// labelled is NAME-VERSION, with or without more behind it.
var labelled = regexp.MustCompile(`^.+-[0-9]`)

// compare says how an installed version compares with the wanted one.
func (p rpmPackage) compare(have string) string {
	switch {
	case have == "":
		return different
	case p.version == host.Present || have == host.Present:
		return same
	}
	switch c := rpm.CompareEVR(have, p.version); {
	case c == 0:
		return same
	case c > 0:
		return newer
	}
	return different
}

// build is the fact that just this build of a package is installed.
func (p rpmPackage) build() host.Fact {
	return fact(rpmBuildKind, p.header.Name+" "+p.header.SHA256+" "+p.header.SHA1)
}

// olderOf returns which version is installed of a package that the runbook names with a version, if it is not that
// one. It is an error if that is newer.
func olderOf(ctx context.Context, h host.Reader, p rpmPackage) (string, error) {
	for _, label := range rpm.Labels(p.source) {
		have, err := ask(ctx, h, fact(rpmKind, label.Name))
		switch {
		case err != nil:
			return "", err
		case have == "":
		case have != host.Present && rpm.CompareEVR(have, label.EVR) > 0:
			return "", runtime.Hint(fmt.Errorf("%s: %s is installed, which is newer than %s", label.Name, have, label.EVR),
				"going back may lose data, so it is not done: remove the package first, with state=\"absent\"")
		default:
			return have, nil
		}
	}
	return "", nil
}

// compareBuild compares a file with an installed package of the same version: it may be for another architecture, or
// another build.
func compareBuild(ctx context.Context, h host.Reader, p rpmPackage, have string) (*host.Change, bool, error) {
	archs, err := ask(ctx, h, fact(rpmArchKind, p.name))
	if err != nil {
		return nil, false, err
	}
	all := strings.Fields(archs)
	arch := p.header.Arch
	fits := func(a string) bool { return a == arch || a == "noarch" || arch == "noarch" }
	if len(all) > 0 && !slices.ContainsFunc(all, fits) {
		c := change(p.name, have+"."+strings.Join(all, " "), p.version+"."+arch)
		return &c, false, nil
	}
	built, err := ask(ctx, h, p.build())
	if err != nil || built != "" {
		return nil, false, err
	}
	other := change(p.name, have+", another build", fmt.Sprintf("%s, header %.12s", p.version, p.header.SHA256))
	return &other, true, nil
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
		return rpmPackage{name: rpm.WithoutEpoch(source), version: host.Present, source: source}, nil
	}
	err := host.ErrUnknown
	if path.IsAbs(source) {
		var p rpmPackage
		if p, err = readPackage(h, source); err == nil {
			return p, fits(ctx, h, p.header)
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

// fits returns an error if p is for another kind of machine.
func fits(ctx context.Context, h host.Reader, p *rpm.Package) error {
	machine, err := h.Fact(ctx, fact(machineKind, "arch"))
	if err != nil || rpm.Runs(machine, p.Arch) {
		return err
	}
	err = fmt.Errorf("%s is for %s, want one for %s", p.Name, p.Arch, machine)
	return runtime.Hint(err, "get the package for "+machine)
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
