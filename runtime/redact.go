package runtime

import (
	"strings"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// redactEvent hides secrets in every text of e.
func (d *door) redactEvent(e trace.Event) trace.Event {
	ss := d.own
	for _, s := range []*string{&e.Target, &e.Path, &e.Title, &e.URL, &e.Stdin, &e.User, &e.Pos} {
		*s = ss.redact(*s)
	}
	for _, s := range []*string{&e.Error, &e.Hint, &e.Why} {
		*s = d.secrets.redact(*s)
	}
	if e.Kind == trace.Log {
		ss = d.secrets
	}
	e.Text, ss = ss.redact(e.Text), d.own
	changes := make([]host.Change, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = host.Change{What: ss.redact(c.What), From: ss.redact(c.From), To: ss.redact(c.To)}
	}
	e.Changes = changes
	e.Argv, e.Assumed = ss.redactAll(e.Argv), ss.redactAll(e.Assumed)
	e.Args, e.Detail, e.Observed = ss.redactMap(e.Args), ss.redactMap(e.Detail), d.secrets.redactMap(e.Observed)
	e.Args, _ = withoutCredentials(e.Args).(map[string]any)
	e.Sets, _ = ss.redactAny(e.Sets).(map[string]string)
	return e
}

func (ss *secrets) redactMap(m map[string]any) map[string]any {
	out, _ := ss.redactAny(m).(map[string]any)
	return out
}

// withoutCredentials hides what a URL among a call's arguments carries besides
// an address: a user, a query, a token in its path.
func withoutCredentials(v any) any {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://") {
			return host.RedactURL(v)
		}
	case []any:
		for i := range v {
			v[i] = withoutCredentials(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = withoutCredentials(v[k])
		}
	}
	return v
}
