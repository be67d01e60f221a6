package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"runbook/runtime"
	"runbook/runtime/host"
)

// A condarc is a text of conda's settings and where its channels stand in it. They are changed
// line by line, so that all else stays as somebody wrote it.
type condarc struct {
	lines []string // with their ends
	eol   string
	has   bool   // it has a setting of channels
	from  int    // the line of the setting, where one would go if there is none
	to    int    // the line after it
	left  string // what stands before the key
	items []condarcItem
	block bool // a line for each item
	final bool // conda adds no channels of later files
	wrong bool // it is a text, which conda refuses
}

// A condarcItem is a channel in the file.
type condarcItem struct {
	channel string
	line    int
	flag    string // "top" and "bottom" move it
}

func parseCondarc(text string) (*condarc, error) {
	rc := &condarc{lines: slices.Collect(strings.Lines(text)), eol: "\n"}
	if strings.Contains(text, "\r\n") {
		rc.eol = "\r\n"
	}
	rc.from = len(rc.lines)
	root, err := condarcRoot(text)
	if err != nil || root == nil {
		return rc, err
	}
	if root.Style&yaml.FlowStyle != 0 && len(root.Content) > 0 {
		root.Style = 0
		data, err := yaml.Marshal(root)
		if err != nil {
			return nil, err
		}
		return parseCondarc(string(data))
	}
	return rc, rc.find(root)
}

// condarcRoot returns the mapping of the settings, nil if there are none. What conda refuses is
// an error: two documents, and a setting that is there twice.
func condarcRoot(text string) (*yaml.Node, error) {
	doc, err := oneDocument(text)
	if doc == nil || err != nil {
		return nil, err
	}
	root := doc.Content[0]
	if root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("got a list or a text, want settings")
	}
	seen := map[string]int{}
	for i := 0; i < len(root.Content); i += 2 {
		k := root.Content[i]
		name := strings.Replace(k.Value, "channel", "channels", 1)
		if k.Value != "channel" {
			name = k.Value
		}
		if first, ok := seen[name]; ok {
			return nil, fmt.Errorf("line %d: got %s again, want it once; it is in line %d already", k.Line, k.Value, first)
		}
		seen[name] = k.Line
	}
	return root, nil
}

// find finds the channels among the settings.
func (rc *condarc) find(root *yaml.Node) error {
	rc.left = strings.Repeat(" ", max(0, root.Column-1))
	for i := rc.from - 1; i >= 0 && strings.TrimSpace(rc.lines[i]) == "..."; i-- {
		rc.from = i
	}
	end := rc.from
	for i := 0; i < len(root.Content); i += 2 {
		key, list := root.Content[i], root.Content[i+1]
		if key.Value != "channels" && key.Value != "channel" {
			continue
		}
		rc.has, rc.from, rc.to = true, key.Line-1, end
		if i+2 < len(root.Content) {
			rc.to = root.Content[i+2].Line - 1
		}
		return rc.read(list)
	}
	return nil
}

// read reads the list of channels.
func (rc *condarc) read(list *yaml.Node) error {
	if list.Kind == yaml.AliasNode {
		list = list.Alias
	}
	items := list.Content
	if list.Kind == yaml.ScalarNode && list.Tag != "!!null" {
		items, rc.wrong = []*yaml.Node{list}, true
	} else if list.Kind == yaml.MappingNode {
		return fmt.Errorf("line %d: got a mapping, want a list of channels", list.Line)
	}
	rc.block = list.Kind == yaml.SequenceNode && list.Style&yaml.FlowStyle == 0 && list.Anchor == ""
	taken := map[int]bool{rc.from: true}
	for _, n := range items {
		if n.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: got a list or an alias, want a channel", n.Line)
		}
		line := n.Line - 1
		rc.block = rc.block && !taken[line] && line > rc.from && strings.HasPrefix(strings.TrimLeft(rc.lines[line], " "), "-")
		taken[line] = true
		item := condarcItem{channel: n.Value, line: line}
		if rc.block {
			item.flag = rc.flag(line)
		}
		rc.items = append(rc.items, item)
	}
	for i := rc.from; i < rc.to; i++ {
		rc.block = rc.block && (taken[i] || isComment(rc.lines[i]))
	}
	first := strings.TrimSpace(rc.lines[rc.from])
	first = strings.TrimSpace(strings.TrimSuffix(first, commentIn(first)))
	rc.final = (rc.block || strings.HasSuffix(first, "]")) && rc.flag(rc.from) == "final"
	return nil
}

// channels returns the channels that conda searches, in its order: it takes an empty list for a
// missing one.
func (rc *condarc) channels() (names []string) {
	for _, flag := range []string{"top", "", "bottom"} {
		for _, item := range rc.items {
			if item.flag == flag {
				names = append(names, item.channel)
			}
		}
	}
	if len(names) == 0 {
		return []string{"defaults"}
	}
	return names
}

