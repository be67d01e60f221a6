// Package trace carries what a run did, one event at a time, to those who want to know.
//
// An [Event] is one fact about a run; a [Sink] receives events in order. Two
// things to know: effects are told before they happen, and a sink that refuses
// one stops it; and the JSON form of events is the format of trace files, in
// which each line holds the hash of the line before it and the last one seals
// the file.
//
// The runtime emits; cmd chooses the sinks and puts those that refuse first:
// [Guard], [Follow], then [File], then [Terminal] or [Shell]. What was written
// is read by [ReadAll], [Verify], [Diff] and [Show], which know no host.
package trace

import (
	"errors"
	"time"

	"runbook/runtime/host"
)

// An Event is one fact about a run. Which fields matter depends on Kind.
type Event struct {
	Seq  int    // 1, 2, ...; given by the sink that writes the file
	Prev string // hex SHA-256 of the line before
	Kind Kind
	Time time.Time

	Run *RunInfo // of Run

	Step  string // name of the step; of all but Run and End
	Title string // of Step
	Text  string // of Step: its manual text; of Log: what is said
	State string // of Step: begin, end or skipped
	Why   string // of Step: why it was skipped

	Op      string // of Op and Result: the builtin
	Target  string
	Pos     string // of Op: "file.star:line:col"
	User    string // of Op and Effect: the account that acts
	Args    map[string]any
	Changes []host.Change

	Call     string   // of Effect: exec, mkdir, write, symlink, meta, move, remove or tree
	Argv     []string // of Effect and Probe
	Path     string
	Stdin    string // of Effect: hex SHA-256 of the redacted text
	Sets     map[string]string
	Detail   map[string]any
	Volatile []string // names of fields, or of keys of Detail, that two runs need not share

	URL  string // of Probe: redacted
	Code int    // of Probe: exit status, or HTTP status

	Outcome  Outcome // of Result and End
	Assumed  []string
	Observed map[string]any
	Error    string
	Hint     string
	Elapsed  time.Duration

	Counts Counts // of End
}

// RunInfo is what a trace says first.
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
}

// A Source is a file that the runbook was read from.
type Source struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Origin string `json:"origin"` // shipped, edited or local
}

// A Var is a value that a runbook was given; secrets have none.
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

// Machine is where it ran.
type Machine struct {
	Hostname string `json:"hostname"`
	OS       string `json:"os"`
	Kernel   string `json:"kernel"`
	Machine  string `json:"machine"`
	Boot     string `json:"boot"`
}

// Person is who ran it.
type Person struct {
	Name     string `json:"name"`
	SudoUser string `json:"sudo_user"`
}

// Counts are how many ops had which outcome; Skipped also counts the steps left out.
type Counts struct{ Same, Changed, Failed, Skipped int }

type (
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
	Probe  Kind = "probe"  // something only read
	Result Kind = "result"
	End    Kind = "end"
	Log    Kind = "log" // text that the runbook's author wants to be seen

	Same        Outcome = "same"
	Changed     Outcome = "changed"
	Failed      Outcome = "failed"
	Skipped     Outcome = "skipped"
	Done        Outcome = "done"
	Interrupted Outcome = "interrupted"

	Begin   = "begin"
	Ended   = "end"
	LeftOut = "skipped"

	DryRun    = "dry-run"   // a mode
	RealRun   = "real"      // a mode
	Rehearsal = "rehearsal" // a mode
)

// version is the version of the format that is written. Fields are added
// without a new one; readers ignore those they do not know.
const version = 1

// A Sink receives events in order, from one goroutine. What it refuses is not done.
type Sink interface {
	Emit(Event) error
}

// Tee sends each event to the sinks in turn and stops at the first that refuses:
// a trace must not tell of an effect that a sink before it has stopped.
type Tee []Sink

// Emit sends e to all sinks.
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

// ErrDeviates is what a Follow refuses with.
var ErrDeviates = errors.New("differs from the approved trace")
