// Package recheck asks a machine again whether what a run has declared still holds.
//
// Two things to know: it only reads, through the probes that the run itself asked; and what cannot be asked, such as
// the text of a secret, is told as that, never counted as held.
//
// Package cmd/runbook gives it the claims of a trace and a host.
package recheck

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A Finding is an attribute of a thing that is not as it is wanted, or that could not be asked.
type Finding struct {
	What      string // absolute name of a file, or KIND:NAME of a fact
	Attribute string // of a file: type, mode, owner, group, target, content or line; "" of a fact
	Want      string
	Have      string // "" if it is not there
	Why       string // why it could not be asked
	By        *trace.Origin
}

// A Report is what a recheck found. Its lists are in the order of the run.
type Report struct {
	Held    int // attributes and facts that are as they are wanted
	Unread  int // files of trees of which only the size was compared, although their digest is known
	Sized   int // files of trees of which only the size was known
	Drifted []Finding
	Unasked []Finding
}

// A Checker asks a machine.
type Checker struct {
	// Host returns the machine. Each is used by one goroutine: programs that answer take their time.
	Host func() host.Reader
	// Fact returns the fact that a trace calls name and wants to have a value.
	Fact func(name, value string) (host.Fact, bool)
	// Listing returns the entries of a tree by its digest; an error that wraps fs.ErrNotExist if nobody has kept them.
	Listing func(digest string) ([]host.Entry, error)
	// Deep reads the files of trees, too, where their digests are known.
	Deep bool
}

// A checking is the work of one Check.
type checking struct {
	Checker
	host   host.Reader
	ctx    context.Context
	claims *trace.Claims
	report Report
	gone   map[string]bool // names that are not what they should be, and facts that do not hold
	placed map[string]*trace.Origin
}

// Check asks for everything that claims has. The error is that of ctx.
func (c Checker) Check(ctx context.Context, claims *trace.Claims) (Report, error) {
	k := c.begin(ctx, claims)
	facts := k.askFacts()
	k.trees()
	k.files()
	for _, g := range claims.Given {
		k.given(g)
	}
	for _, f := range facts {
		k.add(<-f)
	}
	for _, list := range []*[]Finding{&k.report.Drifted, &k.report.Unasked} {
		slices.SortStableFunc(*list, func(a, b Finding) int {
			return cmp.Or(cmp.Compare(a.By.Seq, b.By.Seq), strings.Compare(a.What, b.What))
		})
	}
	return k.report, ctx.Err()
}

func (c Checker) begin(ctx context.Context, claims *trace.Claims) *checking {
	return &checking{
		Checker: c, host: c.Host(), ctx: ctx, claims: claims, gone: map[string]bool{}, placed: map[string]*trace.Origin{},
	}
}

// add adds the findings about facts to the report. Where an account is gone, that is the finding: those about the
// owners of its files are dropped.
func (k *checking) add(facts *checking) {
	k.report.Drifted = slices.DeleteFunc(k.report.Drifted, func(f Finding) bool {
		user, group, both := strings.Cut(f.Want, ":")
		switch f.Attribute {
		case "owner":
			return facts.gone["user:"+user] || both && facts.gone["group:"+group]
		case "group":
			return facts.gone["group:"+user]
		}
		return false
	})
	k.report.Held += facts.report.Held
	k.report.Drifted = append(k.report.Drifted, facts.report.Drifted...)
	k.report.Unasked = append(k.report.Unasked, facts.report.Unasked...)
}

// compare counts an attribute that is as it is wanted, and notes one that is not.
func (k *checking) compare(what, attribute string, want trace.Want, have string, same bool) {
	if same {
		k.report.Held++
		return
	}
	f := Finding{What: what, Attribute: attribute, Want: want.Value, Have: have, By: want.By}
	if f.Why = k.claims.Doubt(what, want); f.Why != "" {
		k.report.Unasked = append(k.report.Unasked, f)
		return
	}
	k.report.Drifted = append(k.report.Drifted, f)
	k.gone[what] = k.gone[what] || attribute == "" || attribute == "type"
}

// cannot notes an attribute that could not be asked.
func (k *checking) cannot(what, attribute string, want trace.Want, why string) {
	k.report.Unasked = append(k.report.Unasked,
		Finding{What: what, Attribute: attribute, Want: want.Value, Why: why, By: want.By})
}

// reason is the text of an error, with what would cure it.
func reason(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		return err.Error() + " (" + h.Hint() + ")"
	}
	return err.Error()
}

// askFacts asks for all facts: those of one kind, and of kinds that belong together, one after the other.
func (k *checking) askFacts() (answers []chan *checking) {
	groups := map[string][]string{}
	for name := range k.claims.Facts {
		groups[family(name)] = append(groups[family(name)], name)
	}
	for _, names := range groups {
		slices.SortFunc(names, func(a, b string) int {
			return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
		})
		answer := make(chan *checking, 1)
		answers = append(answers, answer)
		go func() {
			own := k.begin(k.ctx, k.claims)
			for _, name := range names {
				if k.ctx.Err() == nil {
					own.fact(name, own.claims.Facts[name])
				}
			}
			answer <- own
		}()
	}
	return answers
}

