package trace

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// exec writes a command with who runs it, where, and with what.
func (s *Shell) exec(e Event) {
	argv := e.Argv
	if env := environment(e); len(env) > 0 {
		with := []string{"env"}
		for _, k := range slices.Sorted(maps.Keys(env)) {
			with = append(with, k+"="+env[k])
		}
		argv = append(with, argv...)
	}
	if e.User != "" && e.User != s.user {
		argv = append([]string{"runuser", "-u", e.User, "--"}, argv...)
	}
	line := shellWords(argv)
	switch {
	case strings.HasPrefix(e.Stdin, "<secret:"):
		line = `printf '%s\n' ` + shellWord(e.Stdin) + " | " + line
	case e.Stdin != "":
		s.comment("standard input: sha256 %s; the trace does not hold it", e.Stdin)
	}
	if dir := detail(e.Detail, "cwd"); dir != "" {
		line = "(cd -- " + shellWord(dir) + " && " + line + ")"
	}
	s.print(line + "\n")
}

// environment returns what is added to an exec's environment. It is of either
// type, because a trace may have been read from a file.
func environment(e Event) map[string]string {
	switch env := e.Detail["env"].(type) {
	case map[string]string:
		return env
	case map[string]any:
		out := map[string]string{}
		for k, v := range env {
			out[k] = fmt.Sprint(v)
		}
		return out
	}
	return nil
}

// detail returns a value of an effect's detail as text, "" if there is none.
func detail(d map[string]any, key string) string {
	v, ok := d[key]
	if !ok || v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// metaFlags are those of install for a mode and an owner.
func metaFlags(d map[string]any) (flags []string) {
	for _, f := range [][2]string{{"-m", "mode"}, {"-o", "owner"}, {"-g", "group"}} {
		if v := detail(d, f[1]); v != "" {
			flags = append(flags, f[0], v)
		}
	}
	return flags
}

// hereDocument returns the rest of a command that reads content, which ends in
// a newline, with a delimiter that is no line of it.
func hereDocument(content string) string {
	end := "EOF"
	for strings.Contains("\n"+content, "\n"+end+"\n") {
		end += "_"
	}
	if len(secretsIn(content)) == 0 {
		return "'" + end + "'\n" + content + end + "\n"
	}
	content = regexp.MustCompile("[\\\\$`]").ReplaceAllString(content, `\$0`)
	content = secretName().ReplaceAllStringFunc(content, func(m string) string {
		return "${" + variable(secretsIn(m)[0]) + "}"
	})
	return end + "\n" + content + end + "\n"
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
