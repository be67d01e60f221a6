package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"runbook/builtins/internal/choose"
	"runbook/builtins/internal/mirror"
	"runbook/runtime"
	"runbook/runtime/host"
)

var mirrorBuiltin = &runtime.Builtin{
	Name: "mirror",
	Args: append([]runtime.Arg{
		param("channels", "list of string", "[]", "directories or file://, http:// or https:// URLs of conda channels; where two have a file of one name, the first wins"),
		param("dest", "path", "None", "directory of all accounts; mirror_dir of config= if not given"),
		param("account", "string", `"anaconda"`, "directory below dest, which becomes a channel"),
		param("platforms", "list of string", "[]", `subdirs such as "linux-64"; all that the channels have if empty; noarch always`),
		param("config", "path", "None", "YAML file with the vendor's keys; arguments of the same names override it"),
		param("pkg_list", "list of string", "[]", `only these packages: names, or match specs such as "numpy >=1.8"; not together with the next three`),
		param("whitelist", "list of string", "[]", "packages that come back although the next two drop them"),
		param("blacklist", "list of string", "[]", "packages to leave out"),
		param("license_blacklist", "list of string", "[]", `licence families to leave out: "GPL3", "Proprietary", ...; "GPL" means any version of it`),
		param("python_versions", "list of string", "[]", `"2.7": packages for other versions are left out`),
		param("newer_than", "string", `""`, `"2024-01-31", or a time: what is older is left out`),
		param("formats", "string", `"all"`, `"prefer-conda" leaves out a .tar.bz2 that has its .conda; "conda" and "tar.bz2" take only those`).OneOf(choose.Formats()...),
		param("latest", "int", "0", "only so many of the newest versions of each package in each subdir; 0 means all"),
		param("with_depends", "bool", "False", "also what the packages depend on, from their subdir and noarch"),
		param("connections", "int", "16", "requests under way at once"),
		param("rate", "int", "0", "bytes a second that are fetched at most; 0 means no limit"),
		param("bearer", "string", `""`, "token for the channels' own servers, usually a secret; one in a URL, /t/TOKEN/ or USER:PASSWORD@, works as well"),
		param("ca_bundle", "path", "None", "PEM file of authorities to trust besides the system's"),
		param("proxy", "string", `""`, "URL of a proxy; what the environment says if empty"),
		param("base_urls", "list of string", "[]", `other servers, "https://HOST", that files may come from if an index says so; they get no credentials`),
		param("verify", "string", `"changed"`, `"full" reads every byte of the tree again; "changed" only files whose size, time or inode is not the one they were verified with`).OneOf("changed", "full"),
		param("digests", "string", `"strongest"`, `"both" also compares the MD5 of a record that has a SHA-256`).OneOf("strongest", "both"),
		param("link", "bool", "False", "hard links instead of copies of files on the same file system"),
		param("prune", "bool", "False", "remove packages that the index no longer lists, once it is published"),
		param("prune_removed", "bool", "False", `also those that the source keeps as "removed"`),
		param("max_loss", "int", "10", "percent of packages that may have vanished from a source before prune refuses"),
		param("bzip2", "bool", "True", "also write repodata.json.bz2, which clients of 2016 need"),
		param("shards", "bool", "False", "also write the index as shards, which newer clients prefer"),
		param("delta", "path", "None", "directory that gets, as a channel, what the tree that since= is of has not: the next pen drive"),
		param("since", "path", "None", "ACCOUNT/.runbook-mirror of that tree; what this tree had when delta was begun, if not given"),
	}, append(ownerParams(), adoptParam)...),
	Secrets: []string{"channels", "bearer", "proxy", "base_urls"},
	Summary: "copy conda channels into a tree that any conda client can use",
	Detail: []string{
		"Every package is verified by its record's SHA-256 or else MD5, and its size. What is there already is hashed once and then known by size, time and inode.",
		"A subdir's index is replaced only when all that it lists is in place and on disk. A copy that was cut short is gone on with.",
		"A bad package is left out of the index; all else is done, then the step fails and names it.",
		"Records are copied byte for byte. Order of filters: platforms, python_versions, license_blacklist, blacklist, whitelist (or pkg_list alone), newer_than, formats, latest, with_depends.",
		"ACCOUNT/.runbook-mirror holds what was verified and, for each subdir, a manifest of every file (SUBDIR.jsonl) whose digest the trace has.",
		"ACCOUNT/channeldata.json names the subdirs. A server that has none is asked for all that there are; those that it lacks are asked for again after a week, or with verify=\"full\".",
		"A delta is brought to the other tree by mirroring it there: mirror(DELTA, dest).",
	},
	Example: `mkdir("/srv/media/noarch")
write("/srv/media/noarch/repodata.json", "{}")
mirror("/srv/media", "/srv/pkgs")`,
	New: newMirror,
}

