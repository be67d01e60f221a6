package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var unitBuiltin = &runtime.Builtin{
	Name: "unit",
	Args: []runtime.Arg{
		param("name", "string", "", `the unit with its type, such as "web.service" or "backup.timer"`),
		param("text", "string", "", "what the unit's file holds"),
	},
	Summary: "write a unit of systemd, verified, and have systemd read it",
	Detail: []string{
		"It goes to /etc/systemd/system, with mode 0644. systemd-analyze verify judges it where there is one: what that refuses is taken back, and is an error.",
		"A unit that was written and not read, by a run that was cut short, is read.",
		"service() starts it, or has it start at boot.",
	},
	Example: `if exists("/run/systemd/system"):
    unit("web.service", "[Service]\nExecStart=/usr/bin/web\n")
    service("web", enabled = True)`,
	New: newUnit,
}

// unitName is what systemd.unit(5) allows in the names of units, in as far as they need no escapes.
var unitName = regexp.MustCompile(`^[A-Za-z0-9_.:@-]+\.(service|socket|mount|automount|swap|target|path|timer|slice)$`)

// unitSection is the line that a section begins with.
var unitSection = regexp.MustCompile(`(?m)^\[[A-Z][A-Za-z]*\]$`)

// unitOp is a unit as it should be.
type unitOp struct{ name, text string }

func newUnit(c *runtime.Call) (runtime.Op, string, error) {
	var op unitOp
	if err := c.Unpack("name", &op.name, "text", &op.text); err != nil {
		return nil, "", err
	}
	if !unitName.MatchString(op.name) {
		return nil, "", runtime.Hint(fmt.Errorf("argument \"name\": got %q, want the name of a unit", op.name),
			`with its type, and without directories: "web.service"`)
	}
	if !unitSection.MatchString(op.text) {
		return nil, "", runtime.Hint(errors.New("argument \"text\": got no section"), `begin with "[Unit]" or "[Service]"`)
	}
	if !strings.HasSuffix(op.text, "\n") {
		op.text += "\n"
	}
	return op, op.name, nil
}

func (op unitOp) file() string { return "/etc/systemd/system/" + op.name }

func (op unitOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if !underSystemd(h) {
		return nil, runtime.Hint(errors.New("systemd does not run here"),
			"ask before: if exists(\"/run/systemd/system\"); elsewhere write() an init script, or supervise()")
	}
	w := writeOp{path: op.file(), content: []byte(op.text), mode: 0o644}
	w.owner.Owner = host.Owner{User: "root", Group: "root"}
	written, err := w.Check(ctx, h)
	if err != nil {
		return nil, err
	}
	read, err := ask(ctx, h, fact(unreadKind, op.name))
	if err != nil || len(written) == 0 && read != "yes" {
		return nil, err
	}
	var changes []host.Change
	for _, a := range written {
		changes = append(changes, a.Change)
	}
	if len(written) == 0 {
		changes = append(changes, change("unit", "not read since it was written", "read"))
	}
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		for _, a := range written {
			if a.Do == nil {
				continue
			}
			if err := op.put(ctx, h, a.Do); err != nil {
				return err
			}
		}
		return op.reload(ctx, h)
	}, changes...), nil
}

// put writes the unit, and takes that back if systemd would refuse it.
func (op unitOp) put(ctx context.Context, h host.Host, write runtime.Deed) error {
	old, err := host.ReadFile(h, op.file())
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return err
	}
	m, _, err := look(ctx, h, op.file())
	if err == nil {
		err = write(ctx, h)
	}
	if err != nil {
		return err
	}
	why, err := op.verify(ctx, h)
	if why == "" && err == nil {
		return nil
	}
	if isNew {
		err = errors.Join(err, h.Remove(op.file(), 1))
	} else {
		err = errors.Join(err, h.WriteFile(op.file(), host.Bytes(old), m))
	}
	if err != nil {
		return err
	}
	return runtime.Hint(fmt.Errorf("systemd-analyze verify refuses it: %s", why),
		"what was there before is there again; the names of keys are in systemd.directives(7)")
}

// verify returns why systemd would refuse the unit, "" if it would not, or nobody can tell.
func (op unitOp) verify(ctx context.Context, h host.Host) (why string, err error) {
	if program(h, "systemd-analyze") == "" {
		return "", nil
	}
	res, err := h.Query(ctx, host.Process{Argv: []string{"systemd-analyze", "verify", op.file()}})
	switch {
	case errors.Is(err, host.ErrUnknown):
		return "", nil
	case err != nil:
		return "", err
	}
	var mine []string
	for line := range strings.Lines(string(res.Stderr)) {
		if strings.Contains(line, path.Base(op.file())) { // it tells of others, too
			mine = append(mine, strings.TrimSpace(line))
		}
	}
	if res.Code == 0 || len(mine) == 0 {
		return "", nil
	}
	return strings.Join(mine, "; "), nil
}

// reload has systemd read its units again.
func (op unitOp) reload(ctx context.Context, h host.Host) error {
	_, err := h.Exec(ctx, host.Cmd{
		Process:      host.Process{Argv: []string{"systemctl", "daemon-reload"}},
		Sets:         map[host.Fact]string{fact(unreadKind, op.name): "no"},
		TouchesFacts: []host.Fact{fact(servicesKind, "all")},
		Unbound:      "it changes what the init system starts",
	})
	return err
}

// unreadKind is whether a unit's file was changed since systemd has read it: yes or no.
var unreadKind = &host.Kind{Name: "unit-unread", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
	res, err := r.Query(ctx, host.Process{Argv: []string{"systemctl", "show", "-p", "NeedDaemonReload", name}})
	if err != nil {
		return "", err
	}
	if properties(string(res.Stdout))["NeedDaemonReload"] == "yes" {
		return "yes", nil
	}
	return "no", nil
}}
