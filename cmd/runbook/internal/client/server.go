package client

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Server serves a directory on the loopback interface and remembers what it was asked for.
type Server struct {
	URL   string
	files http.Handler

	mu     sync.Mutex
	hidden []string
	asked  []string
}

// Serve serves dir until the test ends.
func Serve(t testing.TB, dir string) *Server {
	s := &Server{files: http.FileServer(http.Dir(dir))}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Hide makes files of these base names absent, and only these.
func (s *Server) Hide(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = names
}

// Asked returns what was asked for since the last call, as "status path", sorted and without repetitions.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	slices.Sort(asked)
	return slices.Compact(asked)
}

// Variants is which forms of an index were asked for, with what was answered: "200 repodata.json.zst".
func Variants(asked []string) (all []string) {
	for _, line := range asked {
		status, file, _ := strings.Cut(line, " ")
		if base := path.Base(file); strings.HasPrefix(base, "repodata") {
			all = append(all, status+" "+base)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ServeHTTP serves a file, unless it is hidden, and notes that it was asked for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hidden := slices.Contains(s.hidden, path.Base(r.URL.Path))
	s.mu.Unlock()
	answer := &noted{ResponseWriter: w, status: http.StatusOK}
	if hidden {
		http.NotFound(answer, r)
	} else {
		s.files.ServeHTTP(answer, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprint(answer.status, " ", r.URL.Path))
}

// A noted answer knows its status.
type noted struct {
	http.ResponseWriter
	status int
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}