// mirrorOp is a mirror that must hold what its channels do.
type mirrorOp struct {
	mirror mirror.Mirror
	args   choose.Config // of the call; a nil list was not given
	config string        // the name of a file
	ca     string        // the name of a file
	owner  ownership
	adopt  bool
}

func newMirror(c *runtime.Call) (runtime.Op, string, error) {
	var dest, config, ca, delta, since runtime.Path
	verify, compared, bzip2 := "changed", "strongest", true
	op := mirrorOp{owner: ownership{user: c.User()},
		mirror: mirror.Mirror{Account: "anaconda", MaxLoss: mirror.DefaultMaxLoss, Redact: redactChannel, Raw: runtime.Unmasked}}
	m, a := &op.mirror, &op.args
	err := c.Unpack("channels", &a.Channels, "dest", &dest, "account", &m.Account, "platforms", &a.Platforms,
		"config", &config, "pkg_list", &a.PkgList, "whitelist", &a.Whitelist, "blacklist", &a.Blacklist,
		"license_blacklist", &a.LicenseBlacklist,
		"python_versions", &a.PythonVersions, "newer_than", &a.NewerThan, "formats", &a.Formats, "latest", &a.Latest,
		"with_depends", &a.WithDepends, "connections", &m.Connections, "rate", &m.Rate, "bearer", &m.Access.Bearer,
		"ca_bundle", &ca, "proxy", &m.Access.Proxy,
		"base_urls", &m.Access.BaseURLs, "verify", &verify,
		"digests", &compared, "link", &m.Link, "prune", &m.Prune,
		"prune_removed", &m.PruneRemoved, "max_loss", &m.MaxLoss, "bzip2", &bzip2, "shards", &m.Shards, "delta", &delta,
		"since", &since,
		"owner", runtime.Account(&op.owner.User), "group", runtime.Account(&op.owner.Group), "adopt", &op.adopt)
	m.Dest, op.config, op.ca, m.Delta, m.Since = string(dest), string(config), string(ca), string(delta), string(since)
	m.Full, m.Both, m.NoBzip2 = verify == "full", compared == "both", !bzip2
	switch {
	case err != nil:
	case checkSecretPaths("channels", a.Channels...) != nil:
		err = checkSecretPaths("channels", a.Channels...)
	case dest == "" && config == "":
		err = runtime.Hint(errors.New("got no dest"), "say where to: dest=, or mirror_dir in the file that config= names")
	}
	if dest == "" {
		return op, op.config, err
	}
	return op, m.Dir(), err
}

func (op mirrorOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	m := op.mirror
	var err error
	if m.Owner, err = op.owner.resolve(ctx, h); err != nil {
		return nil, err
	}
	if m.Config, err = op.configure(h); err != nil {
		return nil, err
	}
	if op.ca != "" {
		text, err := host.ReadFile(h, op.ca)
		if err != nil {
			return nil, fmt.Errorf("ca_bundle: %w", err)
		}
		m.Access.CA = string(text)
	}
	if err := mayFill(ctx, h, m.Dir(), m.Owner, op.adopt); err != nil {
		return nil, err
	}
	m.Progress = func(text string) { runtime.Progress(ctx, text) }
	m.Assume = func(note string) { runtime.Assume(ctx, note) }
	plan, err := m.Plan(ctx, runtime.Unmasked(h))
	switch {
	case hasEnded(ctx, err):
		return nil, ctx.Err()
	case plan != nil:
		err = errors.Join(err, observe(ctx, plan, m.Config))
	}
	if err != nil {
		return nil, err
	}
	apply := func(ctx context.Context, h host.Host) error { return applyPlan(ctx, h, plan) }
	return runtime.Actions(reading(apply, op.reads(plan)...), plan.Changes()...), nil
}

