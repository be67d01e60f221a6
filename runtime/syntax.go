package runtime

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.starlark.net/syntax"

	"runbook/runtime/nearest"
)

// syntaxError explains why a file does not parse: where the parser stopped is not
// always where the mistake is.
func syntaxError(src []byte, err error) error {
	var se syntax.Error
	if !errors.As(err, &se) {
		return &Error{Class: Mistake, Err: err, rule: "syntax"}
	}
	e := &Error{Class: Mistake, Pos: se.Pos.String(), Err: errors.New(se.Msg), rule: "syntax"}
	if err := mergeMark(se.Pos.Filename(), src); err != nil {
		return err
	}
	s := &stop{all: tokens(string(src)), msg: se.Msg}
	behind := strings.HasPrefix(se.Msg, "got ") && !strings.HasSuffix(se.Msg, "want primary expression")
	s.i = at(s.all, se.Pos.Line, se.Pos.Col, behind)
	for behind && strings.HasPrefix(se.Msg, "got newline") && s.i > 0 && s.here().kind != '\n' {
		s.i--
	}
	rules := []func() (token, string, string){s.letters, s.brackets, s.words, s.signs, s.commas, s.lines}
	for _, rule := range rules {
		place, text, hint := rule()
		if hint == "" {
			continue
		}
		if place.line > 0 {
			e.Pos = fmt.Sprintf("%s:%d:%d", se.Pos.Filename(), place.line, place.col)
		}
		if text != "" {
			e.Err = errors.New(text)
		}
		e.Advice = hint
		return e
	}
	return explain(e)
}

// mergeMark returns an error about the first line that begins or ends what both sides of a merge have, also where it is
// part of a text; nil if there is none.
func mergeMark(name string, src []byte) error {
	line := 0
	for text := range strings.Lines(string(src)) {
		if line++; strings.HasPrefix(text, "<<<<<<< ") || strings.HasPrefix(text, ">>>>>>> ") {
			return &Error{Class: Mistake, Pos: fmt.Sprintf("%s:%d:1", name, line), rule: "syntax",
				Err:    errors.New("both sides of a merge are here"),
				Advice: "keep what is right of what stands between <<<<<<< and >>>>>>>, and delete the marks"}
		}
	}
	return nil
}

// A stop is where a parser stopped, and what it said. Its methods are rules: each
// returns where the mistake is, if not there, what it is, if that is not what the
// parser says, and what cures it, or "" if the rule does not apply.
type stop struct {
	all []token
	i   int // index of the token that the parser does not take
	msg string
}

func (s *stop) here() token { return s.all[s.i] }

// before returns the n'th token before the stop.
func (s *stop) before(n int) token {
	if s.i < n {
		return token{kind: '\n'}
	}
	return s.all[s.i-n]
}

func (s *stop) after() token { return s.all[min(s.i+1, len(s.all)-1)] }

// The cures of words that other languages have.
var foreignWords = map[string]string{
	"import":   `load("lib/x.star", "name") takes a name from another file; there are no other libraries`,
	"from":     `load("lib/x.star", "name") takes a name from another file; there are no other libraries`,
	"class":    "there are no classes: a dict keeps values together, a function what is done with them",
	"with":     "nothing is opened or closed here: read(path) and write(path, text) take whole files",
	"global":   "a function cannot change a name outside of it: return the value instead",
	"nonlocal": "a function cannot change a name outside of it: return the value instead",
	"is":       "compare with == and !=: x == None",
	"del":      `d.pop("key") takes an entry out of a dict`,
	"assert":   `require(condition, "what is wrong") stops before anything changes; fail("why") stops at once`,
	"raise":    `fail("why") ends the step`,
	"yield":    "there are no generators: return a list",
	"async":    "steps run one after the other: leave it out",
	"await":    "builtins wait by themselves: leave it out",
	"try":      noCatching,
	"except":   noCatching,
	"finally":  noCatching,
	"while":    "use for over a list, wait_for(), or retries= and delay=",
	"switch":   "write if, elif and else",
	"elseif":   "write elif",
	"elsif":    "write elif",
	"function": "write def NAME(): and indent what it does",
	"func":     "write def NAME(): and indent what it does",
	"echo":     "log(text) shows a line",
	"print":    "write print(...), or log(text)",
	"let":      "write NAME = VALUE",
	"const":    "write NAME = VALUE",
	"export":   "write NAME = VALUE; env= gives it to a command",
	"return":   "leave return out of a lambda: lambda x: x + 1",
}

