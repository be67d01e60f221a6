package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A fleet is the machines of a directory of snapshots, planned for by several workers.
type fleet struct {
	*session
	file  string
	shelf host.Shelf
	net   askedOnce
	next  atomic.Int64
	names []string // of snapshots

	mu     sync.Mutex
	hosts  map[string]int    // how many snapshots are of a host of that name
	groups map[string]*alike // by plan
	all    []*outcome
}

// An outcome is how planning for a machine ended.
type outcome struct {
	snapshot, host string
	key            string // the same of equal plans
	err            error
	counts         trace.Counts
	lacks          int
}

// An alike is a group of machines whose plans are equal.
type alike struct {
	label  string
	hosts  []*outcome
	events []trace.Event // of one of them
}

// planAll makes a dry run for the machine of each snapshot in a directory, and shows which are alike.
func (p *program) planAll(ctx context.Context, f runFlags, file string) error {
	hurry()
	names, err := snapshotsIn(f.hosts)
	if err != nil {
		return err
	}
	s, err := p.prepare(f, file)
	if err != nil {
		return err
	}
	if f.trace != "" {
		if err := os.MkdirAll(f.trace, 0o700); err != nil {
			return mistake("", "traces: %w", err)
		}
	}
	ctx, stop := s.interruptible(ctx, false)
	defer stop()
	all := &fleet{session: s, file: file, names: names, hosts: map[string]int{}, groups: map[string]*alike{}}
	all.net.net = s.local.Net
	var workers sync.WaitGroup
	errs := make([]error, min(goruntime.GOMAXPROCS(0), len(names)))
	for i := range errs {
		workers.Go(func() { errs[i] = all.work(ctx) })
	}
	workers.Wait()
	if err := cmp.Or(context.Cause(ctx), errors.Join(errs...)); err != nil {
		return err
	}
	groups := all.sorted()
	tellGroups(p.out, s.book.Name, groups)
	return all.end(f.exitCode)
}

// snapshotsIn returns the files in a directory of snapshots, sorted.
func snapshotsIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, mistake("name a directory of files that runbook facts wrote", "--hosts: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, mistake("put files there that runbook facts wrote", "--hosts %s: holds no snapshot", dir)
	}
	return names, nil
}

// work plans for one machine after the other. A runbook is for one run at a time: each worker loads its own.
func (f *fleet) work(ctx context.Context) error {
	l, err := f.load(f.file, f.flags.inputFlags)
	if err != nil {
		return err
	}
	secrets, err := f.availableSecrets(ctx)
	if err != nil {
		return err
	}
	for {
		i := int(f.next.Add(1)) - 1
		if i >= len(f.names) || ctx.Err() != nil {
			return nil
		}
		f.plan(ctx, l.book, secrets, f.names[i])
	}
}

// plan makes the dry run for one machine.
func (f *fleet) plan(ctx context.Context, book *runtime.Runbook, secrets map[string]string, name string) {
	ctx, free := context.WithCancel(ctx) // which holds on to what runs under it
	defer free()
	there, err := readPlanned(&f.shelf, name)
	if err != nil {
		f.add(&outcome{snapshot: name, host: stem(name), key: "error: " + reason(err, name), err: err}, nil)
		return
	}
	there.snapshot.Net = f.net.Get
	s := &session{
		program: f.program, flags: f.flags, loaded: loaded{book: book}, local: f.local, planned: there, digests: &host.Digests{},
	}
	o := s.options(trace.DryRun)
	o.Secrets, o.Mute, o.GiveUp, o.Info.Binary.SHA256 = secrets, f.flags.noProbes, f.endNow, f.digest()
	have := &trace.List{}
	o.Sink = trace.Tee{trace.NewGuard(book.Leaks(o.Secrets, o.Info)), have}
	ended := &outcome{snapshot: name, host: cmp.Or(there.Host.Hostname, stem(name))}
	ended.err = flat(runtime.Planned(there.snapshot, o).Do(ctx, book))
	for _, e := range have.Events {
		if e.Kind == trace.End {
			ended.counts = e.Counts
		}
	}
	ended.key, ended.lacks = trace.Digest(have.Events), len(there.lacks)
	f.add(ended, have.Events)
}

// flat is err without what it holds of a run, of which there are many.
func flat(err error) error {
	if err == nil {
		return nil
	}
	return &runtime.Error{Class: runtime.ClassOf(err), Err: errors.New(err.Error()), Advice: runtime.HintOf(err)}
}

// stem is the name of a snapshot's file without what follows its first dot.
func stem(name string) string {
	s, _, _ := strings.Cut(filepath.Base(name), ".")
	return cmp.Or(s, filepath.Base(name))
}

// reason is why a snapshot cannot be planned for, without its name.
func reason(err error, name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(err.Error(), "snapshot "+name+": ", ""), name, "the snapshot")
}

// add puts a machine into its group. Its trace is written, if that is wanted.
func (f *fleet) add(o *outcome, events []trace.Event) {
	f.mu.Lock()
	f.hosts[o.host]++
	f.all = append(f.all, o)
	g := f.groups[o.key]
	if g == nil {
		g = &alike{events: events}
		f.groups[o.key] = g
	}
	g.hosts = append(g.hosts, o)
	f.mu.Unlock()
	if f.flags.trace == "" || events == nil {
		return
	}
	if err := f.write(o, events); err != nil {
		f.mu.Lock()
		o.err = errors.Join(o.err, err)
		f.mu.Unlock()
	}
}

