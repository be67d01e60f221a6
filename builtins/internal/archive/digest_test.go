package archive

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"testing"
)

func TestDigestsOfManyWrites(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	d := newDigests(Options{SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), MD5: fmt.Sprintf("%X", md5.Sum(data))})
	for b := data; len(b) > 0; b = b[1000:] {
		p := bytes.Clone(b[:1000])
		d.Write(p)
		clear(p) // the caller's again
	}
	if err := d.verify(); err != nil {
		t.Error(err)
	}
	d.stop()
}
