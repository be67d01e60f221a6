package signing

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// A Key can sign.
type Key struct {
	signer ssh.Signer
	close  func() error // nil of a key from a file
}

// Public returns its public half.
func (k Key) Public() Public { return Public{k.signer.PublicKey()} }

// Close ends the connection to an agent.
func (k Key) Close() error {
	if k.close == nil {
		return nil
	}
	return k.close()
}

// Sign returns an armored signature over a message, with SHA-512.
func (k Key) Sign(namespace string, message []byte) ([]byte, error) {
	if why := k.Public().weak(); why != "" {
		return nil, fmt.Errorf("the key %s %s", k.Public(), why)
	}
	sig, err := sshsig.Sign(bytes.NewReader(message), k.signer, sshsig.HashSHA512, namespace)
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", k.Public(), err)
	}
	armored := sshsig.Armor(sig)
	made, err := Parse(armored)
	if err != nil {
		return nil, err
	}
	return armored, made.Verify(namespace, message) // an agent may have answered anything
}

// SignPlain returns a signature over a message as others than SSH have it: 64 bytes of an Ed25519 key (RFC 8032), or of
// ECDSA its numbers in ASN.1, over the hash that goes with the curve. Keys of other kinds have no form that verifiers
// agree on.
func (k Key) SignPlain(message []byte) ([]byte, error) {
	kind := k.signer.PublicKey().Type()
	if kind != ssh.KeyAlgoED25519 && !strings.HasPrefix(kind, "ecdsa-sha2-") {
		const want = "want ssh-ed25519 or ecdsa-sha2-nistp256"
		return nil, fmt.Errorf("the key %s is of type %s, %s", k.Public(), kind, want)
	}
	sig, err := k.signer.Sign(rand.Reader, message)
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", k.Public(), err)
	}
	if err := k.signer.PublicKey().Verify(message, sig); err != nil { // an agent may have answered anything
		return nil, fmt.Errorf("the key %s: %w", k.Public(), err)
	}
	if kind == ssh.KeyAlgoED25519 {
		return sig.Blob, nil
	}
	var numbers struct{ R, S *big.Int }
	if err := ssh.Unmarshal(sig.Blob, &numbers); err != nil {
		return nil, fmt.Errorf("the key %s: %w", k.Public(), err)
	}
	return asn1.Marshal(numbers)
}

// ErrPassphrase says that a passphrase is wrong.
var ErrPassphrase = errors.New("the passphrase is wrong")

// PrivateKey returns the key of a file's text. If it has a passphrase, that is asked for.
func PrivateKey(text []byte, ask func() (string, error)) (Key, error) {
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		passphrase, aerr := ask()
		if aerr != nil {
			return Key{}, aerr
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
		if errors.Is(err, x509.IncorrectPasswordError) {
			return Key{}, ErrPassphrase
		}
	}
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), "ssh: ")
		return Key{}, fmt.Errorf("no private key can be read from it: %s", reason)
	}
	return Key{signer: signer}, nil
}

// PublicKey returns the key of the text of a .pub file, and whether it is one.
func PublicKey(text []byte) (Public, bool) {
	key, _, _, rest, err := ssh.ParseAuthorizedKey(text)
	return Public{key}, err == nil && len(bytes.TrimSpace(rest)) == 0
}

// An AgentError says why an agent does not sign.
type AgentError struct {
	Err  error
	Keys []string // that it holds: fingerprint, type and comment of each
}

func (e *AgentError) Error() string { return e.Err.Error() }
func (e *AgentError) Unwrap() error { return e.Err }

// AgentKey returns the key of the agent that listens at a socket: the one whose public half is given, else the only
// one that it holds.
func AgentKey(socket string, want *Public) (Key, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return Key{}, &AgentError{Err: fmt.Errorf("agent: %w", err)}
	}
	key, err := agentKey(agent.NewClient(conn), want)
	if err != nil {
		conn.Close()
		return Key{}, err
	}
	key.close = conn.Close
	return key, nil
}

func agentKey(a agent.ExtendedAgent, want *Public) (Key, error) {
	held, err := a.List()
	if err != nil {
		return Key{}, &AgentError{Err: fmt.Errorf("agent: %w", err)}
	}
	signers, err := a.Signers()
	if err != nil {
		return Key{}, &AgentError{Err: fmt.Errorf("agent: %w", err)}
	}
	var fit []ssh.Signer
	for _, s := range signers {
		p := Public{s.PublicKey()}
		_, certificate := s.PublicKey().(*ssh.Certificate) // which stands beside its key
		if want != nil && p.Is(*want) || want == nil && !certificate {
			fit = append(fit, s)
		}
	}
	var keys []string
	for _, k := range held {
		keys = append(keys, strings.TrimSpace(fmt.Sprintf("%s %s %s", ssh.FingerprintSHA256(k), k.Type(), k.Comment)))
	}
	switch {
	case len(fit) == 1:
		return Key{signer: fit[0]}, nil
	case want != nil:
		err = fmt.Errorf("the agent does not hold the key %s", want)
	case len(fit) == 0:
		err = errors.New("the agent holds no key")
	default:
		err = fmt.Errorf("the agent holds %d keys", len(fit))
	}
	return Key{}, &AgentError{Err: err, Keys: keys}
}

// AgentSocket is where the environment says that an agent listens, "" if it says nothing.
func AgentSocket() string { return os.Getenv("SSH_AUTH_SOCK") }
