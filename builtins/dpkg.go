package builtins

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"runbook/builtins/internal/deb"
	"runbook/builtins/internal/scripts"
	"runbook/runtime"
	"runbook/runtime/host"
)

// What dpkg knows of packages, and what a .deb file says of itself.

// The list of packages of dpkg, and what belongs to it.
const (
	dpkgStatus     = "/var/lib/dpkg/status"
	dpkgArchs      = "/var/lib/dpkg/arch"
	dpkgDiversions = "/var/lib/dpkg/diversions"
)

var (
	// debKind is an installed package, NAME or NAME:ARCH; its value is the version. One that is there but not set up
	// has its state in front: "half-configured 1.2-1".
	debKind = &host.Kind{Name: "deb", Probe: func(_ context.Context, r host.Reader, name string) (string, error) {
		e, err := dpkgEntry(r, name)
		switch {
		case err != nil || !e.There():
			return "", err
		case !e.Complete():
			return e.State + " " + e.Version, nil
		}
		return e.Version, nil
	}}
	// heldKind is a package that somebody wants to stay as it is; its value is "held".
	heldKind = &host.Kind{Name: "deb-held", Probe: func(_ context.Context, r host.Reader, name string) (string, error) {
		e, err := dpkgEntry(r, name)
		if err != nil || e == nil || e.Want != "hold" {
			return "", err
		}
		return "held", nil
	}}
)

// dpkgEntry returns what dpkg's list says of a package, nil if it says nothing.
func dpkgEntry(h host.Reader, name string) (*deb.Entry, error) {
	status, err := host.ReadFile(h, dpkgStatus)
	if err != nil {
		if isMissing(err) {
			err = nil
		}
		return nil, err
	}
	return deb.Find(status, name)
}

// A debPackage is one Debian package to be installed or removed.
type debPackage struct {
	name    string       // as debKind has it
	version string       // host.Present if any will do
	pinned  bool         // the runbook names the version
	source  string       // what apt-get is told to install: a name, NAME=VERSION, or a file
	url     string       // where the file comes from, with placeholders; "" if it is there
	header  *deb.Package // nil where it cannot be read
	broken  bool         // what is there is in part on the disk only
}

// isFile reports whether it comes from this machine.
func (p debPackage) isFile() bool { return path.IsAbs(p.source) }

// How what is installed compares with what is wanted.
const (
	same      = "same"
	newer     = "newer"
	different = "different"
)

// compare says how an installed version compares with the wanted one.
func (p debPackage) compare(have string) string {
	switch {
	case have == "" || strings.Contains(have, " "): // absent, or not set up
		return different
	case p.version == host.Present || have == host.Present:
		return same
	}
	switch c := deb.Compare(have, p.version); {
	case c == 0:
		return same
	case c > 0:
		return newer
	}
	return different
}