// family returns what kinds that belong together have in common: one decides what the others can be.
func family(name string) string {
	switch kind, of, _ := strings.Cut(name, ":"); kind {
	case "user", "group", "home", "shell", "comment", "primary", "groups":
		return "account"
	case "started":
		if strings.Contains(of, " ") { // of a configuration and a program
			return "supervisor"
		}
		return "service"
	case "enabled":
		return "service"
	default:
		return kind
	}
}

// rank says how late a fact is asked: what belongs to an account or a service comes behind it.
func rank(name string) int {
	switch kind, _, _ := strings.Cut(name, ":"); kind {
	case "user", "group", "service", "supervisor":
		return 0
	}
	return 1
}

func (k *checking) fact(name string, want trace.Want) {
	if k.follows(name) {
		return
	}
	f, ok := k.Fact(name, want.Value)
	if !ok {
		k.cannot(name, "", want, "this version of runbook knows no such kind of fact")
		return
	}
	have, err := k.host.Fact(k.ctx, f)
	if err != nil || !host.Holds(want.Value, have) { // it may be under way, as a crontab that is just being replaced
		time.Sleep(again)
		have, err = k.Host().Fact(k.ctx, f)
	}
	if err != nil {
		k.cannot(name, "", want, reason(err))
		return
	}
	k.compare(name, "", want, have, host.Holds(want.Value, have))
}

// again is when a fact that does not hold is asked once more, before anybody is alarmed.
const again = 50 * time.Millisecond

// follows reports whether a fact cannot hold, because what it belongs to does not.
func (k *checking) follows(name string) bool {
	kind, of, _ := strings.Cut(name, ":")
	switch kind {
	case "home", "shell", "comment", "primary", "groups":
		return k.gone["user:"+of]
	case "started":
		return k.gone["service:"+of] || k.gone["supervisor:"+of]
	}
	return false
}

// files asks for all files, directories before what they hold.
func (k *checking) files() {
	names := make([]string, 0, len(k.claims.Files))
	for name := range k.claims.Files {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
	for _, name := range names {
		if k.ctx.Err() == nil && !k.lost(name) {
			k.file(name, k.claims.Files[name])
		}
	}
}

// lost reports whether a directory above name is told of already.
func (k *checking) lost(name string) bool {
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
		if k.gone[name[:i]] {
			return true
		}
	}
	return false
}

func (k *checking) file(name string, f trace.FileClaim) {
	if by := k.placed[name]; by != nil { // a tree has put something else there since
		f = since(f, by)
	}
	m, err := k.host.Lstat(name)
	gone := missing(err)
	if err != nil && !gone {
		k.cannot(name, "type", first(f), reason(err))
		return
	}
	have := "absent"
	if !gone {
		have = host.TypeName(m.Mode)
	}
	same := have == f.Type.Value || f.Type.Value == "present" && !gone
	switch {
	case f.Type.By != nil:
		k.compare(name, "type", f.Type, have, same)
	case gone && first(f).By != nil:
		w := first(f)
		k.compare(name, "type", trace.Want{Value: "present", By: w.By}, have, false)
		return
	}
	if gone || f.Type.By != nil && !same {
		return
	}
	k.meta(name, f, m)
	k.content(name, f, m)
}

// missing reports whether an error says that there is no such file. Below a plain file there is none either.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// since returns what of a claim is not older than an effect.
func since(f trace.FileClaim, by *trace.Origin) trace.FileClaim {
	for _, w := range []*trace.Want{&f.Type, &f.Mode, &f.Owner, &f.Group, &f.Target, &f.Content} {
		if w.By != nil && w.By.Seq < by.Seq {
			*w = trace.Want{}
		}
	}
	f.Lines = slices.DeleteFunc(slices.Clone(f.Lines), func(l trace.LineClaim) bool { return l.By.Seq < by.Seq })
	return f
}

// first returns an attribute that is claimed.
func first(f trace.FileClaim) trace.Want {
	for _, w := range []trace.Want{f.Type, f.Mode, f.Owner, f.Group, f.Target, f.Content} {
		if w.By != nil {
			return w
		}
	}
	return trace.Want{}
}

// meta compares mode, owner and group.
func (k *checking) meta(name string, f trace.FileClaim, m host.Meta) {
	if f.Mode.By != nil && m.Mode&fs.ModeSymlink == 0 {
		have := host.ModeText(m.Mode)
		k.compare(name, "mode", f.Mode, have, have == f.Mode.Value)
	}
	for _, w := range []struct {
		attribute string
		trace.Want
		have string
	}{{"owner", f.Owner, m.User}, {"group", f.Group, m.Group}} {
		if w.By == nil || w.Value == "" || !k.claims.Stands(name, w.Want) {
			continue
		}
		k.compare(name, w.attribute, w.Want, w.have, k.sameAccount(w.attribute, w.Value, w.have))
	}
}

// sameAccount reports whether two names, or numbers, are those of one account.
func (k *checking) sameAccount(attribute, want, have string) bool {
	if want == have {
		return true
	}
	o := host.Owner{User: want}
	if attribute == "group" {
		o = host.Owner{Group: want}
	}
	o, err := o.Resolve(k.ctx, k.host)
	return err == nil && o.User+o.Group == have
}
