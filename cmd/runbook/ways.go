package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"runbook/builtins"
	"runbook/runbooks"
	"runbook/runtime"
	"runbook/runtime/trace"
)

// A scenery is one way to do a runbook: vars, and a machine that is data. NAME.doc.yaml beside NAME.star has a list of
// them. In names and texts, ${VAR} stands for the value of a var.
type scenery struct {
	Way    string            // its title
	Vars   map[string]any    // those that make the way; where they are given otherwise, the way is left out
	Also   map[string]any    // those that are shown so, unless they are given
	OS     string            `yaml:"os"`
	Files  map[string]string // texts by path
	Unread []string          // paths of files that are there, and hold what nobody knows
	Web    map[string]string // what servers answer, by URL
}

// longestSettings is how long a file of settings may be, in bytes.
const longestSettings = 1 << 20

// settings are the ways of a runbook. Where nobody has said any, it is done in one, on a bare machine.
func (p *program) settings(lib *library) ([]scenery, error) {
	name := strings.TrimSuffix(lib.name, ".star") + ".doc.yaml"
	text, err := fs.ReadFile(runbooks.Machines, name)
	if lib.Dir != nil {
		f, openErr := lib.Dir.Open(name)
		if openErr == nil {
			defer f.Close()
			text, err = io.ReadAll(io.LimitReader(f, longestSettings))
		} else if !missing(openErr) {
			return nil, mistake("", "%s: %w", name, openErr)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return []scenery{{}}, nil
	}
	if err != nil {
		return nil, mistake("", "%s: %w", name, err)
	}
	var all []scenery
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&all); err != nil && err != io.EOF {
		reason := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: ")
		return nil, badInput("it is a list of ways; runbook help doc has an example", "%s: %s", name, reason)
	}
	return all, nil
}

// ways are the ways in which a runbook is done, each with the commands of a simulated run. What is given for vars, as
// the book has it, leaves some of them out.
func (p *program) ways(ctx context.Context, file string, f inputFlags, book *runtime.Runbook) (all []way, err error) {
	lib, err := p.findWithSite(file, f.site)
	if err != nil {
		return nil, err
	}
	defer lib.close()
	in, _, err := f.read()
	if err != nil {
		return nil, err
	}
	settings, err := p.settings(lib)
	if err != nil {
		return nil, err
	}
	given := in.Flags
	in.Dir = "/root" // nothing of this machine
	var wait sync.WaitGroup
	found := make([]*way, len(settings))
	errs := make([]error, len(settings))
	for i, s := range settings {
		in := in
		in.Flags = maps.Clone(given)
		if s.join(in.Flags, book) {
			wait.Go(func() { found[i], errs[i] = p.way(ctx, lib, s, in) })
		}
	}
	wait.Wait()
	for _, w := range found {
		if w != nil {
			all = append(all, *w)
		}
	}
	return all, errors.Join(errs...)
}

// way does a runbook in one way; nil without an error says that vars are missing.
func (p *program) way(ctx context.Context, lib *library, s scenery, in runtime.Inputs) (*way, error) {
	book, err := p.rt.Load(lib.Library, lib.name, in)
	if err != nil {
		if wrong(err) {
			return nil, err
		}
		return nil, nil
	}
	secrets := map[string]string{}
	for _, d := range book.Secrets {
		if d.Pattern == "" {
			secrets[d.Name] = standIn(d.Name)
		}
	}
	events, err := simulated(ctx, s.machine(book, secrets), book, secrets)
	if len(events) == 0 && err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	w := &way{title: s.Way, steps: map[string]trace.Typed{}}
	for _, v := range book.Vars {
		if value, makes := s.Vars[v.Name]; makes && (v.Required || plain(value) != plain(v.Default)) {
			w.flags = append(w.flags, "--var", v.Name+"="+plain(value))
		}
	}
	for _, did := range trace.Commands(events, builtins.StateOfRuns) {
		w.steps[did.Step] = did
	}
	return w, nil
}

// mostPrograms is how many programs a simulated machine gets because a run lacks them.
const mostPrograms = 20

// simulated runs a book on a machine that is data. It gets programs that the run lacks: only what the site has could
// bring them.
func simulated(ctx context.Context, m builtins.Machine, book *runtime.Runbook, secrets map[string]string) (
	[]trace.Event, error) {
	for n := 0; ; n++ {
		sim, err := m.Simulate()
		if err != nil {
			return nil, err
		}
		events, err := sim.Run(ctx, book, runtime.Options{Secrets: secrets})
		if err == nil || n == mostPrograms {
			return events, err
		}
		lacks := regexp.MustCompile(`(\S+): executable file not found`).FindStringSubmatch(err.Error())
		if lacks == nil {
			return events, err
		}
		name := lacks[1]
		if !path.IsAbs(name) {
			name = "/usr/local/bin/" + name
		}
		m.Files = append(m.Files, builtins.MachineFile{Name: name, Mode: 0o755, Opaque: true})
	}
}

// standIn is the value that a secret has on a simulated machine: one that is nowhere else.
func standIn(secret string) string { return "stands-for-" + secret + "-in-doc" }

// join adds the vars of the way to those of the command line, and reports whether what is given leaves it what it is.
func (s scenery) join(flags map[string]string, book *runtime.Runbook) bool {
	for _, v := range book.Vars {
		value, makes := s.Vars[v.Name]
		shown, also := s.Also[v.Name]
		switch isGiven := v.From != "" && v.From != "default"; {
		case isGiven && makes && plain(v.Value) != plain(value):
			return false
		case isGiven:
		case makes:
			flags[v.Name] = plain(value)
		case also:
			flags[v.Name] = plain(shown)
		}
	}
	return true
}

// machine is the machine of the way, with the values of vars filled in.
func (s scenery) machine(book *runtime.Runbook, secrets map[string]string) builtins.Machine {
	filled := func(text string) string {
		return os.Expand(text, func(name string) string {
			if value, ok := secrets[name]; ok {
				return value
			}
			for _, v := range book.Vars {
				if v.Name == name {
					return plain(v.Value)
				}
			}
			return "${" + name + "}"
		})
	}
	m := builtins.Machine{OS: s.OS, Web: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		m.Files = append(m.Files, builtins.MachineFile{Name: filled(name), Mode: 0o644, Text: filled(s.Files[name])})
	}
	for _, name := range s.Unread {
		m.Files = append(m.Files, builtins.MachineFile{Name: filled(name), Mode: 0o644, Opaque: true})
	}
	for url, text := range s.Web {
		m.Web[filled(url)] = text
	}
	return m
}
