package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

// param describes one parameter of a builtin; see runtime.Arg.
func param(name, typ, def, help string) runtime.Arg {
	return runtime.Arg{Name: name, Type: typ, Default: def, Help: help}
}

// fact names something that h knows.
func fact(k *host.Kind, name string) host.Fact { return host.Fact{Kind: k, Name: name} }

// want is a change from what is there to what should be.
func want(what, from, to string) host.Change { return host.Change{What: what, From: from, To: to} }

// wants reports whether todo names what.
func wants(todo []host.Change, what string) bool {
	return slices.ContainsFunc(todo, func(c host.Change) bool { return c.What == what })
}

// known asks for a fact. Where only a real run could know, it notes that and
// answers "": a dry run takes it for different.
func known(ctx context.Context, h host.Reader, f host.Fact) (string, error) {
	v, err := h.Fact(ctx, f)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, f.String()+" is not what is wanted")
		return "", nil
	}
	return v, err
}

// present reports whether name is there. Where only a real run could know, it
// notes that and answers no.
func present(ctx context.Context, h host.Reader, name string) (bool, error) {
	ok, err := host.Exists(h, name)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, name+" is not there")
		return false, nil
	}
	return ok, err
}

// readText returns what a file holds, "" if there is none. Where only a real
// run could know, it notes that and answers "".
func readText(ctx context.Context, h host.Reader, name string) (string, error) {
	data, err := host.ReadFile(h, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, name+" is empty")
		return "", nil
	}
	return string(data), err
}

// program returns the absolute name of the first of names that is installed, "" if none is.
func program(h host.Reader, names ...string) string {
	for _, n := range names {
		for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"} {
			if ok, err := host.Exists(h, path.Join(dir, n)); err == nil && ok {
				return path.Join(dir, n)
			}
		}
	}
	return ""
}

// ownerOf goes with its last callers.
func ownerOf(ctx context.Context, h host.Reader, user string) host.Owner {
	o, _ := ownerFor(ctx, h, user)
	return o
}

// ownerFor is the owner of what is made for user. Where a dry run can only guess
// the group, it is assumed.
func ownerFor(ctx context.Context, h host.Reader, user string) (host.Owner, error) {
	o, guessed, err := host.OwnerFor(ctx, h, user)
	if guessed {
		runtime.Assume(ctx, fmt.Sprintf("the group of %s is %s", user, o.Group))
	}
	return o, err
}

// needUser refuses an account that is not there.
func needUser(ctx context.Context, h host.Reader, user string) error {
	if user == "" {
		return nil
	}
	id, err := h.Fact(ctx, fact(host.User, user))
	if err != nil {
		return err
	}
	if id == "" {
		return runtime.Hint(errors.New("no user "+user), `make it first: useradd("`+user+`")`)
	}
	return nil
}

// shorten joins names for a target, leaving out what would be too long to read.
func shorten(names []string) string {
	const limit = 60
	all := strings.Join(names, " ")
	if len(all) <= limit || len(names) < 3 {
		return all
	}
	n := 1
	for n < len(names) && len(strings.Join(names[:n+1], " ")) <= limit {
		n++
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], " "), len(names)-n)
}

// absent takes what is not there for no error.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
