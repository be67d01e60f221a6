package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"runbook/cmd/runbook/internal/signing"
	"runbook/runtime/trace"
)

const (
	mostApprovals   = 1000
	longestApproval = 64 << 10 // bytes
	// clockSkew is how far an approver's clock may be ahead of that of the host.
	clockSkew = 10 * time.Minute
)

// An approval is a file that was found to be signed by a key.
type approval struct {
	name string
	statement
	key signing.Public
}

// approvals returns those beside the plan that are signed statements, and why the others are none.
func (p *plan) approvals() (all []approval, not []error, err error) {
	dir := p.name + approvalsSuffix
	fi, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	if err != nil {
		return nil, nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for i, e := range entries {
		if i >= mostApprovals {
			return nil, nil, fmt.Errorf("%s has more than %d files", dir, mostApprovals)
		}
		if !strings.HasSuffix(e.Name(), approvalSuffix) {
			continue
		}
		name := filepath.Join(dir, e.Name())
		a, err := readApproval(name)
		if err != nil {
			not = append(not, spoken("%s: %w", name, err))
			continue
		}
		all = append(all, a)
	}
	return all, not, nil
}

// readApproval reads a file, which may be anybody's, and verifies its signature.
func readApproval(name string) (a approval, err error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ELOOP) {
		return a, errors.New("is a symbolic link")
	}
	if err != nil {
		return a, errors.Unwrap(err)
	}
	defer f.Close()
	text, err := readOpen(f, longestApproval)
	if err != nil {
		return a, err
	}
	at := bytes.Index(text, []byte("\n"+signing.Armor))
	if at < 0 {
		return a, errors.New("has no signature")
	}
	sig, err := signing.Parse(text[at+1:])
	if err != nil {
		return a, err
	}
	if err := sig.Verify(approvalNamespace, text[:at+1]); err != nil {
		return a, err
	}
	a.name, a.key = name, sig.Key()
	a.statement, err = parseStatement(text[:at+1])
	return a, err
}

// A court decides which approvals of a plan count.
type court struct {
	plan   *plan
	jury   *jury
	author *signing.Public // that has signed the plan, nil if nobody has
	ticket string          // of the run, "" if it names none
	now    time.Time
}

// hear returns why an approval does not count, or as whose it does.
func (c court) hear(a approval) (trace.Approval, error) {
	until, err := time.Parse(time.RFC3339, a.Until)
	if err != nil {
		return trace.Approval{}, fmt.Errorf("got until %q, want a time", a.Until)
	}
	given, err := time.Parse(time.RFC3339, a.Approved)
	if err != nil {
		return trace.Approval{}, fmt.Errorf("got approved %q, want a time", a.Approved)
	}
	host := c.plan.run().Host.Hostname
	switch {
	case a.Plan != c.plan.head:
		this := trace.Short(c.plan.head)
		return trace.Approval{}, fmt.Errorf("is for the plan %s, and this is %s", trace.Short(a.Plan), this)
	case a.Host != host:
		return trace.Approval{}, fmt.Errorf("is for the host %q, and the plan is for %q", a.Host, host)
	case a.Runbook != c.plan.run().Runbook:
		return trace.Approval{}, fmt.Errorf("is for the runbook %q, and the plan is of %q", a.Runbook, c.plan.run().Runbook)
	case !c.now.Before(until):
		return trace.Approval{}, fmt.Errorf("has expired: it held until %s", a.Until)
	case given.After(c.now.Add(clockSkew)):
		return trace.Approval{}, fmt.Errorf("was given at %s, which is to come: compare the clocks", a.Approved)
	case a.Ticket != "" && c.ticket != "" && a.Ticket != c.ticket:
		return trace.Approval{}, fmt.Errorf("is for the ticket %q, and the run is for %q", a.Ticket, c.ticket)
	case c.author != nil && c.author.Is(a.key):
		return trace.Approval{}, fmt.Errorf("the key %s is the author's, who has signed the plan", a.key)
	}
	names, err := c.jury.who(a.key, approvalNamespace, c.now)
	if err != nil {
		return trace.Approval{}, err
	}
	author := c.plan.author()
	for _, name := range names {
		account, _, _ := strings.Cut(name, "@")
		if author != "" && (strings.EqualFold(name, author) || strings.EqualFold(account, author)) {
			return trace.Approval{}, fmt.Errorf("%s has made the plan: somebody else is to approve it", name)
		}
	}
	return trace.Approval{
		By: strings.Join(names, ", "), Key: a.key.String(), Given: a.Approved, Until: a.Until, Ticket: a.Ticket,
	}, nil
}

