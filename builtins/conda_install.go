package builtins

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var condaInstallBuiltin = &runtime.Builtin{
	Name: "conda.install",
	Args: []runtime.Arg{
		param("prefix", "path", "", "where conda is installed"),
		param("packages", "list of string", "",
			`names, with a version where it matters: "python", "python=2.7", "numpy>=1.8"`),
	},
	Summary: "install conda packages that are missing",
	Detail: []string{
		"A package that is there is left as it is, unless name=VERSION asks for another version. " +
			"Other conditions only count when it is installed.",
		"If all channels of PREFIX/.condarc are directories, conda is told to stay offline.",
	},
	Example: `write("/srv/conda.sh", "#!/bin/sh\n")
conda.bootstrap("/srv/conda.sh", "/srv/conda")
conda.install("/srv/conda", ["anaconda-client", "binstar-server"])`,
	RunsAs: true,
	New:    newCondaInstall,
}

// condaKind is a conda package; the fact's name is "PREFIX NAME", its value the version.
var condaKind = &host.Kind{Name: "conda", Probe: func(_ context.Context, r host.Reader, name string) (string, error) {
	prefix, pkg, _ := strings.Cut(name, " ")
	files, err := r.ReadDir(path.Join(prefix, "conda-meta"))
	if err != nil {
		return "", ignoreNotExist(err)
	}
	for _, f := range files {
		if n, version, ok := packageOf(f); ok && n == pkg {
			return version, nil
		}
	}
	return "", nil
}}

// packageOf takes NAME-VERSION-BUILD.json apart; only names hold dashes.
func packageOf(file string) (name, version string, ok bool) {
	stem, ok := strings.CutSuffix(file, ".json")
	if !ok {
		return "", "", false
	}
	build := strings.LastIndexByte(stem, '-')
	if build < 1 {
		return "", "", false
	}
	v := strings.LastIndexByte(stem[:build], '-')
	if v < 1 {
		return "", "", false
	}
	return stem[:v], stem[v+1 : build], true
}

// A condaSpec is a package as it is asked for.
type condaSpec struct{ text, name, version string }

var condaSpecGrammar = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]+::)?([A-Za-z0-9_][A-Za-z0-9_.-]*)` +
	`(?:==?([A-Za-z0-9_.!+-]+)(?:\.\*|\*)?(?:=\S+)?|[<>=!~|,A-Za-z0-9_.*!+-]*)$`)

func parseCondaSpec(text string) (condaSpec, error) {
	m := condaSpecGrammar.FindStringSubmatch(text)
	if m == nil {
		return condaSpec{}, fmt.Errorf("argument \"packages\": got %q, want NAME, NAME=VERSION or NAME>=VERSION", text)
	}
	return condaSpec{text, strings.ToLower(m[1]), strings.TrimRight(m[2], ".")}, nil
}

// met reports whether an installed version is good enough; one that only an
// earlier step of a dry run installed is.
func (s condaSpec) met(have string) bool {
	return have != "" && (s.version == "" || have == host.Present ||
		have == s.version || strings.HasPrefix(have, s.version+"."))
}

// condaInstallOp is packages below a prefix.
type condaInstallOp struct {
	prefix, user string
	specs        []condaSpec
}

func newCondaInstall(c *runtime.Call) (runtime.Op, string, error) {
	var prefix runtime.Path
	var packages []string
	if err := c.Unpack("prefix", &prefix, "packages", &packages); err != nil {
		return nil, "", err
	}
	op := &condaInstallOp{prefix: string(prefix), user: c.User()}
	for _, p := range packages {
		s, err := parseCondaSpec(p)
		if err != nil {
			return nil, "", err
		}
		op.specs = append(op.specs, s)
	}
	if len(op.specs) == 0 {
		return nil, "", errors.New("argument \"packages\": got none, want at least one")
	}
	return op, shorten(packages), checkPrefix(op.prefix)
}

func (op *condaInstallOp) fact(s condaSpec) host.Fact { return fact(condaKind, op.prefix+" "+s.name) }

func (op *condaInstallOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if ok, err := host.Exists(h, path.Join(op.prefix, "bin/conda")); err == nil && !ok {
		return nil, runtime.Hint(fmt.Errorf("%s has no conda", op.prefix), "install it first: conda.bootstrap()")
	}
	if err := needUser(ctx, h, op.user); err != nil {
		return nil, err
	}
	var changes []host.Change
	var missing []condaSpec
	for _, s := range op.specs {
		have, err := h.Fact(ctx, op.fact(s))
		if err != nil && !errors.Is(err, host.ErrUnknown) {
			return nil, err
		}
		if !s.met(have) {
			changes = append(changes, change(s.name, have, s.text))
			missing = append(missing, s)
		}
	}
	if _, err := h.ReadDir(path.Join(op.prefix, "conda-meta")); errors.Is(err, host.ErrUnknown) && len(missing) > 0 {
		runtime.Assume(ctx, "packages that "+op.prefix+" does not have yet")
	}
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		return op.install(ctx, h, missing)
	}, changes...), nil
}

func (op *condaInstallOp) install(ctx context.Context, h host.Host, missing []condaSpec) error {
	argv := []string{path.Join(op.prefix, "bin/conda"), "install", "-y", "-q", "-p", op.prefix}
	cmd := host.Cmd{
		Process: host.Process{Argv: argv, User: op.user},
		Sets:    map[host.Fact]string{},
		Touches: []string{op.prefix},
	}
	offline, err := op.offline(ctx, h)
	if err != nil {
		return err
	}
	if offline {
		cmd.Argv = append(cmd.Argv, "--offline")
	}
	for _, s := range missing {
		cmd.Argv = append(cmd.Argv, s.text)
		cmd.Sets[op.fact(s)] = host.Present
	}
	if _, err := h.Exec(ctx, cmd); err != nil {
		return runtime.Hint(err, "see what it printed; the channels that it searches are in "+
			path.Join(op.prefix, ".condarc")+", and each needs a repodata.json for noarch, too")
	}
	return nil
}

// offline reports whether all channels are directories of this machine.
func (op *condaInstallOp) offline(ctx context.Context, h host.Reader) (bool, error) {
	text, err := readText(ctx, h, path.Join(op.prefix, ".condarc"))
	if err != nil {
		return false, err
	}
	rc, err := parseCondarc(text)
	if err != nil {
		return false, err
	}
	isRemote := func(ch string) bool { return !strings.HasPrefix(ch, "file:") && !path.IsAbs(ch) }
	return !slices.ContainsFunc(rc.channels(), isRemote), nil
}