// flagged returns the channels that flags move, with them.
func (rc *condarc) flagged() (names []string) {
	for _, item := range rc.items {
		if item.flag == "top" || item.flag == "bottom" {
			names = append(names, item.channel+" #!"+item.flag)
		}
	}
	return names
}

// with returns the text of the file with other channels. If final, conda adds none of the files
// that it reads later.
func (rc *condarc) with(channels []string, final bool) ([]byte, error) {
	before, head := rc.head(final || rc.final)
	front, rest := channels, rc.comments()
	indent := rc.left + "  "
	if rc.block {
		front, rest = rc.keep(channels)
		if len(front) < len(channels) {
			indent, _, _ = strings.Cut(rc.lines[rc.items[0].line], "-")
		}
	}
	if len(front) == 0 { // a comment below the key would hide its flag
		n := slices.IndexFunc(rest, func(line string) bool { return !isComment(line) })
		before, rest = append(before, rest[:n]...), rest[n:]
	}
	out := append(slices.Clone(rc.lines[:rc.from]), before...)
	if last := len(out) - 1; last >= 0 && !strings.HasSuffix(out[last], "\n") {
		out[last] += rc.eol
	}
	out = append(out, head+rc.eol)
	for _, ch := range front {
		line, err := rc.item(indent, ch)
		if err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	out = append(append(out, rest...), rc.lines[max(rc.from, rc.to):]...)
	text := strings.Join(out, "")
	if again, err := parseCondarc(text); err != nil || !slices.EqualFunc(again.channels(), channels, sameChannel) {
		return nil, runtime.Hint(errors.New("its list of channels is written in a way that cannot be edited"),
			"write it as a plain list, an item a line, without anchors")
	}
	return []byte(text), nil
}

// head returns the line of the key, and comments that must give way to a flag in it.
func (rc *condarc) head(final bool) (before []string, head string) {
	head = rc.left + "channels:"
	comment := ""
	if rc.has {
		comment = commentIn(rc.lines[rc.from])
	}
	if final && flagIn(comment) != "final" {
		if comment != "" {
			before = []string{rc.left + comment + rc.eol}
		}
		comment = "#!final"
	}
	if comment != "" {
		head += " " + comment
	}
	return before, head
}

// comments returns the comments of a list in brackets, each as a line.
func (rc *condarc) comments() (lines []string) {
	for i := rc.from + 1; i < rc.to; i++ {
		switch c := commentIn(rc.lines[i]); {
		case isComment(rc.lines[i]):
			lines = append(lines, rc.lines[i])
		case c != "":
			lines = append(lines, rc.left+"  "+c+rc.eol)
		}
	}
	return lines
}

// keep returns the channels that must be put in front, and the lines below the key that stay:
// those of the other channels, and all comments.
func (rc *condarc) keep(channels []string) (front, lines []string) {
	front = channels
	stays := map[int]bool{}
	for i := len(rc.items) - 1; i >= 0 && len(front) > 0; i-- {
		if rc.items[i].channel == front[len(front)-1] {
			front = front[:len(front)-1]
			stays[rc.items[i].line] = true
		}
	}
	for i := rc.from + 1; i < rc.to; i++ {
		if isComment(rc.lines[i]) || stays[i] {
			lines = append(lines, unflagged(rc.lines[i]))
		}
	}
	return front, lines
}

// item returns the line of a channel, as it stands in the file if it does.
func (rc *condarc) item(indent, ch string) (string, error) {
	for _, item := range rc.items {
		if rc.block && item.channel == ch {
			return indent + strings.TrimLeft(unflagged(rc.lines[item.line]), " "), nil
		}
	}
	n, err := yamlString(ch)
	if err != nil {
		return "", err
	}
	data, err := yaml.Marshal(n)
	return indent + "- " + strings.TrimRight(string(data), "\n") + rc.eol, err
}

// isComment reports whether a line holds a comment only.
func isComment(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}

// commentIn returns the comment of a line, "" if it has none.
func commentIn(line string) string {
	quote := byte(0)
	for i := range len(line) {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			if i == 0 || strings.IndexByte(" \t[,", line[i-1]) >= 0 {
				quote = c
			}
		case c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return strings.TrimSpace(line[i:])
		}
	}
	return ""
}

// flagIn returns which of conda's flags a comment is: top, bottom, final or none.
func flagIn(comment string) string {
	switch flag := strings.Trim(comment, "!#"); flag {
	case "top", "bottom", "final":
		return flag
	}
	return ""
}

// flag returns the flag in a line. conda does not see it if a comment follows in the next line.
func (rc *condarc) flag(line int) string {
	if next := line + 1; next < len(rc.lines) && strings.HasPrefix(strings.TrimSpace(rc.lines[next]), "#") {
		return ""
	}
	return flagIn(commentIn(rc.lines[line]))
}

