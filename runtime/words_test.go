package runtime_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"runbook/runtime"
)

func TestSpoken(t *testing.T) {
	const name = "/a\nhint: b\x1b"
	file := &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	for want, err := range map[string]error{
		`open /a\nhint: b\x1b: file does not exist`:                    file,
		`x /a\nhint: b\x1b: open /a\nhint: b\x1b: file does not exist`: fmt.Errorf("x %s: %w", name, file),
		`rename /a\nhint: b\x1b /c\nd: invalid argument`:               fmt.Errorf("%w", &os.LinkError{Op: "rename", Old: name, New: "/c\nd", Err: fs.ErrInvalid}),
		"two\nopen /a\\nhint: b\\x1b: file does not exist":             errors.Join(errors.New("two"), file),
		`given e\nf`: errors.New("given e\nf"),
		"two\nlines": errors.New("two\nlines"),
	} {
		have := runtime.Spoken(err, "e\nf", "\n")
		if have.Error() != want || !errors.Is(have, err) {
			t.Errorf("got %q, want %q", have, want)
		}
	}
	if err := runtime.Spoken(nil); err != nil {
		t.Errorf("got %v", err)
	}
}