// write writes the trace of a plan. Two snapshots of one host cannot have one name.
func (f *fleet) write(o *outcome, events []trace.Event) error {
	file, err := create(filepath.Join(f.flags.trace, strings.TrimLeft(plainName(o.host), ".")+".jsonl"))
	if err != nil {
		return err
	}
	record := trace.NewFile(unsynced{file})
	for _, e := range events {
		if err = record.Emit(e); err != nil {
			break
		}
	}
	return errors.Join(err, file.Close())
}

// sorted returns the groups, the largest first, and gives them their letters.
func (f *fleet) sorted() (groups []*alike) {
	for _, o := range f.all {
		if f.hosts[o.host] > 1 {
			o.host += " (" + filepath.Base(o.snapshot) + ")"
		}
	}
	for _, g := range f.groups {
		slices.SortFunc(g.hosts, func(a, b *outcome) int { return cmp.Compare(a.host, b.host) })
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *alike) int {
		return cmp.Or(cmp.Compare(len(b.hosts), len(a.hosts)), cmp.Compare(a.hosts[0].host, b.hosts[0].host))
	})
	for i, g := range groups {
		g.label = letters(i)
	}
	return groups
}

// letters are A, B, ..., Z, AA, AB, ...
func letters(i int) string {
	text := string(rune('A' + i%26))
	if i >= 26 {
		return letters(i/26-1) + text
	}
	return text
}

// tellGroups prints the groups, and where each first differs from the largest that has a plan.
func tellGroups(w io.Writer, book string, groups []*alike) {
	var first *alike
	total, plans := 0, 0
	for _, g := range groups {
		if total += len(g.hosts); g.events != nil {
			plans++
			first = cmp.Or(first, g)
		}
	}
	fmt.Fprintf(w, "%s: %s, %s\n", trace.Quote(book), counted(total, "host"), counted(plans, "plan"))
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s %s: %s\n", counted(len(g.hosts), "host"), g.label, g.summary())
		if g != first && g.events != nil {
			for _, l := range differing(first, g) {
				fmt.Fprintln(w, "  "+l)
			}
		}
		fmt.Fprintln(w, "  "+g.members())
	}
}

// summary says what the plan of a group comes to.
func (g *alike) summary() string {
	o := g.hosts[0]
	if g.events == nil {
		return "no plan: " + trace.Quote(runtime.Readable(reason(o.err, o.snapshot)))
	}
	text := fmt.Sprintf("%d would change, %d already so", o.counts.Changed, o.counts.Same)
	if o.counts.Failed > 0 {
		text = fmt.Sprintf("%d failed, %s", o.counts.Failed, text)
	}
	lacking := 0
	for _, o := range g.hosts {
		if o.lacks > 0 {
			lacking++
		}
	}
	if lacking > 0 {
		text += fmt.Sprintf("; of %s not all that the plan asked for is in the snapshot", counted(lacking, "host"))
	}
	return text
}

// members are the hosts of a group: some by name, the others by number.
func (g *alike) members() string {
	const shown = 5
	var names []string
	for _, o := range g.hosts[:min(shown, len(g.hosts))] {
		names = append(names, trace.Quote(o.host))
	}
	text := strings.Join(names, ", ")
	if n := len(g.hosts) - shown; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// differing says where the plan of b first differs from that of a.
func differing(a, b *alike) []string {
	d := trace.Diff(a.events, b.events)
	if d.Equal && len(d.Assumed) > 0 { // it may, but it is another plan
		d = d.Assumed[0]
	}
	where := "differ from " + a.label
	if d.Step != "" {
		where += " at step " + trace.Quote(d.Step)
	}
	if d.Op != "" {
		where += ", " + trace.Quote(d.Op)
	}
	if d.Field != "" {
		where += ": " + trace.Quote(d.Field)
	}
	return []string{where, "  " + a.label + "  " + side(d.A, d.InA), "  " + b.label + "  " + side(d.B, d.InB)}
}

// side is what a plan has where another differs.
func side(e *trace.Event, value string) string {
	const longest = 300
	switch {
	case e == nil:
		return "has nothing here"
	case value == "":
		value = strings.TrimSpace(string(e.Kind) + " " + eventName(*e))
	}
	if len(value) > longest {
		value = strings.ToValidUTF8(value[:longest], "") + "..."
	}
	return trace.Quote(value)
}

// end returns the error of the first machine that cannot be planned for, by name, and how many others there are.
func (f *fleet) end(exitCodes bool) error {
	var failures []*outcome
	changes := false
	for _, o := range f.all {
		if o.err != nil {
			failures = append(failures, o)
		}
		changes = changes || o.counts.Changed > 0
	}
	if len(failures) == 0 {
		if exitCodes && changes {
			return exit(changesToMake)
		}
		return nil
	}
	first := slices.MinFunc(failures, func(a, b *outcome) int { return cmp.Compare(a.host, b.host) })
	return &runtime.Error{Class: runtime.ClassOf(first.err),
		Err: spoken("%d of %s cannot be planned for; the first is %s: %s", len(failures), counted(len(f.all), "host"),
			first.host, runtime.Readable(first.err.Error())),
		Advice: runtime.HintOf(first.err)}
}
