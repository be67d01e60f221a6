package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"runbook/builtins/mirrored"
)

// ServeHTTP answers a request, and notes that it did.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := s.opts.Now()
	a := &answer{ResponseWriter: w, head: r.Method == http.MethodHead}
	s.metrics.inFlight.Add(1)
	q := parse(r)
	defer func() { // also of a panic, which net/http tells
		took := s.opts.Now().Sub(started)
		s.metrics.inFlight.Add(-1)
		s.metrics.note(a.code, a.bytes, took)
		if err := s.log.write(s.line(started, took, a, r, q)); err != nil {
			s.metrics.unlogged.Add(1)
			s.log.failed.Do(func() { s.opts.Complain(fmt.Errorf("access log: %w; lines are missing from now on", err)) })
		}
	}()
	guard(a.Header())
	if r.ContentLength != 0 { // nobody wants it: what comes soon is thrown away, so that the client reads the answer
		a.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // all our connections can
	}
	if wantsPage(r) {
		a.explain = s.view(a, r, q).explain
	}
	s.answer(a, r, q)
}

// guard sets what browsers are to do with everything that comes from here.
func guard(h http.Header) {
	maps.Copy(h, guards)
}

var guards = http.Header{ // none of whose values has room for another
	"X-Content-Type-Options":  {"nosniff"},
	"X-Frame-Options":         {"DENY"},
	"Referrer-Policy":         {"no-referrer"}, // a token may be in the URL
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
}

// A query is what is asked for.
type query struct {
	parts  []string // of the path, without a token
	joined string   // what name returned
	below  string   // what stands before them, if they are no account's
	slash  bool     // it ends in one
	depth  int      // slashes behind the first, without a token, as a browser counts them
	bad    bool     // no file has such a name
	token  string   // of the path
	user   string   // whose token it was, as far as it may be told
}

// parse reads a path. Slashes may be doubled, as some clients do; nothing else is mended.
func parse(r *http.Request) *query {
	q := &query{}
	p, ok := strings.CutPrefix(r.URL.Path, "/")
	if !ok {
		q.bad = true
		return q
	}
	if rest, ok := strings.CutPrefix(p, "t/"); ok {
		q.token, p, ok = strings.Cut(rest, "/")
		q.bad = !ok // links would lead elsewhere
	}
	q.slash = p == "" || strings.HasSuffix(p, "/")
	q.depth = strings.Count(r.URL.EscapedPath(), "/") - 1
	if q.token != "" {
		q.depth -= 2
	}
	q.parts = make([]string, 0, 4)
	for part := range strings.SplitSeq(p, "/") {
		if part == "" {
			continue
		}
		q.parts = append(q.parts, part)
		q.bad = q.bad || hidden(part) || len(part) > 255 || strings.ContainsFunc(part, unprintable)
	}
	return q
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }

func (q *query) name() string {
	if q.joined == "" {
		q.joined = path.Join(q.parts...)
	}
	return q.joined
}

// root leads from what was asked for to the list of accounts.
func (q *query) root() string { return "./" + strings.Repeat("../", max(0, q.depth)) }

func (s *Server) answer(a *answer, r *http.Request, q *query) {
	name := q.name()
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		a.Header().Set("Allow", "GET, HEAD")
		a.refuse(http.StatusMethodNotAllowed)
	case q.bad:
		a.refuse(http.StatusNotFound)
	case name == "healthz":
		s.health(a)
	case name == "metrics":
		a.text("text/plain; version=0.0.4; charset=utf-8", s.metrics.text()+s.expiry())
	case name == "":
		s.view(a, r, q).accounts()
	case q.parts[0] == apart && s.view(a, r, q).asset():
	case s.extras != nil && (name == "static/extras" || strings.HasPrefix(name, "static/extras/")):
		s.file(a, r, s.extras, &query{parts: q.parts[2:], below: "static/extras", slash: q.slash, depth: q.depth}, "")
	default:
		if code := s.admits(q.parts[0], r, q); code != http.StatusOK {
			a.Header().Set("WWW-Authenticate", `Basic realm="channels", charset="UTF-8"`)
			a.refuse(code)
			return
		}
		switch {
		case !s.stays(q.parts...):
			a.refuse(http.StatusNotFound)
		case s.isPage(q):
			s.view(a, r, q).page()
		default:
			s.file(a, r, s.dir, q, q.parts[0])
		}
	}
}

// admits returns the status of a request for an account: OK, or why not.
func (s *Server) admits(account string, r *http.Request, q *query) int {
	if s.tokens == nil {
		return http.StatusOK
	}
	code, user := s.tokens.get().admit(account, given(r, q))
	q.user = user
	return code
}

// health says whether requests can be answered.
func (s *Server) health(a *answer) {
	if _, err := s.dir.Stat("."); err != nil || s.ending.Err() != nil {
		a.refuse(http.StatusServiceUnavailable)
		return
	}
	a.text("text/plain; charset=utf-8", "ok\n")
}

