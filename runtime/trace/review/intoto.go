package review

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"runbook/runtime/trace"
)

// The kinds of an attestation. A statement is that of in-toto (github.com/in-toto/attestation, spec v1), its envelope
// DSSE's (github.com/secure-systems-lab/dsse). The predicate is our own.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PayloadType   = "application/vnd.in-toto+json"
	PredicateType = "urn:runbook:predicate:run:v1"
)

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

type resource struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
	Origin string            `json:"origin,omitempty"`
}

// A predicate says what the run was whose trace has the subject's head.
type predicate struct {
	Mode      string                 `json:"mode"`
	Runbook   string                 `json:"runbook"`
	Sources   []resource             `json:"sources"`
	Vars      []trace.Var            `json:"vars"`
	Program   resource               `json:"program"`
	Host      trace.Machine          `json:"host"`
	User      trace.Person           `json:"user"`
	Ticket    string                 `json:"ticket"`
	Began     string                 `json:"began"`
	Ended     string                 `json:"ended,omitempty"`
	Outcome   string                 `json:"outcome"`
	Counts    map[string]int         `json:"counts"`
	Met       int                    `json:"requirementsMet"`
	Unmet     int                    `json:"requirementsNotMet"`
	Assumed   int                    `json:"assumed"`
	Unknown   int                    `json:"unknown"`
	Fidelity  map[trace.Fidelity]int `json:"fidelity"`
	Security  map[string]int         `json:"securityRelevant"`
	Controls  []string               `json:"controls"`
	Previous  string                 `json:"previous,omitempty"`
	Follows   string                 `json:"follows,omitempty"`
	Approvals []trace.Approval       `json:"approvals"`
	Trouble   string                 `json:"trouble,omitempty"`
	Proved    []string               `json:"proved"`
	NotProved []string               `json:"notProved"`
}

// An envelope carries a payload, and who has signed it.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []Signature `json:"signatures"`
}

// A Signature is one of an envelope.
type Signature struct {
	KeyID string `json:"keyid"` // SHA256:..., as ssh-keygen -l shows it; a hint to who verifies
	Sig   []byte `json:"sig"`
}

// signed returns what a signature of an envelope is over: DSSE's pre-authentication encoding.
func signed(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(PayloadType), PayloadType, len(payload), payload)
}

// intoto writes a statement about the trace's head, in an envelope that r.Sign signs.
func (r *Report) intoto(w io.Writer) error {
	run := r.Run
	p := predicate{Mode: run.Mode, Runbook: run.Runbook, Sources: []resource{}, Vars: append([]trace.Var{}, run.Vars...), Ticket: run.Ticket,
		Program: resource{Name: "runbook " + run.Binary.Version, Digest: map[string]string{"sha256": run.Binary.SHA256}},
		Host:    run.Host, User: run.User, Began: r.Began.Format(time.RFC3339Nano), Outcome: r.Outcome(),
		Counts: map[string]int{"same": r.Verified.Counts.Same, "changed": r.Verified.Counts.Changed, "failed": r.Verified.Counts.Failed, "skipped": r.Verified.Counts.Skipped},
		Met:    r.Met, Unmet: r.Unmet, Assumed: r.Assumed.Len(), Unknown: r.Unknown.Len(), Fidelity: r.Ops, Security: map[string]int{}, Controls: []string{},
		Previous: run.Previous, Follows: run.Follows, Approvals: append([]trace.Approval{}, run.Approvals...), Trouble: r.Trouble,
		Proved: append([]string{}, r.Verified.Proved...), NotProved: append([]string{}, r.Verified.NotProved...)}
	for _, s := range run.Sources {
		p.Sources = append(p.Sources, resource{s.Name, map[string]string{"sha256": s.SHA256}, s.Origin})
	}
	if r.End != nil {
		p.Ended = r.End.Time.UTC().Format(time.RFC3339Nano)
	}
	for i, c := range Classes() {
		if n := len(r.Findings[i]) + r.more[i]; n > 0 {
			p.Security[c.ID] = n
		}
	}
	for _, c := range r.controls {
		p.Controls = append(p.Controls, c.name)
	}
	name := run.Runbook + prefixed("@", run.Host.Hostname)
	subject := resource{Name: name, Digest: map[string]string{"sha256": r.Verified.Head}}
	payload, err := readableJSON(statement{StatementType, []resource{subject}, PredicateType, p})
	if err != nil {
		return err
	}
	signatures := []Signature{}
	if r.Sign != nil {
		sig, err := r.Sign(signed(payload))
		if err != nil {
			return err
		}
		signatures = append(signatures, sig)
	}
	text, err := readableJSON(envelope{PayloadType, base64.StdEncoding.EncodeToString(payload), signatures})
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// readableJSON returns the JSON of v on one line, with nothing in it that a terminal obeys.
func readableJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return trace.Escape(b), nil
}
