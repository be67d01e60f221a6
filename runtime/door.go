package runtime

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"runbook/runtime/host"
	"runbook/runtime/host/before"
	"runbook/runtime/secret"
	"runbook/runtime/trace"
)

// A door is a Host that emits each effect before it lets it happen. What passes
// inward is resolved, what comes outward is masked; events are shown without
// secrets by Run.emit. It embeds only the Reader, so that a Host with a new
// method does not compile until the door has it too.
type door struct {
	host.Reader
	host     host.Host
	run      *Run
	unmasked bool   // see Unmasked
	reads    []Read // see Reading
	*opState
}

// An opState is of the op under way; all doors of a run share it.
type opState struct {
	changes []host.Change   // that its check found
	last    *host.Result    // of the last command
	emitted map[string]bool // effects of earlier tries
	fresh   []string        // effects of this try
	inputs  []*readFile     // of the effect under way
}

var _ host.Host = (*door)(nil)

// begin forgets what belongs to the op before.
func (d *door) begin() { *d.opState = opState{} }

// again begins another try of the same op.
func (d *door) again() {
	if d.emitted == nil {
		d.emitted = map[string]bool{}
	}
	for _, k := range d.fresh {
		d.emitted[k] = true
	}
	d.fresh = nil
}

// effect emits e with what it reads, then does it. An effect that an earlier try of the
// op has emitted is not emitted again: a trace has each once.
func (d *door) effect(e trace.Event, was noting, do func() error, texts ...string) (err error) {
	e.Kind = trace.Effect
	e.Fidelity = cmp.Or(e.Fidelity, trace.Exact)
	d.noteLiterals(&e, texts)
	if e.User == "" {
		e.User = d.run.Info.User.Name
	}
	if e.Inputs, d.inputs, err = d.bind(e.Call); err != nil {
		return d.run.vault.MaskError(err)
	}
	key, err := json.Marshal([]any{e.Call, e.Inputs, e.Path, e.Argv, e.Stdin, e.Detail})
	if err != nil {
		return err
	}
	d.fresh = append(d.fresh, string(key))
	if !d.emitted[string(key)] {
		if e.Before, err = d.run.remembered(was); err != nil {
			return err
		}
		if err := d.run.emit(e); err != nil {
			return err
		}
	}
	return d.run.vault.MaskError(do())
}

// noteLiterals puts into e which of what looks like a secret in texts, as events show
// it, is none.
func (d *door) noteLiterals(e *trace.Event, texts []string) {
	if found := d.run.public.Literals(texts); len(found) > 0 {
		if e.Detail == nil {
			e.Detail = map[string]any{}
		}
		e.Detail["literal"] = found
	}
}

func (d *door) Content(name string) (host.Content, error) {
	c, err := d.Reader.Content(name)
	if err != nil || d.unmasked {
		return c, d.run.vault.MaskError(err)
	}
	return d.run.public.MaskContent(c), nil
}

// Query lets a sink refuse what the runbook itself asks before it is asked. What only a
// run can ask is told, too: that run must be able to follow this one.
func (d *door) Query(ctx context.Context, p host.Process) (host.Result, error) {
	question := d.question(p)
	if err := d.ask(question); err != nil {
		return host.Result{}, err
	}
	p, err := d.run.vault.ResolveProcess(p)
	if err != nil {
		return host.Result{}, err
	}
	res, err := d.Reader.Query(ctx, p)
	d.maskResult(&res)
	question.Code, question.Why = res.Code, res.Loose
	if question.Asker != "" && (err == nil || errors.Is(err, host.ErrUnknown)) {
		if err != nil {
			question.Assumed = notAsked
		}
		if terr := d.run.emit(question); terr != nil {
			return res, terr
		}
	}
	return res, d.run.vault.MaskError(err)
}

var notAsked = []string{"not asked"}

// question is what the trace says of p.
func (d *door) question(p host.Process) trace.Event {
	e := trace.Event{Kind: trace.Probe, Asker: p.Asker, Argv: p.Argv, User: p.User}
	if len(p.Stdin) > 0 {
		e.Stdin = d.stdin(p.Stdin)
	}
	e.Detail = around(p)
	return e
}

// around is what surrounds a process.
func around(p host.Process) map[string]any {
	detail := map[string]any{}
	if len(p.Env) > 0 {
		detail["env"] = p.Env
	}
	if p.Dir != "" {
		detail["cwd"] = p.Dir
	}
	return detail
}

// ask returns an error if what the runbook asks is refused.
func (d *door) ask(e trace.Event) error {
	if e.Asker == "" {
		return nil
	}
	return d.run.asks(e)
}