// file answers with what is below root. The account is "" where there is none.
func (s *Server) file(a *answer, r *http.Request, root *os.Root, q *query, account string) {
	name := q.name()
	if name == "" {
		name = "."
	}
	if root == s.dir && !q.slash {
		if f := s.warm.get(s.tops[0], name); f != nil {
			s.content(a, r, name, f.version, bytes.NewReader(f.text))
			return
		}
	}
	f, err := s.open(root, name)
	switch {
	case err == nil:
		defer f.Close()
	case isAbsent(err) && account != "" && s.lacksNoarch(q):
		s.content(a, r, name, version{tag: `"empty-noarch"`}, strings.NewReader(emptyNoarch))
		return
	default:
		s.failed(a, name, err)
		return
	}
	inNoAccount := account != "" && len(q.parts) == 1
	switch {
	case f.IsDir():
		d, _, err := open(root, name) // whose names can be read
		if err != nil {
			s.failed(a, name, err)
			return
		}
		defer d.Close()
		s.view(a, r, q).list(d)
	case q.slash || inNoAccount:
		a.refuse(http.StatusNotFound)
	default:
		var subdir string
		if len(q.parts) == 3 {
			subdir = q.parts[1]
		}
		v := s.tags.of(account, subdir, path.Base(name), f)
		var from io.ReadSeeker = f
		if root == s.dir {
			if kept := s.warm.keep(name, v, f); kept != nil {
				from = bytes.NewReader(kept.text)
			}
		}
		s.content(a, r, name, v, from)
	}
}

// failed answers for a file that cannot be opened.
func (s *Server) failed(a *answer, name string, err error) {
	switch {
	case isAbsent(err):
		a.refuse(http.StatusNotFound)
		return
	case errors.Is(err, fs.ErrPermission):
		a.refuse(http.StatusForbidden)
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		a.Header().Set("Retry-After", "1")
		a.refuse(http.StatusServiceUnavailable)
	default:
		a.refuse(http.StatusInternalServerError)
	}
	s.opts.Complain(fmt.Errorf("serve %s: %w", name, err))
}

// emptyNoarch is the index of a channel without packages for any platform: without one, clients refuse the channel.
const emptyNoarch = `{"info":{"subdir":"noarch"},"packages":{},"packages.conda":{}}` + "\n"

// lacksNoarch reports whether the index is asked for that every channel must have, and this account has in no form.
func (s *Server) lacksNoarch(q *query) bool {
	if len(q.parts) != 3 || q.parts[1] != mirrored.Noarch || q.parts[2] != mirrored.IndexFile {
		return false
	}
	for _, form := range []string{".zst", ".bz2"} {
		if _, err := s.dir.Stat(q.name() + form); err == nil {
			return false
		}
	}
	fi, err := s.dir.Stat(q.parts[0])
	return err == nil && fi.IsDir()
}

// content answers with bytes, or a part of them, or says that the client has them.
func (s *Server) content(a *answer, r *http.Request, name string, v version, from io.ReadSeeker) {
	h := a.Header()
	if v.tag != "" {
		h.Set("ETag", v.tag)
	}
	h.Set("Content-Type", contentType(name))
	h.Set("Cache-Control", s.caching(name, v.verified))
	http.ServeContent(a, r, "", v.changed, from)
}

// caching says how long others may keep a file. Packages and shards are never changed under their name, unless they are
// damaged or replaced behind the mirror's back; an index is.
func (s *Server) caching(name string, verified bool) string {
	whose := "public"
	if s.tokens != nil {
		whose = "private"
	}
	if lasting(name) && verified {
		return whose + ", max-age=31536000, immutable"
	}
	return whose + ", max-age=0, must-revalidate"
}

func lasting(name string) bool {
	isShard := strings.HasSuffix(name, ".msgpack.zst") && path.Base(path.Dir(name)) == "shards"
	return strings.HasSuffix(name, ".conda") || strings.HasSuffix(name, ".tar.bz2") || isShard
}

// contentType tells what a file is by its name: never by its bytes.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "application/json"
	case ".bz2":
		return "application/x-bzip2"
	case ".zst":
		return "application/zstd"
	case ".html", ".htm", ".txt", ".md", ".asc":
		return "text/plain; charset=utf-8" // nobody's page is shown as ours
	}
	return "application/octet-stream"
}

// An answer knows what became of it.
type answer struct {
	http.ResponseWriter
	code  int
	bytes int64
	head  bool // no body is sent

	explain func(code int) // answers a person; nil: a program asks
}

// WriteHeader is http.ResponseWriter's.
func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write is http.ResponseWriter's.
func (a *answer) Write(p []byte) (int, error) {
	a.begun()
	n, err := a.ResponseWriter.Write(p)
	if !a.head {
		a.bytes += int64(n)
	}
	return n, err
}

// ReadFrom lets a file go to the connection without passing through this program.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	a.begun()
	n, err := io.Copy(a.ResponseWriter, r)
	a.bytes += n
	return n, err
}

// Unwrap is http.ResponseController's.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) begun() {
	if a.code == 0 {
		a.code = http.StatusOK
	}
}

func (a *answer) refuse(code int) {
	if a.explain != nil {
		a.explain(code)
		return
	}
	a.Header().Set("Cache-Control", "no-store")
	http.Error(a, strings.ToLower(http.StatusText(code)), code)
}

func (a *answer) text(kind, text string) {
	a.Header().Set("Cache-Control", "no-store")
	a.Header().Set("Content-Type", kind)
	io.WriteString(a, text)
}
