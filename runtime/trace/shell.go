package trace

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// Shell is a Sink that writes the effects as the POSIX shell script that would
// have them. It is for reading and for taking pieces from: trees and contents
// that the trace does not hold are comments. A secret is a variable that the
// script refuses to run without.
type Shell struct {
	w        io.Writer
	known    []string        // secrets that are used later
	declared map[string]bool // secrets
	user     string          // who runs
	op       Event           // under way
	due      bool            // op has no comment yet
	err      error
}

// NewShell returns a Shell that writes to w.
func NewShell(w io.Writer) *Shell { return &Shell{w: w, declared: map[string]bool{}} }

// Emit writes what e does, with a comment for what is not an effect.
func (s *Shell) Emit(e Event) error {
	switch e.Kind {
	case Run:
		s.header(e)
	case Step:
		s.step(e)
	case Op:
		s.op, s.due = e, true
	case Effect:
		s.told()
		s.declare(secretsOf(e))
		s.effect(e)
	case Result:
		if e.Outcome == Failed {
			s.told()
			s.comment("failed: %s", e.Error)
		}
	case End:
		s.print("\n")
		s.comment("%s: %s", e.Outcome, e.Counts)
	}
	return s.err
}

func (s *Shell) print(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.w, text)
	}
}

// comment writes a line that no text can leave.
func (s *Shell) comment(format string, args ...any) {
	s.print("# " + Quote(fmt.Sprintf(format, args...)) + "\n")
}

func (s *Shell) command(argv ...string) { s.print(shellWords(argv) + "\n") }

// told puts the comment of an op before the first thing it does.
func (s *Shell) told() {
	if s.due {
		s.comment("%s", strings.TrimSpace(s.op.Op+" "+s.op.Target+inBrackets(s.op.Pos)))
	}
	s.due = false
}

func (s *Shell) header(e Event) {
	s.print("#!/bin/sh\n")
	info := RunInfo{}
	if e.Run != nil {
		info = *e.Run
	}
	s.comment("%s on %s, mode %s, %s", info.Runbook, info.Host.Hostname, info.Mode, e.Time.UTC().Format("2006-01-02 15:04:05 UTC"))
	if info.Mode == DryRun {
		s.comment("what a run would do; nothing of this was done")
	}
	s.print("set -eu\n")
	s.user = info.User.Name
	for _, v := range info.Vars {
		if text, ok := v.Value.(string); ok {
			s.declare(secretsIn(text))
		}
	}
	s.declare(s.known)
}

// declare makes the script stop where a secret is not set.
func (s *Shell) declare(secrets []string) {
	for _, name := range secrets {
		if v := variable(name); !s.declared[v] {
			s.declared[v] = true
			s.print(fmt.Sprintf(": \"${%s:?set it to the secret %s}\"\n", v, plainName(name)))
		}
	}
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

func (s *Shell) step(e Event) {
	switch e.State {
	case Begin:
		s.print("\n")
		s.comment("== %s%s", e.Step, strings.TrimRight("  "+e.Title, " "))
	case LeftOut:
		s.print("\n")
		s.comment("== %s, skipped: %s", e.Step, e.Why)
	}
}

func (s *Shell) effect(e Event) {
	d := e.Detail
	switch e.Call {
	case "exec":
		s.exec(e)
	case "mkdir":
		s.command(append(append([]string{"install", "-d"}, metaFlags(d)...), "--", e.Path)...)
	case "write":
		s.write(e)
	case "symlink":
		s.command("ln", "-s", "--", detail(d, "target"), e.Path)
		s.chown(e, "-h")
	case "meta":
		s.meta(e)
	case "move":
		s.command("mv", "--", cmp.Or(detail(d, "from"), e.Path), cmp.Or(detail(d, "to"), e.Path))
	case "remove":
		s.command("rm", "-rf", "--", e.Path)
	case "tree":
		s.comment("tree %s: %s files, %s bytes, digest %s", e.Path, detail(d, "files"), detail(d, "bytes"), detail(d, "digest"))
	default:
		s.comment("%s", describe(e))
	}
}

func (s *Shell) meta(e Event) {
	if detail(e.Detail, "files") != "" {
		s.chown(e, "-hR")
		return
	}
	if mode := detail(e.Detail, "mode"); mode != "" {
		s.command("chmod", mode, "--", e.Path)
	}
	s.chown(e)
}

func (s *Shell) chown(e Event, flags ...string) {
	owner := detail(e.Detail, "owner")
	if group := detail(e.Detail, "group"); group != "" {
		owner += ":" + group
	}
	if owner != "" {
		s.command(append(append([]string{"chown"}, flags...), "--", owner, e.Path)...)
	}
}

// write makes the file with its mode and owner before anything is in it.
func (s *Shell) write(e Event) {
	sum := detail(e.Detail, "sha256")
	content, ok := contentOf(s.op.Changes, sum)
	s.comment("write %s (sha256 %s, mode %s)", e.Path, cmp.Or(sum, "not known"), detail(e.Detail, "mode"))
	if !ok {
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

// contentOf returns the new text among changes that has the digest.
func contentOf(changes []host.Change, sum string) (string, bool) {
	for _, c := range changes {
		if have := sha256.Sum256([]byte(c.To)); hex.EncodeToString(have[:]) == sum {
			return c.To, true
		}
	}
	return "", false
}