// Get changes nothing of d: many goroutines call it at once.
func (d *door) Get(ctx context.Context, r host.Request) (*host.Response, error) {
	shown := host.RedactURL(d.run.public.Show(r.URL)) // shown first: the "#" of a placeholder looks like a fragment
	if err := d.lacks(r.URL + r.Proxy); err != nil {
		return nil, err
	}
	barred := d.lacks(r.Bearer)
	if barred != nil {
		r.Bearer = "" // the server may do without
	}
	r, err := d.run.vault.ResolveRequest(r)
	if err != nil {
		return nil, err
	}
	question := trace.Event{Kind: trace.Probe, URL: shown, Asker: r.Asker}
	if err := d.ask(question); err != nil {
		return nil, err
	}
	res, err := d.Reader.Get(ctx, r)
	if errors.Is(err, host.ErrUnknown) {
		question.Assumed = []string{"not asked"}
	}
	if err != nil && r.Asker != "" {
		if errors.Is(err, host.ErrUnknown) {
			question.Assumed = notAsked
		}
		err = errors.Join(err, d.run.emit(question))
	}
	if err != nil {
		return nil, d.run.vault.MaskError(err)
	}
	question.Code = res.Status
	if err := d.run.emit(question); err != nil {
		res.Body.Close()
		return nil, err
	}
	if barred != nil && (res.Status == 401 || res.Status == 403) {
		res.Body.Close()
		return nil, barred
	}
	return res, nil
}

// lacks returns an error if a predicted request would need a secret in text that
// has no value.
func (d *door) lacks(text string) error {
	name := d.run.vault.Missing(text)
	if name == "" || !d.run.vault.Predicted() {
		return nil
	}
	err := noSecret(fmt.Sprintf("needs the secret %s, which a dry run does not ask for", name))
	return Hint(err, "give it with --secret "+name+"=file:PATH or "+name+
		"=env:VARIABLE: a dry run tells it to servers only")
}

// A noSecret error is a host.ErrUnknown.
type noSecret string

func (e noSecret) Error() string        { return string(e) }
func (e noSecret) Is(target error) bool { return target == host.ErrUnknown }

func (d *door) WriteFile(name string, c host.Content, m host.Meta) error {
	detail := meta(m)
	var texts []string
	if c.Open == nil {
		texts = []string{string(c.Text)}
		detail["sha256"] = d.digest(c.Text)
		d.keep(c.Text, detail)
		text, err := d.run.vault.Resolve(string(c.Text))
		if err != nil {
			return err
		}
		c = host.Bytes([]byte(text))
		m.Size = int64(len(text))
		if d.run.vault.In(text) { // a predicted run resolves nothing
			d.run.assume(name + " holds secrets, which a dry run does not know")
			m.Size = -1
		}
	}
	return d.effect(trace.Event{Call: "write", Path: name, Detail: detail}, d.was("write", name, true), func() error {
		d.run.made.file(d.real(name))
		return d.host.WriteFile(name, steady(d.inputs, c), m)
	}, texts...)
}

// Exec emits a command, then runs it. Secrets reach it as stdin, environment or
// argv; of the last the trace warns, because other users can see argv.
func (d *door) Exec(ctx context.Context, c host.Cmd) (res host.Result, err error) {
	e := d.execEvent(c)
	d.hold(&c, e.Detail)
	texts := slices.Clone(c.Argv)
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		texts = append(texts, c.Env[k])
	}
	if d.keep(c.Stdin, e.Detail); c.Stdin != nil {
		texts = append(texts, string(c.Stdin))
	}
	if c.Process, err = d.run.vault.ResolveProcess(c.Process); err != nil {
		return res, err
	}
	for i, q := range c.Answers {
		if c.Answers[i], err = d.run.vault.ResolveProcess(q); err != nil {
			return res, err
		}
	}
	out := &secret.Writer{W: d.run.Output, Vault: d.run.vault}
	if d.run.Output != nil {
		c.Output = out
	}
	was := func(k *before.Keeper) before.Record { return k.Exec(ctx, d.host, c) }
	err = d.effect(e, was, func() error {
		d.makes(c)
		if res, err = d.host.Exec(ctx, c); err != nil {
			return err
		}
		return unchanged(d.inputs)
	}, texts...)
	out.Flush()
	d.loose(res)
	d.maskResult(&res)
	d.last = &res
	return res, err
}

// execEvent is what the trace says of c.
func (d *door) execEvent(c host.Cmd) trace.Event {
	e := trace.Event{Call: "exec", Argv: c.Argv, User: c.User, Stdin: d.stdin(c.Stdin)}
	e.Sets = map[string]string{}
	for f, v := range c.Sets {
		e.Sets[f.String()] = v
	}
	e.Detail = around(c.Process)
	maps.Copy(e.Detail, c.Detail)
	if exposed := d.run.vault.Names(strings.Join(c.Argv, "\x00")); len(exposed) > 0 {
		e.Detail["argv_exposed"] = exposed
	}
	touches := slices.Clone(c.Touches)
	for _, f := range c.TouchesFacts {
		touches = append(touches, f.String())
	}
	if len(touches) > 0 {
		e.Detail["touches"] = touches
	}
	e.Fidelity = fidelity(c)
	return e
}

