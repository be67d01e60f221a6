package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

const confirmHelp = `Keep what a run with --confirm-within has done, which is undone otherwise.

  runbook run firewall.star --confirm-within 10m
  runbook confirm

The time begins when the run has ended, or was cut off. A program of its own waits for it: it does not end with the
session, and after a reboot cron starts it again (the first step of such a run writes /etc/cron.d/runbook-confirm;
without cron a reboot ends the waiting, and the run says so). What somebody has changed since the run stays as it is.

A plan for such a run is made with the same flag. Until the run is confirmed or undone no other run begins.`

func (p *program) confirmCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "confirm", Short: "Keep a run that is undone otherwise (run --confirm-within)", Long: confirmHelp,
		Example: "  runbook confirm",
		Args:    operands(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			s, err := p.stateAt(dir)
			if err != nil {
				return err
			}
			return p.confirm(s)
		},
	}
	addState(c, p, &dir)
	return c
}

// awaitCommand is what waits for runbook confirm. People do not call it.
func (p *program) awaitCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "await-confirmation", Short: "Undo a run that nobody confirms", Hidden: true,
		Args: operands(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := p.stateAt(dir)
			if err != nil {
				return err
			}
			return p.awaitConfirmation(c.Context(), s)
		},
	}
	addState(c, p, &dir)
	return c
}

func addState(c *cobra.Command, p *program, dir *string) {
	c.Flags().StringVar(dir, "state", "",
		"`DIR` of the run (default "+p.rootState+" for root, else below ~/.local/state)")
}

// A pending is a run that is undone unless somebody confirms it.
type pending struct {
	Trace  string        `json:"trace"`
	Within time.Duration `json:"within"`          // nanoseconds
	Ended  time.Time     `json:"ended,omitzero"`  // when the time began
	Failed string        `json:"failed,omitzero"` // why it could not be undone
}

func (s state) pendingFile() string { return filepath.Join(string(s), "pending") }

// pending returns the run that awaits a confirmation, nil if none does.
func (s state) pending() (*pending, error) {
	text, err := os.ReadFile(s.pendingFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &pending{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("%s: %w", s.pendingFile(), err)
	}
	return p, nil
}

// setPending writes down that a run awaits a confirmation, on the disk.
func (s state) setPending(p pending) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.pendingFile()+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.pendingFile())
}

