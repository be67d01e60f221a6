package review

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"runbook/runtime/trace"
)

// What stands before the steps of a page, and behind them.

type headView struct {
	Title, Verdict, Tone      string
	Style                     template.CSS
	Banners                   []bannerView
	Facts                     []factView
	Counts                    []countView
	Failed                    []Note
	FailedMore                int
	Relevant                  []relevantView
	DigestOf, Head, Short     string
	Approvals                 []trace.Approval
	SignTitle                 string
	Signers                   []string
	Contents                  []linkView
	Classes                   []notesView
	Assumed, Unknown, Persons notesView
	Beside                    any
}

type (
	bannerView struct{ Tone, Strong, Text string }
	factView   struct{ Name, Value string }
	countView  struct {
		N          int
		What, Tone string
	}
	linkView     struct{ ID, Title string }
	relevantView struct {
		ID, Title string
		First     string // to be looked at
		N, Warn   int
	}
	notesView struct {
		ID, Title, None string
		Notes           []Note
		More            int
	}
)

func (r *Report) head() headView {
	what := map[string]string{trace.DryRun: "Plan", trace.Rehearsal: "Rehearsal"}[r.Run.Mode]
	h := headView{
		Title:     cmp.Or(what, "Run") + ": " + trace.Quote(r.Run.Runbook+prefixed(" on ", r.Run.Host.Hostname)),
		Style:     template.CSS(pageStyle),
		Facts:     r.facts(),
		Counts:    r.counts(),
		Failed:    shownNotes(r.Failed.Notes)[:min(len(r.Failed.Notes), 10)],
		Head:      r.Verified.Head,
		Short:     trace.Short(r.Verified.Head),
		DigestOf:  cmp.Or(what, "Run") + " digest",
		SignTitle: map[bool]string{true: "Decision of the change board", false: "Review"}[r.Dry()],
		Signers:   map[bool][]string{true: {"Author", "Approver", "Approver"}, false: {"Operator", "Reviewer"}}[r.Dry()],
	}
	h.FailedMore = r.Failed.Len() - len(h.Failed)
	h.Verdict, h.Tone = r.verdict()
	h.Banners = r.banners()
	for _, a := range r.Run.Approvals {
		for _, s := range []*string{&a.By, &a.Key, &a.Given, &a.Until, &a.Ticket} {
			*s = trace.Quote(*s)
		}
		h.Approvals = append(h.Approvals, a)
	}
	for i, c := range Classes() {
		notes := r.Findings[i]
		if len(notes) == 0 {
			continue
		}
		v := notesView{ID: c.ID, Title: c.Title, Notes: shownNotes(notes), More: r.more[i]}
		rel := relevantView{ID: c.ID, Title: c.Title, N: len(notes) + r.more[i]}
		for _, n := range notes {
			if n.Warn {
				rel.Warn++
				rel.First = cmp.Or(rel.First, shortened(n.Text))
			}
		}
		h.Classes, h.Relevant = append(h.Classes, v), append(h.Relevant, rel)
	}
	h.Assumed = notesView{Notes: shownNotes(r.Assumed.Notes), More: r.Assumed.More, None: "Nothing is assumed."}
	h.Unknown = notesView{Notes: shownNotes(r.Unknown.Notes), More: r.Unknown.More, None: "Nothing is left unknown."}
	h.Persons = notesView{Notes: shownNotes(r.Persons.Notes), More: r.Persons.More}
	if c := r.beside; c != nil {
		h.Title = "Plan against run: " + trace.Quote(r.Run.Runbook+prefixed(" on ", r.Run.Host.Hostname))
		h.Beside = map[string]any{"Head": c.Head, "Trouble": trace.Quote(c.Trouble), "Equal": c.Equal, "Rows": c.Rows, "Rest": c.rest(),
			"Verdict": quoted(strings.Split(c.Verdict, "\n"))}
		banner := bannerView{"bad", "The run differs from the plan.", quoted(strings.Split(c.Verdict, "\n"))[0]}
		if c.Equal && c.Trouble == "" && r.Trouble == "" {
			banner = bannerView{"good", "The run did what was planned.", trace.Quote(c.Verdict)}
		}
		h.Banners = append(h.Banners, banner)
	}
	h.Contents = r.contents(len(h.Persons.Notes) > 0)
	return h
}

