package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"runbook/cmd/runbook/internal/signing"
	"runbook/runtime"
	"runbook/runtime/trace"
)

// approvalNamespace is what a signature of an approval is made for.
const approvalNamespace = "runbook-approval"

const approveHelp = `Sign that a run may follow a plan, the trace of a dry run, with an SSH key.

What is signed is the plan's head, the host it was made for, until when the approval holds (--until, else 7 days) and
the change ticket. It is written to PLAN.approvals/, a file for each approval: the statement as JSON, and below it the
signature, for the namespace runbook-approval. Who has no access to the host approves a copy of the plan, and hands
the file back. Stock tools check it:

  sed '/^-----BEGIN/,$d' FILE >said
  sed -n '/^-----BEGIN/,$p' FILE >said.sig
  ssh-keygen -Y verify -f SIGNERS -I NAME -n runbook-approval -s said.sig <said

Then run --follow PLAN --approvals N --signers SIGNERS wants N of them: each by another key and another
name of the file SIGNERS, none of them the plan's author, who is whoever the trace names as its user (through
sudo or not) and whose key has signed it (runbook audit sign PLAN). An approval holds for that plan, on that host, until
then, and if it names a ticket, for that ticket.

--until takes a time (2026-12-24T18:00:00Z, "2026-12-24 18:00"), a day, which it includes, or how long from now: 36h,
7d.`

// usualApproval is how long an approval holds if nothing is said.
const usualApproval = 7 * 24 * time.Hour

func (p *program) auditApprove() *cobra.Command {
	var key, until, ticket string
	c := &cobra.Command{
		Use: "approve PLAN", Short: "Sign that a run may follow a plan, into PLAN.approvals/", Long: approveHelp,
		Example: "  runbook audit show plan.jsonl\n  runbook audit approve plan.jsonl --until 2026-12-24 --ticket CHG-4711\n" +
			"  runbook run install.star --follow plan.jsonl --approvals 2 --signers signers",
		Args: operands(1, 1, "PLAN"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.approve(c.Context(), args[0], key, until, ticket)
		},
	}
	addKey(c, &key)
	c.Flags().StringVar(&until, "until", "", "`TIME` until which it holds, a day, or how long from now (default 7d)")
	c.Flags().StringVar(&ticket, "ticket", "", "change `TICKET` that it is for (default the plan's)")
	return c
}

func (p *program) approve(ctx context.Context, name, keyFile, until, ticket string) error {
	plan, err := readPlan(name, "approve")
	if err == nil {
		err = plan.approvable()
	}
	if err != nil {
		return err
	}
	now := p.now().UTC().Truncate(time.Second)
	end, err := untilWhen(until, now)
	if err != nil {
		return err
	}
	run := plan.run()
	s := statement{
		V: 1, Plan: plan.head, Runbook: run.Runbook, Host: run.Host.Hostname, Approved: now.Format(time.RFC3339),
		Until: end.UTC().Format(time.RFC3339), Ticket: run.Ticket,
	}
	if ticket = strings.TrimSpace(ticket); ticket != "" {
		s.Ticket = ticket
	}
	if strings.ContainsFunc(s.Ticket, unicode.IsControl) {
		return mistake("a ticket is one line of text", "--ticket %s: got a control character", s.Ticket)
	}
	author, err := signatureOf(name, plan.head)
	if err != nil {
		return mistake("see: runbook audit verify "+name, "approve %s: %w", name, err)
	}
	key, err := p.signingKey(ctx, keyFile)
	if err != nil {
		return err
	}
	defer key.Close()
	if author != nil && author.Is(key.Public()) {
		return mistake("have somebody else approve it", "approve %s: the key %s has signed it as its author", name, author)
	}
	file, err := s.sign(key, name+approvalsSuffix)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "approved %s\n", trace.Quote(name))
	for _, row := range [][2]string{
		{"runbook", s.Runbook}, {"host", s.Host}, {"head", s.Plan}, {"in short", trace.Short(s.Plan)}, {"does", plan.counts.String()},
		{"ticket", s.Ticket}, {"until", s.Until}, {"by", key.Public().String() + " " + key.Public().Kind()}, {"in", file},
	} {
		if row[1] != "" {
			fmt.Fprintf(p.out, "  %-8s  %s\n", row[0], trace.Quote(row[1]))
		}
	}
	return nil
}

