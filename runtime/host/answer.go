package host

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A fileAnswer is what a machine answered about one name: a line of a snapshot. What was not asked is not in it.
type fileAnswer struct {
	File  string   `json:"file"`
	Mode  string   `json:"mode,omitempty"` // as fs.FileMode prints it; "" if nobody asked, or if it failed
	User  string   `json:"user,omitempty"`
	Group string   `json:"group,omitempty"`
	Size  int64    `json:"size,omitempty"`
	Time  string   `json:"time,omitempty"`  // SECONDS.NANOSECONDS
	Seen  *inodeOf `json:"inode,omitempty"` // what only LstatAll tells
	// Named are the accounts by number, as "user 1001", whose names no file has: a directory service is asked.
	Named    []string            `json:"named,omitempty"`
	Target   string              `json:"target,omitempty"` // of a link
	Listed   bool                `json:"listed,omitempty"`
	Names    []string            `json:"names,omitempty"` // in a directory that was listed: all of them
	Content  *contentAnswer      `json:"content,omitempty"`
	Real     string              `json:"real,omitempty"`    // Resolve, with a final link
	Place    string              `json:"place,omitempty"`   // Resolve, without
	Program  string              `json:"program,omitempty"` // the file that is executed
	Failures map[string]*failure `json:"failures,omitempty"`

	meta Meta // parsed
}

// An inodeOf is what else LstatAll tells of a file.
type inodeOf struct {
	Dev     uint64 `json:"dev"`
	Ino     uint64 `json:"ino"`
	Links   uint64 `json:"links,omitempty"`
	Changed string `json:"changed"`
}

// A contentAnswer is what was read of a file. Left says why it is not there: private or large.
type contentAnswer struct {
	SHA256 string  `json:"sha256,omitempty"` // of the whole, where somebody asked
	Parts  []*part `json:"parts,omitempty"`  // in order, apart from each other
	End    *int64  `json:"end,omitempty"`    // where it was seen to end
	Seek   *int64  `json:"seek,omitempty"`   // where seeking says that it ends, if that is elsewhere; -1: it cannot
	Left   string  `json:"left,omitempty"`
}

// A part is a piece of a file.
type part struct {
	At     int64  `json:"at,omitempty"`
	Text   string `json:"text,omitempty"`
	Base64 string `json:"base64,omitempty"` // where it is not UTF-8

	data []byte
}

func (p *part) end() int64 { return p.At + int64(len(p.data)) }

// A queryAnswer is a command that only read, and what it answered: a line of a snapshot.
type queryAnswer struct {
	Query    []string          `json:"query"`
	User     string            `json:"user,omitempty"`
	Dir      string            `json:"dir,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	Stdin    string            `json:"stdin,omitempty"` // base64
	Confined bool              `json:"confined,omitempty"`
	Code     int               `json:"code,omitempty"`
	Out      *part             `json:"out,omitempty"`
	Err      *part             `json:"err,omitempty"`
	Loose    string            `json:"loose,omitempty"`
	Failure  *failure          `json:"failure,omitempty"`
}

// A factAnswer is a fact that is kept by its value, since what tells it changes all the time.
type factAnswer struct {
	Fact string `json:"fact"`
	Is   string `json:"is"`
}

// A getAnswer is what a server on the machine itself answered.
type getAnswer struct {
	Get      string   `json:"get"` // URL without secrets
	Head     bool     `json:"head,omitempty"`
	Status   int      `json:"status,omitempty"`
	Size     int64    `json:"size,omitempty"`
	ETag     string   `json:"etag,omitempty"`
	Modified string   `json:"modified,omitempty"`
	Type     string   `json:"type,omitempty"`
	Body     *part    `json:"body,omitempty"` // nil where it is too long
	Failure  *failure `json:"failure,omitempty"`
}

// A failure is an error that a machine answered with.
type failure struct {
	Errno   string `json:"errno,omitempty"`
	Text    string `json:"text,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Missing bool   `json:"missing,omitempty"` // there is no such program
}

// failureOf describes err, the answer to an operation on name.
func failureOf(op, name string, err error) *failure {
	var f failure
	var errno syscall.Errno
	if errors.As(err, &errno) {
		f.Errno = unix.ErrnoName(errno)
	}
	f.Missing = errors.Is(err, exec.ErrNotFound)
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		f.Hint = h.Hint()
	}
	if f.Errno == "" || err.Error() != guest(op, name, errno).Error() {
		f.Text = err.Error()
	}
	return &f
}

// err is the error that f describes.
func (f *failure) err(op, name string) error {
	errno := errnoCalled(f.Errno)
	if f.Text == "" && errno != 0 {
		return guest(op, name, errno)
	}
	answered := answeredError{text: f.Text, errno: errno, missing: f.Missing}
	if f.Hint != "" {
		return hinted{answered, f.Hint}
	}
	return answered
}

// errnoCalled returns the error of the kernel that is called so, 0 if there is none.
func errnoCalled(name string) syscall.Errno {
	const highest = 134 // EHWPOISON and one more
	for e := syscall.Errno(1); e < highest; e++ {
		if name != "" && unix.ErrnoName(e) == name {
			return e
		}
	}
	return 0
}

