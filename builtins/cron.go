package builtins

import (
	"context"
	"errors"
	"regexp"
	"strings"

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
	if err := c.Unpack("user", &op.user, "schedule", &op.schedule, "command", &op.command, "match", &match); err != nil {
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

// What is known of crontabs.
var (
	// crontabKind is the crontab of a user, as text; "" if there is none.
	crontabKind = &host.Kind{Name: "crontab", Probe: listCrontab}
	// cronKind is one line; the fact's name is "USER SCHEDULE COMMAND".
	cronKind = &host.Kind{Name: "cron", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
		user, line, _ := strings.Cut(name, " ")
		text, err := r.Fact(ctx, fact(crontabKind, user))
		if jobs := crontab.Parse(line); err == nil && len(jobs) == 1 && crontab.Contains(text, jobs[0].Schedule, jobs[0].Command) {
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
	return "", runtime.Hint(errors.New("crontab -l: "+why), "start runbook as root, or see /etc/cron.allow and /etc/cron.deny")
}

func (op *cronOp) fact(line string) host.Fact { return fact(cronKind, op.user+" "+line) }

func (op *cronOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *cronOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
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
	stale, err := op.stale(ctx, h)
	if err != nil || have != "" && len(stale) == 0 {
		return nil, err
	}
	return []host.Change{want("line", strings.Join(stale, "\n"), line)}, nil
}

// stale returns the lines that this one replaces. What an earlier step of a dry
// run may have put there nobody knows.
func (op *cronOp) stale(ctx context.Context, h host.Reader) (lines []string, err error) {
	text, err := known(ctx, h, fact(crontabKind, op.user))
	if err != nil || op.match == nil {
		return nil, err
	}
	for _, l := range crontab.Parse(text) {
		if l.Schedule == "" || !op.match.MatchString(l.Text) || crontab.Contains(l.Text, op.schedule, op.command) {
			continue
		}
		// A line that an earlier step replaced is still in the text of a dry run.
		have, err := h.Fact(ctx, op.fact(l.Text))
		if err != nil {
			return nil, err
		}
		if have != "" {
			lines = append(lines, l.Text)
		}
	}
	return lines, nil
}

func (op *cronOp) apply0(ctx context.Context, h host.Host, todo []host.Change) error {
	text, err := known(ctx, h, fact(crontabKind, op.user))
	if err != nil {
		return err
	}
	cmd := host.Cmd{
		Process:  host.Process{Argv: []string{"crontab", "-u", op.user, "-"}},
		Sets:     map[host.Fact]string{op.fact(todo[0].To): host.Present},
		Follows:  map[host.Fact]string{},
		Detail:   map[string]any{"line": todo[0].To},
		Volatile: []string{"stdin"}, // the other lines belong to others
	}
	for l := range strings.Lines(todo[0].From) {
		l = strings.TrimSuffix(l, "\n")
		old := crontab.Parse(l)[0]
		text = crontab.Remove(text, old.Schedule, old.Command)
		cmd.Follows[op.fact(l)] = "" // not in Sets: a dry run may not know of it
	}
	if text, err = crontab.Add(text, op.schedule, op.command); err != nil {
		return err
	}
	cmd.Stdin = []byte(text)
	if _, err = h.Exec(ctx, cmd); err != nil {
		return runtime.Hint(err, "see whether cron is installed and lets "+op.user+" have a crontab: /etc/cron.allow, /etc/cron.deny")
	}
	return nil
}
