// Package trace defines the events of a run, the sinks that they are emitted to,
// and what can be computed from a trace.
//
// Two things to know. An effect is emitted before it happens, and a [Sink] that
// refuses it stops it. And the JSON form of events is the format of trace files:
// each line holds the hash of the line before it, and the last one seals the file.
//
// The runtime emits; cmd chooses the sinks and puts those that refuse first:
// [NewGuard], [NewFollow], then [NewFile], then [NewTerminal] or [NewShell]. A
// trace is read by [ReadAll], [Verify], [Diff] and [Show], which use no host.
package trace

import (
	"errors"
	"time"

	"runbook/runtime/host"
)

// An Event is one thing that happened in a run, or is about to. Kind says which
// fields it has.
type Event struct {
	Seq  int    // 1, 2, ...; given by the sink that writes the file
	Prev string // hex SHA-256 of the line before
	Kind Kind
	Time time.Time

	Run *RunInfo // of Run

	Step  string // name of the step; of all but Run and End
	Title string // of Step
	Text  string // of Step: its manual text; of Log: the line for people
	State string // of Step: begin, end or skipped
	Site  string // of Step: what the site's own file has done with it

	Controls []string // of Step: what it is evidence for, such as CM-3 of NIST SP 800-53

	Why string // of Step: why it was skipped; of Probe: why it could do more than read

	Op      string // of Op and Result: the builtin; in memory also of Effect
	Target  string
	Pos     string // of Op: "file.star:line:col"
	User    string // of Op and Effect: the account that acts
	Args    map[string]any
	Read    []Answer // of Op and Step: what the script has read since the one before
	Changes []host.Change
	Whole   []string // of Op: hex SHA-256 of each new text of which Changes has only head and tail

	Call   string   // of Effect: exec, mkdir, write, symlink, meta, move, remove or tree
	Inputs []Input  // of Effect
	Argv   []string // of Effect and Probe
	Path   string
	Stdin  string // of Effect and Probe: hex SHA-256 of the redacted text
	Sets   map[string]string
	Detail map[string]any
	// Before of Effect is the hex SHA-256 of what was kept of what it changes, for undo; "" if nothing was.
	Before string
	// Fidelity of Effect says how well it is known what it does.
	Fidelity Fidelity

	URL   string // of Probe: redacted
	Code  int    // of Probe: exit status, or HTTP status
	Asker string // of Probe: query, unless or wait_for where the runbook asks, "" where a builtin does

	Outcome  Outcome // of Result and End
	Assumed  []string
	Observed map[string]any
	Error    string
	Hint     string
	Elapsed  time.Duration

	Counts Counts // of End
}

// terms says what the run is made from and held to: which snapshot, which plan, whether its sources may be others, who
// has approved it, which policy, and what its commands are held to.
func (r *RunInfo) terms() (lines []string) {
	if s := r.Snapshot; s != nil {
		lines = append(lines, "planned elsewhere, from the snapshot of "+s.Time+", sha256 "+s.SHA256)
	}
	if r.Follows != "" {
		others := ""
		if r.Edited {
			others = ", with other sources than that was made from"
		}
		lines = append(lines, "follows the plan "+r.Follows+others)
	}
	for _, a := range r.Approvals {
		lines = append(lines, "approved by "+a.String())
	}
	for i, p := range r.Policy {
		if i == 0 { // what it loads comes after it
			lines = append(lines, "held to the policy "+p.Name+", sha256 "+p.SHA256)
		}
	}
	if s := r.Confining(); s != "" {
		lines = append(lines, s)
	}
	return lines
}

// ModeOf returns the mode of a run that is predicted, or is not.
func ModeOf(predicted bool) string {
	if predicted {
		return DryRun
	}
	return RealRun
}

// RunInfo describes a run; it is the first line of a trace.
type RunInfo struct {
	V        int    // version of the format; the writer sets it
	Mode     string // RealRun, DryRun or Rehearsal
	Runbook  string
	Sources  []Source
	Vars     []Var
	Binary   Binary
	Host     Machine
	User     Person
	Ticket   string
	Previous string // head of the last run on this host
	Follows  string // head of the approved trace, where there is one
	Undo     string // names what it keeps of the machine as it was; "" if it keeps nothing
	Edited   bool   // other sources than those of the approved trace were accepted

	Approvals []Approval // of the trace it follows, where they were wanted
	Policy    []Source   // the files of the policy that it was held to
	Confine   string     // ConfineOn or ConfineOffline, where its commands were to be confined
	Snapshot  *Snapshot  // of the machine, that the run was planned from; nil if it read the machine itself
}

