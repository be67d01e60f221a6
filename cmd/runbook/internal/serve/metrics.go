package serve

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// metrics are counters in the text format of Prometheus, which is short enough to write.
type metrics struct {
	started  time.Time
	inFlight atomic.Int64
	unlogged atomic.Int64
	codes    [600]atomic.Int64
	bytes    atomic.Int64
	buckets  [len(limits) + 1]atomic.Int64
	micros   atomic.Int64
	open     func() int // connections
}

// limits of the buckets of durations, in seconds.
var limits = [...]float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600}

func newMetrics(now time.Time) *metrics {
	return &metrics{started: now, open: func() int { return 0 }}
}

// note counts a request.
func (m *metrics) note(code int, bytes int64, took time.Duration) {
	if code < 0 || code >= len(m.codes) {
		code = 0
	}
	m.codes[code].Add(1)
	m.bytes.Add(bytes)
	m.micros.Add(took.Microseconds())
	i := 0
	for i < len(limits) && took.Seconds() > limits[i] {
		i++
	}
	m.buckets[i].Add(1)
}

func (m *metrics) text() string {
	var b strings.Builder
	b.WriteString(head("requests_total", "counter", "Requests answered, by status."))
	for code := range m.codes {
		if n := m.codes[code].Load(); n > 0 {
			fmt.Fprintf(&b, "runbook_serve_requests_total{code=\"%d\"} %d\n", code, n)
		}
	}
	b.WriteString(counter("sent_bytes_total", "Bytes of bodies that were sent.", m.bytes.Load()))
	b.WriteString(gauge("requests_in_flight", "Requests that are being answered.", m.inFlight.Load()))
	b.WriteString(gauge("connections", "Connections that are open.", int64(m.open())))
	b.WriteString(counter("access_log_lost_total", "Lines of the access log that were not written.", m.unlogged.Load()))
	b.WriteString(gauge("start_time_seconds", "When the server started, in seconds since 1970.", m.started.Unix()))
	b.WriteString(head("request_seconds", "histogram", "How long answering took, to the last byte."))
	sum := int64(0)
	for i, limit := range limits {
		sum += m.buckets[i].Load()
		fmt.Fprintf(&b, "runbook_serve_request_seconds_bucket{le=\"%g\"} %d\n", limit, sum)
	}
	sum += m.buckets[len(limits)].Load()
	fmt.Fprintf(&b, "runbook_serve_request_seconds_bucket{le=\"+Inf\"} %d\n", sum)
	fmt.Fprintf(&b, "runbook_serve_request_seconds_sum %g\n", float64(m.micros.Load())/1e6)
	fmt.Fprintf(&b, "runbook_serve_request_seconds_count %d\n", sum)
	return b.String()
}

func head(name, kind, help string) string {
	return fmt.Sprintf("# HELP runbook_serve_%s %s\n# TYPE runbook_serve_%s %s\n", name, help, name, kind)
}

func counter(name, help string, value int64) string {
	return head(name, "counter", help) + fmt.Sprintf("runbook_serve_%s %d\n", name, value)
}

func gauge(name, help string, value int64) string {
	return head(name, "gauge", help) + fmt.Sprintf("runbook_serve_%s %d\n", name, value)
}
