package runtime

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime/host"
)

// What a run leaves in its state directory, and what the kernel says of its process,
// differ from run to run and between a run and its prediction. A runbook that could
// see it would know whether it is being looked at.

// private returns an error if an argument of c that names a file names such a one,
// as it is written or where its links lead, or if a question has it among its words.
func (r *Run) private(c *Call) error {
	for _, a := range c.Builtin.Args {
		isPath := a.isPath() || slices.Contains([]string{"url", "channels", "packages", "files"}, a.Name)
		isQuestion := a.Name == "unless" || a.Name == "argv" && c.Builtin.Read != nil
		if !isPath && !isQuestion {
			continue
		}
		for _, text := range textsIn(c.given[a.Name]) {
			if isPath && c.Private(text) || isQuestion && r.mentionsState(text) {
				err := fmt.Errorf("%s %s: %w", c.Builtin.Name, text, errPrivate)
				return Hint(err, "leave it out: what a runbook does must not depend on how it is run")
			}
		}
	}
	return nil
}

var errPrivate = errors.New("belongs to runbook itself, which shows it to no runbook")

// Private reports whether name leads to a file of the run itself.
func (c *Call) Private(name string) bool {
	if u, err := url.Parse(name); err == nil && u.Scheme == "file" {
		name = u.Path
	}
	if !path.IsAbs(name) {
		return false
	}
	if real, err := c.run.door.Resolve(name, true); err == nil && c.run.own(real) {
		return true
	}
	return c.run.own(path.Clean(name))
}

// own reports whether a name without links is that of a file of the run itself.
func (r *Run) own(name string) bool {
	if r.State != "" && host.Below(name, r.State) {
		return true
	}
	below, ok := strings.CutPrefix(name, "/proc/")
	if !ok {
		return false
	}
	process, rest, _ := strings.Cut(below, "/")
	if process == "locks" {
		return true
	}
	if process != "self" && process != "thread-self" && strings.Trim(process, "0123456789") != "" {
		return false
	}
	what, _, _ := strings.Cut(rest, "/") // /proc/mounts and /proc/net lead here: those of the machine
	return what != "mounts" && what != "mountinfo" && what != "net"
}

// mentionsState reports whether a word names something in the state directory.
func (r *Run) mentionsState(word string) bool {
	at := strings.Index(word, r.State)
	if r.State == "" || at < 0 {
		return false
	}
	rest := word[at+len(r.State):]
	return rest == "" || strings.ContainsAny(rest[:1], "/ \t\n;'\"|&<>()*")
}

// textsIn returns the strings in v.
func textsIn(v starlark.Value) (texts []string) {
	switch v := v.(type) {
	case starlark.String:
		return []string{string(v)}
	case *starlark.Dict:
		for _, kv := range v.Items() {
			texts = append(texts, textsIn(kv[1])...)
		}
	case starlark.Iterable:
		it := v.Iterate()
		defer it.Done()
		for x := starlark.Value(nil); it.Next(&x); {
			texts = append(texts, textsIn(x)...)
		}
	}
	return texts
}
