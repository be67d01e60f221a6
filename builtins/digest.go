package builtins

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
)

// The parameters of builtins that verify a file.
var (
	sha256Param = param("sha256", "string", `""`,
		"what it must hash to, in hex; a line or a whole list of sha256sum, or of BSD, will do")
	md5Param = param("md5", "string", `""`,
		"the same for media that come with nothing better; a line or a whole list of md5sum will do")
)

// digests are what a file must hash to, in lower-case hex; "" means anything.
type digests struct{ sha256, md5 string }

// parseDigests returns what the arguments sha256= and md5= say of the file that goes by these names.
func parseDigests(sha256Text, md5Text string, files ...string) (d digests, err error) {
	if d.sha256, err = parseDigest("sha256", sha256Text, sha256.Size, files...); err != nil {
		return d, err
	}
	d.md5, err = parseDigest("md5", md5Text, md5.Size, files...)
	return d, err
}

// The lines that md5sum(1) and sha256sum(1) write: "HEX  NAME" or "HEX *NAME", and as those of
// BSD, or with --tag, "SHA256 (NAME) = HEX". A backslash in front says that NAME is escaped.
var (
	sumLine = regexp.MustCompile(`^\\?([0-9A-Fa-f]+)(?:\s+\*?(.+))?$`)
	tagLine = regexp.MustCompile(`^\\?([A-Za-z0-9-]+)\s*\((.+)\)\s*=\s*([0-9A-Fa-f]+)$`)
)

// A sumEntry is a line of a list of digests.
type sumEntry struct{ line, sum, name string }

// parseDigest returns the digest of size bytes in text: hex alone, or lines as md5sum and sha256sum
// write them, with comments behind # or ;. Of several lines it reads that of the file, by the first of
// its names that has one.
func parseDigest(arg, text string, size int, files ...string) (string, error) {
	if text == "" {
		return "", nil
	}
	list := sumEntries(arg, text)
	if len(list) == 1 {
		return list[0].digest(arg, size)
	}
	for _, file := range files {
		var sums []string
		var wrong error
		for _, e := range list {
			if path.Base(e.name) != path.Base(file) {
				continue
			}
			sum, err := e.digest(arg, size)
			if err != nil {
				wrong = err
			} else if !slices.Contains(sums, sum) {
				sums = append(sums, sum)
			}
		}
		switch {
		case len(sums) > 1:
			return "", fmt.Errorf("argument %q: got %d different digests for %s, want one", arg, len(sums), path.Base(file))
		case len(sums) == 1:
			return sums[0], nil
		case wrong != nil:
			return "", wrong
		}
	}
	return "", fmt.Errorf("argument %q: got %d lines, none for %s", arg, len(list), path.Base(files[0]))
}

// sumEntries returns the lines of a list but for comments and those of other algorithms, at least one.
func sumEntries(arg, text string) (list []sumEntry) {
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(strings.TrimPrefix(l, string(byteOrderMark)))
		if l == "" || l[0] == '#' || l[0] == ';' {
			continue
		}
		e := sumEntry{line: l}
		if m := tagLine.FindStringSubmatch(l); m != nil {
			if e.name = m[2]; strings.EqualFold(strings.ReplaceAll(m[1], "-", ""), arg) {
				e.sum = m[3]
			}
		} else if m := sumLine.FindStringSubmatch(l); m != nil {
			e.sum, e.name = m[1], m[2]
		}
		list = append(list, e)
	}
	if list == nil {
		list = []sumEntry{{line: strings.TrimSpace(text)}}
	}
	return list
}

// digest returns the digest in lower case.
func (e sumEntry) digest(arg string, size int) (string, error) {
	if b, err := hex.DecodeString(e.sum); err != nil || len(b) != size {
		return "", fmt.Errorf("argument %q: got %q, want %d hex digits, or a line of %ssum", arg, e.line, 2*size, arg)
	}
	return strings.ToLower(e.sum), nil
}

// given reports whether there is a digest to verify.
func (d digests) given() bool { return d != digests{} }

// read is a file that an effect reads and verifies.
func (d digests) read(file string) runtime.Read {
	return runtime.Read{Path: file, SHA256: d.sha256, MD5: d.md5}
}

// A wantedDigest is a digest that a file must have, and a hash to compute it.
type wantedDigest struct {
	algorithm, want string
	hash            hash.Hash
}

// wanted returns the digests to verify, with new hashes.
func (d digests) wanted() (all []wantedDigest) {
	if d.sha256 != "" {
		all = append(all, wantedDigest{"sha256", d.sha256, sha256.New()})
	}
	if d.md5 != "" {
		all = append(all, wantedDigest{"md5", d.md5, md5.New()})
	}
	return all
}

// verified returns c with an error at its end if the digests differ: then a host
// does not give the file its name.
func (d digests) verified(c host.Content) host.Content {
	if !d.given() {
		return c
	}
	return host.Content{Open: func() (host.File, error) {
		f, err := c.Reader()
		if err != nil {
			return nil, err
		}
		return &verifiedFile{File: f, digests: d.wanted()}, nil
	}}
}

// A verifiedFile is verified if it is read from beginning to end.
type verifiedFile struct {
	host.File
	digests []wantedDigest
}

func (v *verifiedFile) Read(p []byte) (int, error) {
	n, err := v.File.Read(p)
	for _, d := range v.digests {
		d.hash.Write(p[:n])
		if err != io.EOF {
			continue
		}
		if have := hex.EncodeToString(d.hash.Sum(nil)); have != d.want {
			return n, advise(fmt.Errorf("%w: got %s %s, want %s", fetch.ErrDigest, d.algorithm, have, d.want))
		}
	}
	return n, err
}

func (v *verifiedFile) Seek(offset int64, whence int) (int64, error) {
	v.digests = nil // only a part is read
	return v.File.Seek(offset, whence)
}
