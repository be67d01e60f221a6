package builtins

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/conda"
	"runbook/runtime"
	"runbook/runtime/host"
)

var condaInstallBuiltin = &runtime.Builtin{
	Name: "conda.install",
	Args: []runtime.Arg{
		param("prefix", "path", "", "where conda is installed"),
		param("packages", "list of string", "",
			`match specs as conda reads them: "python", "python=2.7", "numpy>=1.8,<2", "zlib=1.2.8=3", "conda-forge::tzdata"`),
		param("env", "dict", "{}", "added to the environment"),
	},
	Summary: "install conda packages that are missing",
	Detail: []string{
		"PREFIX/conda-meta says whether a spec is met, by name, version, build and channel. conda is asked for those that are not, " +
			"and all must be met when it has ended.",
		"If all channels of PREFIX/.condarc are directories, conda is told to stay offline. If conda.channels(only=) wrote the list, " +
			"conda is told to search that alone; channels with a token in them are left to the file, since others can see arguments.",
		"conda gets PATH, HOME, USER, LOGNAME, SHELL, LANG and proxies, and of other variables those of env=: " +
			`env = {"REQUESTS_CA_BUNDLE": "/etc/ssl/site.pem"}.`,
	},
	Example: `write("/srv/conda.sh", "#!/bin/sh\n")
conda.bootstrap("/srv/conda.sh", "/srv/conda")
conda.install("/srv/conda", ["anaconda-client", "binstar-server"])`,
	RunsAs: true,
	New:    newCondaInstall,
}

// condaKind is a conda package that is wanted; the fact's name is "PREFIX SPEC", its value the version
// and build of a package that is there and meets the spec.
var condaKind = &host.Kind{Name: "conda", Probe: func(_ context.Context, r host.Reader, name string) (string, error) {
	prefix, text, _ := strings.Cut(name, " ")
	s, err := parseCondaSpec(text)
	if err != nil {
		return "", err
	}
	list, err := s.candidates(r, prefix)
	var bases []string
	if s.HasChannel() && len(list) > 0 {
		bases = channelBases(r, prefix)
	}
	for _, p := range list {
		if s.met(p, bases) {
			return describePackage(p), err
		}
	}
	return "", err
}}

func describePackage(p *conda.Installed) string { return p.Version.String() + " " + p.Build }

// A condaSpec is a package as it is asked for.
type condaSpec struct {
	*conda.Spec
	url string // of one file
}

// parseCondaSpec reads what conda install takes. Specs of many names, or of none, are no packages
// to be installed.
func parseCondaSpec(text string) (condaSpec, error) {
	text, _, _ = strings.Cut(text, "#")
	s, err := conda.ParseSpec(text)
	if err != nil {
		return condaSpec{}, fmt.Errorf("argument \"packages\": %w", err)
	}
	spec := condaSpec{Spec: s}
	switch {
	case strings.Contains(s.String(), "://") && s.HasFile():
		spec.url = s.String()
	case s.HasFile():
		err = errors.New("want the URL of a file, or the name of a package")
	case s.Virtual():
		err = errors.New("want no property of the machine, which nobody can install")
	case s.Optional() || s.Features():
		err = errors.New("want a package, without features or a condition")
	case s.Name() == "":
		err = errors.New("want the name of one package")
	}
	if err != nil {
		err = fmt.Errorf("argument \"packages\": got %q, %w", text, err)
	}
	return spec, err
}

// candidates returns the packages of a prefix that have the name of s.
func (s condaSpec) candidates(r host.Reader, prefix string) (list []*conda.Installed, err error) {
	dir := path.Join(prefix, "conda-meta")
	files, err := r.ReadDir(dir)
	if err != nil {
		return nil, ignoreNotExist(err)
	}
	for _, f := range files {
		name, ok := packageOf(f)
		if !ok || !s.MatchName(name) {
			continue
		}
		text, err := host.ReadFile(r, path.Join(dir, f))
		if err != nil {
			return nil, err
		}
		p, err := conda.ParseInstalled(text)
		if err != nil {
			return nil, runtime.Hint(fmt.Errorf("%s: %w", path.Join(dir, f), err),
				"it is no record of a package: see whether conda was interrupted")
		}
		list = append(list, p)
	}
	return list, nil
}

// packageOf returns the name in NAME-VERSION-BUILD.json; only names hold dashes.
func packageOf(file string) (name string, ok bool) {
	stem, ok := strings.CutSuffix(file, ".json")
	for range 2 {
		i := strings.LastIndexByte(stem, '-')
		if i < 1 || !ok {
			return "", false
		}
		stem = stem[:i]
	}
	return stem, true
}

func (s condaSpec) met(p *conda.Installed, bases []string) bool {
	return s.MatchInstalled(p, bases...) && (s.url == "" || s.url == p.URL)
}

// condaInstallOp is packages below a prefix.
type condaInstallOp struct {
	prefix, user string
	env          map[string]string
	specs        []condaSpec
}

func newCondaInstall(c *runtime.Call) (runtime.Op, string, error) {
	var prefix runtime.Path
	var packages []string
	op := &condaInstallOp{user: c.User()}
	if err := c.Unpack("prefix", &prefix, "packages", &packages, "env", &op.env); err != nil {
		return nil, "", err
	}
	op.prefix = string(prefix)
	for _, p := range packages {
		s, err := parseCondaSpec(p)
		if err != nil {
			return nil, "", runtime.Hint(err,
				`write a name such as "numpy", or a spec such as "numpy>=1.8,<2" or "numpy=1.8.2=py27_0"`)
		}
		op.specs = append(op.specs, s)
	}
	if len(op.specs) == 0 {
		return nil, "", errors.New("argument \"packages\": got none, want at least one")
	}
	return op, shorten(packages), checkPrefix(op.prefix)
}

