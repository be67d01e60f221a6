package mirror

import (
	"errors"
	"io/fs"
	"os"
)

// A storageError is about the tree, not about a package: it ends the run at once.
type storageError struct {
	name string
	err  error
}

// Error is error's.
func (e *storageError) Error() string { return e.name + ": " + e.err.Error() }

// Unwrap returns what the system says.
func (e *storageError) Unwrap() error { return e.err }

func storage(name string, err error) error {
	var s *storageError
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case err == nil || errors.As(err, &s):
		return err
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	return &storageError{name, err}
}
