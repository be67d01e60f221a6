package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime"
)

// A selection is which steps run.
type selection struct {
	steps, skips, tags []string
	from               string
}

func (s *selection) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&s.steps, "step", nil, "run only the step `NAME`; repeatable, or with commas")
	c.Flags().StringSliceVar(&s.skips, "skip", nil, "leave out the step `NAME`; repeatable, or with commas")
	c.Flags().StringVar(&s.from, "from", "", "begin with the step `NAME`")
	c.Flags().StringSliceVar(&s.tags, "tag", nil, "run only steps with the tag `TAG`; repeatable, or with commas")
}

// check returns an error for each name that book lacks.
func (s selection) check(book *runtime.Runbook) error {
	var steps, tags []string
	for _, step := range book.Steps {
		steps, tags = append(steps, step.Name), append(tags, step.Tags...)
	}
	slices.Sort(tags)
	var problems []error
	named := slices.Concat(s.steps, s.skips)
	if s.from != "" {
		named = append(named, s.from)
	}
	for _, name := range named {
		if !contains(steps, name) {
			err := book.Lacks("step", name, steps, "the steps are: "+strings.Join(steps, " "))
			problems = append(problems, mistake(runtime.HintOf(err), "%w", err))
		}
	}
	for _, tag := range s.tags {
		if !contains(tags, tag) {
			problems = append(problems, unknown("tag", tag, tags, "the tags are: "+strings.Join(slices.Compact(tags), " ")))
		}
	}
	choose := s.chooser()
	chosen := func(step runtime.Step) bool { ok, _ := choose(step); return ok }
	if len(problems) == 0 && len(steps) > 0 && !slices.ContainsFunc(book.Steps, chosen) {
		return mistake("the steps are, in order: "+strings.Join(steps, " "),
			"--step, --skip, --from and --tag leave no step to run")
	}
	return errors.Join(problems...)
}

// chooser returns a function that is called with each step in order, and returns
// whether it runs, and why not.
func (s selection) chooser() func(runtime.Step) (bool, string) {
	reached := s.from == ""
	return func(step runtime.Step) (bool, string) {
		reached = reached || step.Name == s.from
		switch {
		case step.Name == confirmStep:
			return true, ""
		case !reached:
			return false, "comes before --from " + s.from
		case len(s.steps) > 0 && !contains(s.steps, step.Name):
			return false, "not named by --step"
		case contains(s.skips, step.Name):
			return false, "left out by --skip"
		case len(s.tags) > 0 && !slices.ContainsFunc(s.tags, func(t string) bool { return contains(step.Tags, t) }):
			return false, "has no tag of --tag " + strings.Join(s.tags, ",")
		}
		return true, ""
	}
}

func contains(names []string, name string) bool { return slices.Contains(names, name) }
