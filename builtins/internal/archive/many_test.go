package archive

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"runbook/runtime/host"
)

// An archive of nothing but names is refused before it costs much; as many files
// with something in them are not.
func TestNothingButNames(t *testing.T) {
	count := func(data []byte) (n int, err error) {
		src, err := open(host.Bytes(data), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		return walk(context.Background(), src, 0, func(member, io.Reader) error { return nil })
	}
	var names strings.Builder
	for i := range fewMembers + 1 {
		names.WriteString(rawOf('0', fmt.Sprintf("d%d/f%d", i/1000, i), ""))
	}
	plain := []byte(names.String() + end)
	if n, err := count(plain); n != fewMembers+1 || err != nil {
		t.Errorf("not compressed: got %d members, %v", n, err)
	}
	const want = "got more than 100000 members in an archive of "
	if n, err := count(gz(t, plain)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("compressed: got %d members, %v, want %q", n, err, want)
	}
}