// reads returns the files of this machine that the plan is made from.
func (op mirrorOp) reads(plan *mirror.Plan) (all []runtime.Read) {
	for _, name := range append([]string{op.config, op.ca}, plan.Reads()...) {
		if name != "" {
			all = append(all, runtime.Read{Path: name})
		}
	}
	return all
}

// configure returns what the file config= says, overridden by the arguments of the call.
func (op mirrorOp) configure(h host.Reader) (choose.Config, error) {
	var c choose.Config
	if op.config != "" {
		text, err := host.ReadFile(h, op.config)
		var values map[string]any
		if err == nil {
			values, err = vendorYAML(string(text))
		}
		if err == nil {
			c, err = choose.Decode(values)
		}
		if err != nil {
			return c, fmt.Errorf("config %s: %w", op.config, err)
		}
	}
	a := op.args
	for _, f := range []struct{ to, from *[]string }{
		{&c.Channels, &a.Channels}, {&c.Platforms, &a.Platforms}, {&c.PkgList, &a.PkgList}, {&c.Whitelist, &a.Whitelist},
		{&c.Blacklist, &a.Blacklist}, {&c.LicenseBlacklist, &a.LicenseBlacklist}, {&c.PythonVersions, &a.PythonVersions},
	} {
		if *f.from != nil {
			*f.to = *f.from
		}
	}
	c.NewerThan, c.Formats = cmp.Or(a.NewerThan, c.NewerThan), cmp.Or(a.Formats, c.Formats)
	c.Latest, c.WithDepends = cmp.Or(a.Latest, c.Latest), a.WithDepends || c.WithDepends
	return c, nil
}

// observe puts what the plan found into the trace: numbers for programs, notes for people.
func observe(ctx context.Context, plan *mirror.Plan, c choose.Config) error {
	r := plan.Report
	warnings := r.Warnings
	if c.FetchInstallers {
		warnings = append(warnings, "fetch_installers: installers are not mirrored; get them with download()")
	}
	for key, n := range map[string]int64{
		"packages": int64(r.Packages), "kept": int64(r.Kept), "fetch": int64(r.Fetch), "replace": int64(r.Replace), "bytes": r.Bytes, "free": r.Free,
		"prune": int64(r.Prune), "prune_bytes": r.PruneBytes, "filtered_out": int64(r.FilteredOut), "unverified": int64(r.Unverified),
	} {
		runtime.Observe(ctx, key, n)
	}
	if m := plan.Manifests(); len(m) > 0 {
		runtime.Observe(ctx, "manifests", m)
	}
	if len(warnings) > 0 {
		runtime.Observe(ctx, "warnings", warnings)
	}
	if len(r.Subdirs) > 0 && len(plan.Changes()) == 0 {
		warnings = append(warnings, plan.Summary())
	}
	var errs []error
	for _, w := range warnings {
		errs = append(errs, runtime.Note(ctx, w))
	}
	return errors.Join(errs...)
}

// applyPlan carries out a plan and puts what came of it into the trace.
func applyPlan(ctx context.Context, h host.Host, plan *mirror.Plan) error {
	err := plan.Apply(ctx, h)
	runtime.Observe(ctx, "manifests", plan.Manifests())
	if hasEnded(ctx, err) {
		return ctx.Err()
	}
	err = errors.Join(err, runtime.Note(ctx, plan.Summary()))
	if text := plan.Done(); text != "" {
		err = errors.Join(err, runtime.Note(ctx, text))
	}
	return err
}

// hasEnded reports whether err comes from the end of ctx. Then the op returns the
// error of ctx, which the run replaces by the reason.
func hasEnded(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// redactChannel returns the name of a channel without credentials. It is the same in
// every run.
func redactChannel(location string) string {
	return host.RedactURL(runtime.Readable(location))
}
