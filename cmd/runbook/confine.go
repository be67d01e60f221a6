package main

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"runbook/runtime/trace"
)

// confining is the flag --confine: "" is off.
type confining string

func (c *confining) add(flags *pflag.FlagSet) {
	flags.Var(c, "confine", "hold commands to what their effects declare; --confine=`offline`: and give them no network; "+
		"see: runbook help confine")
	flags.Lookup("confine").NoOptDefVal = trace.ConfineOn
}

// Set is pflag.Value's.
func (c *confining) Set(text string) error {
	switch text {
	case trace.ConfineOn, trace.ConfineOffline:
		*c = confining(text)
	case "off":
		*c = ""
	default:
		return fmt.Errorf("got %q, want on, offline or off", text)
	}
	return nil
}

func (c *confining) String() string { return string(*c) }

// Type is pflag.Value's.
func (c *confining) Type() string { return "offline" }

const confineHelp = `How run --confine has the kernel keep the plan.

Each command gets mounts of its own and Landlock rules. It reads and executes what it could
without that, and changes only what its effect declares: the trees that touches= names and a
prefix of conda, what creates= names, the account files that useradd and group are for. Where
a file is to be made or replaced, other names can be made beside it: what is there already
cannot be changed, and a name that is left and that nobody declared fails the op. Its temporary files go to a directory
of its own below /tmp (TMPDIR), which is removed when it ends. It has no devices but null, zero, full and
random, no rights of root's but those over files and accounts, no setuid programs, no signals
to processes that it has not started, and of the services of this machine it reaches only
those that look up names and take logs; a socket that touches= names it reaches, too.

What it may still do: read what its account can read, use the network, set limits and
priorities of processes of its account, and change a file in its trees that has another name
elsewhere. What it leaves running stays confined, so a daemon is for service or supervise.

--confine=offline also takes the network from commands, loopback included: one that talks to
a database of this machine needs --confine alone. What the runbook's
own download, mirror and wait_for ask is listed in the trace, and goes on.

Not confined are package managers, which install anywhere; service and supervise, whose
daemons would stay confined; cron and iptables; and a run(...) whose touches= names / or a
fact, such as rpm:NAME. The trace says of each command "confined" with what it may change,
or "not enforced" with the reason; so do the terminal and the report. Where the kernel
cannot confine (Linux before 5.12, or an account that may have no namespaces), commands run
without that, and "not enforced" says so.

A command that is stopped fails with what it wanted to change and the touches= that would
let it. A dry run changes nothing, with or without --confine; a plan that was made without may be
followed with it, and one that was made with it is followed so.`

// confineText writes the page about --confine.
func confineText(w io.Writer, width int) error {
	_, err := fmt.Fprintln(w, paragraphs(confineHelp, width))
	return err
}
