package trace

import "strings"

// A Dictation is a Sink that has each effect as a POSIX shell script of its own, for a person who does what a run would
// do. An effect that is in the script of one before has none.
type Dictation struct {
	shell  *shell
	script string
	text   string
}

// NewDictation returns a Dictation of a run that has not begun.
func NewDictation() *Dictation { return &Dictation{shell: newShell(nil)} }

// Emit notes what the script of the next effect needs, or the effect.
func (d *Dictation) Emit(e Event) error {
	s := d.shell
	switch e.Kind {
	case End:
		return nil // it would write
	case Effect:
		s.body.Reset()
		s.secrets, s.dirs, s.needs, s.lacks, s.pending = nil, nil, nil, nil, true
	}
	if err := s.Emit(e); err != nil || e.Kind != Effect {
		return err
	}
	d.text, d.script = "", ""
	comments, commands := cutComments(s.body.String())
	if commands == "" {
		return nil
	}
	info := RunInfo{}
	if s.run.Run != nil {
		info = *s.run.Run
	}
	d.text = s.literals.unmark(commands)
	d.script = s.literals.unmark("#!/bin/sh\n" + comments + s.prelude(info) + "\n" + commands)
	return nil
}

// Script returns the script of the last effect, and of that the commands which do it; both are "" if it is in the
// script of an effect before.
func (d *Dictation) Script() (script, commands string) { return d.script, d.text }

// Lacks returns what the script of the last effect cannot do, "" if nothing.
func (d *Dictation) Lacks() string { return strings.Join(d.shell.lacks, "; ") }

// cutComments cuts a script before the first line that is no comment.
func cutComments(script string) (comments, rest string) {
	for rest = script; strings.HasPrefix(rest, "#") || strings.HasPrefix(rest, "\n"); {
		line, after, _ := strings.Cut(rest, "\n")
		comments, rest = comments+line+"\n", after
	}
	return comments, rest
}
