package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"runbook/cmd/runbook/internal/signing"
	"runbook/runtime"
	"runbook/runtime/trace"
)

// signersAt are the files that say whose signatures are accepted.
type signersAt struct{ signers, revoked string }

// add adds the flags that name them.
func (at *signersAt) add(c *cobra.Command, what string) {
	c.Flags().StringVar(&at.signers, "signers", "", what+": `FILE` of allowed signers, as for ssh-keygen -Y verify")
	c.Flags().StringVar(&at.revoked, "revoked", "",
		"with --signers: `FILE` of keys that are not accepted: public keys, or what ssh-keygen -k writes")
}

// A jury says whose signatures are accepted; nil accepts none.
type jury struct {
	name    string
	signers *signing.Signers
	revoked signing.Revoked
}

// read reads the files. They decide what is done, so that only their reader's own or root's are taken.
func (at signersAt) read() (*jury, error) {
	if at.signers == "" && at.revoked != "" {
		return nil, mistake("say whose keys are accepted: --signers FILE", "--revoked needs --signers")
	}
	if at.signers == "" {
		return nil, nil
	}
	text, err := readDeciding("signers", at.signers)
	if err != nil {
		return nil, err
	}
	j := &jury{name: at.signers}
	if j.signers, err = signing.ParseSigners(text); err != nil {
		return nil, mistake("a line is PRINCIPAL TYPE KEY, as of ssh-keygen -Y verify: alice ssh-ed25519 AAAA...",
			"signers %s: %w", at.signers, err)
	}
	if at.revoked == "" {
		return j, nil
	}
	if text, err = readDeciding("revoked keys", at.revoked); err != nil {
		return nil, err
	}
	if j.revoked, err = signing.ParseRevoked(text); err != nil {
		return nil, mistake("it is a list of public keys, or what ssh-keygen -k writes",
			"revoked keys %s: %w", at.revoked, err)
	}
	return j, nil
}

func readDeciding(what, file string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(file)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, mistake("", what+": %w", err)
	}
	for _, name := range []string{real, filepath.Dir(real)} {
		if err := ours(name, false); err != nil {
			return nil, mistake("it decides who may approve: see who could have written it, then chown and chmod go-w",
				what+" %s: %w", file, err)
		}
	}
	text, err := readBounded(real, longestKey)
	if err != nil {
		return nil, mistake("", what+": %w", err)
	}
	return text, nil
}

// who returns the principals of a key that is accepted for a namespace now; the error says why it is not.
func (j *jury) who(key signing.Public, namespace string, now time.Time) ([]string, error) {
	if j.revoked.Has(key) {
		return nil, fmt.Errorf("the key %s is revoked", key)
	}
	names, err := j.signers.Who(key, namespace, now)
	if err != nil {
		return nil, fmt.Errorf("the key %s %w", key, err)
	}
	return names, nil
}

// signatureOf returns the signature beside a trace, nil if there is none; the error says why it does not hold for head.
func signatureOf(name, head string) (*signing.Public, error) {
	text, err := readBounded(name+".sig", longestKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sig, err := signing.Parse(bytes.TrimSpace(text))
	if err == nil {
		err = sig.Verify(traceNamespace, signedHead(head))
	}
	if err != nil {
		return nil, fmt.Errorf("%s.sig: %w", name, err)
	}
	key := sig.Key()
	return &key, nil
}

// witnesses adds to a report what others say of the head: a signature beside the trace, approvals, and a head that was
// kept elsewhere. The error says what was asked for and is not there.
func (p *program) witnesses(r *trace.Report, name, head string, at signersAt) error {
	digits, ok := trace.ParseHead(head)
	if head != "" && !ok {
		return mistake("give all 64 digits that stand behind head, or the 20 behind in short", "--head %s: got no head", head)
	}
	jury, err := at.read()
	if err != nil {
		return err
	}
	signed, err := p.signature(r, name, jury)
	if p.approvers(r, name, jury) && !signed {
		err = nil
	}
	switch {
	case head == "":
	case strings.HasPrefix(r.Head, digits):
		r.Witness("the head is the one that was kept elsewhere: " + trace.Quote(head))
	default:
		r.Contradict(fmt.Sprintf("the head is not the one that was kept elsewhere: got %s, want %s", r.Head, head))
	}
	return err
}

// signature adds what the signature beside a trace says, and reports whether there is one.
func (p *program) signature(r *trace.Report, name string, jury *jury) (signed bool, err error) {
	key, err := signatureOf(name, r.Head)
	switch {
	case err != nil:
		r.Contradict(err.Error())
		return true, nil
	case key == nil && jury != nil:
		return false, runtime.Hint(spoken("trace %s: nobody has signed it", name),
			"runbook audit sign "+trace.Spaced([]string{name}))
	case key == nil:
		return false, nil
	case jury == nil:
		r.Proved = append(r.Proved, fmt.Sprintf("the key %s has signed this head: %s.sig", key, name))
		r.NotProved = append(r.NotProved, "whose key that is: give --signers FILE")
		return true, nil
	}
	names, err := jury.who(*key, traceNamespace, p.now())
	if err != nil {
		return true, spoken("trace %s: %w", name, err)
	}
	r.Witness(fmt.Sprintf("%s has signed this head, with the key %s", trace.Quote(strings.Join(names, ", ")), key))
	return true, nil
}

// approvers adds what the approvals beside a trace say, and reports whether one is by a key that is accepted. One that
// is of another plan says that this is not what was approved.
func (p *program) approvers(r *trace.Report, name string, jury *jury) (accepted bool) {
	all, not, err := (&plan{name: name}).approvals()
	if err != nil {
		not = append(not, err)
	}
	for _, a := range all {
		what := trace.Quote(fmt.Sprintf("for the host %s, until %s", a.Host, a.Until))
		if a.Ticket != "" {
			what += ", ticket " + trace.Quote(a.Ticket)
		}
		if a.Plan != r.Head {
			r.Contradict(fmt.Sprintf("%s: the key %s has approved the head %s, and not this one", a.name, a.key, a.Plan))
			continue
		}
		if jury == nil {
			r.Proved = append(r.Proved, fmt.Sprintf("the key %s has approved this head %s", a.key, what))
			continue
		}
		names, err := jury.who(a.key, approvalNamespace, p.now())
		if err != nil {
			not = append(not, spoken("%s: %w", a.name, err))
			continue
		}
		accepted = true
		by := trace.Quote(strings.Join(names, ", "))
		r.Witness(fmt.Sprintf("%s has approved this head %s, with the key %s", by, what, a.key))
	}
	for _, err := range not {
		r.NotProved = append(r.NotProved, "an approval: "+trace.Quote(err.Error()))
	}
	if len(all) > 0 && jury == nil {
		r.NotProved = append(r.NotProved, "whose keys have approved it: give --signers FILE")
	}
	return accepted
}
