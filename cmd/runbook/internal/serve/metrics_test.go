package serve

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What is counted is what was answered, in the format that Prometheus reads.
func TestMetrics(t *testing.T) {
	o := withCertificate(t)
	o.Dir, o.Now = channel(t), later
	s := start(t, o, 0)
	client := trusting()
	for _, path := range []string{"/free/linux-64/b-1-0.conda", "/free/linux-64/b-1-0.conda", "/none"} {
		ask(t, client, "GET", s.url+path)
	}
	ask(t, client, "HEAD", s.url+"/free/linux-64/b-1-0.conda")
	ask(t, client, "GET", s.url+"/free/linux-64/b-1-0.conda", "Range", "bytes=0-1")
	until(t, "all are counted", func() bool { return s.metrics.inFlight.Load() == 0 })
	text := ask(t, client, "GET", s.url+"/metrics").body
	for _, want := range []string{`requests_total{code="200"} 3`, `requests_total{code="206"} 1`, `requests_total{code="404"} 1`, "requests_in_flight 1", "connections 1", "request_seconds_count 5",
		`request_seconds_bucket{le="+Inf"} 5`, fmt.Sprintf("sent_bytes_total %d", 2*len("package b")+len("not found\n")+2)} {
		if !strings.Contains(text, "runbook_serve_"+want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]+"\})? [0-9.e+-]+)$`)
	declared := map[string]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if !line.MatchString(l) {
			t.Errorf("no line of the format: %q", l)
		}
		if name, ok := strings.CutPrefix(l, "# TYPE "); ok {
			if name = strings.Fields(name)[0]; declared[name] {
				t.Errorf("%s is declared twice", name)
			} else {
				declared[name] = true
			}
		}
	}
	var expires int64
	_, after, _ := strings.Cut(text, "\nrunbook_serve_certificate_expires_seconds ")
	if _, err := fmt.Sscan(after, &expires); err != nil || time.Until(time.Unix(expires, 0)).Round(time.Hour) != time.Hour {
		t.Errorf("the certificate ends at %d: %v", expires, err)
	}
}

// A histogram has each duration in its bucket and those above.
func TestDurations(t *testing.T) {
	m := newMetrics(time.Now())
	for _, took := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, time.Minute, time.Hour} {
		m.note(http.StatusOK, 0, took)
	}
	for limit, want := range map[string]int{"0.001": 2, "0.005": 3, "10": 3, "60": 4, "600": 4, "+Inf": 5} {
		if line := fmt.Sprintf("bucket{le=%q} %d\n", limit, want); !strings.Contains(m.text(), line) {
			t.Errorf("no %s in\n%s", line, m.text())
		}
	}
}
