package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"golang.org/x/crypto/ssh"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

// A verifier checks signatures with the public half of an SSH key, and knows nothing of this program.
type verifier struct{ key ssh.PublicKey }

func (v verifier) KeyID() (string, error)   { return ssh.FingerprintSHA256(v.key), nil }
func (v verifier) Public() crypto.PublicKey { return v.key.(ssh.CryptoPublicKey).CryptoPublicKey() }

func (v verifier) Verify(_ context.Context, message, sig []byte) error {
	ok := false
	switch k := v.Public().(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, message, sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		ok = ecdsa.VerifyASN1(k, sum[:], sig)
	}
	if !ok {
		return errors.New("the signature is wrong")
	}
	return nil
}

// A statement that was signed with an SSH key is accepted by another implementation of DSSE, and only for that key, type
// and payload.
func TestEnvelope(t *testing.T) {
	sample.Slow(t, "it makes keys")
	dir := t.TempDir()
	envelopes := map[string]*dsse.Envelope{}
	verifiers := map[string]verifier{}
	const name = "../../runtime/trace/review/testdata/run.jsonl"
	report := func(key string) error {
		p := newProgram()
		return p.writeReport([]string{name}, "intoto", filepath.Join(dir, "out"), p.envelopeSigner(t.Context(), key))
	}
	for _, kind := range []string{"ed25519", "ecdsa"} {
		key := newKey(t, dir, kind)
		public, err := os.ReadFile(key + ".pub")
		if err == nil {
			var k ssh.PublicKey
			k, _, _, _, err = ssh.ParseAuthorizedKey(public)
			verifiers[kind] = verifier{k}
		}
		if err == nil {
			err = report(key)
		}
		text, rerr := os.ReadFile(filepath.Join(dir, "out"))
		envelopes[kind] = &dsse.Envelope{}
		if err := errors.Join(err, rerr, json.Unmarshal(text, envelopes[kind])); err != nil {
			t.Fatal(err)
		}
	}
	for signed, e := range envelopes {
		for kind, v := range verifiers {
			if err := accepted(t, v, e); (err == nil) != (kind == signed) {
				t.Errorf("signed with %s, verified with %s: %v", signed, kind, err)
			}
		}
		other := *e
		other.PayloadType += "x"
		if accepted(t, verifiers[signed], &other) == nil {
			t.Errorf("%s: another type is accepted", signed)
		}
		other = *e
		other.Payload = strings.Replace(e.Payload, "A", "B", 1)
		if accepted(t, verifiers[signed], &other) == nil {
			t.Errorf("%s: another payload is accepted", signed)
		}
	}
	if err := report(newKey(t, dir, "rsa")); err == nil || !strings.Contains(err.Error(), "want ssh-ed25519 or ecdsa") {
		t.Errorf("an RSA key: got %v", err)
	}
}

func newKey(t *testing.T, dir, kind string) string {
	t.Helper()
	file := filepath.Join(dir, kind)
	if said, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file).CombinedOutput(); err != nil {
		lab.Skip(t, "ssh-keygen: "+err.Error()+string(said))
	}
	return file
}

func accepted(t *testing.T, v verifier, e *dsse.Envelope) error {
	t.Helper()
	verify, err := dsse.NewEnvelopeVerifier(v)
	if err != nil {
		t.Fatal(err)
	}
	_, err = verify.Verify(t.Context(), e)
	return err
}