func (d *door) WriteTree(ctx context.Context, dir string, m host.Entries,
	fill func(context.Context, *host.Root) error) error {
	detail := tree(m)
	if err := d.list(m, detail); err != nil {
		return err
	}
	was := func(k *before.Keeper) before.Record { return k.Tree(d.host, dir, m) }
	return d.effect(trace.Event{Call: "tree", Path: dir, Detail: detail}, was, func() error {
		real := d.real(dir)
		for e := range m {
			d.run.made.file(path.Join(real, e.Name))
		}
		if err := d.host.WriteTree(ctx, dir, m, fill); err != nil {
			return err
		}
		return unchanged(d.inputs)
	})
}

func (d *door) Mkdir(name string, m host.Meta) error {
	if m.User != "" && m.User != "root" && m.User != "0" && m.User != d.run.Info.User.Name {
		if err := d.spare(name, false); err != nil {
			return err
		}
	}
	err := d.effect(trace.Event{Call: "mkdir", Path: name, Detail: meta(m)}, d.was("mkdir", name, false), func() error {
		return d.host.Mkdir(name, m)
	})
	if err != nil {
		return err
	}
	return d.run.remember(name)
}

func (d *door) Symlink(target, name string, o host.Owner) error {
	detail := map[string]any{"target": target}
	ownerOf(o, detail)
	return d.effect(trace.Event{Call: "symlink", Path: name, Detail: detail}, d.was("symlink", name, true), func() error {
		return d.host.Symlink(target, name, o)
	})
}

func (d *door) SetMeta(name string, m host.Meta) error {
	if err := d.sparesMeta(name, m); err != nil {
		return err
	}
	return d.effect(trace.Event{Call: "meta", Path: name, Detail: meta(m)}, d.was("meta", name, false), func() error {
		return d.host.SetMeta(name, m)
	})
}

func (d *door) Chown(name string, o host.Owner, files int) error {
	if o.User != "root" && o.User != "0" {
		if err := d.mayGive(name); err != nil {
			return err
		}
	}
	detail := map[string]any{"files": files}
	ownerOf(o, detail)
	was := func(k *before.Keeper) before.Record { return k.Below(d.host, "meta", name, false) }
	return d.effect(trace.Event{Call: "meta", Path: name, Detail: detail}, was, func() error {
		return d.host.Chown(name, o, files)
	})
}

func (d *door) Move(src, dst string) error {
	if err := d.spare(src, true); err != nil {
		return err
	}
	was := func(k *before.Keeper) before.Record { return k.Move(src, dst) }
	return d.effect(trace.Event{Call: "move", Path: dst, Detail: map[string]any{"from": src}}, was, func() error {
		d.run.made.tree(d.real(dst)) // its content is in the trace already
		return d.host.Move(src, dst)
	})
}

func (d *door) Remove(name string, files int) error {
	if err := d.spare(name, true); err != nil {
		return err
	}
	was := func(k *before.Keeper) before.Record { return k.Below(d.host, "remove", name, true) }
	return d.effect(trace.Event{Call: "remove", Path: name, Detail: map[string]any{"files": files}}, was, func() error {
		return d.host.Remove(name, files)
	})
}

func meta(m host.Meta) map[string]any {
	detail := map[string]any{"mode": host.ModeText(m.Mode)}
	ownerOf(m.Owner, detail)
	return detail
}

func ownerOf(o host.Owner, detail map[string]any) {
	if o.User != "" {
		detail["owner"] = o.User
	}
	if o.Group != "" {
		detail["group"] = o.Group
	}
}

// keptText is how many bytes of what is written, or read by a command, are in the trace.
const keptText = 64 << 10

// keep puts a small text into the detail of an effect, so that the effect can be done
// again, unless a change of the op has it already.
func (d *door) keep(text []byte, detail map[string]any) {
	isChange := func(c host.Change) bool { return c.To == string(text) }
	switch {
	case len(text) == 0 || len(text) > keptText || slices.ContainsFunc(d.changes, isChange):
	case utf8.Valid(text) && !bytes.ContainsRune(text, 0):
		detail["text"] = string(text)
	case !d.run.vault.In(string(text)):
		detail["base64"] = base64.StdEncoding.EncodeToString(text)
	}
}

// digest is that of the text as it is shown: it must not let anybody guess a secret.
func (d *door) digest(text []byte) string {
	sum := sha256.Sum256([]byte(d.run.public.Show(string(text))))
	return hex.EncodeToString(sum[:])
}

func (d *door) maskResult(res *host.Result) {
	res.Stdout, res.Stderr = d.run.public.Mask(res.Stdout), d.run.public.Mask(res.Stderr)
}

// stdin describes what a command gets: a secret alone by its name, else a digest.
func (d *door) stdin(text []byte) string {
	if text == nil {
		return ""
	}
	if s, alone := d.run.public.Alone(strings.TrimSpace(string(text))); alone {
		return s
	}
	return d.digest(text)
}
