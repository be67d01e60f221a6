package trace

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// A shell is a Sink that writes the effects as a POSIX shell script, all at the end:
// what a script begins with depends on all of it.
type shell struct {
	w        io.Writer
	body     strings.Builder
	run      Event    // begins the run
	secrets  []string // that the script uses
	dirs     []string // variables for directories that it uses
	needs    []string // functions that it calls
	lacks    []string // what it cannot do, each with its step
	step     string
	literals literals
	op       Event // under way
	pending  bool  // the comment of op is not yet written
	whole    bool  // op is in the script already, with all its effects
	over     bool  // the end was there
	written  bool
}

// NewShell returns a Sink that writes the effects to w as the POSIX shell script that
// has them, once the run has ended. What the trace does not hold stops the script with
// exit code 1, and its first line says so. A secret is a variable that the script
// refuses to run without.
func NewShell(w io.Writer) Sink { return newShell(w) }

func newShell(w io.Writer) *shell { return &shell{w: w, literals: newLiterals()} }

// Emit writes what e does, with a comment for what is not an effect.
func (s *shell) Emit(e Event) error {
	switch e.Kind {
	case Run:
		s.run = e
	case Step:
		s.begin(e)
	case Op:
		s.op, s.pending, s.whole = e, true, false
	case Effect:
		s.opComment()
		if e, content, known := s.contentOf(e); !s.whole {
			s.use(secretsOf(e)...)
			s.effect(e, content, known)
		}
	case Result:
		if e.Outcome == Failed {
			s.opComment()
			s.comment("failed: %s", e.Error)
		}
	case End:
		s.print("\n")
		s.comment("%s: %s", e.Outcome, e.Counts)
		s.over = true
		return s.finish()
	}
	return nil
}

// finish writes the script.
func (s *shell) finish() error {
	if s.written {
		return nil
	}
	if s.written = true; !s.over {
		s.cannot("the trace has no end")
	}
	_, err := io.WriteString(s.w, s.literals.unmark(s.header()+s.body.String()))
	return err
}

// header is what the script begins with. Only shells read it and nothing in it comes
// from a trace but by comments and words.
func (s *shell) header() string {
	info := RunInfo{}
	if s.run.Run != nil {
		info = *s.run.Run
	}
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString("# " + Quote(fmt.Sprintf(format, args...)) + "\n") }
	b.WriteString("#!/bin/sh\n")
	switch n := len(s.lacks); {
	case n == 0:
		line("All that the run does is in this script.")
	default:
		line("NOT all that the run does is in this script: it stops with exit code 1 %s.%s", s.lacks[0], others(n-1))
	}
	began := s.run.Time.UTC().Format("2006-01-02 15:04:05 UTC")
	line("%s on %s, mode %s, %s", info.Runbook, info.Host.Hostname, info.Mode, began)
	if info.Mode == DryRun {
		line("what a run would do; nothing of this was done")
	}
	for _, v := range info.Vars {
		if value, ok := v.Value.(string); ok && v.From == "secret" {
			s.use(secretsIn(value)...)
		}
	}
	return b.String() + s.prelude(info)
}

// prelude is what the commands of a script need before them.
func (s *shell) prelude(info RunInfo) string {
	var b strings.Builder
	b.WriteString("set -eu\numask 022\nPATH=" + searchPath + "\nexport PATH\n")
	for _, name := range s.secrets {
		fmt.Fprintf(&b, ": \"${%s:?set it to the secret %s}\"\n", variable(name), plainName(name))
	}
	for _, dir := range s.dirs {
		of := map[string]string{runbookDir: "the runbook", siteDir: "the site's own file"}[dir]
		b.WriteString(": \"${" + dir + ":?set it to the directory of " + of + "}\"\n")
	}
	if user := s.account(""); info.User.Name != "" {
		otherwise := shellWord("this is to be run by " + info.User.Name)
		fmt.Fprintf(&b, "[ \"$(id -un)\" = %s ] || { echo %s >&2; exit 1; }\n", user, otherwise)
	}
	for _, f := range shellFunctions() {
		if slices.Contains(s.needs, f.name) {
			b.WriteString("\n" + f.text)
		}
	}
	return b.String()
}

func others(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" There are %d more such places.", n)
}

