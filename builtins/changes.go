package builtins

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"runbook/runtime/host"
)

// The lines of a diff.

// want is a change from what is there to what should be.
func want(what, from, to string) host.Change { return host.Change{What: what, From: from, To: to} }

// metaChanges compares permission bits and, where they are named, owners.
func metaChanges(have, wanted host.Meta) (todo []host.Change) {
	if have.Mode.Perm() != wanted.Mode.Perm() {
		todo = append(todo, want("mode", modeText(have.Mode), modeText(wanted.Mode)))
	}
	return append(todo, ownerChanges(have.Owner, wanted.Owner)...)
}

func ownerChanges(have, wanted host.Owner) (todo []host.Change) {
	if wanted.User != "" && wanted.User != have.User {
		todo = append(todo, want("owner", have.User, wanted.User))
	}
	if wanted.Group != "" && wanted.Group != have.Group {
		todo = append(todo, want("group", have.Group, wanted.Group))
	}
	return todo
}

// newMeta is metaChanges for a file that is not there.
func newMeta(wanted host.Meta) []host.Change {
	return append([]host.Change{want("mode", "", modeText(wanted.Mode))}, ownerChanges(host.Owner{}, wanted.Owner)...)
}

func modeText(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// showLimit is the size, in bytes, up to which changes show a text itself.
const showLimit = 64 << 10

// showText is a content as a change shows it: a text itself, anything else by
// size and digest.
func showText(data []byte) string {
	switch {
	case len(data) == 0:
		return "(empty)"
	case len(data) <= showLimit && utf8.Valid(data) && !strings.ContainsRune(string(data), 0):
		return string(data)
	}
	return describeBytes(data)
}

// showOld is showText for what a file holds now. What others may not read is
// none of the trace's business: it may be a password.
func showOld(data []byte, m host.Meta) string {
	if m.Mode&0o004 == 0 && len(data) > 0 {
		return fmt.Sprintf("%d bytes that others may not read", len(data))
	}
	return showText(data)
}

// describeBytes shows a content by its size and digest.
func describeBytes(data []byte) string {
	return fmt.Sprintf("%d bytes, sha256 %x", len(data), sha256.Sum256(data))
}