// decide returns the approvals that count, a key and a person only once, and why the others do not.
func (c court) decide(all []approval) (counts []trace.Approval, not []error) {
	by := map[string]string{} // file by key and by name
	for _, a := range all {
		v, err := c.hear(a)
		if err != nil {
			not = append(not, spoken("%s: %w", a.name, err))
			continue
		}
		same := by[v.Key]
		if same != "" {
			not = append(not, spoken("%s: is by the same key as %s", a.name, filepath.Base(same)))
			continue
		}
		for _, person := range strings.Split(v.By, ", ") {
			if other := by[person]; other != "" && plainPrincipal(person) {
				same = other
			}
		}
		if same != "" {
			not = append(not, spoken("%s: is by %s, as is %s", a.name, v.By, filepath.Base(same)))
			continue
		}
		for _, key := range append(strings.Split(v.By, ", "), v.Key) {
			by[key] = a.name
		}
		counts = append(counts, v)
	}
	slices.SortFunc(counts, func(a, b trace.Approval) int { return strings.Compare(a.By+a.Key, b.By+b.Key) })
	return counts, not
}

// plainPrincipal reports whether a name of the signers is one name, and no pattern.
func plainPrincipal(name string) bool { return !strings.ContainsAny(name, "*?!") }

// approved finds the approvals that the run needs, and notes them for its trace.
func (s *session) approved() error {
	if s.flags.approvals == 0 {
		return nil
	}
	if err := s.plan.approvable(); err != nil {
		return err
	}
	jury, err := s.flags.signers.read()
	if err != nil {
		return err
	}
	author, err := signatureOf(s.plan.name, s.plan.head)
	if err != nil {
		return mistake("see: runbook audit verify "+s.plan.name, "--follow %s: %w", s.plan.name, err)
	}
	all, broken, err := s.plan.approvals()
	if err != nil {
		return mistake("", "--approvals: %w", err)
	}
	c := court{plan: s.plan, jury: jury, author: author, ticket: s.flags.ticket, now: s.now()}
	counts, not := c.decide(all)
	not = append(broken, not...)
	if want := int(s.flags.approvals); len(counts) < want {
		return s.lacking(counts, not)
	}
	for _, err := range not {
		if !s.flags.quiet {
			fmt.Fprintln(s.err, "runbook: not counted: "+trace.Quote(err.Error()))
		}
	}
	s.approvals = counts
	if s.police != nil {
		s.police.approved = true
	}
	return nil
}

// lacking says which approvals there are, and why others do not count.
func (s *session) lacking(counts []trace.Approval, not []error) error {
	text := fmt.Sprintf("%s has %d of the %d approvals that are wanted; nothing was changed",
		trace.Quote(s.plan.name), len(counts), s.flags.approvals)
	for _, a := range counts {
		text += "\n  counts: " + trace.Quote(a.String())
	}
	for _, err := range not {
		text += "\n  not counted: " + trace.Quote(err.Error())
	}
	if len(counts)+len(not) == 0 {
		text += "\n  there is none in " + trace.Quote(s.plan.name+approvalsSuffix)
	}
	return unapproved("whoever "+s.flags.signers.signers+" lists approves it: runbook audit approve "+
		trace.Spaced([]string{s.plan.name}), fmt.Errorf("%w: %s", errUnapproved, text))
}

// ticketOf returns the ticket of a run: its own, else the one that all its approvals name.
func ticketOf(own string, approvals []trace.Approval) string {
	if own != "" || len(approvals) == 0 {
		return own
	}
	first := approvals[0].Ticket
	if slices.ContainsFunc(approvals, func(a trace.Approval) bool { return a.Ticket != first }) {
		return ""
	}
	return first
}

// A count is the value of a flag: a number from 1. 0 says that the flag was not given.
type count int

// Set is pflag.Value's.
func (c *count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("want a number from 1")
	}
	*c = count(n)
	return nil
}

func (c *count) String() string { return strconv.Itoa(int(*c)) }

// Type is pflag.Value's.
func (c *count) Type() string { return "count" }

// checkApprovals refuses flags about approvals that do not go together.
func (f runFlags) checkApprovals() error {
	switch {
	case f.approvals > 0 && f.follow == "":
		return mistake("name the plan: --follow PLAN", "--approvals needs --follow")
	case f.approvals > 0 && f.signers.signers == "":
		return mistake("say whose approval counts: --signers FILE", "--approvals needs --signers")
	case f.approvals == 0 && f.signers.signers != "":
		return mistake("say how many approvals are wanted: --approvals N", "--signers needs --approvals")
	}
	return nil
}