// untilWhen returns when an approval ends that is given now.
func untilWhen(text string, now time.Time) (time.Time, error) {
	end, err := parseUntil(strings.TrimSpace(text), now)
	if err != nil {
		return end, err
	}
	if !end.After(now) {
		return end, mistake("name a time that is to come: --until 7d", "--until %s: that is %s, and over", text,
			end.Format(time.RFC3339))
	}
	return end, nil
}

func parseUntil(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now.Add(usualApproval), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if day, err := time.ParseInLocation("2006-01-02", text, time.Local); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	days := 0
	if n, err := fmt.Sscanf(text+"\n", "%dd\n", &days); n == 1 && err == nil && days < 10000 {
		return now.AddDate(0, 0, days), nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	return now, mistake(`write 2026-12-24T18:00:00Z, "2026-12-24 18:00", 2026-12-24, 36h or 7d`,
		"--until %s: got neither a time, a day nor a duration", text)
}

// A statement is what an approval signs.
type statement struct {
	V        int    `json:"approval"` // version of the format
	Plan     string `json:"plan"`     // head of its trace
	Runbook  string `json:"runbook"`
	Host     string `json:"host"`     // for which the plan was made
	Approved string `json:"approved"` // RFC 3339, as the approver's clock has it
	Until    string `json:"until"`    // RFC 3339
	Ticket   string `json:"ticket"`
}

// text returns the bytes that are signed: JSON with a line for each member, and nothing in it that does not show.
func (s statement) text() []byte {
	var one, b bytes.Buffer
	enc := json.NewEncoder(&one)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)                                                         // strings and a number have a JSON form
	_ = json.Indent(&b, trace.Escape(bytes.TrimSpace(one.Bytes())), "", "  ") // it was just written
	return append(b.Bytes(), '\n')
}

// parseStatement reads what text writes, and nothing else.
func parseStatement(text []byte) (s statement, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("the statement cannot be read: %w", err)
	}
	if s.V != 1 {
		return s, fmt.Errorf("the statement has version %d, want 1", s.V)
	}
	if !bytes.Equal(s.text(), text) {
		return s, errors.New("the statement is not written as approvals are")
	}
	return s, nil
}

// approvalsSuffix is behind a plan's name in that of the directory of its approvals; approvalSuffix is behind those.
const (
	approvalsSuffix = ".approvals"
	approvalSuffix  = ".approval"
)

// sign writes the statement with a signature to a new file of the directory, and returns its name.
func (s statement) sign(key signing.Key, dir string) (string, error) {
	sig, err := key.Sign(approvalNamespace, s.text())
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("approve: %w", unmade(dir, err))
	}
	if fi, err := os.Lstat(dir); err != nil || !fi.IsDir() {
		return "", mistake("it is where approvals are kept: move it away", "approve: %s is no directory", dir)
	}
	for n := 1; ; n++ {
		name := key.Public().ID() + approvalSuffix
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", key.Public().ID(), n, approvalSuffix)
		}
		name = filepath.Join(dir, name)
		err := putNew(name, append(s.text(), sig...))
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) || n == mostApprovals {
			return "", fmt.Errorf("approve: %w", err)
		}
	}
}

// approvable returns an error unless the plan is one to approve: the trace of a dry run.
func (p *plan) approvable() error {
	if mode := p.run().Mode; mode != trace.DryRun {
		return mistake("approve what runbook run --dry-run --trace PLAN has written",
			"%s: is the trace of a %s run, and no plan", p.name, mode)
	}
	return nil
}

func (p *plan) run() *trace.RunInfo { return p.events[0].Run }

// author is the account that made the plan, as far as the trace tells: whoever became another through sudo is it.
func (p *plan) author() string {
	u := p.run().User
	if u.SudoUser != "" {
		return u.SudoUser
	}
	return u.Name
}

var errUnapproved = errors.New("the plan is not approved")

// unapproved is the error of a run that lacks approvals.
func unapproved(hint string, err error) error {
	return &runtime.Error{Class: runtime.NeedsPerson, Err: err, Advice: hint}
}
