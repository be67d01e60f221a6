package builtins

import (
	"context"

	"runbook/runtime"
	"runbook/runtime/host"
)

type legacyOp interface {
	check0(context.Context, host.Reader) ([]host.Change, error)
	apply0(context.Context, host.Host, []host.Change) error
}

func legacy(ctx context.Context, h host.Reader, op legacyOp) ([]runtime.Action, error) {
	todo, err := op.check0(ctx, h)
	return runtime.Actions(func(ctx context.Context, h host.Host) error { return op.apply0(ctx, h, todo) }, todo...), err
}