// settled forgets the run that awaits a confirmation.
func (s state) settled() error {
	if err := os.Remove(s.pendingFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// unsettled returns an error if a run awaits a confirmation.
func (s state) unsettled() error {
	p, err := s.pending()
	if p == nil || err != nil {
		return err
	}
	err = spoken("a run awaits its confirmation, or is undone otherwise: trace %s", p.Trace)
	if p.Failed != "" {
		err = spoken("a run was not confirmed and could not be undone: trace %s: %s", p.Trace, p.Failed)
	}
	return runtime.Hint(err, "keep it: runbook confirm; or undo it now: runbook undo "+trace.Spaced([]string{p.Trace}))
}

// confirmStep is the name of the step that makes the waiting survive a reboot.
const confirmStep = "confirm-within"

// hookFile is where cron looks for it.
const hookFile = "/etc/cron.d/runbook-confirm"

// hook is the step that a run with --confirm-within begins with.
func hook(program string, s state, within time.Duration) string {
	line := fmt.Sprintf("@reboot root %s await-confirmation --state %s\n", trace.Spaced([]string{program}),
		trace.Spaced([]string{string(s)}))
	return fmt.Sprintf(`def confirm_within():
    """Undo this run unless somebody says within %s of its end: runbook confirm."""
    if host.user == "root" and exists("/etc/cron.d"):
        write(%q, %q)
    else:
        log("a reboot ends the waiting for runbook confirm: only root and cron can have it go on")

step(confirm_within, name = %q, title = "Undone unless confirmed within %s")
`, within, hookFile, line, confirmStep, within)
}

// await has a program of its own wait for the confirmation of the run that writes a trace.
func (s *session) await(traceName string) error {
	abs, err := filepath.Abs(traceName)
	if err != nil {
		return err
	}
	if err := s.state.setPending(pending{Trace: abs, Within: s.flags.confirmWithin}); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	out, err := os.OpenFile(filepath.Join(string(s.state), "unconfirmed.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	defer out.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := []string{self, "await-confirmation", "--state", string(s.state)}
	const systemdRun = "/usr/bin/systemd-run"
	if os.Geteuid() == 0 && isThere("/run/systemd/system") && isThere(systemdRun) {
		// Not of the session, which may be ended as a whole.
		argv = append([]string{systemdRun, "--quiet", "--collect", "--"}, argv...)
	}
	if err := host.Detach(argv, out); err != nil {
		return errors.Join(fmt.Errorf("nothing would wait for the confirmation: %w", err), s.state.settled())
	}
	return nil
}

func isThere(name string) bool { _, err := os.Stat(name); return err == nil }

// awaited notes that the run has ended, and says until when it can be confirmed.
func (s *session) awaited(now time.Time) error {
	p, err := s.state.pending()
	if p == nil || err != nil {
		return err
	}
	p.Ended = now
	command := "runbook confirm"
	if s.flags.state != "" {
		command += " --state " + trace.Spaced([]string{string(s.state)})
	}
	fmt.Fprintf(s.err, "runbook: undone at %s unless somebody says before: %s\n",
		now.Add(p.Within).Format("15:04:05 MST"), command)
	return s.state.setPending(*p)
}

// confirm keeps the run that awaits it.
func (p *program) confirm(s state) error {
	run, err := s.pending()
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	none := mistake("a run awaits one with: runbook run FILE --confirm-within 10m; when its time is over it is undone",
		"confirm: no run awaits its confirmation in %s", s)
	if run == nil {
		return none
	}
	unlock, err := s.lock(holder(userName(), "confirm", p.now())) // a run that is being undone has it
	if err != nil {
		return err
	}
	defer unlock.Close()
	if run, err = s.pending(); err != nil || run == nil {
		return errors.Join(err, none)
	}
	if err := s.settled(); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	fmt.Fprintf(p.out, "confirmed: what the run of trace %s has done stays\n", trace.Quote(run.Trace))
	if os.Geteuid() == 0 {
		if err := os.Remove(hookFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// awaitConfirmation undoes the run that awaits its confirmation when its time is over.
func (p *program) awaitConfirmation(ctx context.Context, s state) error {
	if err := s.running(ctx); err != nil {
		return err
	}
	for {
		run, err := s.pending()
		if run == nil || err != nil || run.Failed != "" {
			return err
		}
		if run.Ended.IsZero() { // it was cut off
			run.Ended = p.now()
			if err := s.setPending(*run); err != nil {
				return err
			}
		}
		if left := run.Ended.Add(run.Within).Sub(p.now()); left > 0 {
			if err := runtime.Sleep(ctx, min(left, time.Second)); err != nil {
				return err
			}
			continue
		}
		now := p.now().UTC().Format(time.RFC3339)
		fmt.Fprintf(p.err, "%s nobody has confirmed %s: it is undone\n", now, trace.Quote(run.Trace))
		return p.undoUnconfirmed(ctx, s, run)
	}
}

// undoUnconfirmed takes a run back that nobody has confirmed.
func (p *program) undoUnconfirmed(ctx context.Context, s state, run *pending) error {
	f := runFlags{state: string(s), format: "text"}
	f.vars = []string{"drifted=keep"}
	err := p.undo(ctx, f, run.Trace)
	if err == nil {
		return s.settled()
	}
	run.Failed = runtime.Readable(err.Error())
	return errors.Join(err, s.setPending(*run))
}

// running waits until no run holds the lock.
func (s state) running(ctx context.Context) error {
	f, err := os.OpenFile(filepath.Join(string(s), "lock"), os.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if err := runtime.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}
