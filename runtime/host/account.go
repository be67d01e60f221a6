package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// The kinds of facts about accounts. Their source is /etc/passwd and
// /etc/group, then getent for accounts that a directory service knows.
var (
	User    = &Kind{"user", account("/etc/passwd", "passwd", 2)}    // numeric id
	Group   = &Kind{"group", account("/etc/group", "group", 2)}     // numeric id
	Home    = &Kind{"home", account("/etc/passwd", "passwd", 5)}    // directory
	Shell   = &Kind{"shell", account("/etc/passwd", "passwd", 6)}   // program
	Comment = &Kind{"comment", account("/etc/passwd", "passwd", 4)} // GECOS field
	Primary = &Kind{"primary", primaryGroup}                        // name of a user's own group
	Groups  = &Kind{"groups", supplementary}                        // a user's other groups, sorted, with commas
)

// account returns a probe for one field of an account's line.
func account(file, database string, field int) func(context.Context, Reader, string) (string, error) {
	return func(ctx context.Context, r Reader, name string) (string, error) {
		f, err := accountLine(ctx, r, file, database, name)
		if err != nil || len(f) <= field {
			return "", err
		}
		return f[field], nil
	}
}

func accountLine(ctx context.Context, r Reader, file, database, name string) ([]string, error) {
	lines, err := Lines(r, file)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if f := strings.Split(l, ":"); f[0] == name {
			return f, nil
		}
	}
	res, err := r.Query(ctx, Process{Argv: []string{"getent", database, name}})
	if err != nil || res.Code != 0 {
		return nil, nil // a system without getent knows only its files
	}
	f := strings.Split(strings.TrimSpace(string(res.Stdout)), ":")
	if f[0] != name {
		return nil, nil // getent also finds by number
	}
	return f, nil
}

func primaryGroup(ctx context.Context, r Reader, user string) (string, error) {
	f, err := accountLine(ctx, r, "/etc/passwd", "passwd", user)
	if err != nil || len(f) < 4 {
		return "", err
	}
	lines, err := Lines(r, "/etc/group")
	for _, l := range lines {
		if g := strings.Split(l, ":"); len(g) > 2 && g[2] == f[3] {
			return g[0], nil
		}
	}
	return f[3], err
}

func supplementary(_ context.Context, r Reader, user string) (string, error) {
	lines, err := Lines(r, "/etc/group")
	var names []string
	for _, l := range lines {
		if g := strings.Split(l, ":"); len(g) > 3 {
			for m := range strings.SplitSeq(g[3], ",") {
				if m == user {
					names = append(names, g[0])
				}
			}
		}
	}
	return strings.Join(slices.Sorted(slices.Values(names)), ","), err
}

// Lines returns the lines of a file without their ends; none if there is no file.
func Lines(r Reader, name string) ([]string, error) {
	data, err := ReadFile(r, name)
	if errors.Is(err, fs.ErrNotExist) || len(data) == 0 {
		return nil, ignoreNotExist(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"), err
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// id resolves an account's name through r; a number stands for itself, "" for none.
// An overlay answers Present for an account that only an earlier step made.
func id(r Reader, k *Kind, name string) (string, error) {
	if name == "" || strings.Trim(name, "0123456789") == "" {
		return name, nil
	}
	v, err := r.Fact(context.Background(), Fact{k, name})
	if err == nil && v == "" {
		err = fmt.Errorf("no %s %q", k.Name, name)
	}
	return v, err
}

// Known refuses an owner that r does not know.
func (o Owner) Known(r Reader) error {
	if _, err := id(r, User, o.User); err != nil {
		return err
	}
	_, err := id(r, Group, o.Group)
	return err
}