// findDebian returns the packages that names stand for, each once.
func findDebian(ctx context.Context, h host.Reader, names []string) ([]debPackage, error) {
	var all []debPackage
	for _, n := range names {
		sources, err := expand(h, n, ".deb")
		if err != nil {
			return nil, err
		}
		for _, s := range sources {
			p, err := findDebianPackage(ctx, h, s)
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(all, func(q debPackage) bool { return q.name == p.name })
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

// removing is a line of apt-get -s: "Remv nginx [1.22.1-9]".
var removing = regexp.MustCompile(`(?m)^Remv (\S+) \[([^\]]+)\]`)

// dependents returns what else goes when packages are removed, because it needs them. Apt-get says so without doing it.
func dependents(ctx context.Context, h host.Reader, packages []debPackage) (more []debPackage, err error) {
	argv := []string{"apt-get", "--simulate", "remove"}
	for _, p := range packages {
		argv = append(argv, p.name)
	}
	res, err := h.Query(ctx, host.Process{Argv: argv, Env: aptEnv()})
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, "nothing else needs what is removed")
		return nil, nil
	case err != nil:
		return nil, runtime.Hint(err, aptAdvice(res, err))
	case res.Code != 0: // the removal itself will say why
		return nil, nil
	}
	for _, m := range removing.FindAllStringSubmatch(string(res.Stdout), -1) {
		name, version := m[1], m[2]
		have, err := ask(ctx, h, fact(debKind, name)) // an earlier step may have removed it
		if err != nil {
			return nil, err
		}
		named := slices.ContainsFunc(packages, func(p debPackage) bool { return p.name == name })
		if have != "" && !named {
			more = append(more, debPackage{name: name, version: version, source: name})
		}
	}
	return more, nil
}

// debCache is where packages by URL are kept.
const debCache = "/var/cache/runbook"

func findDebianPackage(ctx context.Context, h host.Reader, source string) (debPackage, error) {
	if !path.IsAbs(source) && !debURL.MatchString(source) {
		name, version, pinned := strings.Cut(source, "=")
		if !pinned {
			version = host.Present
		}
		return debPackage{name: name, version: version, pinned: pinned, source: source}, nil
	}
	p := debPackage{source: source}
	err := host.ErrUnknown
	if path.IsAbs(source) {
		p.header, err = readDebian(h, source)
	} else {
		p.url, p.source = source, path.Join(debCache, path.Base(source))
	}
	arch, ok := "", true
	if err == nil {
		p.name, p.version, arch = p.header.Name, p.header.Version, p.header.Arch
	} else {
		p.name, p.version, arch, ok = deb.ParseFilename(source)
		if !errors.Is(err, host.ErrUnknown) || !ok {
			return debPackage{}, err
		}
		runtime.Assume(ctx, fmt.Sprintf("%s is %s %s", path.Base(p.source), p.name, p.version))
	}
	foreign, err := isForeign(h, p.name, arch)
	if foreign {
		p.name += ":" + arch
	}
	return p, err
}

// isForeign reports whether a package for arch has to be told from the machine's own. It is an error if the machine
// takes no packages for arch.
func isForeign(h host.Reader, name, arch string) (bool, error) {
	status, err := host.ReadFile(h, dpkgStatus)
	native := deb.Native(status)
	if err != nil || native == "" || arch == native || arch == "all" {
		if isMissing(err) || errors.Is(err, host.ErrUnknown) {
			err = nil
		}
		return false, err
	}
	others, err := host.ReadFile(h, dpkgArchs)
	if err != nil && !isMissing(err) {
		return false, err
	}
	if !slices.Contains(strings.Fields(string(others)), arch) {
		return false, runtime.Hint(fmt.Errorf("%s is for %s, want one for %s", name, arch, native),
			"get the package for "+native+"; or have dpkg take others, too: dpkg --add-architecture "+arch)
	}
	return true, nil
}

func readDebian(h host.Reader, file string) (*deb.Package, error) {
	c, err := runtime.Unmasked(h).Content(file)
	if err != nil {
		return nil, err
	}
	f, err := c.Reader()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := deb.Read(f)
	if err != nil {
		err = runtime.Hint(fmt.Errorf("%s: %w", file, err), "it is damaged or no Debian package: fetch it again")
	}
	return p, err
}

// fetchDebian fetches the packages that lie elsewhere.
func fetchDebian(ctx context.Context, h host.Host, packages []debPackage) error {
	for _, p := range packages {
		if p.url == "" {
			continue
		}
		if err := runtime.MkdirAll(h, debCache, 0o755); err != nil {
			return err
		}
		op := downloadOp{url: p.url, shown: host.RedactURL(runtime.Readable(p.url)), dest: p.source, mode: 0o644}
		todo, err := op.Check(ctx, h)
		for _, a := range todo {
			if a.Do != nil {
				err = errors.Join(err, a.Do(ctx, h))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// debScripts are the scripts of a package as they are taken apart.
type debScripts []string

func (s debScripts) Users() []string                         { return scripts.Users(s) }
func (s debScripts) Groups() []string                        { return scripts.Groups(s) }
func (s debScripts) Account(user string) (_, home, _ string) { return scripts.Account(s, user) }

// declareDebian adds to cmd what p brings: files, services, and the accounts that its scripts make.
func declareDebian(ctx context.Context, h host.Reader, cmd *host.Cmd, p *deb.Package) error {
	all := slices.Clone(p.Scripts)
	for _, text := range p.Sysusers {
		all = append(all, "systemd-sysusers\n"+text)
	}
	if err := assumeAccounts(ctx, h, cmd, debScripts(all)); err != nil {
		return err
	}
	for _, s := range append(p.Units(), p.InitScripts()...) {
		s = strings.TrimSuffix(s, ".service")
		// Debian starts services as it installs them, unless the administrator has forbidden that.
		if scripts.Starts(p.Scripts, s) {
			cmd.TouchesFacts = append(cmd.TouchesFacts, fact(serviceKind, s), fact(openedKind, "others"))
		} else if err := assume(ctx, h, cmd, fact(serviceKind, s), stopped); err != nil {
			return err
		}
		cmd.TouchesFacts = append(cmd.TouchesFacts, fact(enabledKind, s))
	}
	return declareDebianFiles(ctx, h, cmd, p)
}

// declareDebianFiles adds the files of p to cmd, without directories that are there, which may be links, and
// documentation, which some systems do not install.
func declareDebianFiles(ctx context.Context, h host.Reader, cmd *host.Cmd, p *deb.Package) error {
	had, err := dpkgEntry(h, p.Name)
	if err != nil {
		return err
	}
	text, err := readText(ctx, h, dpkgDiversions)
	if err != nil {
		return err
	}
	diverted := deb.Diversions(text)
	for _, f := range p.Files {
		owner, away := diverted[f.Name]
		if isDocumentation(f.Name) || away && owner != p.Name {
			continue
		}
		_, err := h.Lstat(f.Name)
		kept := err == nil && !f.Mode.IsRegular()
		if isMissing(err) || errors.Is(err, host.ErrUnknown) {
			err = nil
		}
		if sum, ok := p.Conffiles[f.Name]; ok && err == nil && f.Mode.IsRegular() {
			kept, err = keepsConffile(ctx, h, f.Name, had.Conffile(f.Name), sum)
		}
		if err != nil {
			return err
		}
		if kept {
			continue
		}
		e := host.Entry{Name: f.Name, Target: f.Target}
		e.Meta = host.Meta{Mode: f.Mode, Owner: host.Owner{User: f.Owner, Group: f.Group}, Size: f.Size, ModTime: f.ModTime}
		if f.Mode.IsRegular() {
			e.Content = host.Unknown(f.Name)
		}
		cmd.Makes = append(cmd.Makes, e)
	}
	return nil
}

// keepsConffile reports whether dpkg leaves a configuration file as it is: it is as in the package, which has it with
// the digest sum, or it was changed or deleted by hand since a package brought it with the digest old, "" if none did.
func keepsConffile(ctx context.Context, h host.Reader, name, old, sum string) (bool, error) {
	m, err := h.Lstat(name)
	switch {
	case errors.Is(err, host.ErrUnknown):
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		return old != "", nil // dpkg(1): without --force-confmiss
	case err != nil || !m.Mode.IsRegular():
		return false, err
	}
	have, err := digestOf(ctx, h, name, md5.New())
	if errors.Is(err, host.ErrUnknown) {
		return false, nil
	}
	return have == sum || have != old, err
}
