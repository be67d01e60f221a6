package runtime

import (
	"errors"
	"slices"
	"strings"

	"runbook/runtime/host"
	"runbook/runtime/secret"
	"runbook/runtime/trace"
)

// emit shows every text of e without secrets, then hands e to the sink. A piece
// of a placeholder stops the run.
func (r *Run) emit(e trace.Event) error {
	e = r.placed(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tell(e)
}

// placed returns e with its step and what was read before it.
func (r *Run) placed(e trace.Event) trace.Event {
	if e.Kind != trace.Run && e.Kind != trace.End {
		e.Step = r.step
	}
	if e.Kind == trace.Op || e.Kind == trace.Step || e.Kind == trace.End {
		e.Read = r.taught()
	}
	return e
}

// tell is emit for those who hold the lock.
func (r *Run) tell(e trace.Event) error {
	if r.ended {
		return errEnded
	}
	e, err := r.told(e)
	if err == nil {
		err = r.Sink.Emit(e)
	}
	if err != nil {
		return err
	}
	r.counts.Add(e)
	r.ended = e.Kind == trace.End
	if e.Kind == trace.Step || e.Kind == trace.Op || e.Kind == trace.Result {
		r.open = e
	}
	return nil
}

var errEnded = errors.New("the run was ended")

// asks lets the caller of the run refuse a question of the runbook.
func (r *Run) asks(e trace.Event) error {
	e = r.placed(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.told(e)
	if err != nil {
		return err
	}
	return r.Ask(e)
}

// told returns e as it is told: when, and without secrets.
func (r *Run) told(e trace.Event) (trace.Event, error) {
	e.Time = r.Now()
	e = r.shown(e)
	if r.vault.Damaged() {
		return e, secret.ErrDamaged
	}
	for i := range e.Changes {
		text := e.Changes[i].To
		sum := trace.Shorten(&e.Changes[i])
		if sum == "" {
			continue
		}
		if e.Whole = append(e.Whole, sum); r.Keep != nil {
			if err := r.Keep(sum, text); err != nil {
				return e, err
			}
		}
	}
	return e, nil
}

// shown returns e without secrets. What the runbook itself says is public; errors,
// notes and what was observed are not.
func (r *Run) shown(e trace.Event) trace.Event {
	v := r.public
	for _, s := range []*string{&e.Target, &e.Path, &e.Title, &e.URL, &e.Stdin, &e.User, &e.Pos} {
		*s = v.Show(*s)
	}
	for _, s := range []*string{&e.Error, &e.Hint, &e.Why} {
		*s = r.vault.Show(*s)
	}
	if e.Kind == trace.Log {
		e.Text = r.vault.Show(e.Text)
	} else {
		e.Text = v.Show(e.Text)
	}
	changes := make([]host.Change, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = host.Change{What: v.Show(c.What), From: v.Show(c.From), To: v.Show(c.To)}
	}
	e.Changes = changes
	e.Argv, e.Assumed = v.ShowAll(e.Argv), v.ShowAll(e.Assumed)
	e.Read = slices.Clone(e.Read)
	for i, a := range e.Read {
		e.Read[i] = trace.Answer{By: a.By, Of: v.Show(a.Of), Is: v.Show(a.Is)}
	}
	e.Inputs = slices.Clone(e.Inputs)
	for i := range e.Inputs {
		e.Inputs[i].Path = v.Show(e.Inputs[i].Path)
	}
	e.Args, e.Detail, e.Observed = v.ShowMap(e.Args), v.ShowMap(e.Detail), r.vault.ShowMap(e.Observed)
	e.Args, _ = withoutCredentials(e.Args).(map[string]any)
	e.Sets, _ = v.ShowValue(e.Sets).(map[string]string)
	return e
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
	case []string:
		for i := range v {
			v[i], _ = withoutCredentials(v[i]).(string)
		}
	case map[string]string:
		for k := range v {
			v[k], _ = withoutCredentials(v[k]).(string)
		}
	case map[string]any:
		for k := range v {
			v[k] = withoutCredentials(v[k])
		}
	}
	return v
}

func (r *Run) log(text string) error {
	return r.emit(trace.Event{Kind: trace.Log, Text: text})
}
