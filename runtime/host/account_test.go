package host

import (
	"errors"
	"testing"
)

// Of an account that a predicted command makes the group is a guess, until a
// command says which it is.
func TestOwnerForPredictedAccount(t *testing.T) {
	o := NewOverlay(NewLocal(t.TempDir()), Owner{})
	_, err := o.Exec(t.Context(), Cmd{
		Process: Process{Argv: []string{"install"}},
		Assumes: map[Fact]string{{User, "db"}: Present, {Group, "db"}: Present},
	})
	if err != nil {
		t.Fatal(err)
	}
	owner, guessed, err := OwnerFor(t.Context(), o, "db")
	if owner != (Owner{"db", "db"}) || !guessed || err != nil {
		t.Errorf("got %v, guessed %v, %v", owner, guessed, err)
	}
	if names, err := owner.Resolve(t.Context(), o); names != owner || err != nil {
		t.Errorf("got %v, %v, want %v", names, err, owner)
	}
	if _, _, err := owner.IDs(t.Context(), o); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want an unknown number", err)
	}
	_, err = o.Exec(t.Context(), Cmd{
		Process: Process{Argv: []string{"usermod"}},
		Sets:    map[Fact]string{{Primary, "db"}: "staff"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if owner, guessed, err := OwnerFor(t.Context(), o, "db"); owner != (Owner{"db", "staff"}) || guessed || err != nil {
		t.Errorf("got %v, guessed %v, %v", owner, guessed, err)
	}
}