// shortened returns the beginning of a text that stands as a whole further below.
func shortened(text string) string {
	const most = 72
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// shownNotes returns notes of which everything is fit to be shown.
func shownNotes(notes []Note) []Note {
	notes = slices.Clone(notes)
	for i := range notes {
		notes[i].Step, notes[i].Pos = trace.Quote(notes[i].Step), trace.Quote(notes[i].Pos)
	}
	return notes
}

// mostContents is how many steps the contents name.
const mostContents = 200

func (r *Report) contents(persons bool) (all []linkView) {
	if r.beside != nil {
		all = append(all, linkView{"beside", "Plan against run"})
	}
	all = append(all, linkView{"security", "Security-relevant changes"}, linkView{"assumed", "Assumed and unknown"})
	if persons {
		all = append(all, linkView{"persons", "What people do"})
	}
	all = append(all, linkView{"steps", "Steps"})
	for i, s := range r.Steps {
		if i < mostContents {
			all = append(all, linkView{fmt.Sprintf("e%d", s.Seq), trace.Quote(s.Name + prefixed(": ", s.Title))})
		}
	}
	return append(all, linkView{"inputs", "What it was made from"}, linkView{"proof", "What the trace proves"})
}

func (r *Report) verdict() (word, tone string) {
	switch {
	case len(r.Verified.Broken) > 0:
		return "not to be relied on", "bad"
	case r.End == nil:
		return "cut off", "bad"
	case r.End.Outcome != trace.Done:
		return trace.Quote(string(r.End.Outcome)), "bad"
	case r.Dry():
		return "dry run done", "good"
	}
	return "done", "good"
}

func (r *Report) banners() (all []bannerView) {
	if r.Trouble != "" {
		why := trace.Quote(r.Trouble) + ". See: runbook audit verify TRACE"
		all = append(all, bannerView{"bad", "Do not rely on this report.", why})
	}
	switch r.Run.Mode {
	case trace.DryRun:
		all = append(all, bannerView{"", "Nothing was changed.", "This is what a run would do, as a dry run foresees it."})
	case trace.Rehearsal:
		all = append(all, bannerView{"", "What was changed was discarded.", "This ran in a throw-away view of the machine."})
	}
	if r.Run.Edited {
		all = append(all, bannerView{"look", "Other sources than the plan's were accepted.", ""})
	}
	return all
}

func (r *Report) facts() (all []factView) {
	run := r.Run
	add := func(name, value string) {
		if value != "" {
			all = append(all, factView{name, trace.Quote(value)})
		}
	}
	add("Runbook", run.Runbook)
	add("Host", run.Host.Hostname)
	add("System", strings.TrimSpace(run.Host.OS+prefixed(", Linux ", run.Host.Kernel)+prefixed(", ", run.Host.Machine)))
	add("Run by", run.User.Name+prefixed(", through sudo by ", run.User.SudoUser))
	add("Ticket", cmp.Or(run.Ticket, "none"))
	add("Began", stamp(r.Began))
	if r.End != nil {
		add("Ended", stamp(r.End.Time)+", after "+r.Took().Round(100*time.Millisecond).String())
	}
	add("Outcome", r.Outcome())
	add("Follows the plan", run.Follows)
	add("Confined", run.Confining())
	for _, p := range run.Policy {
		add("Held to the policy", p.Name+", sha256 "+p.SHA256)
	}
	add("Run before on this host", run.Previous)
	add("Program", "runbook "+run.Binary.Version+prefixed(", sha256 ", run.Binary.SHA256))
	var as []string
	for _, name := range slices.Sorted(maps.Keys(r.Commands)) {
		as = append(as, fmt.Sprintf("%s as %s", plural(r.Commands[name], "command"), cmp.Or(name, "who runs it")))
	}
	add("Privilege", strings.Join(as, ", "))
	var known []string
	for _, f := range []trace.Fidelity{trace.Exact, trace.Bounded, trace.Guessed} {
		if r.Ops[f] > 0 {
			known = append(known, fmt.Sprintf("%d %s", r.Ops[f], f))
		}
	}
	add("Fidelity of changes", strings.Join(known, ", "))
	return all
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func (r *Report) counts() (all []countView) {
	c := r.Verified.Counts
	add := func(n int, what, tone string, always bool) {
		if n > 0 || always {
			all = append(all, countView{n, what, tone})
		}
	}
	add(c.Changed, map[bool]string{true: "would change", false: "changed"}[r.Dry()], "look", true)
	add(c.Same-r.Met, "already as wanted", "", c.Same > r.Met)
	add(r.Met, "requirements met", "good", false)
	add(r.Unmet, "requirements not met", "bad", false)
	add(c.Failed-r.Unmet, "failed", map[bool]string{true: "bad", false: "dim"}[c.Failed > r.Unmet], true)
	add(c.Skipped, "left out", "dim", false)
	add(r.Assumed.Len(), "assumed", "look", false)
	add(r.Unknown.Len(), "unknown", "look", false)
	return all
}

func (r *Report) foot() map[string]any {
	var vars []trace.Var
	for _, v := range r.Run.Vars {
		vars = append(vars, trace.Var{Name: trace.Quote(v.Name), Value: valueText(v.Value), From: trace.Quote(v.From)})
	}
	var sources []trace.Source
	for _, s := range r.Run.Sources {
		for _, text := range []*string{&s.Name, &s.SHA256, &s.Origin} {
			*text = trace.Quote(*text)
		}
		sources = append(sources, s)
	}
	var broken, failure []string
	for _, p := range r.Verified.Broken {
		broken = append(broken, trace.Quote(p.String()))
	}
	if r.End != nil {
		failure = append(lines(r.End.Error), lines(prefixed("hint: ", r.End.Hint))...)
	}
	return map[string]any{"Vars": vars, "Sources": sources, "Broken": broken, "Error": failure,
		"Proved": quoted(r.Verified.Proved), "NotProved": quoted(r.Verified.NotProved)}
}

func quoted(texts []string) (all []string) {
	for _, t := range texts {
		all = append(all, trace.Quote(t))
	}
	return all
}

// valueText is the value of a var as people read it.
func valueText(v any) string {
	if s, ok := v.(string); ok {
		return trace.Quote(s)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return trace.Quote(fmt.Sprint(v))
	}
	return trace.Quote(string(b))
}
