package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"runbook/cmd/runbook/internal/signing"
	"runbook/runtime"
	"runbook/runtime/trace"
)

// traceNamespace is what a signature of a trace is made for.
const traceNamespace = "runbook-trace"

const signHelp = `Sign the head of a trace with an SSH key, into TRACE.sig.

The head is the SHA-256 of the last line, which holds the hash of the line before, and so on: who signs it signs all.
The message is the head in hex and a newline, the namespace is runbook-trace, so that stock tools can check it:

  tail -n 1 TRACE | tr -d '\n' | sha256sum | cut -c1-64 |
    ssh-keygen -Y verify -f SIGNERS -I NAME -n runbook-trace -s TRACE.sig

That this head is the trace's is what runbook audit verify computes; with --signers it checks the signature, too.

--key names a private key, or the .pub file of one that the agent holds. Without it the only key of the agent signs. A
passphrase is asked for on the terminal.`

func (p *program) auditSign() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "sign TRACE", Short: "Sign a trace with an SSH key, into TRACE.sig", Long: signHelp,
		Example: "  runbook audit sign run.jsonl\n  runbook audit sign run.jsonl --key ~/.ssh/id_ed25519",
		Args:    operands(1, 1, "TRACE"),
		RunE:    func(c *cobra.Command, args []string) error { return p.sign(c.Context(), args[0], key) },
	}
	addKey(c, &key)
	return c
}

func addKey(c *cobra.Command, key *string) {
	c.Flags().StringVar(key, "key", "",
		"`FILE` of the key, private, or public if the agent holds it (default the agent's key)")
}

func (p *program) sign(ctx context.Context, name, keyFile string) error {
	report, err := verify(name)
	if err != nil {
		return err
	}
	if !report.OK() {
		return runtime.Hint(fmt.Errorf("sign %s: %s", name, report.Trouble()), "see: runbook audit verify "+name)
	}
	if _, err := os.Lstat(name + ".sig"); err == nil {
		return mistake("a signature is never replaced: see runbook audit verify "+name+", or move it away",
			"sign %s: %s.sig exists", name, name)
	}
	key, err := p.signingKey(ctx, keyFile)
	if err != nil {
		return err
	}
	defer key.Close()
	sig, err := key.Sign(traceNamespace, signedHead(report.Head))
	if err != nil {
		return err
	}
	if err := putNew(name+".sig", sig); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	public, kind := key.Public(), key.Public().Kind()
	fmt.Fprintf(p.out, "signed %s\n  head      %s\n  in short  %s\n  by        %s %s\n",
		trace.Quote(name+".sig"), report.Head, trace.Short(report.Head), public, kind)
	fmt.Fprintf(p.out, "\nTo check it, with a file of allowed signers (NAME %s ...):\n", kind)
	fmt.Fprintf(p.out, "  echo %s | ssh-keygen -Y verify -f ALLOWED_SIGNERS -I NAME -n %s -s %s\n",
		report.Head, traceNamespace, trace.Spaced([]string{name + ".sig"}))
	return nil
}

// signedHead is the message that a signature of a trace is over.
func signedHead(head string) []byte { return []byte(head + "\n") }

// longestKey is how long a file of keys or of a signature may be, in bytes.
const longestKey = 1 << 20

// signingKey returns the key of a file, or that of the agent.
func (p *program) signingKey(ctx context.Context, name string) (signing.Key, error) {
	if name == "" {
		return agentKey(nil)
	}
	text, err := readBounded(name, longestKey)
	if err != nil {
		return signing.Key{}, mistake("name the file of an SSH key: --key FILE", "key: %w", err)
	}
	if public, ok := signing.PublicKey(text); ok {
		return agentKey(&public)
	}
	if text, err = readSecret(ctx, name); err != nil {
		return signing.Key{}, mistake(runtime.HintOf(err), "key: %w", err)
	}
	key, err := signing.PrivateKey(text, func() (string, error) { return p.passphrase(ctx, name) })
	var advised interface{ Hint() string }
	if err != nil && !errors.As(err, &advised) {
		return key, mistake("a key that a token or an agent holds is named by its public file: --key FILE.pub",
			"key %s: %w", name, err)
	}
	return key, err
}

// passphrase asks for that of a key.
func (p *program) passphrase(ctx context.Context, name string) (string, error) {
	c := newConsole(p.in, p.err)
	if !c.there() {
		return "", &runtime.Error{
			Class: runtime.NeedsPerson, Err: spoken("key %s: it has a passphrase, and there is no terminal to ask for it", name),
			Advice: "add the key to an agent (ssh-add " + trace.Spaced([]string{name}) + "), or sign at a terminal",
		}
	}
	return c.hidden(ctx, "passphrase of "+trace.Quote(name)+": ")
}

// agentKey returns the key of the agent with that public half, else its only one.
func agentKey(public *signing.Public) (signing.Key, error) {
	socket := signing.AgentSocket()
	if socket == "" {
		hint := "name a private key: --key FILE, or start an agent: eval $(ssh-agent) && ssh-add"
		return signing.Key{}, mistake(hint, "no key to sign with: no agent is there, SSH_AUTH_SOCK is not set")
	}
	key, err := signing.AgentKey(socket, public)
	var refused *signing.AgentError
	if errors.As(err, &refused) {
		hint := "name a private key: --key FILE"
		if len(refused.Keys) > 0 {
			hint = "name one by its public file: --key FILE.pub; it holds " + strings.Join(refused.Keys, "; ")
		}
		return key, mistake(hint, "%w", err)
	}
	return key, err
}

// putNew makes a file that must not exist, whole or not at all, and readable for all: what is signed is no secret.
func putNew(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".runbook-*.tmp")
	if err != nil {
		return unmade(name, err)
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, f.Name(), unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system that cannot do that
		err = os.Link(f.Name(), name)
	}
	if err != nil {
		return unmade(name, err)
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// unmade is the error of a file or directory beside a trace that could not be made.
func unmade(name string, err error) error {
	var inner *os.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	err = &os.PathError{Op: "make", Path: name, Err: err}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return runtime.Hint(err, "copy the trace to where you may write, sign it there, and hand over what it made")
	}
	return err
}

// readBounded reads a regular file of at most so many bytes.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readOpen(f, most)
}

func readOpen(f *os.File, most int64) ([]byte, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", f.Name())
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s has more than %d KiB", f.Name(), most>>10)
	}
	return text, err
}
