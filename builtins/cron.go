package builtins

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/starlark"

	"runbook/builtins/internal/crontab"
	"runbook/runtime"
	"runbook/runtime/host"
)

var cronBuiltin = &runtime.Builtin{
	Name: "cron",
	Args: []runtime.Arg{
		param("user", "string", "", "whose crontab"),
		param("schedule", "string", "", `five fields as in crontab(5), or "@reboot", "@daily", ...`),
		param("command", "string", "", "what sh runs; percent signs are escaped for cron"),
		param("match", "regexp", `""`, "other lines that match it are replaced by this one"),
	},
	Secrets: []string{"command"},
	Summary: "have a line in a user's crontab",
	Detail:  []string{"All other lines stay as they are."},
	Example: `cron("root", "@reboot", "/usr/local/bin/announce", match = "announce")`,
	New:     newCron,
}

// cronOp is a line of a crontab.
type cronOp struct {
	user, schedule, command string
	match                   *regexp.Regexp // or nil
}

func newCron(c *runtime.Call) (runtime.Op, string, error) {
	op := &cronOp{}
	match := ""
	err := c.Unpack("user", &op.user, "schedule", (*schedule)(&op.schedule), "command", &op.command, "match", &match)
	if err != nil {
		return nil, "", err
	}
	if !accountName.MatchString(op.user) {
		return nil, "", errors.New("argument \"user\": got " + op.user + ", want an account")
	}
	line, err := crontab.Format(op.schedule, op.command)
	if err == nil && match != "" {
		op.match, err = regexp.Compile(match)
	}
	return op, op.user + " " + line, err
}

// schedule is when a line of a crontab is run.
type schedule string

var _ starlark.Unpacker = (*schedule)(nil)

// Unpack implements starlark.Unpacker.
func (s *schedule) Unpack(v starlark.Value) error {
	text, err := runtime.Text(v)
	if err != nil {
		return err
	}
	*s = schedule(text)
	if err = crontab.CheckSchedule(text); err == nil {
		return nil
	}
	if words := strings.Fields(text); len(words) == 6 && crontab.CheckSchedule(strings.Join(words[1:], " ")) == nil {
		return runtime.Hint(err, fmt.Sprintf("cron has no seconds: leave the first out, %q", strings.Join(words[1:], " ")))
	}
	return runtime.Hint(err, `five fields, such as "30 3 * * 0" for Sundays at half past three`)
}

func (op *cronOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if err := needUser(ctx, h, op.user); err != nil {
		return nil, err
	}
	line, err := crontab.Format(op.schedule, op.command)
	if err != nil {
		return nil, err
	}
	have, err := h.Fact(ctx, op.fact(line))
	if err != nil {
		return nil, err
	}
	table := fact(crontabKind, op.user)
	text, err := ask(ctx, h, table)
	if err != nil {
		return nil, err
	}
	stale := op.stale(text)
	if have != "" && len(stale) == 0 {
		return nil, nil
	}
	cmd, err := op.replacement(text, stale, line)
	if err != nil {
		return nil, err
	}
	if _, err := h.Fact(ctx, table); err == nil { // otherwise text is a guess
		cmd.Follows[table] = string(cmd.Stdin)
	}
	var from []string
	for _, l := range stale {
		from = append(from, l.Text)
	}
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		if _, err := h.Exec(ctx, cmd); err != nil {
			return runtime.Hint(err, "see whether cron is installed and lets "+op.user+
				" have a crontab: /etc/cron.allow, /etc/cron.deny")
		}
		return nil
	}, change("line", strings.Join(from, "\n"), line)), nil
}

// stale returns the lines of a crontab that op's line replaces.
func (op *cronOp) stale(text string) (lines []crontab.Line) {
	for _, l := range crontab.Parse(text) {
		if op.match != nil && l.Schedule != "" && op.match.MatchString(l.Text) &&
			!crontab.Contains(l.Text, op.schedule, op.command) {
			lines = append(lines, l)
		}
	}
	return lines
}

// replacement returns the command that replaces the crontab, which holds text now.
func (op *cronOp) replacement(text string, stale []crontab.Line, line string) (host.Cmd, error) {
	cmd := host.Cmd{
		Process: host.Process{Argv: []string{"crontab", "-u", op.user, "-"}},
		Sets:    map[host.Fact]string{op.fact(line): host.Present},
		Follows: map[host.Fact]string{},
		Unbound: "crontab writes where cron looks",
		Detail:  map[string]any{"line": line},
	}
	for _, l := range stale {
		text = crontab.Remove(text, l.Schedule, l.Command)
		cmd.Follows[op.fact(l.Text)] = "" // not in Sets: a dry run may lack the line
	}
	text, err := crontab.Add(text, op.schedule, op.command)
	cmd.Stdin = []byte(text)
	return cmd, err
}

func (op *cronOp) fact(line string) host.Fact { return fact(cronKind, op.user+" "+line) }

// The kinds of facts about crontabs.
var (
	// crontabKind is the crontab of a user, as text; "" if there is none.
	crontabKind = &host.Kind{Name: "crontab", Probe: listCrontab}
	// cronKind is one line; the fact's name is "USER SCHEDULE COMMAND".
	cronKind = &host.Kind{Name: "cron", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
		user, line, _ := strings.Cut(name, " ")
		text, err := r.Fact(ctx, fact(crontabKind, user))
		jobs := crontab.Parse(line)
		if err == nil && len(jobs) == 1 && crontab.Contains(text, jobs[0].Schedule, jobs[0].Command) {
			return host.Present, nil
		}
		return "", err
	}}
)

// listCrontab asks crontab(1), which exits with 1 also where there is none.
func listCrontab(ctx context.Context, r host.Reader, user string) (string, error) {
	res, err := r.Query(ctx, host.Process{Argv: []string{"crontab", "-u", user, "-l"}})
	if err != nil || res.Code == 0 {
		return string(res.Stdout), err
	}
	why := strings.TrimSpace(string(res.Stderr))
	if strings.Contains(why, "no crontab for") || strings.Contains(why, "unknown") {
		return "", nil
	}
	return "", runtime.Hint(fmt.Errorf("crontab -l: exit status %d%s", res.Code, res.LastWords()),
		"start runbook as root, or see /etc/cron.allow and /etc/cron.deny")
}
