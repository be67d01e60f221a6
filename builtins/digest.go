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
	"strings"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
)

// The parameters of builtins that verify a file.
var (
	sha256Param = param("sha256", "string", `""`, "what it must hash to, in hex; a line or all lines of sha256sum will do")
	md5Param    = param("md5", "string", `""`,
		"the same for media that come with nothing better; a line or all lines of md5sum will do")
)

// digests are what a file must hash to, in lower-case hex; "" means anything.
type digests struct{ sha256, md5 string }

// parseDigests returns what the arguments sha256= and md5= say of the file called file.
func parseDigests(sha256Text, md5Text, file string) (d digests, err error) {
	if d.sha256, err = parseDigest("sha256", sha256Text, file, sha256.Size); err != nil {
		return d, err
	}
	d.md5, err = parseDigest("md5", md5Text, file, md5.Size)
	return d, err
}

// The lines that md5sum(1) and sha256sum(1) write: "HEX  NAME" or "HEX *NAME", and
// with --tag "SHA256 (NAME) = HEX". A backslash in front says that NAME is escaped.
var (
	sumLine = regexp.MustCompile(`^\\?([0-9A-Fa-f]+)(?:\s+\*?(.+))?$`)
	tagLine = regexp.MustCompile(`^\\?[A-Za-z0-9-]+\s*\((.+)\)\s*=\s*([0-9A-Fa-f]+)$`)
)

// parseDigest returns the digest of size bytes in text: hex alone, or lines as md5sum
// and sha256sum write them. Of several lines it reads that of file.
func parseDigest(arg, text, file string, size int) (string, error) {
	if text == "" {
		return "", nil
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, l := range lines {
		sum, name := splitSum(strings.TrimSpace(l))
		if len(lines) > 1 && path.Base(name) != path.Base(file) {
			continue
		}
		if b, err := hex.DecodeString(sum); err != nil || len(b) != size {
			return "", fmt.Errorf("argument %q: got %q, want %d hex digits, or a line of %ssum", arg, strings.TrimSpace(l),
				2*size, arg)
		}
		return strings.ToLower(sum), nil
	}
	return "", fmt.Errorf("argument %q: got %d lines, none for %s", arg, len(lines), path.Base(file))
}

// splitSum returns the digest and the name in a line; sum is "" if it has none.
func splitSum(line string) (sum, name string) {
	if m := tagLine.FindStringSubmatch(line); m != nil {
		return m[2], m[1]
	}
	if m := sumLine.FindStringSubmatch(line); m != nil {
		return m[1], m[2]
	}
	return "", ""
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
