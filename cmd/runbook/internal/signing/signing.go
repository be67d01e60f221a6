// Package signing makes and checks SSH signatures as ssh-keygen -Y does, with keys from files and from an agent, and
// says who a key belongs to.
//
// Two things to know. A signature holds for one namespace, so that what was signed for one purpose cannot be shown for
// another. And all that is read here was written by others: what is not understood is an error, never a yes.
//
// It is called by cmd/runbook and calls nothing of the project. It is the one door to golang.org/x/crypto/ssh and
// github.com/hiddeco/sshsig; the formats are PROTOCOL.sshsig, PROTOCOL.krl and ssh-keygen(1) of OpenSSH.
package signing

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Armor is the line that a signature begins with.
const Armor = "-----BEGIN SSH SIGNATURE-----"

// A Public is the public half of a key.
type Public struct{ key ssh.PublicKey }

// String returns the key's fingerprint as ssh-keygen -l shows it: SHA256:...
func (p Public) String() string { return ssh.FingerprintSHA256(p.key) }

// ID returns a short name of the key that a file may have: 16 hex digits.
func (p Public) ID() string {
	sum := sha256.Sum256(p.key.Marshal())
	return hex.EncodeToString(sum[:8])
}

// Kind returns the type of the key, such as ssh-ed25519.
func (p Public) Kind() string { return p.key.Type() }

// Is reports whether two keys are the same.
func (p Public) Is(other Public) bool { return bytes.Equal(p.key.Marshal(), other.key.Marshal()) }

// leastRSA is how many bits an RSA key has at least.
const leastRSA = 2048

// weak says why a key must not be relied on, "" if it may.
func (p Public) weak() string {
	if _, ok := p.key.(*ssh.Certificate); ok {
		return "is a certificate, which is not supported here: list the key itself"
	}
	if p.Kind() == "ssh-dss" {
		return "is a DSA key, which nobody accepts any more"
	}
	c, ok := p.key.(ssh.CryptoPublicKey)
	if !ok {
		return ""
	}
	if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < leastRSA {
		return fmt.Sprintf("is an RSA key of %d bits, want at least %d", k.N.BitLen(), leastRSA)
	}
	return ""
}

// A Signature is one that was read and not yet verified.
type Signature struct{ sig *sshsig.Signature }

// Parse reads an armored signature, with nothing but white space around it.
func Parse(armored []byte) (Signature, error) {
	text := strings.TrimSpace(string(armored))
	const end = "-----END SSH SIGNATURE-----"
	switch {
	case !strings.HasPrefix(text, Armor):
		return Signature{}, errors.New("got no SSH signature")
	case !strings.HasSuffix(text, end):
		return Signature{}, errors.New("the signature is cut off, or something stands after it")
	case strings.Count(text, "-----BEGIN") > 1:
		return Signature{}, errors.New("got more than one signature")
	}
	body := strings.Join(strings.Fields(strings.TrimSuffix(strings.TrimPrefix(text, Armor), end)), "")
	if _, err := base64.StdEncoding.Strict().DecodeString(body); err != nil {
		return Signature{}, fmt.Errorf("the signature cannot be read: %w", err) // bits that nobody signs would go through
	}
	sig, err := sshsig.Unarmor([]byte(text))
	if err != nil {
		return Signature{}, fmt.Errorf("the signature cannot be read: %w", err)
	}
	return Signature{sig}, nil
}

// Key returns the key that the signature says it is by.
func (s Signature) Key() Public { return Public{s.sig.PublicKey} }

// Verify returns an error unless the key has signed the message for the namespace.
func (s Signature) Verify(namespace string, message []byte) error {
	if have := s.sig.Namespace; have != namespace {
		return fmt.Errorf("the signature was made for the namespace %q, want %q", have, namespace)
	}
	if why := s.Key().weak(); why != "" {
		return fmt.Errorf("the key %s %s", s.Key(), why)
	}
	if err := sshsig.Verify(bytes.NewReader(message), s.sig, s.sig.PublicKey, s.sig.HashAlgorithm, namespace); err != nil {
		return fmt.Errorf("the key %s has not signed this", s.Key())
	}
	return nil
}
