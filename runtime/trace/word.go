package trace

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"runbook/runtime/host"
)

// How texts stand in a shell script.

// hereDocument returns what stands behind << for content, which ends in a newline, and
// what follows that line. No line of content equals the delimiter.
func hereDocument(content string) (delimiter, body string) {
	end := "EOF"
	for strings.Contains("\n"+content, "\n"+end+"\n") {
		end += "_"
	}
	if len(secretsIn(content)) == 0 {
		return "'" + end + "'", content + end + "\n"
	}
	content = regexp.MustCompile("[\\\\$`]").ReplaceAllString(content, `\$0`)
	content = secretName().ReplaceAllStringFunc(content, func(m string) string {
		return "${" + variable(secretsIn(m)[0]) + "}"
	})
	return end, content + end + "\n"
}

// secretsOf returns the secrets that an effect mentions.
func secretsOf(e Event) []string {
	texts := append(slices.Clone(e.Argv), e.Stdin, e.Path)
	env := environment(e)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		texts = append(texts, env[k])
	}
	return secretsIn(strings.Join(texts, "\n"))
}

// secretsIn returns the names of the secrets in a text.
func secretsIn(s string) (names []string) {
	if !strings.Contains(s, "<secret:") {
		return nil
	}
	for _, m := range secretName().FindAllStringSubmatch(s, -1) {
		names = append(names, m[1])
	}
	return names
}

// secretName matches a secret as events show it.
func secretName() *regexp.Regexp { return regexp.MustCompile(`<secret:([^<>\s]+)>`) }

// variable is the shell variable that stands for a secret. Names that mean
// something to a shell, or to the programs that it starts, get a prefix.
func variable(secret string) string {
	v := strings.ToUpper(plainName(secret))
	taken := strings.Fields("_ PATH HOME USER LOGNAME SHELL LANG IFS PWD ENV PS1 PS2 PS4 OPTIND PPID " +
		runbookDir + " " + siteDir)
	if v[0] >= '0' && v[0] <= '9' || slices.Contains(taken, v) {
		return "SECRET_" + v
	}
	return v
}

func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}

// shellWords quotes argv. The first word is one that a shell takes for a program.
func shellWords(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = shellWord(a)
		if i == 0 && words[i] == a && (strings.Contains(a, "=") || isReserved(a)) {
			words[i] = "'" + a + "'"
		}
	}
	return strings.Join(words, " ")
}

// isReserved reports whether s is a word of POSIX's shell language (XCU 2.4)
// that could be taken for the name of a program.
func isReserved(s string) bool {
	return slices.Contains(strings.Fields("if then else elif fi do done case esac while until for in"), s)
}

// shellWord quotes s so that a shell takes it as one word: secrets become
// variables, and characters that a terminal obeys become the output of printf.
func shellWord(s string) string {
	switch {
	case strings.Contains(s, "<secret:"):
		return withSecrets(s)
	case showable(s):
		return host.ShellWord(s)
	}
	return quoted(s)
}

func withSecrets(s string) string {
	var b strings.Builder
	at := 0
	for _, m := range secretName().FindAllStringSubmatchIndex(s, -1) {
		if at < m[0] {
			b.WriteString(quoted(s[at:m[0]]))
		}
		fmt.Fprintf(&b, `"$%s"`, variable(s[m[2]:m[3]]))
		at = m[1]
	}
	if at < len(s) {
		b.WriteString(quoted(s[at:]))
	}
	return b.String()
}

// quoted puts s in single quotes, characters that cannot be shown in printf.
func quoted(s string) string {
	var b strings.Builder
	for s != "" {
		n := runOf(s, false)
		if n > 0 {
			b.WriteString("'" + strings.ReplaceAll(s[:n], "'", `'\''`) + "'")
			s = s[n:]
			continue
		}
		n = runOf(s, true)
		b.WriteString(`"$(printf '`)
		for _, c := range []byte(s[:n]) {
			fmt.Fprintf(&b, `\%03o`, c)
		}
		b.WriteString(`')"`)
		s = s[n:]
	}
	return b.String()
}

// runOf counts the bytes at the beginning of s that are to be escaped, or those
// that are not. A newline is not: it may stand between quotes, and $( ) would drop it.
func runOf(s string, escaped bool) (n int) {
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if (r == utf8.RuneError && size == 1 || hidden(r) && r != '\n' && r != '\t') != escaped {
			break
		}
		n += size
	}
	return n
}

// showable reports whether a text can stand in a script as it is.
func showable(s string) bool { return runOf(s, false) == len(s) }

// environment returns what is added to the environment of an exec. It is of
// either type, because a trace may have been read from a file.
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

// detailText returns a value of an effect's detail as text, "" if there is none.
func detailText(d map[string]any, key string) string {
	v, ok := d[key]
	if !ok || v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
