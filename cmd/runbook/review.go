package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/trace"
	"runbook/runtime/trace/review"
)

func (p *program) auditReport() *cobra.Command {
	var format, out, key string
	c := &cobra.Command{
		Use: "report TRACE [RUN]", Short: "One page for who approves or examines a change",
		Long: "Write what a trace says, for those who approve a change or examine it afterwards: a summary for a change board,\n" +
			"then what is relevant to security (accounts, sudoers, setuid, ports, firewall, cron, services at boot, files that\n" +
			"others can write, downloads, packages, secrets in argv), then what is assumed or unknown, then the steps with\n" +
			"their manual text, differences and commands. The head in it is what is signed, and what audit verify prints.\n\n" +
			"  html    one file that needs no network and no script; it prints well\n" +
			"  md      the same order as Markdown\n" +
			"  junit   JUnit's XML for CI: a step is a suite, an op a case\n" +
			"  oscal   OSCAL assessment results 1.0.6 (JSON): what changed or failed is an observation, a control that a step\n" +
			"          (controls=) or a builtin names a finding; a dry run has no findings\n" +
			"  intoto  an in-toto statement in a DSSE envelope; its subject is the head of the trace, its predicate,\n" +
			"          urn:runbook:predicate:run:v1, says what ran, where, for whom and how it ended; --key signs it\n\n" +
			"--key is an SSH key of type ed25519 or ecdsa: its file, or the .pub file of one that the agent holds.\n\n" +
			"Given a plan and the run that followed it, the page is about the run and shows both side by side, compared as\n" +
			"audit diff does (html and md only).\n\n" +
			"A trace gives the same bytes each time. The exit code is 1 if the trace is broken; the report says so, too.",
		Example: "  runbook audit report plan.jsonl -o plan.html\n  runbook audit report plan.jsonl run.jsonl -o both.html\n" +
			"  runbook audit report run.jsonl --format junit\n" +
			"  runbook audit report run.jsonl --format intoto --key ~/.ssh/id_ed25519",
		Args: operands(1, 2, "TRACE"),
		RunE: func(c *cobra.Command, args []string) error {
			if !contains(review.Formats(), format) {
				return unknown("format", format, review.Formats(), "the formats are: "+strings.Join(review.Formats(), " "))
			}
			if len(args) == 2 && format != "html" && format != "md" {
				return mistake("give one TRACE, or --format html or md", "format %s compares nothing", format)
			}
			if key != "" && format != "intoto" {
				hint := "audit sign signs a trace; a statement is signed with --format intoto"
				return mistake(hint, "--key: format %s is not signed", format)
			}
			sign := p.envelopeSigner(c.Context(), key)
			return p.writeReport(args, format, out, sign)
		},
	}
	c.Flags().StringVar(&format, "format", "html", "`html`, md, junit, oscal or intoto")
	c.Flags().StringVar(&key, "key", "", "sign the statement with the key in `FILE`; only --format intoto")
	c.Flags().StringVarP(&out, "output", "o", "", "write to `FILE` instead of standard output")
	return c
}

// A signer signs a message as part of an envelope.
type signer func(message []byte) (review.Signature, error)

// envelopeSigner returns a signer with the key of a file, nil if no file is named.
func (p *program) envelopeSigner(ctx context.Context, keyFile string) signer {
	if keyFile == "" {
		return nil
	}
	return func(message []byte) (none review.Signature, err error) {
		key, err := p.signingKey(ctx, keyFile)
		if err != nil {
			return none, err
		}
		defer key.Close()
		sig, err := key.SignPlain(message)
		return review.Signature{KeyID: key.Public().String(), Sig: sig}, err
	}
}

// writeReport writes the report of a trace, or of the second of two beside the first.
func (p *program) writeReport(names []string, format, out string, sign signer) error {
	name := names[len(names)-1]
	f, done, err := seekable(name)
	if err != nil {
		return err
	}
	defer done()
	r, err := review.Read(f)
	if err != nil {
		return err
	}
	if len(names) == 2 {
		if err := p.besidePlan(r, names[0], f); err != nil {
			return err
		}
	}
	if r.Sign = sign; sign != nil && r.Trouble != "" {
		return runtime.Hint(fmt.Errorf("sign %s: %s", name, r.Trouble), "see: runbook audit verify "+name)
	}
	write := func(w io.Writer) error { return r.Write(w, format) }
	if out == "" {
		err = write(p.out)
	} else {
		err = toFile(out, f, write)
	}
	t := trouble{r.Trouble, len(r.Verified.Broken) > 0}
	if err != nil || t.broken {
		return errors.Join(err, t.err(name))
	}
	report(p.err, t.err(name))
	return nil
}

// besidePlan reads a plan and compares the run in f with it.
func (p *program) besidePlan(r *review.Report, name string, f io.ReadSeeker) error {
	planFile, done, err := seekable(name)
	if err != nil {
		return err
	}
	defer done()
	var both [2][]trace.Event
	var verified [2]trace.Report
	for i, file := range []io.ReadSeeker{planFile, f} {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		verified[i], err = trace.Scan(file, func(e trace.Event) { both[i] = append(both[i], e) })
		if err != nil {
			return err
		}
	}
	r.Compare(both[0], both[1], verified[0])
	t := troubleOf(verified[0], nil)
	if t.broken {
		return t.err(name)
	}
	report(p.err, t.err(name))
	return nil
}

// seekable opens a trace that is read twice. What is no file, such as a pipe, is read into one that nobody else sees.
func seekable(name string) (f *os.File, done func(), err error) {
	f, err = os.Open(name)
	if err != nil {
		return nil, nil, mistake("", "trace: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return f, func() { f.Close() }, nil
	}
	defer f.Close()
	copied, err := os.CreateTemp("", "runbook-trace-")
	if err != nil {
		return nil, nil, err
	}
	os.Remove(copied.Name())
	if _, err := io.Copy(copied, f); err != nil {
		copied.Close()
		return nil, nil, err
	}
	return copied, func() { copied.Close() }, nil
}

// toFile writes a file, which must not be the trace that it is made from.
func toFile(name string, from *os.File, write func(io.Writer) error) error {
	have, err := os.Stat(name)
	read, readErr := from.Stat()
	if err == nil && readErr == nil && os.SameFile(have, read) {
		return mistake("give another name", "-o %s: is the trace itself", name)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return mistake("", "-o: %w", err)
	}
	b := bufio.NewWriterSize(f, 1<<16)
	if err = write(b); err == nil {
		err = b.Flush()
	}
	return errors.Join(err, f.Close())
}
