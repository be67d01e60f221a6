package trace

import (
	"bytes"
	"strings"
	"testing"
)

// What a command is held to is told, and is no part of what a plan says: it may be followed with and without.
func TestConfinedIsNoPartOfAPlan(t *testing.T) {
	command := func(confined any) Event {
		e := Event{Kind: Effect, Call: "exec", Argv: []string{"x"}, Detail: map[string]any{"cwd": "/"}}
		if confined != nil {
			e.Detail[Confined] = confined
		}
		return e
	}
	op, result := opOf("x", "", "done"), resultOf("x", Changed)
	held := map[string]any{"by": "mounts", "writes": []string{"/opt/app"}, "makes": []string{"/etc/x"}, "network": false}
	for name, confined := range map[string]any{"held": held, "free": NotEnforced + "it is a test", "other": map[string]any{}} {
		pair{[]Event{op, command(nil), result}, []Event{op, command(confined), result}, "equal"}.check(t, name)
	}
	other := command(held)
	other.Argv = []string{"y"}
	pair{[]Event{op, command(held), result}, []Event{op, other, result}, "different"}.check(t, "another command")
	if have := heldTo(command(held)); have != "/opt/app /etc/x without network" {
		t.Errorf("got %q", have)
	}
	if have := heldTo(command(map[string]any{"writes": []string{}, "network": true})); have != "nothing" {
		t.Errorf("got %q", have)
	}
}

// Each way of showing a trace says what was not confined, and that the rest was.
func TestUnenforcedIsShown(t *testing.T) {
	op, result := opOf("x", "", "done"), resultOf("x", Changed)
	result.Observed = map[string]any{Confined: NotEnforced + "the kernel is old"}
	free := Event{Kind: Effect, Call: "exec", Argv: []string{"x"}, Detail: map[string]any{Confined: NotEnforced + "it is a test"}}
	events := runWith(RealRun, op, free, result)
	events[0].Run.Confine = ConfineOffline
	for _, format := range []string{"text", "md"} {
		var b bytes.Buffer
		if err := Show(&b, events, format, 0); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"not enforced: it is a test", "not enforced: the kernel is old", "declare, without network"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s lacks %q:\n%s", format, want, b.String())
			}
		}
	}
	if have := strings.Join(Unenforced([]Event{free}, &result), "|"); have != "not enforced: it is a test|not enforced: the kernel is old" {
		t.Errorf("got %q", have)
	}
}
