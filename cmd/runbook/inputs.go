package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// inputFlags are the flags that set vars, and name the site's own file.
type inputFlags struct {
	vars, files []string
	site        string
}

func (f *inputFlags) add(c *cobra.Command, p *program) {
	c.Flags().StringArrayVar(&f.vars, "var", nil, "set a var: `NAME=VALUE`; repeatable")
	c.Flags().StringArrayVar(&f.files, "vars", nil, "read vars from a YAML `FILE`; repeatable, later wins")
	c.Flags().StringVar(&f.site, "site", "",
		"the site's own `FILE` (default runbook.star beside the runbook, for a shipped one here)")
	c.RegisterFlagCompletionFunc("var", p.completeVar)
}

// A loaded runbook comes with the secrets that --vars files set.
type loaded struct {
	book    *runtime.Runbook
	secrets map[string]string
}

// load loads FILE with the vars of f, of the environment and of files. An error
// about vars comes with a runbook that has its declarations.
func (p *program) load(file string, f inputFlags) (loaded, error) { return p.loadAfter(file, f, "") }

// loadWith is load for a run with flags, of which one adds a step before all others.
func (p *program) loadWith(file string, f runFlags) (loaded, error) {
	if f.confirmWithin == 0 {
		return p.load(file, f.inputFlags)
	}
	dir, err := p.stateAt(f.state)
	if err != nil {
		return loaded{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return loaded{}, err
	}
	return p.loadAfter(file, f.inputFlags, hook(self, dir, f.confirmWithin))
}

// loadAfter loads FILE behind a text, whose steps come first.
func (p *program) loadAfter(file string, f inputFlags, first string) (loaded, error) {
	lib, err := p.findWithSite(file, f.site)
	if err != nil {
		return loaded{}, err
	}
	defer lib.close()
	in, files, err := f.read()
	if err != nil {
		return loaded{}, err
	}
	in.First = runtime.Source{Name: confirmStep + ".star", Text: first}
	book, err := p.rt.Load(lib.Library, lib.name, in)
	secrets, serr := files.takeSecrets(book, in.Files)
	if len(secrets) > 0 {
		book, err = p.rt.Load(lib.Library, lib.name, in)
	}
	return loaded{book, secrets}, errors.Join(err, serr)
}

// read returns the vars of flags, environment and files.
func (f inputFlags) read() (in runtime.Inputs, files varsFiles, err error) {
	in = runtime.Inputs{Flags: map[string]string{}, Env: envVars(os.Environ()), Files: map[string]any{}}
	in.Dir, _ = os.Getwd() // in a directory that was deleted relative paths stay so, and are refused where they are used
	var problems []error
	for _, s := range f.vars {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			problems = append(problems, mistake("write --var NAME=VALUE", "--var %s: got no name and value", s))
		}
		in.Flags[name] = value
	}
	for _, name := range f.files {
		vf, err := readVarsFile(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		files = append(files, vf)
		maps.Copy(in.Files, vf.values)
	}
	return in, files, errors.Join(problems...)
}

// envVars returns the vars that environ sets as RUNBOOK_VAR_NAME. Environments are
// mostly written in capitals and vars are not, so NAME also stands for name.
func envVars(environ []string) map[string]string {
	vars := map[string]string{}
	for _, exact := range []bool{false, true} {
		for _, s := range environ {
			name, value, _ := strings.Cut(s, "=")
			name, ok := strings.CutPrefix(name, "RUNBOOK_VAR_")
			if ok && exact {
				vars[name] = value
			} else if ok {
				vars[strings.ToLower(name)] = value
			}
		}
	}
	return vars
}

// A varsFile is a YAML file that sets vars, and secrets if only its owner can read it.
type varsFile struct {
	name   string
	values map[string]any
	open   bool // others can read it
}

type varsFiles []varsFile

func readVarsFile(name string) (varsFile, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return varsFile{}, mistake("", "--vars: %w", err)
	}
	isPipe := fi.Mode()&fs.ModeNamedPipe != 0 && strings.HasPrefix(name, "/dev/") // what a shell makes of <(command)
	if err := runtime.TextFile(fi, longestVars); err != nil && !isPipe {
		return varsFile{}, mistake("", "--vars: %s: %w", name, err)
	}
	f, err := os.Open(name)
	if err != nil {
		return varsFile{}, mistake("", "--vars: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, longestVars))
	if err != nil {
		return varsFile{}, mistake("", "--vars: %w", err)
	}
	nodes, err := mapping(data)
	values, nodesLeft := map[string]any{}, longestVars/10
	for k, n := range nodes {
		values[k] = asWritten(&n, &nodesLeft)
	}
	if nodesLeft == 0 {
		err = errors.New("is too large, or holds itself")
	}
	if err != nil {
		return varsFile{}, badInput("it holds a line for each var: name: value", "vars file %s: %w", name, err)
	}
	return varsFile{name, values, openToOthers(fi)}, nil
}

const longestVars = 1 << 20 // bytes

// mapping parses YAML that maps names to values; an empty text is an empty mapping.
func mapping(data []byte) (map[string]yaml.Node, error) {
	var doc, more yaml.Node
	var nodes map[string]yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	err := d.Decode(&doc)
	if err == io.EOF {
		return nil, nil
	}
	if err == nil && d.Decode(&more) != io.EOF {
		return nil, errors.New("got more than one document, want one")
	}
	if err == nil && len(doc.Content) > 0 && doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("got no mapping of names to values")
	}
	if err == nil {
		err = doc.Decode(&nodes)
	}
	var details *yaml.TypeError // such as a name that is there twice
	switch {
	case errors.As(err, &details):
		return nil, errors.New(strings.Join(details.Errors, "; "))
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return nodes, nil
}

// asWritten returns the text of a value in the file, so that 1.10 stays 1.10: the
// type of the var decides what it means. left is how many nodes may be gone through:
// aliases can make many of few.
func asWritten(n *yaml.Node, left *int) any {
	if *left == 0 {
		return nil
	}
	*left--
	switch n.Kind {
	case yaml.AliasNode:
		return asWritten(n.Alias, left)
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil
		}
		return n.Value
	case yaml.SequenceNode:
		list := []any{}
		for _, x := range n.Content {
			list = append(list, asWritten(x, left))
		}
		return list
	}
	return map[string]any{}
}

// takeSecrets removes declared secrets from vars and returns their values. It is an
// error if a file that others can read sets one.
func (files varsFiles) takeSecrets(book *runtime.Runbook, vars map[string]any) (map[string]string, error) {
	secrets := map[string]string{}
	var problems []error
	for _, d := range secretsOf(book) {
		delete(vars, d)
		for _, f := range files {
			v, ok := f.values[d].(string)
			if !ok {
				continue
			}
			if secrets[d] = v; f.open {
				err := badInput("chmod 600 "+f.name, "vars file %s: sets the secret %s, and others can read it", f.name, d)
				problems = append(problems, err)
			}
		}
	}
	return secrets, errors.Join(problems...)
}

func secretsOf(book *runtime.Runbook) (names []string) {
	if book != nil {
		for _, d := range book.Secrets {
			names = append(names, d.Name)
		}
	}
	return names
}

// completeVar offers the vars of the runbook that the command line names.
func (p *program) completeVar(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if len(args) > 0 {
		l, _ := p.load(args[0], inputFlags{})
		if l.book != nil {
			for _, v := range l.book.Vars {
				names = append(names, v.Name+"=\t"+trace.Quote(v.Help))
			}
		}
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// completeRunbook offers the shipped runbooks beside files.
func (p *program) completeRunbook(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, n := range p.shippedNames() {
		if strings.HasPrefix(n, typed) {
			names = append(names, n)
		}
	}
	return names, cobra.ShellCompDirectiveDefault
}