const noCatching = `a builtin that fails ends the step, fail("why") does too; ` +
	`query(..., ok=[0, 1]) takes a failure for an answer`

// words are those of other languages.
func (s *stop) words() (token, string, string) {
	t := s.here()
	for _, w := range []token{t, s.before(1)} {
		switch cure := foreignWords[w.text]; {
		case w.kind != 'a' || cure == "":
		case w.text == "return" && !strings.Contains(s.msg, "got return"):
		case w == t || s.first(w) && !strings.Contains("return is", w.text):
			return w, noWord(w.text), cure
		}
	}
	switch {
	case t.text == "if" && s.before(1).text == "else":
		return s.before(1), `there is no "else if" here`, "write elif"
	case t.text == "if" && strings.Contains(s.msg, "primary"):
		return token{}, "", "write VALUE if CONDITION else OTHER"
	}
	return token{}, "", ""
}

func noWord(word string) string {
	if word == "return" || word == "print" {
		return ""
	}
	return fmt.Sprintf("there is no %q here", word)
}

// first reports whether w begins its line.
func (s *stop) first(w token) bool { return lineStart(s.all, w) == w.col }

// signs are those of other languages.
func (s *stop) signs() (token, string, string) {
	t, before := s.here(), s.before(1)
	pair := before.text + t.text
	adjacent := before.last == t.line && before.end == t.col
	switch {
	case pair == "&&" || pair == "||":
		return before, fmt.Sprintf("there is no %q here", pair), map[string]string{"&&": "write and", "||": "write or"}[pair]
	case t.text == "=" && before.text == "=" && adjacent:
		return before, "", "compare with =="
	case before.text == "+" && s.before(2).text == "+", before.text == "-" && s.before(2).text == "-":
		return s.before(2), "", "write x " + before.text + "= 1"
	case t.text == "/" && s.first(t) || pair == "//" && s.first(before):
		return t, "", "a comment begins with #"
	case t.text == "*" && (before.text == "*" || s.after().text == "*") && strings.Contains(s.msg, "'**'"):
		return token{}, "", "there is no sign for powers: multiply"
	case t.text == "*" && strings.Contains("[,", before.text):
		return token{}, "", "join lists with +"
	case t.text == "{" && strings.Contains(s.msg, "want ':'"):
		return token{}, "", "a block has no braces: end the line with a colon and indent the lines below"
	case t.text == "=" && strings.Contains(s.msg, "want ':'"):
		return token{}, "", `a dict is written {"key": value}, or dict(key = value)`
	case t.text == "-" && s.after().text == ">":
		return token{}, "there are no types in the text", "leave -> and what follows out"
	case t.text == ":" && before.kind == 'a' && s.after().text == "=":
		return token{}, "", "assign on a line of its own: NAME = VALUE"
	case t.text == ":" && before.kind == 'a':
		return token{}, "there are no types in the text", "leave the colon and what follows out"
	case t.text == "=" && strings.Contains("!<>", before.text):
		return before, "", "compare with !=, <= or >=, without a blank"
	}
	return token{}, "", ""
}

// brackets are those that nobody closes, or that close another.
func (s *stop) brackets() (token, string, string) {
	t := s.here()
	open := opened(s.all, s.i)
	if strings.HasPrefix(s.msg, "unexpected ')'") || strings.HasPrefix(s.msg, "unexpected ']'") ||
		strings.HasPrefix(s.msg, "unexpected '}'") {
		return token{}, "", "no bracket is open here: leave it out, or open one before it"
	}
	if len(open) == 0 {
		return token{}, "", ""
	}
	last := open[len(open)-1]
	closer := map[string]string{"(": ")", "[": "]", "{": "}"}[last.text]
	switch {
	case t.kind == '.' && strings.Contains(")]}", t.text) && t.text != closer:
		return t, "", fmt.Sprintf("the %s of line %d, column %d is to be closed first, with %s",
			last.text, last.line, last.col, closer)
	case t.kind == 0, t.line > last.line && begins(s.all, s.i) && t.col <= lineStart(s.all, last):
		return last, fmt.Sprintf("%s is never closed", last.text),
			fmt.Sprintf("%s is missing before line %d", closer, t.line)
	}
	return token{}, "", ""
}

