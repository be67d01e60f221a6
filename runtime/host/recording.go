package host

import (
	"io"
	"io/fs"
	"slices"
	"strings"
)

// A readFile keeps what is read of it.
type readFile struct {
	File
	r    *Recorder
	c    *contentAnswer
	name string
	at   int64
	text []byte // of the kernel's own files, which are kept when they end
}

func (f *readFile) Stat() (fs.FileInfo, error) {
	s, ok := f.File.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil, errInvalid
	}
	return s.Stat()
}

func (f *readFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	switch {
	case f.c.Left != "" || f.c.whole(): // what a file holds is what it held first
	case essentials(f.name) != nil:
		f.text = append(f.text, p[:n]...)
		if err == io.EOF && f.c.End == nil {
			f.text = essentials(f.name)(f.text)
			f.keep(0, f.text)
			f.ends(int64(len(f.text)))
		}
	default:
		f.keep(f.at, p[:n])
		if err == io.EOF {
			f.ends(f.at + int64(n))
		}
	}
	f.at += int64(n)
	return n, err
}

func (f *readFile) ends(at int64) {
	last := int64(0)
	if n := len(f.c.Parts); n > 0 {
		last = f.c.Parts[n-1].end()
	}
	if f.c.End == nil && at >= last {
		f.c.End = &at
	}
}

func (f *readFile) keep(at int64, b []byte) {
	if end := f.c.End; end != nil { // it became longer since
		b = b[:max(0, min(int64(len(b)), *end-at))]
	}
	f.r.kept += f.c.add(at, b)
	size := int64(0)
	for _, p := range f.c.Parts {
		size += int64(len(p.data))
	}
	if size > mostOfFile || f.r.kept > mostOfAll {
		f.r.kept -= size
		f.c.Parts, f.c.Left = nil, leftLarge
	}
}

func (f *readFile) Seek(off int64, whence int) (int64, error) {
	at, err := f.File.Seek(off, whence)
	if whence == io.SeekEnd && off == 0 {
		f.r.mu.Lock()
		if f.c.Seek = &at; err != nil {
			none := int64(-1)
			f.c.Seek = &none
		}
		f.r.mu.Unlock()
	}
	if err == nil {
		f.at = at
	}
	return at, err
}

// digested computes the digest without keeping what is read for it.
func (f *readFile) digested(compute func(File) (string, error)) (string, error) {
	sum, err := compute(f.File)
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	if err == nil && f.c.Left != leftPrivate {
		f.c.SHA256 = sum
	}
	return sum, err
}

// essentials returns what of a file of the kernel is kept: lines that do not change from one moment to the next. It is
// nil for other files.
func essentials(name string) func([]byte) []byte {
	var words []string
	switch name {
	case "/proc/meminfo":
		words = []string{"MemTotal:"}
	case "/proc/cpuinfo":
		words = []string{"processor", "model name", "vendor_id"}
	case ownProcess + "/status":
		words = []string{"Name:", "Uid:", "Gid:", "Groups:"}
	default:
		return nil
	}
	return func(text []byte) []byte {
		var kept []string
		for line := range strings.Lines(string(text)) {
			if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(line, w) }) {
				kept = append(kept, line)
			}
		}
		return []byte(strings.Join(kept, ""))
	}
}