// A Snapshot is a file of what a machine answered.
type Snapshot struct {
	SHA256 string `json:"sha256"`
	Time   string `json:"time"` // RFC 3339: when the machine was asked
}

// An Approval says who has signed that a run may follow a plan, and what that depends on.
type Approval struct {
	By     string `json:"by"`     // the names under which the key was accepted
	Key    string `json:"key"`    // SHA256:..., as ssh-keygen -l shows it
	Given  string `json:"given"`  // RFC 3339: when it was signed, as the approver's clock had it
	Until  string `json:"until"`  // RFC 3339
	Ticket string `json:"ticket"` // of the change, "" if it names none
}

// String returns a in words.
func (a Approval) String() string {
	return a.By + " with the key " + a.Key + ", until " + a.Until + prefixed(", ticket ", a.Ticket)
}

// An Answer is what a script has read of the machine, and may have decided by.
type Answer struct {
	By string `json:"by"` // the builtin that was asked: exists, host.memory, ...
	Of string `json:"of"` // what about: a path, a pattern, a port; "" if there is nothing to say
	Is string `json:"is"` // the answer; of a text that may be anybody's, its size and digest
}

// String returns a in words.
func (a Answer) String() string { return a.By + prefixed(" ", a.Of) + " is " + a.Is }

// An Input is a file of this machine that an effect reads and the run did not make,
// or a directory with what is read below it.
type Input struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`        // hex; "" where the effect verifies the file by MD5 alone
	MD5    string `json:"md5,omitempty"` // hex
	Of     string `json:"of,omitempty"`  // what SHA256 is the digest of, if not of the file's bytes
}

// A Source is a file that the runbook was read from.
type Source struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Origin string `json:"origin"` // shipped, edited or local
}

// A Var is the value that a var of the runbook has; secrets are not among them.
type Var struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
	From  string `json:"from"`
}

// Binary is the program that ran.
type Binary struct {
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Machine is the machine it ran on.
type Machine struct {
	Hostname string `json:"hostname"`
	OS       string `json:"os"`
	Kernel   string `json:"kernel"`
	Machine  string `json:"machine"`
	Boot     string `json:"boot"`
}

// Person is the account that ran it.
type Person struct {
	Name     string `json:"name"`
	SudoUser string `json:"sudo_user"`
}

// Counts says how many ops had each outcome; Skipped also counts steps left out.
type Counts struct{ Same, Changed, Failed, Skipped int }

type (
	// Fidelity says how well it is known what a change does.
	Fidelity string
	// Kind says what an event is about.
	Kind string
	// Outcome is how an op or a run ended.
	Outcome string
)

// The kinds of events and the outcomes of ops and runs.
const (
	Run    Kind = "run"
	Step   Kind = "step"
	Op     Kind = "op"
	Effect Kind = "effect" // about to happen
	Probe  Kind = "probe"  // a question to the machine or the network
	Result Kind = "result"
	End    Kind = "end"
	Log    Kind = "log" // a note of the runbook's author

	Same        Outcome = "same"
	Changed     Outcome = "changed"
	Failed      Outcome = "failed"
	Skipped     Outcome = "skipped"
	Done        Outcome = "done"
	Interrupted Outcome = "interrupted"

	Begin   = "begin"
	Ended   = "end"
	LeftOut = "skipped"

	Exact   Fidelity = "exact"   // what it says holds afterwards, and nothing else is changed
	Bounded Fidelity = "bounded" // a command may change more; where, is as the runbook or its builtin says
	Guessed Fidelity = "assumed" // it rests on a guess, or may change more in places that nobody can list

	DryRun    = "dry-run"   // a mode
	RealRun   = "real"      // a mode
	Rehearsal = "rehearsal" // a mode
)

// version is the version of the format. Fields are added without a new version;
// readers ignore keys that they do not know.
const version = 1

// A Sink receives events in order, from one goroutine. An effect that it refuses
// does not happen.
type Sink interface {
	Emit(Event) error
}

// Tee emits each event to its sinks in turn and stops at the first that refuses:
// a trace must not hold an effect that a sink before it has stopped.
type Tee []Sink

// Emit emits e to the sinks.
func (t Tee) Emit(e Event) error {
	for _, s := range t {
		if err := s.Emit(e); err != nil {
			return err
		}
	}
	return nil
}

// A List keeps events in memory.
type List struct{ Events []Event }

// Emit appends e.
func (l *List) Emit(e Event) error { l.Events = append(l.Events, e); return nil }

// ErrDeviates is what a sink of NewFollow refuses with.
var ErrDeviates = errors.New("differs from the approved trace")
