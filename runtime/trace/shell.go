package trace

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"runbook/runtime/host"
)

// A shell is a Sink that writes the effects as a POSIX shell script.
type shell struct {
	w        io.Writer
	used     []string        // secrets that the script uses, as far as they are known at its beginning
	declared map[string]bool // variables of secrets
	user     string          // who runs
	literals literals
	op       Event // under way
	pending  bool  // the comment of op is not yet written
	err      error
}

// NewShell returns a Sink that writes the effects to w as the POSIX shell script
// that would have them. It is for reading and for taking pieces from: trees and
// contents that the trace does not hold are comments. A secret is a variable
// that the script refuses to run without.
func NewShell(w io.Writer) Sink { return newShell(w) }

func newShell(w io.Writer) *shell {
	return &shell{w: w, declared: map[string]bool{}, literals: newLiterals()}
}

// Emit writes what e does, with a comment for what is not an effect.
func (s *shell) Emit(e Event) error {
	switch e.Kind {
	case Run:
		s.header(e)
	case Step:
		s.step(e)
	case Op:
		s.op, s.pending = e, true
	case Effect:
		s.opComment()
		e, content, known := s.contentOf(e)
		s.declare(secretsOf(e))
		s.effect(e, content, known)
	case Result:
		if e.Outcome == Failed {
			s.opComment()
			s.comment("failed: %s", e.Error)
		}
	case End:
		s.print("\n")
		s.comment("%s: %s", e.Outcome, e.Counts)
	}
	return s.err
}

func (s *shell) header(e Event) {
	s.print("#!/bin/sh\n")
	info := RunInfo{}
	if e.Run != nil {
		info = *e.Run
	}
	began := e.Time.UTC().Format("2006-01-02 15:04:05 UTC")
	s.comment("%s on %s, mode %s, %s", info.Runbook, info.Host.Hostname, info.Mode, began)
	if info.Mode == DryRun {
		s.comment("what a run would do; nothing of this was done")
	}
	s.print("set -eu\n")
	s.user = info.User.Name
	for _, v := range info.Vars {
		if value, ok := v.Value.(string); ok && v.From == "secret" {
			s.declare(secretsIn(value))
		}
	}
	s.declare(s.used)
}

func (s *shell) step(e Event) {
	switch e.State {
	case Begin:
		s.print("\n")
		s.comment("== %s%s", e.Step, strings.TrimRight("  "+e.Title, " "))
	case LeftOut:
		s.print("\n")
		s.comment("== %s, skipped: %s", e.Step, e.Why)
	}
}

// opComment puts the comment of an op before the first line that belongs to it.
func (s *shell) opComment() {
	if s.pending {
		pos := ""
		if s.op.Pos != "" {
			pos = " (" + s.op.Pos + ")"
		}
		s.comment("%s", strings.TrimSpace(s.op.Op+" "+s.op.Target+pos))
	}
	s.pending = false
}

// declare makes the script stop where a secret is not set.
func (s *shell) declare(secrets []string) {
	for _, name := range secrets {
		if v := variable(name); !s.declared[v] {
			s.declared[v] = true
			s.print(fmt.Sprintf(": \"${%s:?set it to the secret %s}\"\n", v, plainName(name)))
		}
	}
}

func (s *shell) effect(e Event, content string, known bool) {
	d := e.Detail
	switch e.Call {
	case "exec":
		s.exec(e)
	case "mkdir":
		s.command(append(append([]string{"install", "-d"}, metaFlags(d)...), "--", e.Path)...)
	case "write":
		s.write(e, content, known)
	case "symlink":
		s.command("ln", "-s", "--", detailText(d, "target"), e.Path)
		s.chown(e, "-h")
	case "meta":
		s.meta(e)
	case "move":
		s.command("mv", "--", cmp.Or(detailText(d, "from"), e.Path), cmp.Or(detailText(d, "to"), e.Path))
	case "remove":
		s.command("rm", "-rf", "--", e.Path)
	case "tree":
		s.comment("tree %s: %s files, %s bytes, digest %s",
			e.Path, detailText(d, "files"), detailText(d, "bytes"), detailText(d, "digest"))
	default:
		s.comment("%s", describe(e))
	}
}

// exec writes a command with who runs it, where, and with what.
func (s *shell) exec(e Event) {
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
	if dir := detailText(e.Detail, "cwd"); dir != "" {
		line = "(cd -- " + shellWord(dir) + " && " + line + ")"
	}
	s.print(line + "\n")
}

// write makes the file with its mode and owner before it holds any content.
func (s *shell) write(e Event, content string, known bool) {
	sum := detailText(e.Detail, "sha256")
	s.comment("write %s (sha256 %s, mode %s)", e.Path, cmp.Or(sum, "not known"), detailText(e.Detail, "mode"))
	if !known {
		s.comment("  the trace does not hold the content")
		return
	}
	s.declare(secretsIn(content))
	s.command(append(append([]string{"install"}, metaFlags(e.Detail)...), "--", "/dev/null", e.Path)...)
	if !strings.HasSuffix(content, "\n") || !showable(content) {
		s.print("printf %s " + shellWord(content) + " >" + shellWord(e.Path) + "\n")
		return
	}
	s.print("cat >" + shellWord(e.Path) + " <<" + hereDocument(content))
}

func (s *shell) meta(e Event) {
	if detailText(e.Detail, "files") != "" {
		s.chown(e, "-hR")
		return
	}
	if mode := detailText(e.Detail, "mode"); mode != "" {
		s.command("chmod", mode, "--", e.Path)
	}
	s.chown(e)
}

func (s *shell) chown(e Event, flags ...string) {
	owner := detailText(e.Detail, "owner")
	if group := detailText(e.Detail, "group"); group != "" {
		owner += ":" + group
	}
	if owner != "" {
		s.command(append(append([]string{"chown"}, flags...), "--", owner, e.Path)...)
	}
}

func (s *shell) command(argv ...string) { s.print(shellWords(argv) + "\n") }

// comment writes one comment line, whatever text it is given.
func (s *shell) comment(format string, args ...any) {
	s.print("# " + Quote(fmt.Sprintf(format, args...)) + "\n")
}

func (s *shell) print(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.w, s.literals.unmark(text))
	}
}

// contentOf returns an effect of the op under way, and the content that it writes, if
// the trace has it.
func (s *shell) contentOf(e Event) (Event, string, bool) {
	content, known := contentOf(s.op.Changes, detailText(e.Detail, "sha256"))
	e, content = s.literals.in(e, content)
	return e, content, known
}

// contentOf returns the new text among changes that has the digest.
func contentOf(changes []host.Change, sum string) (string, bool) {
	for _, c := range changes {
		if have := sha256.Sum256([]byte(c.To)); hex.EncodeToString(have[:]) == sum {
			return c.To, true
		}
	}
	return "", false
}

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

// metaFlags are the flags of install(1) for a mode and an owner.
func metaFlags(d map[string]any) (flags []string) {
	for _, f := range [][2]string{{"-m", "mode"}, {"-o", "owner"}, {"-g", "group"}} {
		if v := detailText(d, f[1]); v != "" {
			flags = append(flags, f[0], v)
		}
	}
	return flags
}

// hereDocument returns the rest of a command that reads content, which ends in
// a newline. No line of content equals the delimiter.
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
	taken := strings.Fields("_ PATH HOME USER LOGNAME SHELL LANG IFS PWD ENV PS1 PS2 PS4 OPTIND PPID")
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
