package builtins

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var condaBootstrapBuiltin = &runtime.Builtin{
	Name: "conda.bootstrap",
	Args: []runtime.Arg{
		param("installer", "path", "", "a Miniconda or Anaconda installer for Linux, a shell script"),
		param("prefix", "path", "", "the directory to install into; its parent must exist"),
		param("sha256", "string", `""`, "what the installer must hash to"),
		param("md5", "string", `""`, "the same, for old media that come with nothing better"),
	},
	Summary: "install conda below a prefix without asking, unless it is there",
	Detail: []string{
		"To run it is to accept the installer's licence.",
		"An installation that was interrupted is removed and done again; " +
			"a directory that holds anything else is never touched.",
	},
	Example: `write("/srv/conda.sh", "#!/bin/sh\n")
conda.bootstrap("/srv/conda.sh", "/srv/conda")`,
	RunsAs: true,
	New:    newCondaBootstrap,
}

// bootstrapOp is an installation of conda.
type bootstrapOp struct {
	installer, prefix, user string
	digests                 digests // of the installer
}

func newCondaBootstrap(c *runtime.Call) (runtime.Op, string, error) {
	var installer, prefix runtime.Path
	var sha256, md5 string
	if err := c.Unpack("installer", &installer, "prefix", &prefix, "sha256", &sha256, "md5", &md5); err != nil {
		return nil, "", err
	}
	op := &bootstrapOp{installer: string(installer), prefix: string(prefix), user: c.User()}
	var err error
	if op.digests, err = parseDigests(sha256, md5, op.installer); err != nil {
		return nil, "", err
	}
	return op, op.prefix, checkPrefix(op.prefix)
}

// checkPrefix returns an error for what conda's own installers refuse, and for /.
func checkPrefix(prefix string) error {
	if strings.ContainsAny(prefix, " \t\n") || prefix == "/" {
		return fmt.Errorf("argument \"prefix\": got %q, want a directory without blanks in its name", prefix)
	}
	return nil
}

// marker lies beside the prefix while the installer runs.
func (op *bootstrapOp) marker() string { return op.prefix + ".runbook-incomplete" }

// finished returns the files that only a finished installation has.
func (op *bootstrapOp) finished() []string {
	return []string{path.Join(op.prefix, "conda-meta/history"), path.Join(op.prefix, "bin/conda")}
}

func (op *bootstrapOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	state, err := op.state(h)
	if err != nil || state == installed {
		return nil, err
	}
	if err := needUser(ctx, h, op.user); err != nil {
		return nil, err
	}
	if err := needDir(h, op.prefix); err != nil {
		return nil, err
	}
	owner, err := ownerFor(ctx, h, op.user)
	if err != nil {
		return nil, err
	}
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		if state == incomplete {
			if err := removeTree(h, op.prefix); err != nil {
				return err
			}
		}
		return op.install(ctx, h, owner)
	}, change(op.prefix, state, installed)), op.checkInstaller(ctx, h)
}

// The states of a prefix that is there.
const (
	installed  = "installed"
	incomplete = "incomplete"
)

// state returns "" for an absent prefix, installed or incomplete. A prefix that
// is none of these is an error.
func (op *bootstrapOp) state(h host.Reader) (string, error) {
	if half, err := host.Exists(h, op.marker()); half || err != nil {
		return incomplete, err
	}
	if ok, err := host.Exists(h, op.prefix); !ok || err != nil {
		return "", err
	}
	for _, name := range op.finished() {
		ok, err := host.Exists(h, name)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", runtime.Hint(fmt.Errorf("is there but has no %s", strings.TrimPrefix(name, op.prefix+"/")),
				"it is no finished conda and was not begun here: choose another prefix, or move it away")
		}
	}
	return installed, nil
}

// checkInstaller returns an error if the file cannot be the installer, as an
// error page that was saved under its name.
func (op *bootstrapOp) checkInstaller(ctx context.Context, h host.Reader) error {
	content, err := h.Content(op.installer)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return runtime.Hint(fmt.Errorf("%s: no such file", op.installer),
				"download() it first, or see where the media are mounted")
		}
		return assumeInstaller(ctx, op.installer, err)
	}
	f, err := content.Reader()
	if err != nil {
		return assumeInstaller(ctx, op.installer, err)
	}
	defer f.Close()
	head := make([]byte, 2)
	if _, err := io.ReadFull(f, head); err != nil || string(head) != "#!" {
		return runtime.Hint(fmt.Errorf("%s: is not a shell script", op.installer),
			"look into it: it may be an error page that was saved under this name")
	}
	for _, d := range op.digests.wanted() {
		if err := d.verify(f); err != nil {
			return fmt.Errorf("%s: %w", op.installer, err)
		}
	}
	return nil
}

func assumeInstaller(ctx context.Context, name string, err error) error {
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, name+" is the right installer")
		return nil
	}
	return err
}

// verify returns an error if f has another digest.
func (d wantedDigest) verify(f io.ReadSeeker) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(d.hash, f); err != nil {
		return err
	}
	if have := hex.EncodeToString(d.hash.Sum(nil)); have != d.want {
		return runtime.Hint(fmt.Errorf("got digest %s, want %s", have, d.want), "fetch it again; never run it")
	}
	return nil
}

// install runs the installer, with the marker there until it has succeeded.
func (op *bootstrapOp) install(ctx context.Context, h host.Host, owner host.Owner) error {
	if err := h.WriteFile(op.marker(), host.Bytes(nil), host.Meta{Mode: 0o644, Owner: owner}); err != nil {
		return err
	}
	argv := []string{"bash", op.installer, "-b", "-p", op.prefix}
	cmd := host.Cmd{Process: host.Process{Argv: argv, User: op.user}, Touches: []string{op.prefix}}
	for _, dir := range []string{op.prefix, path.Join(op.prefix, "bin"), path.Join(op.prefix, "conda-meta")} {
		cmd.Makes = append(cmd.Makes, host.Entry{Name: dir, Meta: host.Meta{Mode: fs.ModeDir | 0o755, Owner: owner}})
	}
	for _, name := range op.finished() {
		meta := host.Meta{Mode: fs.ModeIrregular | 0o755, Size: -1, Owner: owner}
		cmd.Makes = append(cmd.Makes, host.Entry{Name: name, Meta: meta, Content: host.Unknown(name)})
	}
	if _, err := runtime.Reading(h, op.digests.read(op.installer)).Exec(ctx, cmd); err != nil {
		return runtime.Hint(err, "see whether the installer is whole, and whether the account can read it and write to "+
			path.Dir(op.prefix)+"; the next run removes the half-made prefix and tries again")
	}
	return h.Remove(op.marker(), 1)
}

// removeTree removes name, if it is there, with all below it.
func removeTree(h host.Host, name string) error {
	files := 0
	err := host.Walk(h, name, func(string, host.Meta) error { files++; return nil })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.Remove(name, files)
}
