package builtins

import (
	"fmt"
	"time"
)

// A pace tells how far an op is that moves bytes: how much of all, how fast, and how long it will take.
type pace struct {
	began time.Time
	from  int64 // bytes that were there when it began
}

// text says it of so many bytes; total is negative if nobody knows it.
func (p *pace) text(done, total int64, now time.Time) string {
	if p.began.IsZero() {
		p.began, p.from = now, done
	}
	const mb = 1 << 20
	text := fmt.Sprintf("%d MB", done/mb)
	if total >= 0 {
		text = fmt.Sprintf("%d of %d MB", done/mb, total/mb)
	}
	spent := now.Sub(p.began)
	if spent < time.Second || done <= p.from {
		return text
	}
	rate := float64(done-p.from) / spent.Seconds()
	text += fmt.Sprintf(", %.1f MB/s", rate/mb)
	if left := total - done; left > 0 {
		text += ", " + time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return text
}
