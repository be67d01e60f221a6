package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"runbook/runtime/host"
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
	unmasked bool // see Unmasked

	last    *host.Result    // of the last command of the op under way
	emitted map[string]bool // effects of the op's earlier tries
	fresh   []string        // effects of this try
}

var _ host.Host = (*door)(nil)

// begin forgets what belongs to the op before.
func (d *door) begin() { d.last, d.emitted, d.fresh = nil, nil, nil }

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

// effect emits e, then does it. An effect that an earlier try of the op has
// emitted is not emitted again: a trace has each once.
func (d *door) effect(e trace.Event, do func() error) error {
	e.Kind = trace.Effect
	if e.User == "" {
		e.User = d.run.Info.User.Name
	}
	key, err := json.Marshal([]any{e.Call, e.Path, e.Argv, e.Stdin, e.Detail})
	if err != nil {
		return err
	}
	d.fresh = append(d.fresh, string(key))
	if !d.emitted[string(key)] {
		if err := d.run.emit(e); err != nil {
			return err
		}
	}
	return d.run.vault.MaskError(do())
}

func (d *door) Content(name string) (host.Content, error) {
	c, err := d.Reader.Content(name)
	if err != nil || d.unmasked {
		return c, d.run.vault.MaskError(err)
	}
	return d.run.public.MaskContent(c), nil
}

func (d *door) Query(ctx context.Context, p host.Process) (host.Result, error) {
	p, err := d.run.vault.ResolveProcess(p)
	if err != nil {
		return host.Result{}, err
	}
	res, err := d.Reader.Query(ctx, p)
	d.maskResult(&res)
	return res, d.run.vault.MaskError(err)
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
	res, err := d.Reader.Get(ctx, r)
	if err != nil {
		return nil, d.run.vault.MaskError(err)
	}
	if err := d.run.emit(trace.Event{Kind: trace.Probe, URL: shown, Code: res.Status}); err != nil {
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
	if c.Open == nil {
		detail["sha256"] = d.digest(c.Text)
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
	return d.effect(trace.Event{Call: "write", Path: name, Detail: detail}, func() error {
		return d.host.WriteFile(name, c, m)
	})
}

// Exec emits a command, then runs it. Secrets reach it as stdin, environment or
// argv; of the last the trace warns, because other users can see argv.
func (d *door) Exec(ctx context.Context, c host.Cmd) (res host.Result, err error) {
	e := d.execEvent(c)
	if c.Process, err = d.run.vault.ResolveProcess(c.Process); err != nil {
		return res, err
	}
	out := &secret.Writer{W: d.run.Output, Vault: d.run.vault}
	if d.run.Output != nil {
		c.Output = out
	}
	err = d.effect(e, func() error {
		res, err = d.host.Exec(ctx, c)
		return err
	})
	out.Flush()
	d.maskResult(&res)
	d.last = &res
	return res, err
}

// execEvent is what the trace says of c.
func (d *door) execEvent(c host.Cmd) trace.Event {
	e := trace.Event{Call: "exec", Argv: c.Argv, User: c.User, Stdin: d.stdin(c.Stdin), Volatile: c.Volatile}
	e.Sets = map[string]string{}
	for f, v := range c.Sets {
		e.Sets[f.String()] = v
	}
	e.Detail = map[string]any{}
	maps.Copy(e.Detail, c.Detail)
	if len(c.Env) > 0 {
		e.Detail["env"] = c.Env
	}
	if c.Dir != "" {
		e.Detail["cwd"] = c.Dir
	}
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
	return e
}

func (d *door) WriteTree(ctx context.Context, dir string, m host.Entries,
	fill func(context.Context, *host.Root) error) error {
	return d.effect(trace.Event{Call: "tree", Path: dir, Detail: tree(m)}, func() error {
		return d.host.WriteTree(ctx, dir, m, fill)
	})
}

func (d *door) Mkdir(name string, m host.Meta) error {
	err := d.effect(trace.Event{Call: "mkdir", Path: name, Detail: meta(m)}, func() error {
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
	return d.effect(trace.Event{Call: "symlink", Path: name, Detail: detail}, func() error {
		return d.host.Symlink(target, name, o)
	})
}

// spare refuses what would take from the system, or from this run, what it needs.
func (d *door) spare(name string, below bool) error {
	if real, err := d.Resolve(name, false); err == nil && isBelow(d.run.State, real) && (below || real == d.run.State) {
		return Hint(fmt.Errorf("%s: this run keeps its state in %s", name, d.run.State),
			"name another directory, or another state directory")
	}
	return host.Spare(d.run.ctx, d.Reader, name, below)
}

// sparesMeta refuses to give what the system needs to an account, or to change who may enter it.
func (d *door) sparesMeta(name string, m host.Meta) error {
	have, err := d.Lstat(name)
	if err != nil {
		return nil // the host says so, too
	}
	given := m.User != "" && m.User != have.User && m.User != "root" && m.User != "0"
	if given || have.Mode.IsDir() && have.Mode.Perm() != m.Mode.Perm() {
		return d.spare(name, false)
	}
	return nil
}

func isBelow(name, dir string) bool {
	return name != "" && (name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/"))
}

func (d *door) SetMeta(name string, m host.Meta) error {
	if err := d.sparesMeta(name, m); err != nil {
		return err
	}
	return d.effect(trace.Event{Call: "meta", Path: name, Detail: meta(m)}, func() error {
		return d.host.SetMeta(name, m)
	})
}

func (d *door) Chown(name string, o host.Owner, files int) error {
	if o.User != "root" && o.User != "0" {
		if err := d.spare(name, false); err != nil {
			return err
		}
	}
	detail := map[string]any{"files": files}
	ownerOf(o, detail)
	return d.effect(trace.Event{Call: "meta", Path: name, Detail: detail}, func() error {
		return d.host.Chown(name, o, files)
	})
}

func (d *door) Move(src, dst string) error {
	if err := d.spare(src, true); err != nil {
		return err
	}
	return d.effect(trace.Event{Call: "move", Path: dst, Detail: map[string]any{"from": src}}, func() error {
		return d.host.Move(src, dst)
	})
}

func (d *door) Remove(name string, files int) error {
	if err := d.spare(name, true); err != nil {
		return err
	}
	return d.effect(trace.Event{Call: "remove", Path: name, Detail: map[string]any{"files": files}}, func() error {
		return d.host.Remove(name, files)
	})
}

// tree is what the trace says of m. Where a size is not known beforehand, as of
// a download, neither bytes nor digest would mean anything.
func tree(m host.Entries) map[string]any {
	files, bytes, digest := m.Totals()
	detail := map[string]any{"files": files}
	known := true
	for e := range m {
		known = known && (e.Size >= 0 || e.Derived)
		if files > 1 {
			continue
		}
		detail["file"] = e.Name
		if e.Sum != "" {
			detail["sha256"] = e.Sum
		}
	}
	if known {
		detail["bytes"], detail["digest"] = bytes, digest
	}
	return detail
}

func meta(m host.Meta) map[string]any {
	detail := map[string]any{"mode": modeText(m.Mode)}
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

func modeText(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

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
	switch s := d.run.public.Show(strings.TrimSpace(string(text))); {
	case text == nil:
		return ""
	case strings.HasPrefix(s, "<secret:") && strings.Count(s, "<") == 1 && strings.HasSuffix(s, ">"):
		return s
	}
	return d.digest(text)
}
