package builtins

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	const mb = 1 << 20
	var resumed, unknown pace
	at := time.Unix(0, 0)
	for _, c := range []struct {
		p           *pace
		after       time.Duration
		done, total int64
		want        string
	}{
		{&resumed, 0, 100 * mb, 400 * mb, "100 of 400 MB"},
		{&resumed, time.Second / 2, 105 * mb, 400 * mb, "105 of 400 MB"},
		{&resumed, 10 * time.Second, 200 * mb, 400 * mb, "200 of 400 MB, 10.0 MB/s, 20s left"},
		{&resumed, 20 * time.Second, 400 * mb, 400 * mb, "400 of 400 MB, 15.0 MB/s"},
		{&unknown, 0, 0, -1, "0 MB"},
		{&unknown, 0, 0, -1, "0 MB"},
		{&unknown, 2 * time.Second, 3 * mb, -1, "3 MB, 1.5 MB/s"},
	} {
		if have := c.p.text(c.done, c.total, at.Add(c.after)); have != c.want {
			t.Errorf("%d of %d after %v: got %q, want %q", c.done, c.total, c.after, have, c.want)
		}
	}
}
