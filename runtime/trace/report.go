package trace

import (
	"fmt"
	"slices"
	"strings"
)

// A Report is what a trace proves of itself.
type Report struct {
	Complete  bool      // it ends with an end event and a newline
	Events    int       // whole lines
	Seq       int       // of the last whole line that is an event
	Head      string    // hash of the last whole line: what a signature signs
	Run       *RunInfo  // nil if no line is a run event
	Outcome   Outcome   // of the run, if Complete
	Counts    Counts    // of the lines that were read
	Begun     []Event   // effects of an op without a result: the trace does not show whether they happened
	Proved    []string  // sentences
	NotProved []string  // sentences
	Broken    []Problem // at most a hundred
	Refuted   []string  // sentences: what a signature or a head kept elsewhere says against it
}

// A Problem is a line that is not as it was written.
type Problem struct {
	Line int // from 1
	Seq  int // what the line claims; 0 if it cannot be read
	What string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.What) }

// OK reports whether the trace is whole and unaltered as far as a trace alone
// proves it; see NotProved for what it does not prove.
func (r Report) OK() bool { return r.Complete && len(r.Broken) == 0 && len(r.Refuted) == 0 }

// Trouble says in a line why a trace is not to be relied on, "" if it is OK.
func (r Report) Trouble() string {
	switch {
	case len(r.Broken) > 0 || len(r.Refuted) > 0:
		return "broken: the trace is not as it was written"
	case !r.Complete:
		return fmt.Sprintf("incomplete: the trace stops after event %d, without an end", r.Seq)
	}
	return ""
}

// String returns the report for people, a sentence a line.
func (r Report) String() string {
	var b strings.Builder
	if r.OK() {
		fmt.Fprintf(&b, "whole: %d events, the run ended %s\n", r.Events, Quote(string(r.Outcome)))
	} else {
		fmt.Fprintln(&b, r.Trouble())
	}
	for _, p := range r.Broken {
		fmt.Fprintf(&b, "  broken      %s\n", Quote(p.String()))
	}
	for _, s := range r.Refuted {
		fmt.Fprintf(&b, "  broken      %s\n", Quote(s))
	}
	for _, e := range r.Begun {
		fmt.Fprintf(&b, "  begun       event %d has no result: %s\n", e.Seq, Quote(describe(e)))
	}
	for _, s := range r.Proved {
		fmt.Fprintf(&b, "  proved      %s\n", s)
	}
	for _, s := range r.NotProved {
		fmt.Fprintf(&b, "  not proved  %s\n", s)
	}
	fmt.Fprintf(&b, "  head        %s\n", r.Head)
	fmt.Fprintf(&b, "  in short    %s\n", Short(r.Head))
	return b.String()
}

// Short returns the beginning of a head, 80 bits in groups of four digits, for people who compare it over the phone. It
// takes 2^80 tries to make a trace whose head has the same.
func Short(head string) string {
	var groups []string
	for i := 0; i+4 <= min(len(head), shortHead); i += 4 {
		groups = append(groups, head[i:i+4])
	}
	return strings.Join(groups, "-")
}

// ParseHead reads a head as people write it, as a whole or in short, in groups or not, and reports whether it is one.
func ParseHead(text string) (digits string, ok bool) {
	digits = strings.ToLower(strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune("- :\t", r)
	}), ""))
	isHex := strings.Trim(digits, "0123456789abcdef") == ""
	return digits, isHex && (len(digits) == 64 || len(digits) == shortHead)
}

// shortHead is how many digits a head has in short.
const shortHead = 20

// conclude fills Proved and NotProved.
func (r *Report) conclude() {
	if len(r.Broken) == 0 && r.Events > 0 {
		r.prove("no line up to event %d was changed, removed, added or moved without writing all after it anew", r.Seq)
		r.prove("the recorded results match the ops: %s", r.Counts)
	}
	if r.OK() {
		r.prove("the end event was written last and counts the same; nothing is missing at the end")
	}
	if !r.Complete {
		r.doubt("what happened after event %d: the run was cut off, or lines were", r.Seq)
	}
	r.doubt(unwitnessed)
	r.doubt("that clock times are right: order is proved by numbers and hashes only")
	if r.Run != nil && len(r.Run.Approvals) > 0 {
		r.doubt("that the plan had the approvals that the run names: verify the plan %s, beside which they are",
			Short(r.Run.Follows))
	}
	if r.Run != nil && r.Run.Previous != "" {
		r.doubt("that the run before on this host had the head %s: compare it with that trace", Quote(r.Run.Previous))
	}
}

// unwitnessed is what every trace leaves open by itself.
const unwitnessed = "who wrote it: whoever may write the file can write all of it anew; " +
	"only a signature or a copy of the head kept elsewhere shows that"

// Witness adds what somebody else than the trace says of its head: that it is the head that was written then.
func (r *Report) Witness(proof string) {
	r.NotProved = slices.DeleteFunc(r.NotProved, func(s string) bool { return s == unwitnessed })
	r.Proved = append(r.Proved, proof)
}

// Contradict adds that somebody else says that the head was another.
func (r *Report) Contradict(problem string) { r.Refuted = append(r.Refuted, problem) }

func (r *Report) prove(format string, args ...any) {
	r.Proved = append(r.Proved, fmt.Sprintf(format, args...))
}

func (r *Report) doubt(format string, args ...any) {
	r.NotProved = append(r.NotProved, fmt.Sprintf(format, args...))
}

// String returns c in words.
func (c Counts) String() string {
	return fmt.Sprintf("%d same, %d changed, %d failed, %d skipped", c.Same, c.Changed, c.Failed, c.Skipped)
}