func (op *condaInstallOp) fact(spec string) host.Fact { return fact(condaKind, op.prefix+" "+spec) }

func (op *condaInstallOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if ok, err := host.Exists(h, path.Join(op.prefix, "bin/conda")); err == nil && !ok {
		return nil, runtime.Hint(fmt.Errorf("%s has no conda", op.prefix), "install it first: conda.bootstrap()")
	}
	if err := needUser(ctx, h, op.user); err != nil {
		return nil, err
	}
	missing, changes, err := op.missing(ctx, h)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	if _, err := h.ReadDir(path.Join(op.prefix, "conda-meta")); errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "packages that "+op.prefix+" does not have yet")
	}
	options, err := op.options(ctx, h)
	if err != nil {
		return nil, err
	}
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		return op.install(ctx, h, options, missing)
	}, changes...), nil
}

// missing returns the specs that are not met, and what is there instead.
func (op *condaInstallOp) missing(ctx context.Context, h host.Reader) ([]condaSpec, []host.Change, error) {
	var list []condaSpec
	var changes []host.Change
	for _, s := range op.specs {
		have, err := h.Fact(ctx, op.fact(s.String()))
		if err != nil && !errors.Is(err, host.ErrUnknown) {
			return nil, nil, err
		}
		if have != "" {
			continue
		}
		list = append(list, s)
		others, err := s.candidates(h, op.prefix)
		if err != nil && !errors.Is(err, host.ErrUnknown) {
			return nil, nil, err
		}
		from := ""
		if len(others) > 0 {
			from = describePackage(others[0])
			if s.HasChannel() {
				from += " of " + shownChannel(others[0].Channel)
			}
		}
		changes = append(changes, change(s.Name(), from, s.String()))
	}
	return list, changes, nil
}

// install has conda install what is missing. All specs must be met afterwards.
func (op *condaInstallOp) install(ctx context.Context, h host.Host, options []string, missing []condaSpec) error {
	argv := []string{path.Join(op.prefix, "bin/conda"), "install", "-y", "-q", "-p", op.prefix}
	cmd := host.Cmd{
		Process: host.Process{Argv: append(argv, options...), User: op.user, Env: op.env},
		Sets:    map[host.Fact]string{},
		Touches: []string{op.prefix},
		Follows: map[host.Fact]string{},
	}
	for _, s := range missing {
		cmd.Argv = append(cmd.Argv, s.String())
	}
	for _, s := range op.specs {
		cmd.Sets[op.fact(s.String())] = host.Present
		if s.Name() != "" && s.Name() != s.String() {
			cmd.Follows[op.fact(s.Name())] = host.Present
		}
	}
	if _, err := runtime.Reading(h, op.reads(ctx, h)...).Exec(ctx, cmd); err != nil {
		return runtime.Hint(err, "see what it printed; the channels that it searches are in "+
			path.Join(op.prefix, ".condarc")+", and each needs a repodata.json for noarch, too")
	}
	return nil
}

// reads returns the indexes of the channels that are directories. They have the digests of packages, which conda
// verifies.
func (op *condaInstallOp) reads(ctx context.Context, h host.Reader) (all []runtime.Read) {
	text, err := readText(ctx, h, path.Join(op.prefix, ".condarc"))
	rc, rcErr := parseCondarc(text)
	if err != nil || rcErr != nil {
		return nil // options says so
	}
	for _, ch := range rc.channels() {
		dir := strings.TrimPrefix(strings.TrimPrefix(ch, "file:"), "//")
		names, err := h.ReadDir(path.Clean(dir))
		if !path.IsAbs(dir) || err != nil {
			continue // of a server, or conda will say what is wrong with it
		}
		for _, subdir := range names {
			if subdir == conda.Noarch || strings.HasPrefix(subdir, "linux-") {
				all = append(all, indexesIn(h, path.Join(dir, subdir))...)
			}
		}
	}
	return all
}

// indexesIn returns the forms that a subdir's index has.
func indexesIn(h host.Reader, dir string) (all []runtime.Read) {
	for _, form := range []string{"repodata.json", "repodata.json.bz2", "repodata.json.zst", "current_repodata.json"} {
		name := path.Join(dir, form)
		if _, m, err := follow(h, name); err == nil && m.Mode.IsRegular() {
			all = append(all, runtime.Read{Path: name})
		}
	}
	return all
}

// options returns what conda is told of the channels. Others that its configuration adds are told of
// where conda cannot be kept from them.
func (op *condaInstallOp) options(ctx context.Context, h host.Reader) (argv []string, err error) {
	text, err := readText(ctx, h, path.Join(op.prefix, ".condarc"))
	if err != nil {
		return nil, err
	}
	rc, err := parseCondarc(text)
	if err != nil {
		return nil, runtime.Hint(fmt.Errorf("%s: %w", path.Join(op.prefix, ".condarc"), err),
			"correct it: conda cannot start with it")
	}
	channels := rc.channels()
	isRemote := func(ch string) bool { return !strings.HasPrefix(ch, "file:") && !path.IsAbs(ch) }
	if !slices.ContainsFunc(channels, isRemote) {
		argv = append(argv, "--offline")
	}
	if !rc.final || slices.ContainsFunc(channels, holdsToken) {
		return argv, tellOfCondarcs(ctx, h, op.prefix, op.user, op.env)
	}
	argv = append(argv, "--override-channels")
	for _, ch := range channels {
		argv = append(argv, "-c", ch)
	}
	return argv, nil
}
