package builtins

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf8"

	"runbook/runtime/host"
)

// Changes, and what they show of files.

// change returns a line of a diff: what is from now and is to become to.
func change(what, from, to string) host.Change { return host.Change{What: what, From: from, To: to} }

// metaChanges compares permission bits and, where want names them, owners.
func metaChanges(have, want host.Meta) (changes []host.Change) {
	if have.Mode.Perm() != want.Mode.Perm() {
		changes = append(changes, change("mode", modeText(have.Mode), modeText(want.Mode)))
	}
	return append(changes, ownerChanges(have.Owner, want.Owner)...)
}

func ownerChanges(have, want host.Owner) (changes []host.Change) {
	if want.User != "" && want.User != have.User {
		changes = append(changes, change("owner", have.User, want.User))
	}
	if want.Group != "" && want.Group != have.Group {
		changes = append(changes, change("group", have.Group, want.Group))
	}
	return changes
}

// newMeta returns the changes of a file that is to be made with want.
func newMeta(want host.Meta) []host.Change {
	return append([]host.Change{change("mode", "", modeText(want.Mode))}, ownerChanges(host.Owner{}, want.Owner)...)
}

func modeText(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// showText returns what a change shows of a content: the text itself. Of what is no
// text the bytes are escaped, which its first line says.
func showText(data []byte) string {
	switch {
	case len(data) == 0:
		return "(empty)"
	case utf8.Valid(data) && bytes.IndexByte(data, 0) < 0:
		return string(data)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s; no text, so its bytes are shown escaped:\n", describeBytes(data))
	for i, line := range strings.Split(string(data), "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		quoted := strconv.Quote(line)
		b.WriteString(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`))
	}
	return b.String()
}

// showOld is showText for what a file holds now. Of a file that not everybody can
// read it shows only the size: the content may be a password.
func showOld(data []byte, m host.Meta) string {
	if m.Mode&0o004 == 0 && len(data) > 0 {
		return fmt.Sprintf("%d bytes that others may not read", len(data))
	}
	return showText(data)
}

// describeBytes returns the size and digest of a content.
func describeBytes(data []byte) string {
	return fmt.Sprintf("%d bytes, sha256 %x", len(data), sha256.Sum256(data))
}
