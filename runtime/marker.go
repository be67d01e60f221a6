package runtime

import (
	"errors"
	"io/fs"
	"path"

	"runbook/runtime/host"
)

// WriteMarker writes a marker, a file of size bytes in the state directory, and
// the directories above it that are missing, for its owner alone.
func WriteMarker(h host.Host, name string, c host.Content, size int) error {
	if !path.IsAbs(name) {
		return Hint(errors.New("there is no state directory to remember it in"), "name one: --state, or Options.State")
	}
	if err := MkdirAll(h, path.Dir(name), 0o700); err != nil {
		return err
	}
	return h.WriteFile(name, c, host.Meta{Mode: 0o600, Size: int64(size)})
}

// MkdirAll makes dir and the directories above it that are missing, each an
// effect.
func MkdirAll(h host.Host, dir string, mode fs.FileMode) error {
	missing, err := host.MissingDirs(h, dir)
	for _, d := range missing {
		if err == nil {
			err = h.Mkdir(d, host.Meta{Mode: mode})
		}
	}
	return err
}
