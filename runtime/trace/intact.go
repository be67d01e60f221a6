package trace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Line returns the event of one line of a trace, without its newline.
func Line(line []byte) (Event, error) {
	e, _, err := decode(line)
	return e, err
}

// Intact reports whether a trace has its end and each line the hash of the one before: whatever was changed without
// computing these anew shows. [Verify] does more, and says what is wrong; this takes a fraction of its time.
func Intact(text []byte) bool {
	prev, seq := zeroHash, 1
	for {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		head := append(strconv.AppendInt([]byte(`{"seq":`), int64(seq), 10), `,"prev":"`+prev+`","kind":"`...)
		if !whole || !bytes.HasPrefix(line, head) {
			return false
		}
		if len(rest) == 0 {
			return bytes.HasPrefix(line[len(head):], []byte(`end"`)) && sealed(line)
		}
		sum := sha256.Sum256(line)
		prev, seq, text = hex.EncodeToString(sum[:]), seq+1, rest
	}
}
