package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/conda"
	"runbook/runtime"
	"runbook/runtime/host"
)

var condaChannelsBuiltin = &runtime.Builtin{
	Name: "conda.channels",
	Args: []runtime.Arg{
		param("prefix", "path", "", "where conda is installed"),
		param("add", "list of string", "[]", "channels to be searched first, in this order"),
		param("remove", "list of string", "[]", `channels that must not be searched, such as "defaults"`),
		param("only", "list of string", "None", "all channels, in this order: no other one may be searched"),
	},
	Secrets: []string{"add", "remove", "only"},
	Summary: "set the channels of PREFIX/.condarc",
	Detail: []string{
		"Other settings and comments stay. Without a list of channels conda searches defaults; removing it writes the list. " +
			"What the installer brought stays with add and remove, so say only=[...] where no other channel may be asked.",
		"only= also marks the list as final (#!final): conda then adds no channels of the user's files to it, and " +
			"conda.install passes the list on. Files that add channels all the same are told of.",
		"The file gets mode 0644, or 0600 with a token or password in it, and belongs to the step's user.",
	},
	Example: `mkdir("/srv/conda")
conda.channels("/srv/conda", only = ["file:///srv/pkgs"])`,
	RunsAs: true,
	New:    newCondaChannels,
}

// channelsOp is channels that a .condarc should have first, or not at all, or alone.
type channelsOp struct {
	prefix, user      string
	add, remove, only []string
}

func newCondaChannels(c *runtime.Call) (runtime.Op, string, error) {
	var prefix runtime.Path
	op := &channelsOp{user: c.User()}
	if err := c.Unpack("prefix", &prefix, "add", &op.add, "remove", &op.remove, "only", &op.only); err != nil {
		return nil, "", err
	}
	op.prefix = string(prefix)
	return op, op.prefix, errors.Join(op.checkLists(), checkPrefix(op.prefix))
}

func (op *channelsOp) checkLists() error {
	if err := errors.Join(checkSecretPaths("add", op.add...), checkSecretPaths("only", op.only...)); err != nil {
		return err
	}
	switch {
	case op.only != nil && len(op.add)+len(op.remove) > 0:
		return errors.New("got only with add or remove, want it alone: it is all channels")
	case op.only != nil && len(op.only) == 0:
		return errors.New("argument \"only\": got no channel, want at least one")
	case op.only == nil && len(op.add)+len(op.remove) == 0:
		return errors.New("got neither add, remove nor only, want one of them")
	}
	for _, ch := range slices.Concat(op.add, op.only) {
		if ch != strings.TrimSpace(ch) || ch == "" || strings.ContainsAny(ch, "\r\n") || indexChannel(op.remove, ch) >= 0 {
			return fmt.Errorf("got the channel %q, want the name or URL of one that is not removed", ch)
		}
	}
	return nil
}

func (op *channelsOp) file() string { return path.Join(op.prefix, ".condarc") }

func (op *channelsOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if err := needUser(ctx, h, op.user); err != nil {
		return nil, err
	}
	if err := tellOfCondarcs(ctx, h, op.prefix, op.user, nil); err != nil {
		return nil, err
	}
	text, err := readText(ctx, h, op.file())
	if err != nil {
		return nil, err
	}
	if err := host.MayRead(h, op.file(), op.user); err != nil {
		return nil, err
	}
	rc, err := parseCondarc(text)
	if err != nil {
		return nil, runtime.Hint(fmt.Errorf("%s: %w", op.file(), err), "correct it: conda cannot start with it")
	}
	have := rc.channels()
	wanted := op.wanted(have)
	if len(wanted) == 0 {
		return nil, runtime.Hint(errors.New("no channel would be left"),
			"add the channel that takes the place of "+strings.Join(op.remove, ", "))
	}
	changes := op.changes(rc, have, wanted)
	if len(changes) == 0 {
		return nil, nil
	}
	data, err := rc.with(wanted, op.only != nil)
	if err != nil {
		return nil, err
	}
	m := host.Meta{Mode: 0o644, Size: int64(len(data))}
	if slices.ContainsFunc(strings.Fields(string(data)), holdsToken) {
		m.Mode = 0o600
	}
	if m.Owner, err = ownerFor(ctx, h, op.user); err != nil {
		return nil, err
	}
	return runtime.Actions(func(_ context.Context, h host.Host) error {
		err := h.WriteFile(op.file(), host.Bytes(data), m)
		if errors.Is(err, fs.ErrNotExist) {
			return runtime.Hint(err, "install conda first: conda.bootstrap()")
		}
		return err
	}, changes...), nil
}

// changes compares lists, and flags in the file that the new list does without.
func (op *channelsOp) changes(rc *condarc, have, wanted []string) (changes []host.Change) {
	if rc.wrong || !slices.Equal(have, wanted) {
		changes = append(changes, change("channels", strings.Join(have, " "), strings.Join(wanted, " ")))
	}
	if op.only != nil && !rc.final {
		changes = append(changes, change("other channels", "of the user's files, too", "none"))
	}
	if flags := rc.flagged(); len(flags) > 0 && len(changes) > 0 {
		changes = append(changes, change("flags", strings.Join(flags, ", "), "none"))
	}
	return changes
}

// wanted puts what is added in front of what stays. A channel that is there keeps its spelling.
func (op *channelsOp) wanted(have []string) (list []string) {
	for _, ch := range slices.Concat(op.add, op.only) {
		if i := indexChannel(have, ch); i >= 0 {
			ch = have[i]
		}
		if indexChannel(list, ch) < 0 {
			list = append(list, ch)
		}
	}
	if op.only != nil {
		return list
	}
	rest := slices.DeleteFunc(slices.Clone(have), func(ch string) bool {
		return indexChannel(op.remove, ch) >= 0 || indexChannel(list, ch) >= 0
	})
	return append(list, rest...)
}

// indexChannel returns where conda's channel ch is in a list, -1 if it is not.
func indexChannel(list []string, ch string) int {
	return slices.IndexFunc(list, func(other string) bool { return sameChannel(ch, other) })
}

func sameChannel(a, b string) bool {
	a, b = strings.TrimRight(a, "/"), strings.TrimRight(b, "/")
	return runtime.SameText([]byte(a), []byte(b)) || conda.SameChannel(a, b)
}

// holdsToken reports whether whoever knows the channel's name has access to it:
// tokens follow /t/ in the path, passwords stand before an @.
func holdsToken(channel string) bool {
	secret := runtime.Readable(channel) != channel
	return secret || strings.Contains(channel, "/t/") || strings.Contains(channel, "@")
}
