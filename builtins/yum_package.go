package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/rpm"
	"runbook/runtime"
	"runbook/runtime/host"
)

// rpmKind is an installed package; its value is VERSION-RELEASE, with EPOCH:
// in front if it is not 0. Of several that are installed it is the last.
var rpmKind = &host.Kind{Name: "rpm", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
	res, err := r.Query(ctx, host.Process{Argv: []string{"rpm", "-q", "--qf", `%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n`, name}})
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

// findPackages finds out what is meant by words. Each package comes once.
func findPackages(ctx context.Context, h host.Reader, words []string) ([]rpmPackage, error) {
	var all []rpmPackage
	for _, w := range words {
		sources, err := expand(h, w)
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
				return nil, runtime.Hint(fmt.Errorf("%s and %s are both %s", all[i].source, p.source, p.name), "name only one of them")
			}
		}
	}
	return all, nil
}

// expand returns the files that a pattern matches, sorted; what is no pattern
// stands for itself.
func expand(h host.Reader, word string) ([]string, error) {
	if !path.IsAbs(word) || !anyGlob.MatchString(path.Base(word)) {
		return []string{word}, nil
	}
	dir, pattern := path.Split(word)
	names, err := h.ReadDir(path.Clean(dir))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, n := range names {
		ok, err := path.Match(pattern, n)
		if err != nil {
			return nil, fmt.Errorf("got %q, want a pattern: %w", word, err)
		}
		if ok && strings.HasSuffix(n, ".rpm") {
			files = append(files, dir+n)
		}
	}
	if len(files) == 0 {
		return nil, runtime.Hint(fmt.Errorf("no .rpm file matches %s", word), "there is: "+shorten(append(names, "nothing else")))
	}
	return files, nil
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
	name, version, release, _, ok := rpm.ParseFilename(source)
	if !errors.Is(err, host.ErrUnknown) || !ok {
		return rpmPackage{}, err
	}
	runtime.Assume(ctx, fmt.Sprintf("%s is %s %s-%s", path.Base(source), name, version, release))
	return rpmPackage{name: name, version: version + "-" + release, source: source}, nil
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
	return rpmPackage{name: header.Name, version: strings.TrimPrefix(header.EVR(), "0:"), source: file, header: header}, nil
}

// removal is the command without its program.
func removal(packages []rpmPackage) host.Cmd {
	cmd := host.Cmd{Process: host.Process{Argv: []string{"remove", "-y"}}, Sets: map[host.Fact]string{}}
	for _, p := range packages {
		cmd.Argv = append(cmd.Argv, p.name)
		cmd.Sets[fact(rpmKind, p.name)] = ""
	}
	cmd.TouchesFacts = []host.Fact{fact(servicesKind, "all")}
	return cmd
}

// installation is the command without its program.
func installation(ctx context.Context, h host.Reader, packages []rpmPackage) (host.Cmd, error) {
	cmd := host.Cmd{
		Process: host.Process{Argv: []string{"install", "-y"}},
		Sets:    map[host.Fact]string{},
		Assumes: map[host.Fact]string{},
		// The headers tell; a dry run does not have those of packages that are yet to be downloaded.
		Volatile: []string{"touches"},
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
		if err := bring(ctx, h, &cmd, p.header); err != nil {
			return cmd, err
		}
	}
	if opaque {
		cmd.MayMake = true
		cmd.TouchesFacts = append(cmd.TouchesFacts, fact(servicesKind, "all"))
	}
	return cmd, nil
}

// bring adds what a package brings: files, services that wait to be started,
// and the accounts that its scripts make.
func bring(ctx context.Context, h host.Reader, cmd *host.Cmd, p *rpm.Package) error {
	assume := func(k *host.Kind, name, value string) error {
		have, err := h.Fact(ctx, fact(k, name))
		if err == nil && have == "" {
			cmd.Assumes[fact(k, name)] = value
		}
		return err
	}
	for _, u := range p.Users() {
		if err := errors.Join(assume(host.User, u, host.Present), assume(host.Group, u, host.Present)); err != nil {
			return err
		}
	}
	for _, g := range p.Groups() {
		if err := assume(host.Group, g, host.Present); err != nil {
			return err
		}
	}
	for _, s := range append(p.Units(), p.InitScripts()...) {
		s = strings.TrimSuffix(s, ".service")
		if err := assume(serviceKind, s, stopped); err != nil {
			return err
		}
		cmd.TouchesFacts = append(cmd.TouchesFacts, fact(enabledKind, s))
	}
	return bringFiles(h, cmd, p)
}

// bringFiles leaves out directories that are there, which may be links to
// elsewhere, and documentation, which some systems are told not to install.
func bringFiles(h host.Reader, cmd *host.Cmd, p *rpm.Package) error {
	for _, f := range p.Files {
		if f.Ghost || isDocumentation(f.Name) {
			continue
		}
		e := host.Entry{Name: f.Name, Meta: host.Meta{Mode: f.Mode, Owner: host.Owner{User: f.Owner, Group: f.Group}, Size: f.Size, ModTime: f.ModTime}, Target: f.Target}
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

func isDocumentation(name string) bool {
	for _, dir := range []string{"/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}
