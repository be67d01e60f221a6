package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A source is where a secret comes from.
type source struct{ kind, rest string }

const secretUsage = "write --secret NAME=file:PATH, NAME=env:VARIABLE or NAME=cmd:COMMAND"

// secretSources parses the --secret flags. A name that book does not declare is an
// error.
func secretSources(flags []string, book *runtime.Runbook) (map[string]source, error) {
	sources := map[string]source{}
	var problems []error
	for _, s := range flags {
		name, from, _ := strings.Cut(s, "=")
		kind, rest, _ := strings.Cut(from, ":")
		switch {
		case rest == "" || kind != "file" && kind != "env" && kind != "cmd":
			problems = append(problems, mistake(secretUsage, "--secret %s: got no source", name))
		case !contains(secretsOf(book), name):
			problems = append(problems,
				unknown("secret", name, secretsOf(book), "the secrets are listed by: runbook show "+book.Name))
		}
		sources[name] = source{kind, rest}
	}
	return sources, errors.Join(problems...)
}

// askedSecrets returns the secrets that the chosen steps need, from their source, a
// --vars file, or the terminal, and of the others those that are at hand. A needed
// secret that is missing or unusable is an error.
func (s *session) askedSecrets(ctx context.Context) (map[string]string, error) {
	needed := s.book.Needed(s.flags.selection.chooser())
	values, problems := s.secretsAtHand(ctx, needed)
	for _, d := range needed {
		v, ok, err := s.secret(ctx, d)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			problems = append(problems, badSecret(d, err))
		}
		if ok {
			values[d.Name] = v
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return values, s.book.CheckSecrets(values, needed)
}

func badSecret(d runtime.SecretDecl, err error) error {
	return &runtime.Error{Class: runtime.Input, Err: fmt.Errorf("secret %s: %w", d.Name, err), Advice: runtime.HintOf(err)}
}

// availableSecrets returns those secrets that are at hand. A dry run uses them for
// servers that want them, and does without the others.
func (s *session) availableSecrets(ctx context.Context) (map[string]string, error) {
	values, problems := s.secretsAtHand(ctx, nil)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return values, s.book.CheckSecrets(values, nil)
}

// secretsAtHand returns those secrets, but for some, that can be had without asking a
// person or running a command. That others can read one is a problem.
func (s *session) secretsAtHand(
	ctx context.Context, but []runtime.SecretDecl,
) (values map[string]string, problems []error) {
	values = map[string]string{}
	for _, d := range s.book.Secrets {
		if !d.Asked || slices.Contains(but, d) {
			continue
		}
		if v, given := s.loaded.secrets[d.Name]; given {
			values[d.Name] = v
		}
		if src, given := s.sources[d.Name]; given && src.kind != "cmd" {
			v, err := src.get(ctx, s.local)
			if err == nil {
				values[d.Name] = v
			}
			if errors.Is(err, errOpen) || ctx.Err() != nil {
				problems = append(problems, badSecret(d, err))
			}
		}
	}
	return values, problems
}

func (s *session) secret(ctx context.Context, d runtime.SecretDecl) (value string, ok bool, err error) {
	if src, given := s.sources[d.Name]; given {
		value, err = src.get(ctx, s.local)
		return value, err == nil, err
	}
	if v, given := s.loaded.secrets[d.Name]; given {
		return v, true, nil
	}
	if !s.console.there() {
		return "", false, nil
	}
	prompt := "secret " + d.Name
	if d.Help != "" {
		prompt += " (" + d.Help + ")"
	}
	value, err = s.console.hidden(ctx, trace.Quote(prompt)+": ")
	return value, err == nil, err
}

// get returns the secret, without the newline that editors and commands add.
func (src source) get(ctx context.Context, r host.Reader) (string, error) {
	var text []byte
	var err error
	switch src.kind {
	case "file":
		text, err = readSecret(ctx, src.rest)
	case "cmd":
		text, err = output(ctx, r, src.rest)
	case "env":
		v, ok := os.LookupEnv(src.rest)
		if !ok {
			return "", fmt.Errorf("the environment has no %s", src.rest)
		}
		return v, nil
	}
	if err == nil && len(text) > longestSecret {
		err = fmt.Errorf("got more than %d KiB", longestSecret>>10)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), err
}

const longestSecret = 1 << 20 // bytes

// errOpen says that others can read what should be secret.
var errOpen = errors.New("others can read it")

// openToOthers reports whether a file is for more people than its owner.
func openToOthers(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o077 != 0 }

// readSecret reads a file that only its owner may read, or a pipe. It does not wait
// for long for somebody who writes into the pipe, and stops when ctx ends.
func readSecret(ctx context.Context, name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	switch mode := fi.Mode(); {
	case err != nil:
		return nil, err
	case (mode.IsRegular() || mode&fs.ModeNamedPipe != 0) && openToOthers(fi):
		return nil, runtime.Hint(fmt.Errorf("%s: %w", name, errOpen), "chmod 600 "+name)
	}
	defer context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })() // a pipe has deadlines
	for patience := time.Now().Add(2 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text, err := io.ReadAll(io.LimitReader(f, longestSecret+1))
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil || len(text) > 0 || fi.Mode()&fs.ModeNamedPipe == 0:
			return text, err
		case time.Now().After(patience):
			return nil, fmt.Errorf("%s: nobody writes into this pipe", name)
		}
	}
}

// output runs a command, without a shell, and returns what it prints.
func output(ctx context.Context, r host.Reader, command string) ([]byte, error) {
	argv, err := builtins.SplitWords(command)
	switch {
	case err != nil:
		return nil, fmt.Errorf("got command %q, %w", command, err)
	case len(argv) == 0:
		return nil, errors.New("got no command")
	}
	res, err := r.Query(ctx, host.Process{Argv: argv})
	if err == nil && res.Code != 0 {
		said := strings.Split(strings.TrimSpace(string(res.Stderr)), "\n")
		err = fmt.Errorf("%s: exit status %d: %s", argv[0], res.Code, said[len(said)-1])
	}
	return res.Stdout, err
}
