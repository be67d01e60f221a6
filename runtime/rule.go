package runtime

import (
	"errors"
	"slices"
)

// A Rule is a kind of mistakes. Its ID is never given another meaning: comments in files
// and settings of other programs name it.
type Rule struct {
	ID       string
	Severity Severity
	Summary  string // one sentence for people
}

// Rules returns the rules by which Diagnose judges.
func Rules() []Rule { return slices.Clone(rules) }

var rules = []Rule{
	{"unreadable", Wrong, "The file cannot be read."},
	{"syntax", Wrong, "The text is not Starlark."},
	{"hidden-name", Wrong, "A name has characters that do not show."},
	{"unknown-name", Wrong, "A name is not defined."},
	{"redefined-builtin", Wrong, "A name is that of a builtin."},
	{"bound-twice", Wrong, "A name at the top of a file is bound twice."},
	{"unset-name", Wrong, "A function changes a name that it never sets."},
	{"unknown-argument", Wrong, "A call names an argument that what it calls does not have."},
	{"missing-argument", Wrong, "A call lacks an argument."},
	{"surplus-argument", Wrong, "A call has more arguments than what it calls takes."},
	{"repeated-argument", Wrong, "A call gives an argument twice."},
	{"wrong-value", Wrong, "An argument has a value that is not taken."},
	{"missing-file", Wrong, "A file that here() names is not beside the runbook, or cannot be read."},
	{"computed-file", Wrong, "A step computes the name of a file beside the runbook."},
	{"unknown-member", Wrong, "A value does not have what stands after the dot."},
	{"no-function", Wrong, "A value that is no function is called."},
	{"mixed-types", Wrong, "An operator stands between values that do not go together."},
	{"dict-pairs", Wrong, "A loop takes the keys of a dict for pairs."},
	{"not-iterable", Wrong, "A loop goes over a text or a number."},
	{"repeated-key", Wrong, "A dict has a key twice."},
	{"vital-directory", Wrong, "What the system needs is removed, moved or given away."},
	{"recursion", Wrong, "A function calls itself."},
	{"frozen-value", Wrong, "A step changes a value of the file."},
	{"result-as-value", Wrong, "The result of a builtin is used as a condition or a value."},
	{"always-true", Wrong, "A text stands where a truth is meant."},
	{"too-early", Wrong, "What belongs into a step is called while the file loads."},
	{"too-late", Wrong, "What belongs to the top of a file is called in a step."},
	{"no-step", Wrong, "A runbook declares no step."},
	{"declared-twice", Wrong, "A var, secret or step is declared twice."},
	{"unused-load", Wrong, "A name is loaded and never used."},
	{"unused-var", Wrong, "A var or secret is never used."},
	{"unused-function", Wrong, "A function is no step, and nothing calls it."},
	{"load-file", Wrong, "A file that is loaded is not there, or must not be loaded."},
	{"unknown-step", Wrong, "The site's file names a step that the runbook does not have."},
	{"unknown-var", Wrong, "The site's file names a var that the runbook does not have."},
	{"secret-compared", Wrong, "A secret is compared, measured or cut."},
	{"secret-shown", Wrong, "A secret is where everybody would see it."},
	{"loading", Wrong, "The file fails while it is loaded."},

	{"run-every-time", Doubtful, "A command does not say when it is done, so it runs every time."},
	{"secret-in-argv", Doubtful, "A secret is a word of a command, which all accounts can see."},
	{"secret-readable", Doubtful, "A file that holds a secret can be read by everybody."},
	{"shell-word", Doubtful, "A word of a command is one that only a shell would replace."},
	{"no-question", Doubtful, "What confirm asks is no question."},
	{"unused-step", Doubtful, "A function that replaces a step gets what it replaces and does not call it."},
	{"unused-variable", Doubtful, "A function sets a name and never uses it."},
	{"unreachable", Doubtful, "A statement is never reached."},
	{"no-effect", Doubtful, "A statement does nothing."},
	{"mixed-return", Doubtful, "A function returns a value on some ways only."},
	{"confusing-name", Doubtful, "A name looks like a digit."},
}

// ruleNamed returns the rule with an ID.
func ruleNamed(id string) (Rule, bool) {
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
	if i < 0 {
		return Rule{}, false
	}
	return rules[i], true
}

// ruled returns err with the rule that it is about.
func ruled(rule string, err error) error {
	e := &Error{Err: err}
	if hinted, ok := err.(*Error); ok {
		same := *hinted
		e = &same
	}
	e.rule = rule
	return e
}

// ruleIn returns the rule that err, or an error in it, is about, else otherwise.
func ruleIn(err error, otherwise string) string {
	for e := (*Error)(nil); errors.As(err, &e); err = e.Err {
		if e.rule != "" {
			return e.rule
		}
	}
	return otherwise
}
