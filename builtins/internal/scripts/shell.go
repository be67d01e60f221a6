package scripts

import (
	"path"
	"regexp"
	"strings"
)

// commands takes a shell script apart, as far as a guess needs it: it returns the
// words of every simple command, the program without its directory. Variables
// that the script has set to a plain text are filled in. Here-documents, functions
// and conditions are not parsed; their words appear as commands.
func commands(script string) (list [][]string) {
	set := map[string]string{}
	var words []string
	flush := func() {
		if argv := simple(words, set); len(argv) > 0 {
			list = append(list, argv)
		}
		words = nil
	}
	for s := strings.ReplaceAll(script, "\\\n", " "); s != ""; {
		switch {
		case strings.ContainsRune(" \t\r", rune(s[0])):
			s = s[1:]
		case strings.ContainsRune("\n;|&(){}`", rune(s[0])):
			flush()
			s = s[1:]
		case s[0] == '#':
			_, s, _ = strings.Cut(s, "\n")
			flush()
		default:
			var w string
			w, s = word(s)
			words = append(words, w)
		}
	}
	flush()
	return list
}

// word reads one word, with quotes taken off.
func word(s string) (w, rest string) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == 0 && strings.IndexByte(" \t\r\n;|&()`", c) >= 0:
			return b.String(), s[i:]
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

var (
	assignment = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
	variable   = regexp.MustCompile(`\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})`)
)

// simple fills in variables, remembers assignments in set, and drops the words of
// shell syntax in front of a command.
func simple(words []string, set map[string]string) []string {
	for i, w := range words {
		words[i] = variable.ReplaceAllStringFunc(w, func(v string) string {
			if text, ok := set[strings.Trim(v, "${}")]; ok {
				return text
			}
			return v
		})
	}
	for len(words) > 0 {
		if m := assignment.FindStringSubmatch(words[0]); m != nil {
			set[m[1]] = m[2]
		} else if !keyword(words[0]) {
			break
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	words[0] = path.Base(words[0])
	return words
}

func keyword(w string) bool {
	switch w {
	case "", "if", "then", "else", "elif", "fi", "!", "do", "done", "while", "exec", "sudo", "command":
		return true
	}
	return false
}
