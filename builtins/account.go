package builtins

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

// Owners of what builtins make, and the accounts that they run as.

// ownerParams are owner= and group= of the builtins that make files.
func ownerParams() []runtime.Arg {
	return []runtime.Arg{
		param("owner", "string", "the step's user", "account that owns it; without one what is there keeps its owner"),
		param("group", "string", "the step's user's", "group of it"),
	}
}

// ownership is who will own what a call makes: owner= and group=, and where these
// are not given, the user of the step and that user's group.
type ownership struct {
	host.Owner
	user string
}

// resolve returns the owner by the names that Lstat reports. An account that does
// not exist is an error.
func (o ownership) resolve(ctx context.Context, h host.Reader) (host.Owner, error) {
	if o.user == "" || o.Group != "" {
		return o.Or(host.Owner{User: o.user}).Resolve(ctx, h)
	}
	rest, err := ownerFor(ctx, h, o.user)
	if err != nil {
		return o.Owner, err
	}
	return o.Or(rest).Resolve(ctx, h)
}

// ownerFor returns the owner of what is made for user. Where a dry run can only
// guess the group, it assumes it.
func ownerFor(ctx context.Context, h host.Reader, user string) (host.Owner, error) {
	o, guessed, err := host.OwnerFor(ctx, h, user)
	if guessed {
		runtime.Assume(ctx, fmt.Sprintf("the group of %s is %s", user, o.Group))
	}
	return o, err
}

// accountName is what useradd(8) and groupadd(8) take on both families of systems.
var accountName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

// checkNames returns an error if one of the names cannot be that of an account or a group.
func checkNames(names ...string) error {
	for _, name := range names {
		if !accountName.MatchString(name) {
			return fmt.Errorf("got %q, want letters, digits, dots and dashes, at most 32", name)
		}
	}
	return nil
}

// idNumber is the number of an account or a group as digits, "" for any.
type idNumber string

var _ starlark.Unpacker = (*idNumber)(nil)

// Unpack implements starlark.Unpacker. It takes what the kernel takes: 32 bits, of
// which the highest number means none.
func (n *idNumber) Unpack(v starlark.Value) error {
	if v == starlark.None {
		return nil
	}
	var got uint32
	if err := starlark.AsInt(v, &got); err != nil || got == math.MaxUint32 {
		err := fmt.Errorf("got %s, want a number from 0 to %d", v, uint32(math.MaxUint32-1))
		if text, ok := starlark.AsString(v); ok && text != "" && strings.Trim(text, "0123456789") == "" {
			return runtime.Hint(err, "write it without quotes: "+text)
		}
		return err
	}
	*n = idNumber(v.String())
	return nil
}

// checkFree returns an error if another user or group, as kind says, has the number id, which may be "".
func checkFree(ctx context.Context, h host.Reader, kind *host.Kind, id string) error {
	if id == "" {
		return nil
	}
	o, cure := host.Owner{User: id}, "getent passwd"
	if kind == host.Group {
		o, cure = host.Owner{Group: id}, "getent group"
	}
	o, err := o.Resolve(ctx, h)
	name := o.User + o.Group
	if err != nil || name == id {
		return err // a number that nobody has stands for itself
	}
	return runtime.Hint(fmt.Errorf("number %s: got %s %s, want none with it", id, kind.Name, name),
		"choose a number that "+cure+" does not list, or give none for the next free one")
}

// needUser returns an error if user, which may be "", does not exist.
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

// giveTo gives a file below root to o, as far as o names a user and a group.
func giveTo(ctx context.Context, h host.Reader, root *host.Root, name string, o host.Owner) error {
	uid, gid, err := o.IDs(ctx, h)
	if err != nil || uid < 0 && gid < 0 {
		return err
	}
	return root.Lchown(name, uid, gid)
}

var adoptParam = param("adopt", "bool", "False",
	"the account may have a directory that holds files already and that no run made")

// mayTake returns an error unless the directory dir, described by m, may be given to an account: the system must not
// need it, and it must be empty, or made by a run with this state directory, or meant to be taken over.
func mayTake(ctx context.Context, h host.Reader, dir string, m host.Meta, to host.Owner, adopt bool) error {
	if to.User == "" || to.User == "root" || to.User == m.User {
		return nil
	}
	if err := host.Keep(h, dir); err != nil || adopt || !m.Mode.IsDir() {
		return err
	}
	real, err := h.Resolve(dir, true)
	if err == nil && runtime.Made(ctx, real) {
		return nil
	}
	var names []string
	if err == nil {
		names, err = h.ReadDir(dir)
	}
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, dir+" holds nothing that was there before")
		return nil
	case err != nil || len(names) == 0:
		return err
	}
	return runtime.Hint(fmt.Errorf("%s belongs to %s and holds files that no run made, such as %s", dir, m.User, names[0]),
		"name a new or an empty directory; if "+to.User+" may have all of it, say adopt=True")
}

// mayFill is mayTake for a directory, there or not, in which an account will get files. Some directories are there for
// that.
func mayFill(ctx context.Context, h host.Reader, dir string, to host.Owner, adopt bool) error {
	real, m, err := follow(h, dir)
	switch {
	case isMissing(err), errors.Is(err, host.ErrUnknown):
		return nil
	case err != nil:
		return err
	case slices.Contains(strings.Fields("/home /media /mnt /opt /srv /tmp /var/opt /var/tmp"), real):
		return nil
	}
	return mayTake(ctx, h, dir, m, to, adopt)
}

// accountFiles are the files that programs which make the account called name, or a group, replace.
func accountFiles(name string) (all []string) {
	for _, f := range strings.Fields("passwd shadow group gshadow subuid subgid") {
		all = append(all, "/etc/"+f, "/etc/"+f+"-", "/etc/"+f+"+", "/etc/"+f+".lock")
	}
	return append(all, "/etc/.pwd.lock", "/var/log/lastlog", "/var/log/faillog", "/var/log/tallylog",
		"/var/spool/mail/"+name, "/var/mail/"+name)
}
