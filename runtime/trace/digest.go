package trace

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest is the hex SHA-256 of what Diff compares of a trace: between two traces with the same one, Diff finds no
// difference, not even one that a guess excuses.
func Digest(events []Event) string {
	h := sha256.New()
	for _, u := range units(events) {
		for _, e := range u.events() {
			h.Write([]byte(identity(e) + "\n"))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
