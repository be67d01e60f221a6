package trace

import (
	"errors"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

func TestGuardLooksEverywhere(t *testing.T) {
	g := NewGuard(func(s string) bool { return strings.Contains(s, "hunter2") })
	const s = "x hunter2 y"
	for name, e := range map[string]Event{
		"target":   {Kind: Op, Target: s},
		"changes":  {Kind: Op, Changes: []host.Change{{From: s}}},
		"args":     {Kind: Op, Args: map[string]any{"a": []any{map[string]any{s: 1}}}},
		"argv":     {Kind: Effect, Argv: []string{"a", s}},
		"sets":     {Kind: Effect, Sets: map[string]string{"a": s}},
		"detail":   {Kind: Effect, Detail: map[string]any{"env": map[string]string{"A": s}}},
		"bytes":    {Kind: Effect, Detail: map[string]any{"b": []byte(s)}},
		"observed": {Kind: Result, Observed: map[string]any{"e": &s2{s}}},
		"outcome":  {Kind: Result, Outcome: s},
		"vars":     {Kind: Run, Run: &RunInfo{Vars: []Var{{Value: s}}}},
		"ticket":   {Kind: Run, Run: &RunInfo{Ticket: s}},
	} {
		if err := g.Emit(e); !errors.Is(err, ErrSecret) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, e := range append(sample(RealRun), Event{Time: time.Now(), Args: map[string]any{"nil": nil, "n": 1}}) {
		if err := g.Emit(e); err != nil {
			t.Errorf("%s: %v", e.Kind, err)
		}
	}
}

type s2 struct{ Text string }
