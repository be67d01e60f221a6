package signing

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Revoked is a list of keys that are not accepted whatever the signers say. The zero value lists none.
type Revoked struct {
	blobs, sha1s, sha256s map[string]bool
	fingerprints          map[string]bool
}

// Has reports whether a key is listed.
func (r Revoked) Has(key Public) bool {
	blob := key.key.Marshal()
	s1, s256 := sha1.Sum(blob), sha256.Sum256(blob)
	return r.blobs[string(blob)] || r.sha1s[string(s1[:])] || r.sha256s[string(s256[:])] || r.fingerprints[key.String()]
}

// ParseRevoked reads a list of revoked keys: text with a public key or a SHA256:... fingerprint a line, or what
// ssh-keygen -k writes.
func ParseRevoked(text []byte) (Revoked, error) {
	r := Revoked{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	if rest, binary := bytes.CutPrefix(text, []byte("SSHKRL\n\x00")); binary {
		return r, r.krl(rest)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "SHA256:") {
			r.fingerprints[strings.Fields(line)[0]] = true
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return r, fmt.Errorf("line %d: got neither a public key nor a SHA256:... fingerprint", n)
		}
		r.blobs[string(key.Marshal())] = true
	}
	return r, nil
}

// The sections of a KRL that list plain keys. Others are about certificates, which are not accepted at all.
const (
	krlCertificates = 1
	krlKeys         = 2
	krlSHA1         = 3
	krlSignature    = 4
	krlSHA256       = 5
	krlExtension    = 255
)

// krl reads what stands behind the magic of PROTOCOL.krl: version, number, date and flags; a reserved string and a
// comment; sections.
func (r Revoked) krl(b []byte) error {
	if len(b) < 28 || binary.BigEndian.Uint32(b) != 1 {
		return errors.New("it is cut off, or of another version than 1")
	}
	b = b[28:]
	var err error
	for range 2 {
		if _, b, err = cutString(b); err != nil {
			return err
		}
	}
	for len(b) > 0 {
		kind := b[0]
		var section []byte
		if section, b, err = cutString(b[1:]); err != nil {
			return err
		}
		list, known := map[byte]map[string]bool{krlKeys: r.blobs, krlSHA1: r.sha1s, krlSHA256: r.sha256s,
			krlCertificates: nil, krlSignature: nil, krlExtension: nil}[kind]
		if !known {
			return fmt.Errorf("it has a section of type %d, which is not known", kind)
		}
		for list != nil && len(section) > 0 {
			var item []byte
			if item, section, err = cutString(section); err != nil {
				return err
			}
			list[string(item)] = true
		}
	}
	return nil
}

// cutString takes a string of the SSH protocol, which has its length before it, from the front of b.
func cutString(b []byte) (s, rest []byte, err error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, errors.New("it is cut off")
	}
	n := 4 + int(binary.BigEndian.Uint32(b))
	return b[4:n], b[n:], nil
}