func (s *shell) begin(e Event) {
	switch e.State {
	case Begin:
		s.step = e.Step
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

// use notes secrets that the script needs: it stops where one is not set.
func (s *shell) use(secrets ...string) {
	for _, name := range secrets {
		known := func(o string) bool { return variable(o) == variable(name) }
		if !slices.ContainsFunc(s.secrets, known) {
			s.secrets = append(s.secrets, name)
		}
	}
}

// call adds a line that begins with one of the script's own functions.
func (s *shell) call(function, rest string) {
	for _, f := range shellFunctions() {
		if f.name == function {
			s.needs = append(append(s.needs, function), f.needs...)
		}
	}
	s.print(function + " " + rest + "\n")
}

// cannot stops the script where the trace does not hold what is to be done.
func (s *shell) cannot(format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	s.lacks = append(s.lacks, fmt.Sprintf("in step %s: %s", s.step, why))
	s.print("echo " + shellWord(Quote("this script cannot go on: "+why)) + " >&2\nexit 1\n")
}

func (s *shell) command(argv ...string) { s.print(shellWords(argv) + "\n") }

// comment writes one comment line, whatever text it is given.
func (s *shell) comment(format string, args ...any) {
	s.print("# " + Quote(fmt.Sprintf(format, args...)) + "\n")
}

func (s *shell) print(text string) { s.body.WriteString(text) }

// contentOf returns an effect of the op under way, and the content of the file that it
// writes or of its standard input, if the trace has it.
func (s *shell) contentOf(e Event) (Event, string, bool) {
	content, known := detailText(e.Detail, "text"), false
	if _, known = e.Detail["text"]; !known {
		content, known = contentOf(s.op.Changes, cmp.Or(detailText(e.Detail, "sha256"), e.Stdin))
	}
	e, content = s.literals.in(e, content)
	return e, content, known
}

// contentOf returns the new text among changes that has the digest; an empty text has
// no change.
func contentOf(changes []host.Change, sum string) (string, bool) {
	for _, text := range append([]host.Change{{}}, changes...) {
		if have := sha256.Sum256([]byte(text.To)); hex.EncodeToString(have[:]) == sum {
			return text.To, true
		}
	}
	return "", false
}

// searchPath is where runbook looks for programs.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A shellFunction is one that a script has where it calls it.
type shellFunction struct {
	name, text string
	needs      []string
}

func shellFunctions() []shellFunction {
	return []shellFunction{
		{"as", `# as ACCOUNT [-C DIRECTORY] [NAME=VALUE]... COMMAND: in its home, with little in its environment, without input.
as() { given "$@" </dev/null; }
`, []string{"given"}},
		{"given", `# given ACCOUNT ...: the same, with the input that it is given.
given() {
    account=$1; shift
    home=$(getent passwd "$account" | cut -d: -f6) shell=$(getent passwd "$account" | cut -d: -f7)
    directory=/; [ ! -d "$home" ] || directory=$home
    if [ "$1" = -C ]; then directory=$2; shift 2; fi
    set -- env -i PATH="$PATH" HOME="${home:-/}" USER="$account" LOGNAME="$account" SHELL="${shell:-/bin/sh}" LANG=C.UTF-8 \
        ${http_proxy+"http_proxy=$http_proxy"} ${https_proxy+"https_proxy=$https_proxy"} ${no_proxy+"no_proxy=$no_proxy"} \
        ${HTTP_PROXY+"HTTP_PROXY=$HTTP_PROXY"} ${HTTPS_PROXY+"HTTPS_PROXY=$HTTPS_PROXY"} ${NO_PROXY+"NO_PROXY=$NO_PROXY"} "$@"
    [ "$account" = "$(id -un)" ] || set -- runuser -u "$account" -- "$@"
    (cd -- "$directory" && exec "$@")
}
`, nil},
		{"already", `# already PATTERN COMMAND: a failure that prints PATTERN is none.
already() {
    pattern=$1; shift
    if printed=$("$@" 2>&1); then return; fi
    printf '%s\n' "$printed" >&2
    printf '%s\n' "$printed" | grep -Eq -e "$pattern"
}
`, nil},
		{"opens", `# opens PORT: wait until something listens there.
opens() {
    tries=0
    until grep -q ":$(printf %04X "$1") [0-9A-F]*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || { echo "nothing listens on port $1" >&2; exit 1; }
        sleep 0.1
    done
}
`, nil},
		{"place", `# place MODE PATH: an empty new file, also where there is one, whose owner it gets; other names of that one keep it.
place() {
    [ -d "${2%/*}/" ] || (umask 077; mkdir -p -- "${2%/*}") # of what runbook keeps for itself
    if [ -f "$2" ] && [ ! -h "$2" ]; then
        install -m "$1" -o "$(stat -c %u -- "$2")" -g "$(stat -c %g -- "$2")" -- /dev/null "$2"
    else
        install -m "$1" -- /dev/null "$2"
    fi
}
`, nil},
		{"mirror", `# mirror [FLAG]...: what the runbook mirrors that it is given.
mirror() {
    command -v runbook >/dev/null || { echo "channels are mirrored by runbook, which is not in $PATH" >&2; exit 1; }
    scratch=$(mktemp -d)
    cat >"$scratch/mirror.star"
    runbook run "$scratch/mirror.star" --quiet --state "$scratch/state" "$@" </dev/null
    rm -rf -- "$scratch"
}
`, nil},
	}
}
