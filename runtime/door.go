package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A door is a Host that tells of each effect before it lets it happen, and that
// alone knows what secrets are: what passes inward is resolved, what comes
// outward is masked. It embeds only the Reader, so that a Host with a new
// method does not compile until the door has it too.
type door struct {
	host.Reader
	host    host.Host
	run     *Run
	secrets *secrets
	own     *secrets // for texts of the runbook's own, see ownTexts
	asking  *secrets // for requests to servers: in a dry run too, those that were given

	unmasked bool // see Unmasked

	last  *host.Result    // of the last command of the op under way
	told  map[string]bool // effects of the op's earlier tries
	fresh []string        // effects of this try
}

var _ host.Host = (*door)(nil)

// begin forgets what belongs to the op before.
func (d *door) begin() { d.last, d.told, d.fresh = nil, nil, nil }

// again begins another try of the same op.
func (d *door) again() {
	if d.told == nil {
		d.told = map[string]bool{}
	}
	for _, k := range d.fresh {
		d.told[k] = true
	}
	d.fresh = nil
}

// effect tells of e, then does it. Of an effect that an earlier try of the op
// has told already nothing is told: a trace has each once.
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
	if !d.told[string(key)] {
		if err := d.run.emit(e); err != nil {
			return err
		}
	}
	return d.secrets.maskError(do())
}

func (d *door) Content(name string) (host.Content, error) {
	c, err := d.Reader.Content(name)
	if err != nil || d.unmasked || len(d.own.forms) == 0 {
		return c, d.secrets.maskError(err)
	}
	return d.own.maskContent(c), nil
}

func (d *door) Query(ctx context.Context, p host.Process) (host.Result, error) {
	p, err := d.secrets.resolveProcess(p)
	if err != nil {
		return host.Result{}, err
	}
	res, err := d.Reader.Query(ctx, p)
	d.maskResult(&res)
	return res, d.secrets.maskError(err)
}

// Get changes nothing of d: many goroutines call it at once.
func (d *door) Get(ctx context.Context, r host.Request) (*host.Response, error) {
	shown := host.RedactURL(d.own.redact(r.URL))
	if err := d.lacks(r.URL + r.Proxy); err != nil {
		return nil, err
	}
	barred := d.lacks(r.Bearer)
	if barred != nil {
		r.Bearer = "" // the server may do without
	}
	r, err := d.asking.resolveRequest(r)
	if err != nil {
		return nil, err
	}
	res, err := d.Reader.Get(ctx, r)
	if err != nil {
		return nil, d.secrets.maskError(err)
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

// lacks is an error if text, of a request, needs a secret that a dry run has not.
func (d *door) lacks(text string) error {
	if d.secrets.values != nil {
		return nil
	}
	for _, name := range d.asking.named(text) {
		if _, ok := d.asking.values[name]; !ok {
			err := noSecret(fmt.Sprintf("needs the secret %s, which a dry run does not ask for", name))
			return Hint(err, "give it with --secret "+name+"=file:PATH or "+name+"=env:VARIABLE: a dry run tells it to servers only")
		}
	}
	return nil
}

// A noSecret error is a host.ErrUnknown.
type noSecret string

func (e noSecret) Error() string        { return string(e) }
func (e noSecret) Is(target error) bool { return target == host.ErrUnknown }

func (d *door) WriteFile(name string, c host.Content, m host.Meta) error {
	detail := meta(m)
	if c.Open == nil {
		detail["sha256"] = d.digest(c.Text)
		text, err := d.secrets.resolve(string(c.Text), asIs)
		if err != nil {
			return err
		}
		c = host.Bytes([]byte(text))
		m.Size = int64(len(text))
		if d.secrets.values == nil && d.secrets.in(text) {
			d.run.Assume(name + " holds secrets, which a dry run does not know")
			m.Size = -1
		}
	}
	return d.effect(trace.Event{Call: "write", Path: name, Detail: detail}, func() error {
		return d.host.WriteFile(name, c, m)
	})
}

func (d *door) WriteTree(ctx context.Context, dir string, m host.Entries, fill func(context.Context, *host.Root) error) error {
	return d.effect(trace.Event{Call: "tree", Path: dir, Detail: tree(m)}, func() error {
		return d.host.WriteTree(ctx, dir, m, fill)
	})
}

func (d *door) Mkdir(name string, m host.Meta) error {
	return d.effect(trace.Event{Call: "mkdir", Path: name, Detail: meta(m)}, func() error {
		return d.host.Mkdir(name, m)
	})
}

func (d *door) Symlink(target, name string, o host.Owner) error {
	detail := map[string]any{"target": target}
	ownerOf(o, detail)
	return d.effect(trace.Event{Call: "symlink", Path: name, Detail: detail}, func() error {
		return d.host.Symlink(target, name, o)
	})
}

func (d *door) SetMeta(name string, m host.Meta) error {
	return d.effect(trace.Event{Call: "meta", Path: name, Detail: meta(m)}, func() error {
		return d.host.SetMeta(name, m)
	})
}

func (d *door) Chown(name string, o host.Owner, files int) error {
	detail := map[string]any{"files": files}
	ownerOf(o, detail)
	return d.effect(trace.Event{Call: "meta", Path: name, Detail: detail}, func() error {
		return d.host.Chown(name, o, files)
	})
}

func (d *door) Move(src, dst string) error {
	return d.effect(trace.Event{Call: "move", Path: dst, Detail: map[string]any{"from": src}}, func() error {
		return d.host.Move(src, dst)
	})
}

func (d *door) Remove(name string, files int) error {
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

// digest is of redacted text: it must not let anybody guess a secret.
func (d *door) digest(text []byte) string {
	sum := sha256.Sum256([]byte(d.own.redact(string(text))))
	return hex.EncodeToString(sum[:])
}

func (d *door) maskResult(res *host.Result) {
	res.Stdout, res.Stderr = d.own.mask(res.Stdout), d.own.mask(res.Stderr)
}

// stdin tells what a command gets: a secret alone by its name, else a digest.
func (d *door) stdin(text []byte) string {
	switch s := d.own.redact(strings.TrimSpace(string(text))); {
	case text == nil:
		return ""
	case strings.HasPrefix(s, "<secret:") && strings.Count(s, "<") == 1 && strings.HasSuffix(s, ">"):
		return s
	}
	return d.digest(text)
}
