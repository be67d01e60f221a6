package fetchtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Request is one that a server got.
type Request struct {
	Method, Host string
	Proto        string // "HTTP/1.1" or "HTTP/2.0"
	Path, Query  string // the path as it was sent
	Header       http.Header
	Behaviour    string // what was done to it, "" if all was well
	// Leaked is whether it carried what Guard forbids.
	Leaked bool
}

// Requests returns all that came so far, in that order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count returns how many requests of a path came so far; pattern is as in Fault.
func (s *Server) Count(pattern string) (n int) {
	all := fault{strings.TrimPrefix(pattern, "/"), Behaviour{}, Forever, map[string]int{}}
	for _, r := range s.Requests() {
		if all.matches(r.Path) {
			n++
		}
	}
	return n
}

// Forget drops the requests that came so far, and begins all counts anew.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.most, s.links = nil, s.now, 0
}

// Connections returns how many were made so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links
}

// Most returns how many requests were being answered at once at most.
func (s *Server) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// Guard says that this server is the wrong one for some credentials: from now on
// a request is a leak if it has one of secrets anywhere, encoded for basic
// authentication or not, or an Authorization, a Cookie or a Referer of any kind.
func (s *Server) Guard(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append([]string{""}, secrets...)
}

// Leaks returns the requests that carried what Guard forbids.
func (s *Server) Leaks() []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool { return !r.Leaked })
}

// keep is called with s.mu held.
func (s *Server) keep(r *http.Request, behaviour string) Request {
	kept := Request{r.Method, r.Host, r.Proto, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Clone(), behaviour, false}
	if s.secrets == nil {
		return kept
	}
	for _, name := range []string{"Authorization", "Cookie", "Referer"} {
		kept.Leaked = kept.Leaked || kept.Header.Get(name) != ""
	}
	for _, secret := range s.secrets[1:] {
		kept.Leaked = kept.Leaked || kept.Carries(secret)
	}
	return kept
}

// Carries reports whether secret is anywhere in r.
func (r Request) Carries(secret string) bool {
	texts := []string{r.Host, r.Path, r.Query}
	if plain, err := url.PathUnescape(r.Path); err == nil {
		texts = append(texts, plain)
	}
	for name, values := range r.Header {
		texts = append(append(texts, name), values...)
		for _, v := range values {
			_, word, _ := strings.Cut(v, " ")
			if plain, err := base64.StdEncoding.DecodeString(word); err == nil {
				texts = append(texts, string(plain))
			}
		}
	}
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, secret) })
}