// unflagged returns a line of a channel without a flag, which would move it.
func unflagged(line string) string {
	if isComment(line) || flagIn(commentIn(line)) == "" {
		return line
	}
	text := strings.TrimRight(line, "\r\n")
	return strings.TrimRight(strings.TrimSuffix(text, commentIn(line)), " \t") + line[len(text):]
}

// otherCondarcs returns the files besides PREFIX/.condarc that a conda of prefix reads when it
// runs with this home and environment. A name with "/" at its end is a directory of them.
func otherCondarcs(prefix, home string, env map[string]string) (names []string) {
	for _, dir := range []string{"/etc/conda", "/var/lib/conda", path.Join(home, ".config/conda"),
		path.Join(home, ".conda"), path.Join(env["XDG_CONFIG_HOME"], "conda")} {
		names = append(names, dir+"/.condarc", dir+"/condarc", dir+"/condarc.d/")
	}
	return append(names, prefix+"/condarc", prefix+"/condarc.d/", path.Join(home, ".condarc"), env["CONDARC"])
}

// tellOfCondarcs notes which other files add channels to those of PREFIX/.condarc where user runs
// conda.
func tellOfCondarcs(ctx context.Context, h host.Reader, prefix, user string, env map[string]string) error {
	home, err := homeOf(ctx, h, user)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range otherCondarcs(prefix, home, env) {
		if !path.IsAbs(name) {
			continue // of a variable that is not set
		}
		for _, file := range condarcsAt(h, name) {
			list, err := channelsOf(h, file)
			if err != nil {
				errs = append(errs, runtime.Note(ctx, fmt.Sprintf("%s: %v: conda cannot start with it", file, err)))
			}
			if len(list) > 0 {
				errs = append(errs, runtime.Note(ctx, fmt.Sprintf("%s adds channels to those of %s: %s",
					file, path.Join(prefix, ".condarc"), strings.Join(list, " "))))
			}
		}
	}
	return errors.Join(errs...)
}

// condarcsAt returns name or, of a directory, the files in it that conda reads.
func condarcsAt(h host.Reader, name string) (files []string) {
	dir, ok := strings.CutSuffix(name, "/")
	if !ok {
		return []string{name}
	}
	names, _ := h.ReadDir(dir) // seldom there
	for _, n := range names {
		if ext := path.Ext(n); ext == ".yml" || ext == ".yaml" {
			files = append(files, path.Join(dir, n))
		}
	}
	return files
}

// homeOf returns the home of user, or of whoever runs if it is empty.
func homeOf(ctx context.Context, h host.Reader, user string) (home string, err error) {
	if user == "" {
		if user, err = h.Fact(ctx, fact(host.Self, "")); err != nil {
			return "", err
		}
	}
	if home, err = h.Fact(ctx, fact(host.Home, user)); errors.Is(err, host.ErrUnknown) {
		err = nil
	}
	return cmp.Or(strings.TrimPrefix(home, host.Present), "/"), err
}

// channelsOf returns the channels that a file adds, as they may be shown, with their flags. What
// cannot be read adds none; what conda cannot read is an error.
func channelsOf(h host.Reader, file string) (list []string, err error) {
	data, err := readUpTo(h, file, textLimit)
	if err != nil {
		return nil, nil
	}
	rc, err := parseCondarc(string(data))
	if err != nil {
		return nil, err
	}
	for _, item := range rc.items {
		name := shownChannel(item.channel)
		if item.flag != "" {
			name += " (#!" + item.flag + ": out of its order)"
		}
		list = append(list, name)
	}
	return list, nil
}

// channelBases returns where the machine's and the prefix's settings say that channels are which
// have only a name: channel_alias, and the values of custom_channels.
func channelBases(h host.Reader, prefix string) (bases []string) {
	for _, name := range []string{"/etc/conda/.condarc", "/etc/conda/condarc", "/var/lib/conda/.condarc",
		"/var/lib/conda/condarc", prefix + "/.condarc", prefix + "/condarc"} {
		data, err := readUpTo(h, name, textLimit)
		if err != nil {
			continue
		}
		var settings struct {
			Alias  string            `yaml:"channel_alias"`
			Custom map[string]string `yaml:"custom_channels"`
		}
		if yaml.Unmarshal(data, &settings) != nil {
			continue
		}
		for _, base := range append(slices.Collect(maps.Values(settings.Custom)), settings.Alias) {
			if strings.Contains(base, "://") || path.IsAbs(base) {
				bases = append(bases, base)
			}
		}
	}
	return bases
}

// shownChannel returns a channel's name without its token or password.
func shownChannel(name string) string {
	if strings.Contains(name, "://") {
		return host.RedactURL(name)
	}
	return name
}
