package builtins

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

var globBuiltin = &runtime.Builtin{
	Name: "glob",
	Args: []runtime.Arg{
		param("pattern", "pattern", "", "an absolute name in which each part may hold *, ? and [a-z]"),
		assumeParam("list of string"),
	},
	Summary: "return the files whose names match a pattern, sorted",
	Detail: []string{
		"As in a shell, * and ? stand for no slash, and a name that begins with a dot is found only by a pattern that does. There is no **.",
		"No match is an empty list. Files of runbook itself (its state directory, /proc/PID) are not found.",
	},
	Example: `glob("/etc/*.conf")`,
	Read: func(c *runtime.Call, h host.Reader) (starlark.Value, error) {
		var pattern runtime.Path
		var assume starlark.Value
		if err := c.Unpack("pattern", &pattern, "assume", &assume); err != nil {
			return nil, err
		}
		found, err := globFiles(h, string(pattern))
		list := starlark.NewList(nil)
		for _, name := range slices.DeleteFunc(found, c.Private) {
			list.Append(starlark.String(name)) // fails only while the list is iterated
		}
		return answer(c, string(pattern), list, err, assume)
	},
}

// globFiles returns the names that match pattern, sorted.
func globFiles(h host.Reader, pattern string) ([]string, error) {
	if strings.Contains(pattern, "**") {
		return nil, runtime.Hint(errors.New("got **, want one * for each part"), "write /*/ for each level")
	}
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		if _, err := path.Match(part, ""); err != nil {
			return nil, runtime.Hint(fmt.Errorf("part %q: %w", part, err), `a [ must be closed; \\[ stands for itself`)
		}
		var next []string
		for _, dir := range found {
			names, err := matchIn(h, dir, part)
			if err != nil {
				return nil, err
			}
			next = append(next, names...)
		}
		found = next
	}
	slices.Sort(found) // "/a-b/x" goes before "/a/x"
	return found, nil
}

// matchIn returns the files in dir whose names match part, in the order of ReadDir.
func matchIn(h host.Reader, dir, part string) (found []string, err error) {
	if !strings.ContainsAny(part, `*?[\`) {
		name := path.Join(dir, part)
		ok, err := host.Exists(h, name)
		if ok {
			found = []string{name}
		}
		return found, err
	}
	_, m, err := follow(h, dir)
	if err != nil || !m.Mode.IsDir() {
		if isMissing(err) {
			err = nil
		}
		return nil, err
	}
	names, err := h.ReadDir(dir)
	for _, n := range names {
		ok, _ := path.Match(part, n)
		if ok && (n[0] != '.' || part[0] == '.') {
			found = append(found, path.Join(dir, n))
		}
	}
	return found, err
}