// An answeredError reads as it did on the machine, and means the same.
type answeredError struct {
	text    string
	errno   syscall.Errno
	missing bool
}

func (e answeredError) Error() string { return e.text }
func (e answeredError) Is(target error) bool {
	if e.missing && target == exec.ErrNotFound {
		return true
	}
	return e.errno != 0 && errors.Is(e.errno, target)
}

// setMeta notes what Lstat told.
func (a *fileAnswer) setMeta(m Meta) {
	a.meta = m
	a.Mode, a.User, a.Group, a.Size, a.Time = m.Mode.String(), m.User, m.Group, m.Size, stamp(m.ModTime)
}

// parse reads what stands in the line, and refuses what no machine answers.
func (a *fileAnswer) parse() (err error) {
	if a.Mode != "" {
		a.meta = Meta{Owner: Owner{a.User, a.Group}, Size: a.Size}
		if a.meta.Mode, err = parseMode(a.Mode); err != nil {
			return err
		}
		if a.meta.ModTime, err = parseStamp(a.Time); err != nil {
			return err
		}
	}
	if a.Seen != nil {
		if _, err := parseStamp(a.Seen.Changed); err != nil {
			return err
		}
	}
	if !slices.IsSorted(a.Names) {
		return errors.New("names: want them sorted")
	}
	if a.Content == nil {
		return nil
	}
	end := int64(0)
	for _, p := range a.Content.Parts {
		if err := p.parse(); err != nil {
			return err
		}
		if p.At < end || p.end() < p.At {
			return errors.New("parts: want them in order, apart from each other")
		}
		end = p.end()
	}
	if e := a.Content.End; e != nil && *e < end {
		return fmt.Errorf("end: got %d, want at least %d", *e, end)
	}
	return nil
}

func (p *part) parse() (err error) {
	if p.data = []byte(p.Text); p.Base64 != "" {
		p.data, err = base64.StdEncoding.DecodeString(p.Base64)
	}
	return err
}

// told returns p with its data as text, or as base64 where it is none.
func (p *part) told() *part {
	p.Text, p.Base64 = "", ""
	if utf8.Valid(p.data) {
		p.Text = string(p.data)
	} else {
		p.Base64 = base64.StdEncoding.EncodeToString(p.data)
	}
	return p
}

func partOf(b []byte) *part {
	if len(b) == 0 {
		return nil
	}
	return (&part{data: b}).told()
}

func (p *part) bytes() []byte {
	if p == nil {
		return nil
	}
	return p.data
}

// add notes that b was read at a place.
func (c *contentAnswer) add(at int64, b []byte) (added int64) {
	i := 0
	for len(b) > 0 {
		for i < len(c.Parts) && c.Parts[i].end() < at {
			i++
		}
		switch {
		case i == len(c.Parts) || at < c.Parts[i].At: // in front of part i
			n := int64(len(b))
			if i < len(c.Parts) {
				n = min(n, c.Parts[i].At-at)
			}
			c.Parts = slices.Insert(c.Parts, i, &part{At: at, data: slices.Clone(b[:n])})
			added, at, b = added+n, at+n, b[n:]
		case at < c.Parts[i].end(): // within it
			n := min(int64(len(b)), c.Parts[i].end()-at)
			at, b = at+n, b[n:]
		default: // it ends here
			n := int64(len(b))
			if i+1 < len(c.Parts) {
				n = min(n, c.Parts[i+1].At-at)
			}
			c.Parts[i].data = append(c.Parts[i].data, b[:n]...)
			added, at, b = added+n, at+n, b[n:]
		}
		c.join(i)
	}
	return added
}

// join makes one of part i and the next, if they meet.
func (c *contentAnswer) join(i int) {
	if i+1 < len(c.Parts) && c.Parts[i].end() == c.Parts[i+1].At {
		c.Parts[i].data = append(c.Parts[i].data, c.Parts[i+1].data...)
		c.Parts = slices.Delete(c.Parts, i+1, i+2)
	}
}

// whole reports whether all that the file holds is there.
func (c *contentAnswer) whole() bool {
	return c.End != nil && (*c.End == 0 || len(c.Parts) == 1 && c.Parts[0].At == 0 && c.Parts[0].end() == *c.End)
}

// stamp writes a time to the nanosecond, in any year.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

func parseStamp(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	sec, nano, _ := strings.Cut(s, ".")
	n, err1 := strconv.ParseInt(sec, 10, 64)
	f, err2 := strconv.ParseUint(nano, 10, 32)
	if err := errors.Join(err1, err2); err != nil || len(nano) != 9 {
		return time.Time{}, fmt.Errorf("got time %q, want SECONDS.NANOSECONDS", s)
	}
	return time.Unix(n, int64(f)), nil
}

// kindOf is what a file is, as far as an answer needs to know.
func (a *fileAnswer) is(bits fs.FileMode) bool {
	return a.Mode != "" && a.meta.Mode&fs.ModeType == bits
}
