package builtins

import (
	"context"
	"errors"
	"fmt"

	"runbook/runtime"
	"runbook/runtime/host"
)

// What the builtins that make files have in common.

// ownerParams are the parameters of what makes files.
func ownerParams() []runtime.Arg {
	return []runtime.Arg{
		param("owner", "string", "the step's user", "account that owns it; without one what is there keeps its owner"),
		param("group", "string", "the step's user's", "group of it"),
	}
}

// ownership is who shall own what a call makes: owner= and group=, and what these
// leave open, the user= of the step with its own group.
type ownership struct {
	host.Owner
	user string
}

// resolve returns the owner by the names that Lstat reports, and refuses
// accounts that are not there.
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