// commas are those that are missing, and what else stands between two values.
func (s *stop) commas() (token, string, string) {
	t, before := s.here(), s.before(1)
	value := t.kind == 'a' || t.kind == '"' || t.kind == '.' && strings.Contains("([{", t.text)
	if !value || !strings.HasPrefix(s.msg, "got ") {
		return token{}, "", ""
	}
	ends := before.kind == 'a' || before.kind == '"' || before.kind == '.' && strings.Contains(")]}", before.text)
	adjacent := before.last == t.line && before.end == t.col
	open := opened(s.all, s.i)
	switch {
	case t.kind == '"' && adjacent && slices.Contains(strings.Fields("f F fr rf Fr"), before.text):
		return before, "there are no f-strings", `write "%s" % x, or "{}".format(x)`
	case t.kind == '"' && adjacent && before.kind == 'a':
		return before, "", "leave the letters before the quote out; r and b are the only ones"
	case !ends:
		return token{}, "", ""
	case len(open) > 0:
		end := token{line: before.last, col: before.end}
		if before.kind == '"' && t.kind == '"' {
			return end, "a comma is missing", "write it after " + shortToken(before) + "; where the two texts are one, write +"
		}
		return end, "a comma is missing", "write it after " + shortToken(before)
	case before.kind == 'a' && s.first(before):
		return t, "", fmt.Sprintf("a call has parentheses: %s(...)", before.text)
	case before.kind == '"' && t.kind == '"':
		return t, "", "join texts with +"
	}
	return t, "", "only one statement stands on a line, and values are joined by a sign"
}

func shortToken(t token) string {
	if len(t.text) > 30 || strings.Contains(t.text, "\n") {
		return "the text"
	}
	return t.text
}

// lines are those that do not end or begin as they must.
func (s *stop) lines() (token, string, string) {
	before := s.before(1)
	end := token{line: before.last, col: before.end}
	switch {
	case strings.HasSuffix(s.msg, "got newline, want ':'"):
		return end, "a colon is missing", "a line that begins with def, if, elif, else or for ends with one"
	case strings.HasPrefix(s.msg, "got newline"), strings.HasPrefix(s.msg, "got end of file"):
		return end, "", "something is missing at the end of this line"
	case s.msg == "unexpected newline in string":
		return token{}, "", `close the text with its quote; one of several lines stands between """ and """`
	case s.msg == "unexpected EOF in string":
		return token{}, "", "this text is never closed: end it with the quotes that it begins with"
	case strings.Contains(s.msg, "indent"):
		return s.here(), indented(s.msg),
			"check that the lines of a block begin with the same spaces, more than the line above it"
	case strings.HasPrefix(s.msg, "obsolete form of octal"):
		return s.before(1), "", "modes are written with 0o: 0o770"
	case strings.HasPrefix(s.msg, "conditional expression without else"):
		return token{}, "", "write VALUE if CONDITION else OTHER"
	case s.msg == "not an identifier":
		return end, "", "a name follows the dot"
	case strings.HasPrefix(s.msg, "load ") || strings.Contains(s.msg, "operand of load"):
		return token{}, "", `write load("lib/x.star", "name")`
	}
	return token{}, "", ""
}

func indented(msg string) string {
	switch {
	case strings.HasSuffix(msg, "want indent"):
		return "this line must be indented more than the one above"
	case strings.HasPrefix(msg, "got indent"):
		return "this line is indented more than the one above"
	}
	return ""
}

var inputCharacter = regexp.MustCompile("^unexpected input character [`'](.+)[`']$|^unexpected (.)$")

