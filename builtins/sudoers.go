package builtins

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var sudoersBuiltin = &runtime.Builtin{
	Name: "sudoers",
	Args: []runtime.Arg{
		param("name", "string", "", "the file in /etc/sudoers.d; sudo ignores names with a dot or a ~ at the end"),
		param("text", "string", "", `its rules, such as "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart web"`),
	},
	Summary: "give rights through sudo, in a file of their own that visudo has found in order",
	Detail: []string{
		"visudo -c judges the text before anything is written, also in a dry run: a mistake in it would keep everybody from sudo.",
		"The file belongs to root and has mode 0440.",
	},
	Example: `if exists("/usr/sbin/visudo"):
    sudoers("deploy", "deploy ALL=(root) /usr/bin/true")`,
	New: newSudoers,
}

var sudoersName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// sudoersOp is a file of rules as it should be.
type sudoersOp struct{ write writeOp }

func newSudoers(c *runtime.Call) (runtime.Op, string, error) {
	var name, text string
	if err := c.Unpack("name", &name, "text", &text); err != nil {
		return nil, "", err
	}
	if !sudoersName.MatchString(name) {
		return nil, "", runtime.Hint(fmt.Errorf("argument \"name\": got %q, want letters, digits, - and _", name),
			"sudo ignores files with other names")
	}
	if strings.TrimSpace(text) == "" {
		return nil, "", runtime.Hint(errors.New("argument \"text\": got no rule"),
			"to take rights away: remove(\"/etc/sudoers.d/"+name+"\")")
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	w := writeOp{path: "/etc/sudoers.d/" + name, content: []byte(text), mode: 0o440}
	w.owner.Owner = host.Owner{User: "root", Group: "root"}
	return sudoersOp{w}, name, nil
}

func (op sudoersOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	actions, err := op.write.Check(ctx, h)
	if err != nil || len(actions) == 0 {
		return nil, err
	}
	if program(h, "visudo") == "" {
		return nil, runtime.Hint(errors.New("there is no visudo to judge the rules"), "install sudo first")
	}
	res, err := h.Query(ctx, host.Process{Argv: []string{"visudo", "-c", "-f", "-"}, Stdin: op.write.content})
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, "visudo finds the rules in order")
		return actions, nil
	case err != nil:
		return nil, err
	case res.Code != 0:
		said := strings.Join(strings.Fields(string(res.Stdout)+" "+string(res.Stderr)), " ")
		return nil, runtime.Hint(fmt.Errorf("visudo refuses the rules: %s", said),
			"nothing was written; sudoers(5) has the grammar")
	}
	return actions, nil
}
