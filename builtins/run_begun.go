package builtins

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

// A begun is the file that lies in the state directory from before a command with creates= runs until it has ended well.
// Without it, what a command left half made when the machine went down would count as done.
type begun struct {
	file    string // absolute name
	creates string
}

func newBegun(state, creates string) begun {
	sum := sha256.Sum256([]byte(creates))
	return begun{path.Join(state, "begun", fmt.Sprintf("%x.json", sum[:8])), creates}
}

// check, where there is what the command creates, looks whether a run that was killed left word that the command is under
// way. It is an error if the command was interrupted or failed, or if the machine went down meanwhile.
func (b begun) check(h host.Reader) ([]host.Change, error) {
	if ok, err := host.Exists(h, b.file); err != nil || !ok {
		return nil, err
	}
	text, err := host.ReadFile(h, b.file)
	if err != nil {
		return nil, err
	}
	boot, err := bootID(h)
	if err != nil {
		return nil, err
	}
	if string(text) == begunText(b.creates, boot) {
		return []host.Change{want("begun", "under way when a run was killed", "ended")}, nil
	}
	return nil, runtime.Hint(fmt.Errorf("%s may be half made: an earlier run began this command and did not see it succeed", b.creates),
		fmt.Sprintf("look at it; to run the command again remove or rename %s, to keep it remove %s", b.creates, b.file))
}

// around runs a command, and remembers until it has succeeded that it was begun.
func (b begun) around(h host.Host, exec func() error) error {
	boot, err := bootID(h)
	if err != nil {
		return err
	}
	if err := b.put(h, boot); err != nil {
		return err
	}
	failed := exec()
	if failed == nil {
		return b.remove(h)
	}
	if ok, err := host.Exists(h, b.creates); err == nil && !ok {
		return errors.Join(failed, b.remove(h))
	}
	return errors.Join(failed, b.put(h, ""))
}

func (b begun) remove(h host.Host) error { return h.Remove(b.file, 1) }

func (b begun) put(h host.Host, boot string) error {
	text := []byte(begunText(b.creates, boot))
	// As what is opened, it has no digest in the trace: it differs with every boot.
	return runtime.WriteMarker(h, b.file, host.Content{Open: host.Bytes(text).Reader}, len(text))
}

func begunText(creates, boot string) string {
	return fmt.Sprintf("{\"creates\":%q,\"boot\":%q}\n", creates, boot)
}

// bootID is another one after every start of the machine; "" where the kernel does not tell. See random(4).
func bootID(h host.Reader) (string, error) {
	const name = "/proc/sys/kernel/random/boot_id"
	if ok, err := host.Exists(h, name); err != nil || !ok {
		return "", err
	}
	text, err := host.ReadFile(h, name)
	return strings.TrimSpace(string(text)), err
}
