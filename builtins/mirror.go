package builtins

import (
	"context"
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"

	"runbook/builtins/internal/mirror"
	"runbook/runtime"
	"runbook/runtime/host"
)

var mirrorChannels = &runtime.Builtin{
	Name: "mirror",
	Args: append([]runtime.Arg{
		param("channels", "list of string", "[]", "directories or file://, http:// or https:// URLs of conda channels; where two have a file of one name, the first wins"),
		param("dest", "path", "None", "directory of all accounts; mirror_dir of config= if not given"),
		param("account", "string", `"anaconda"`, "directory below dest, which becomes a channel"),
		param("platforms", "list of string", "[]", `subdirs such as "linux-64"; all that the channels have if empty; noarch always`),
		param("config", "path", "None", "YAML file with the vendor's keys; arguments of the same names override it"),
		param("pkg_list", "list of string", "[]", "only packages of these names; not together with the next three"),
		param("whitelist", "list of string", "[]", "packages that come back although the next two drop them"),
		param("blacklist", "list of string", "[]", "packages to leave out"),
		param("license_blacklist", "list of string", "[]", `licence families to leave out: "GPL3", "Proprietary", ...; "GPL" means any version of it`),
		param("python_versions", "list of string", "[]", `"2.7": packages for other versions are left out`),
	}, ownerParams()...),
	Summary: "copy conda channels into a tree that any conda client can use",
	Detail: []string{
		"Every package is verified by its record's SHA-256 or else MD5, and its size. What is there already is hashed once and then known by size and time.",
		"A subdir's index is replaced only when all that it lists is in place; nothing is ever deleted. A copy that was cut short is gone on with.",
		"A bad package is tried twice; then all else is done, its subdir keeps the old index, and the step fails.",
		"Records are copied byte for byte. Order of filters: platforms, python_versions, license_blacklist, blacklist, whitelist.",
	},
	Example: `mkdir("/srv/media/noarch")
write("/srv/media/noarch/repodata.json", "{}")
mirror("/srv/media", "/srv/pkgs")`,
	New: newMirror,
}

// mirrorOp is a mirror as it should be.
type mirrorOp struct {
	mirror mirror.Mirror
	args   mirror.Config // what the call says; nil means nothing
	config string        // a file's name

	plan *mirror.Plan // of the last Check
}

func newMirror(c *runtime.Call) (runtime.Op, string, error) {
	var dest, config runtime.Path
	op := &mirrorOp{mirror: mirror.Mirror{Account: "anaconda", Redact: host.RedactURL}}
	m, a := &op.mirror, &op.args
	err := c.Unpack(&a.Channels, &dest, &m.Account, &a.Platforms, &config, &a.PkgList, &a.Whitelist, &a.Blacklist, &a.LicenseBlacklist,
		&a.PythonVersions, &m.Owner.User, &m.Owner.Group)
	m.Owner = m.Owner.Or(c.Owner())
	m.Dest, op.config = string(dest), string(config)
	if err == nil && dest == "" && config == "" {
		err = runtime.Hint(errors.New("got no dest"), "say where to: dest=, or mirror_dir in the file that config= names")
	}
	if dest == "" {
		return op, op.config, err
	}
	return op, m.Dir(), err
}

func (op *mirrorOp) Check(ctx context.Context, h host.Reader) ([]host.Change, error) {
	m := &op.mirror
	var err error
	if m.Owner, err = resolveOwner(ctx, h, m.Owner); err != nil {
		return nil, err
	}
	if m.Config, err = op.configure(h); err != nil {
		return nil, advised(err)
	}
	if op.plan, err = m.Plan(ctx, runtime.Unmasked(h)); op.plan != nil {
		op.observe(ctx)
	}
	if err != nil {
		return nil, advised(err)
	}
	return op.plan.Changes(), nil
}

// configure lets the call's arguments override the file.
func (op *mirrorOp) configure(h host.Reader) (mirror.Config, error) {
	var c mirror.Config
	if op.config != "" {
		text, err := host.ReadFile(h, op.config)
		var values map[string]any
		if err == nil {
			err = yaml.Unmarshal(text, &values)
		}
		if err == nil {
			c, err = mirror.Decode(values)
		}
		if err != nil {
			return c, fmt.Errorf("config %s: %w", op.config, err)
		}
	}
	for _, f := range []struct{ to, from *[]string }{
		{&c.Channels, &op.args.Channels}, {&c.Platforms, &op.args.Platforms}, {&c.PkgList, &op.args.PkgList}, {&c.Whitelist, &op.args.Whitelist},
		{&c.Blacklist, &op.args.Blacklist}, {&c.LicenseBlacklist, &op.args.LicenseBlacklist}, {&c.PythonVersions, &op.args.PythonVersions},
	} {
		if *f.from != nil {
			*f.to = *f.from
		}
	}
	return c, nil
}

func (op *mirrorOp) observe(ctx context.Context) {
	r := op.plan.Report
	warnings := r.Warnings
	if op.mirror.Config.FetchInstallers {
		warnings = append(warnings, "fetch_installers: installers are not mirrored; get them with download()")
	}
	for key, n := range map[string]int64{
		"packages": int64(r.Packages), "kept": int64(r.Kept), "fetch": int64(r.Fetch), "replace": int64(r.Replace),
		"bytes": r.Bytes, "filtered_out": int64(r.FilteredOut), "unverified": int64(r.Unverified),
	} {
		runtime.Observe(ctx, key, n)
	}
	if len(warnings) > 0 {
		runtime.Observe(ctx, "warnings", warnings)
	}
}

func (op *mirrorOp) Apply(ctx context.Context, h host.Host, _ []host.Change) error {
	op.mirror.Progress = func(text string) { runtime.Progress(ctx, text) }
	return advised(op.plan.Apply(ctx, h))
}

// advised turns advice of the engine into a hint.
func advised(err error) error {
	var a *mirror.Advised
	if errors.As(err, &a) {
		return runtime.Hint(err, a.Hint)
	}
	return err
}
