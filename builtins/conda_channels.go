package builtins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"runbook/runtime"
	"runbook/runtime/host"
)

var condaChannelsBuiltin = &runtime.Builtin{
	Name: "conda.channels",
	Args: []runtime.Arg{
		param("prefix", "path", "", "where conda is installed"),
		param("add", "list of string", "[]", "channels to be searched first, in this order"),
		param("remove", "list of string", "[]", `channels that must not be searched, such as "defaults"`),
	},
	Secrets: []string{"add", "remove"},
	Summary: "set the channels of PREFIX/.condarc",
	Detail: []string{
		"Other settings and comments stay. Without a list of channels conda searches defaults; removing it writes the list.",
		"A file with a token in it is made readable by its owner only.",
	},
	Example: `mkdir("/srv/conda")
conda.channels("/srv/conda", add = ["file:///srv/pkgs"], remove = ["defaults"])`,
	RunsAs: true,
	New:    newCondaChannels,
}

// channelsOp is channels that a .condarc should have first, or not at all.
type channelsOp struct {
	file, user  string
	add, remove []string
}

func newCondaChannels(c *runtime.Call) (runtime.Op, string, error) {
	var prefix runtime.Path
	op := &channelsOp{user: c.User()}
	if err := c.Unpack("prefix", &prefix, "add", &op.add, "remove", &op.remove); err != nil {
		return nil, "", err
	}
	if err := checkSecretPaths("add", op.add...); err != nil {
		return nil, "", err
	}
	if len(op.add)+len(op.remove) == 0 {
		return nil, "", errors.New("got neither add nor remove, want one of them")
	}
	for _, ch := range op.add {
		if strings.TrimSpace(ch) == "" || slices.Contains(op.remove, ch) {
			return nil, "", fmt.Errorf("argument \"add\": got %q, want a channel that is not removed", ch)
		}
	}
	op.file = path.Join(string(prefix), ".condarc")
	return op, string(prefix), checkPrefix(string(prefix))
}

func (op *channelsOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if err := needUser(ctx, h, op.user); err != nil {
		return nil, err
	}
	text, err := readText(ctx, h, op.file)
	if err != nil {
		return nil, err
	}
	rc, err := parseCondarc(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.file, err)
	}
	have := rc.channels()
	wanted := op.wanted(have)
	if len(wanted) == 0 {
		return nil, runtime.Hint(errors.New("no channel would be left"),
			"add the channel that takes the place of "+strings.Join(op.remove, ", "))
	}
	if slices.Equal(have, wanted) {
		return nil, nil
	}
	data, err := rc.with(wanted)
	if err != nil {
		return nil, err
	}
	meta, err := op.meta(ctx, h)
	if err != nil {
		return nil, err
	}
	meta.Size = int64(len(data))
	return runtime.Actions(func(_ context.Context, h host.Host) error {
		err := h.WriteFile(op.file, host.Bytes(data), meta)
		if errors.Is(err, fs.ErrNotExist) {
			return runtime.Hint(err, "install conda first: conda.bootstrap()")
		}
		return err
	}, change("channels", strings.Join(have, " "), strings.Join(wanted, " "))), nil
}

// wanted puts what is added in front of what stays.
func (op *channelsOp) wanted(have []string) []string {
	rest := slices.DeleteFunc(slices.Clone(have), func(ch string) bool {
		return slices.Contains(op.remove, ch) || slices.Contains(op.add, ch)
	})
	return append(slices.Clone(op.add), rest...)
}

// meta returns the mode and the owner that the file should have: those that it has now,
// but a file with a token is readable by its owner only.
func (op *channelsOp) meta(ctx context.Context, h host.Reader) (m host.Meta, err error) {
	if old, oldErr := h.Lstat(op.file); oldErr == nil {
		m.Mode, m.Owner = old.Mode.Perm(), old.Owner
	} else {
		m.Mode = 0o644
		m.Owner, err = ownerFor(ctx, h, op.user)
	}
	if slices.ContainsFunc(op.add, holdsToken) {
		m.Mode = 0o600
	}
	return m, err
}

// holdsToken reports whether whoever knows the channel's name has access to it:
// tokens follow /t/ in the path, passwords stand before an @.
func holdsToken(channel string) bool {
	secret := runtime.Readable(channel) != channel
	return secret || strings.Contains(channel, "/t/") || strings.Contains(channel, "@")
}

// A condarc is a configuration of conda as a YAML document, so that other
// settings and comments stay.
type condarc struct{ doc yaml.Node }

func parseCondarc(text string) (*condarc, error) {
	rc := new(condarc)
	if err := yaml.Unmarshal([]byte(text), &rc.doc); err != nil {
		return nil, err
	}
	if rc.doc.Kind == 0 {
		rc.doc = yaml.Node{Kind: yaml.DocumentNode, HeadComment: strings.TrimSpace(text)}
	}
	if len(rc.doc.Content) == 0 || rc.doc.Content[0].Tag == "!!null" {
		rc.doc.Content = []*yaml.Node{{Kind: yaml.MappingNode}}
	}
	if rc.doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("got a list or a text, want settings")
	}
	return rc, nil
}

// list returns the node of the channels, nil if the file has none.
func (rc *condarc) list() *yaml.Node {
	settings := rc.doc.Content[0].Content
	for i := 0; i+1 < len(settings); i += 2 {
		if settings[i].Value == "channels" {
			return settings[i+1]
		}
	}
	return nil
}

// channels returns the channels that conda searches: it takes an empty list for
// a missing one.
func (rc *condarc) channels() (names []string) {
	list := rc.list()
	if list == nil {
		return []string{"defaults"}
	}
	for _, n := range list.Content {
		names = append(names, n.Value)
	}
	if len(names) == 0 && list.Value != "" {
		names = []string{list.Value} // channels: NAME
	}
	if len(names) == 0 {
		return []string{"defaults"}
	}
	return names
}

// with returns the text of the file with other channels.
func (rc *condarc) with(channels []string) ([]byte, error) {
	list := rc.list()
	if list == nil {
		list = new(yaml.Node)
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: "channels"}
		rc.doc.Content[0].Content = append(rc.doc.Content[0].Content, key, list)
	}
	old := list.Content
	*list = yaml.Node{Kind: yaml.SequenceNode,
		HeadComment: list.HeadComment, LineComment: list.LineComment, FootComment: list.FootComment}
	for _, ch := range channels {
		i := slices.IndexFunc(old, func(n *yaml.Node) bool { return n.Value == ch })
		if i >= 0 {
			list.Content = append(list.Content, old[i])
			continue
		}
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: ch}
		if strings.ContainsAny(ch, "<#") {
			n.Style = yaml.DoubleQuotedStyle // a secret may hold characters with a meaning in YAML
		}
		list.Content = append(list.Content, n)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(&rc.doc)
	return b.Bytes(), errors.Join(err, enc.Close())
}
