package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// policyAt loads a policy. It decides what root does, so that only its reader's own or root's is taken; so are the
// files that it loads, which do nothing by being loaded.
func (p *program) policyAt(file string) (*runtime.Policy, error) {
	real, err := filepath.EvalSymlinks(file)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, mistake("", "policy: %w", err)
	}
	if err := ownPolicy(file, real); err != nil {
		return nil, err
	}
	lib, err := p.libraryAt(filepath.Dir(real), filepath.Base(real))
	if err != nil {
		return nil, err
	}
	defer lib.close()
	policy, err := p.rt.LoadPolicy(lib.Library, lib.name)
	if err != nil {
		return nil, err
	}
	for _, source := range policy.Sources {
		if source.Origin == "shipped" {
			continue
		}
		loaded, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(real), source.Name))
		if err != nil {
			return nil, mistake("", "policy: %w", err)
		}
		if err := ownPolicy(file, loaded); err != nil {
			return nil, err
		}
	}
	return policy, nil
}

// ownPolicy refuses a file of a policy that others could have written or replaced.
func ownPolicy(policy, file string) error {
	for _, name := range []string{file, filepath.Dir(file)} {
		if err := trusted(name); err != nil {
			return mistake("it decides what may be done: see who could have written it, then chown and chmod go-w",
				"policy %s: %w", policy, err)
		}
	}
	return nil
}

// A policing asks a policy before ops and effects happen, and counts what needs an approval.
type policing struct {
	policy   *runtime.Policy
	approved bool // the run follows a plan that was approved
	dry      bool // what needs an approval is told, so that somebody can give it
	wants    []string
}

// only is the sink of events of one kind. An op is judged when the trace has it, an effect before: the trace has what
// was about to be done and refused, and no effect that did not happen.
func (p *policing) only(kind trace.Kind) trace.Sink {
	return sinkFunc(func(e trace.Event) error {
		if e.Kind != kind {
			return nil
		}
		return p.judge(e)
	})
}

type sinkFunc func(trace.Event) error

// Emit is trace.Sink's.
func (f sinkFunc) Emit(e trace.Event) error { return f(e) }

func (p *policing) judge(e trace.Event) error {
	v := p.policy.Judge(e)
	switch {
	case v.Denied:
		return runtime.Hint(fmt.Errorf("denied by the policy %s: %s", p.policy.Name, v.Reason),
			"change the runbook, or have whoever owns the policy change that")
	case v.Approval && p.dry:
		p.wants = append(p.wants, trace.Quote(eventName(e)+": "+v.Reason))
	case v.Approval && !p.approved:
		return &runtime.Error{Class: runtime.NeedsPerson,
			Err: fmt.Errorf("the policy %s wants an approval: %s", p.policy.Name, v.Reason),
			Advice: "make a plan (--dry-run --trace PLAN), have it approved (runbook audit approve PLAN), " +
				"and follow it (--follow PLAN --approvals 1 --signers FILE)"}
	}
	return nil
}

// eventName says which op or effect one is.
func eventName(e trace.Event) string {
	switch {
	case e.Kind == trace.Op:
		return e.Op + " " + e.Target
	case e.Path != "":
		return e.Call + " " + e.Path
	}
	return e.Call + " " + trace.Spaced(e.Argv)
}

// tell says what of a dry run needs an approval.
func (p *policing) tell(w io.Writer) {
	if p == nil || len(p.wants) == 0 {
		return
	}
	fmt.Fprintf(w, "runbook: the policy %s lets this pass only in a run that follows an approved plan:\n", p.policy.Name)
	for _, what := range p.wants {
		fmt.Fprintln(w, "  "+what)
	}
}

func (p *program) auditCheck() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "check TRACE", Short: "Hold a policy against a trace",
		Long: "Ask a policy about each op and effect of a trace, as run --policy does before they happen. The exit code is 1\n" +
			"if one is denied or the trace is broken, and 4 if none is, but some need an approval.\n\n" +
			"A policy is a file with a function op(e), effect(e) or both. e has the fields of the event as attributes, None\n" +
			"where the event lacks one: e.step, e.op, e.target, e.args, e.changes, e.user; of an effect e.call, e.path, e.argv,\n" +
			"e.inputs, e.detail. It returns None or allow(), deny(REASON) or approval(REASON). A policy that fails denies.",
		Example: "  runbook audit check plan.jsonl --policy site-policy.star",
		Args:    operands(1, 1, "TRACE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if file == "" {
				return mistake("runbook audit check "+args[0]+" --policy FILE", "no policy is given")
			}
			policy, err := p.policyAt(file)
			if err != nil {
				return err
			}
			return p.holdAgainst(policy, args[0])
		},
	}
	c.Flags().StringVar(&file, "policy", "", "the policy's `FILE`")
	return c
}

// holdAgainst asks a policy about a trace.
func (p *program) holdAgainst(policy *runtime.Policy, name string) error {
	events, trouble, err := readTrace(name)
	if err != nil {
		return err
	}
	judged, denied, wanting := 0, 0, 0
	pos := ""
	for _, e := range events {
		if e.Kind == trace.Op {
			pos = e.Pos
		}
		if e.Kind != trace.Op && e.Kind != trace.Effect {
			continue
		}
		judged++
		v := policy.Judge(e)
		word := ""
		switch {
		case v.Denied:
			word = "denied"
			denied++
		case v.Approval:
			word = "needs approval"
			wanting++
		default:
			continue
		}
		fmt.Fprintf(p.out, "%s: %s: %s: %s\n", trace.Quote(pos), word, trace.Quote(eventName(e)), trace.Quote(v.Reason))
	}
	fmt.Fprintf(p.out, "%s judged by %s: %d denied, %d need approval\n",
		counted(judged, "event"), policy.Name, denied, wanting)
	switch err := trouble.err(name); {
	case err != nil:
		return err
	case denied > 0:
		return exit(1)
	case wanting > 0:
		return exit(exitCode(&runtime.Error{Class: runtime.NeedsPerson}))
	}
	return nil
}
