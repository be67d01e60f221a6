package runtime

import (
	"context"
	"maps"
	"slices"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// Exec tells of a command, then runs it. Secrets reach it as stdin, environment
// or argv; of the last the trace warns, because other users can see argv.
func (d *door) Exec(ctx context.Context, c host.Cmd) (res host.Result, err error) {
	e := d.execEvent(c)
	if c.Process, err = d.secrets.resolveProcess(c.Process); err != nil {
		return res, err
	}
	var out *masker
	if d.run.Output != nil {
		out = &masker{w: d.run.Output, ss: d.secrets}
		c.Output = out
	}
	err = d.effect(e, func() error {
		res, err = d.host.Exec(ctx, c)
		return err
	})
	if out != nil {
		out.flush()
	}
	d.maskResult(&res)
	d.last = &res
	return res, err
}

// execEvent is what the trace says of c.
func (d *door) execEvent(c host.Cmd) trace.Event {
	e := trace.Event{Call: "exec", Argv: d.own.redactAll(c.Argv), User: c.User, Stdin: d.stdin(c.Stdin), Volatile: c.Volatile}
	e.Sets = map[string]string{}
	for f, v := range c.Sets {
		e.Sets[f.String()] = v
	}
	e.Detail = map[string]any{}
	maps.Copy(e.Detail, c.Detail)
	if len(c.Env) > 0 {
		e.Detail["env"] = d.own.redactAny(c.Env)
	}
	if c.Dir != "" {
		e.Detail["cwd"] = c.Dir
	}
	if exposed := d.exposed(c.Argv); len(exposed) > 0 {
		e.Detail["argv_exposed"] = exposed
	}
	touches := slices.Clone(c.Touches)
	for _, f := range c.TouchesFacts {
		touches = append(touches, f.String())
	}
	if len(touches) > 0 {
		e.Detail["touches"] = touches
	}
	return e
}

// exposed names the secrets that anybody who lists processes will see.
func (d *door) exposed(argv []string) (names []string) {
	for _, a := range argv {
		for _, n := range d.secrets.named(a) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}
