package serve

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// An accessLog has a line of JSON for each request.
type accessLog struct {
	mu     sync.Mutex
	out    io.Writer // nil for none
	failed sync.Once
}

// A line tells of a request. Neither query nor referrer are in it, which can hold a token, and the path has none left.
type line struct {
	Time    string  `json:"time"`
	Client  string  `json:"client"`
	Token   string  `json:"token,omitempty"` // how the digest of the one that was given begins
	Method  string  `json:"method"`
	Path    string  `json:"path"`
	Range   string  `json:"range,omitempty"`
	Status  int     `json:"status"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	Agent   string  `json:"agent,omitempty"`
}

func (s *Server) line(started time.Time, took time.Duration, a *answer, r *http.Request, q *query) *line {
	if s.log.out == nil {
		return nil
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return &line{
		Time: started.UTC().Format("2006-01-02T15:04:05.000Z"), Client: host, Token: q.user,
		Method: s.masked(r.Method), Path: s.path(q), Range: s.masked(r.Header.Get("Range")), Status: a.code, Bytes: a.bytes,
		Seconds: float64(took.Microseconds()) / 1e6, Agent: s.masked(r.UserAgent()),
	}
}

// path returns the path of a request without tokens.
func (s *Server) path(q *query) string {
	p := "/"
	if q.token != "" {
		p = "/t/***/"
	}
	for i, part := range q.parts {
		if i > 0 && q.parts[i-1] == "t" {
			part = "***"
		}
		p += s.masked(part) + "/"
	}
	if !q.slash {
		p = strings.TrimSuffix(p, "/")
	}
	return p
}

var ours = regexp.MustCompile(`(?i)` + tokenPrefix + `[a-z2-7]{26}`)

// masked returns a text, which may be long, without tokens.
func (s *Server) masked(text string) string {
	const longest = 500
	if s.tokens != nil && s.tokens.get().knows(text) {
		return "***"
	}
	text = ours.ReplaceAllString(text, "***")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}

// write writes a line, if there is one.
func (l *accessLog) write(line *line) error {
	if line == nil {
		return nil
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.out.Write(append(text, '\n'))
	return err
}
