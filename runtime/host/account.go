package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
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

	userName  = &Kind{"username", nameOf("/etc/passwd", "passwd")} // of a numeric id
	groupName = &Kind{"groupname", nameOf("/etc/group", "group")}  // of a numeric id
)

// Self is the user name of whoever runs, by number where it has none; the
// fact's name is "". See proc_pid_status(5).
var Self = &Kind{"self", func(ctx context.Context, r Reader, _ string) (string, error) {
	lines, err := Lines(r, "/proc/self/status")
	for _, l := range lines {
		// Uid: real, effective, saved, file system
		if f := strings.Fields(l); len(f) > 2 && f[0] == "Uid:" {
			name, err := r.Fact(ctx, Fact{userName, f[2]})
			return cmp.Or(name, f[2]), err
		}
	}
	return "", err
}}

// nameOf returns a probe for the name that goes with a numeric id: the first
// in the alphabet if there are several.
func nameOf(file, database string) func(context.Context, Reader, string) (string, error) {
	return func(ctx context.Context, r Reader, id string) (string, error) {
		lines, err := Lines(r, file)
		if err != nil {
			return "", err
		}
		var names []string
		for _, l := range lines {
			if f := strings.Split(l, ":"); len(f) > 2 && f[2] == id {
				names = append(names, f[0])
			}
		}
		if len(names) > 0 {
			return slices.Min(names), nil
		}
		res, err := r.Query(ctx, Process{Argv: []string{"getent", database, id}})
		if f := strings.Split(strings.TrimSpace(string(res.Stdout)), ":"); err == nil && res.Code == 0 && len(f) > 2 &&
			f[2] == id {
			return f[0], nil
		}
		return "", nil // a system without getent knows only its files
	}
}

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
		if g := strings.Split(l, ":"); len(g) > 3 && slices.Contains(strings.Split(g[3], ","), user) {
			names = append(names, g[0])
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ","), err
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

// Resolve returns o by the names that Lstat reports: an account may be meant by
// its number or by one of several names, and a name that stands only in an
// overlay stays. The error says that r does not know the user or the group.
func (o Owner) Resolve(ctx context.Context, r Reader) (Owner, error) {
	user, err := nameIn(ctx, r, User, userName, o.User)
	if err != nil {
		return o, err
	}
	group, err := nameIn(ctx, r, Group, groupName, o.Group)
	return Owner{user, group}, err
}

func nameIn(ctx context.Context, r Reader, ids, names *Kind, name string) (string, error) {
	id, err := idOf(ctx, r, ids, name)
	if err != nil || !isNumber(id) {
		return name, err
	}
	v, err := r.Fact(ctx, Fact{names, id})
	return cmp.Or(v, name), err
}

// IDs returns the numbers of o, -1 for what it leaves open. The error says that
// r does not know the user or the group, or, of an overlay, not its number.
func (o Owner) IDs(ctx context.Context, r Reader) (uid, gid int, err error) {
	if uid, err = numberOf(ctx, r, User, o.User); err != nil {
		return -1, -1, err
	}
	gid, err = numberOf(ctx, r, Group, o.Group)
	return uid, gid, err
}

func numberOf(ctx context.Context, r Reader, k *Kind, name string) (int, error) {
	id, err := idOf(ctx, r, k, name)
	switch {
	case err != nil || id == "":
		return -1, err
	case !isNumber(id):
		return -1, fmt.Errorf("the number of %s %q: %w", k.Name, name, ErrUnknown)
	}
	return strconv.Atoi(id)
}

// OwnerFor returns the owner of what is made for user: the user and its own
// group. guessed reports that r, an overlay, cannot know the group, because only
// a predicted command makes the account: then it has the user's name, as
// useradd(8) chooses. Of an account that r does not know it has that name, too.
func OwnerFor(ctx context.Context, r Reader, user string) (o Owner, guessed bool, err error) {
	if user == "" {
		return Owner{}, false, nil
	}
	group, err := r.Fact(ctx, Fact{Primary, user})
	if err == nil && group != "" && group != Present {
		return Owner{user, group}, false, nil
	}
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Owner{}, false, err
	}
	id, err := r.Fact(ctx, Fact{User, user})
	if errors.Is(err, ErrUnknown) {
		id, err = Present, nil
	}
	return Owner{user, user}, id != "", err
}

// idOf returns the number of the account called name; a number stands for
// itself, "" for none. An overlay answers Present for an account that only an
// earlier step made.
func idOf(ctx context.Context, r Reader, k *Kind, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if isNumber(name) {
		// The highest number of 32 bits means "none" to chown(2).
		if n, err := strconv.ParseUint(name, 10, 32); err != nil || n == math.MaxUint32 {
			return "", fmt.Errorf("got number %s of a %s, want 0 to %d", name, k.Name, uint32(math.MaxUint32-1))
		}
		return name, nil
	}
	v, err := r.Fact(ctx, Fact{k, name})
	if err != nil || v != "" {
		return v, err
	}
	if user, group, both := strings.Cut(name, ":"); both {
		return "", hinted{fmt.Errorf("no %s %q", k.Name, name),
			fmt.Sprintf("name the group apart: owner=%q, group=%q", user, group)}
	}
	maker := "group"
	if k == User {
		maker = "useradd"
	}
	return "", hinted{fmt.Errorf("no %s %q", k.Name, name), fmt.Sprintf("make it first: %s(%q)", maker, name)}
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