// letters are characters that look like others, or are not seen at all.
func (s *stop) letters() (token, string, string) {
	if !inputCharacter.MatchString(s.msg) {
		return token{}, "", ""
	}
	r, _ := utf8.DecodeRuneInString(s.here().text)
	next := s.after().text
	switch {
	case r == '\ufeff':
		return token{}, "the file begins with a byte order mark", "save it as UTF-8 without one (BOM)"
	case r == utf8.RuneError:
		return token{}, "", "save the file as UTF-8"
	case strings.ContainsRune("“”„‟«»″", r):
		return token{}, "", `write straight quotes: "`
	case strings.ContainsRune("‘’‚‛′´", r):
		return token{}, "", "write straight quotes: '"
	case strings.ContainsRune("\u00a0\u2007\u202f\u2009\u200b\u2060\u3000", r):
		return token{}, fmt.Sprintf("a blank that is no space (U+%04X)", r), "replace it by a space"
	case strings.ContainsRune("–—−‐", r):
		return token{}, "", "write the minus sign of the keyboard: -"
	case r == '!' && next == "=":
		return token{}, "", "compare with !="
	case r == '!':
		return token{}, "", "write not"
	case r == '?':
		return token{}, "", "write VALUE if CONDITION else OTHER"
	case r == '@':
		return token{}, "", "there are no decorators: step(fn, title=...) says how a function is a step"
	case r == '`':
		return token{}, "", "write query([...]).stdout for what a command prints"
	case r == '$':
		return token{}, "", "a name has no $ before it: write the name; what a person may set is a var()"
	case r >= utf8.RuneSelf:
		return token{}, fmt.Sprintf("unexpected character %c (U+%04X)", r, r), "write it in quotes, or leave it out"
	}
	return token{}, "", "leave it out, or write it in quotes"
}

// A habit is names that other languages have, and what cures them.
type habit struct{ names, cure string }

var foreignNames = []habit{
	{"null nil none NULL undefined", `did you mean "None"?`},
	{"true TRUE", `did you mean "True"?`},
	{"false FALSE", `did you mean "False"?`},
	{"open open_file", "read(path) and write(path, text) take whole files"},
	{"os", "exists(path), glob(pattern), read(path) and query(argv) ask the machine"},
	{"subprocess system exec command", "run(argv) changes the machine, query(argv) asks it"},
	{"shell", `run(["sh", "-c", "..."]) runs a shell`},
	{"env environ getenv sys", "var() takes what a person gives; RUNBOOK_VAR_NAME in the environment sets it"},
	{"input", "var() and secret() take what a person gives, confirm() asks for a yes"},
	{"exit quit raise Exception error", "fail(text) ends a step"},
	{"self this", "there are no classes: give the function what it needs"},
	{"map", "write a list comprehension: [f(x) for x in list]"},
	{"filter", "write a list comprehension: [x for x in list if f(x)]"},
	{"isinstance", `compare type(x) == "string"`},
	{"struct", "a dict keeps values together: dict(a = 1)"},
	{"sleep time", "wait_for(port=) and wait_for(url=) wait; retries= and delay= try again"},
	{"datetime", "a runbook has no clock"},
	{"random", "a runbook does the same each time"},
	{"echo printf puts", "log(text) shows a line"},
	{"sudo", "run the runbook as root; user= runs a command as somebody else"},
	{"cp", "copy(src, dest)"},
	{"mv", "move(src, dest)"},
	{"rm", "remove(path)"},
	{"ln", "symlink(path, target)"},
	{"chmod", "mode= of mkdir, write and copy"},
	{"touch", `write(path, "")`},
	{"cat", "read(path)"},
	{"curl wget", "download(url, dest)"},
	{"tar unzip", "extract(archive, dest)"},
	{"dnf rpm", "yum(packages)"},
	{"dpkg aptitude", "apt(packages)"},
	{"systemctl", "service(name, state=, enabled=)"},
	{"groupadd", "group(name)"},
	{"adduser", "useradd(name)"},
	{"crontab", "cron(user, schedule, command)"},
	{"assert", "require(condition, text)"},
	{"sum", "add in a loop"},
	{"round", "int(x) cuts a number"},
	{"re regex", "there are no regular expressions in scripts; match= of line() takes one"},
}

// cureOf returns what cures a name that other languages have, "" of another.
func cureOf(name string) string {
	for _, h := range foreignNames {
		if slices.Contains(strings.Fields(h.names), name) {
			return h.cure
		}
	}
	return ""
}

// undefinedHint is what cures a name that is not defined.
func undefinedHint(name string, names []string, loaded bool) string {
	n := nearest.Of(name, names)
	cure := cureOf(name)
	switch {
	case cure != "" && !slices.Contains(names, name):
		return cure
	case n != "":
		return fmt.Sprintf("did you mean %q?", n)
	case loaded:
		return "a file that is loaded sees only its own names: give the function what it needs as an argument"
	}
	return "define it above, or take it from another file with load(); runbook builtins lists what is there"
}
