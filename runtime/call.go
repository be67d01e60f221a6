package runtime

import "runbook/runtime/host"

// Unpack stores the call's arguments in vars, one pointer for each of
// Builtin.Args in order; one that was not given leaves its variable as it is.
// Pointers may be to string, bool, int, int64, fs.FileMode, Path, time.Duration
// (seconds, or text such as "10m"), []string, []Path, []int, map[string]string
// or starlark.Value. None counts as not given.
func (c *Call) Unpack(vars ...any) error { panic("soon") }

// User is the account that runs the commands of this call: user= or the step's.
func (c *Call) User() string { panic("soon") }

// Owner is the step's user as owner of what is made; empty if it names none.
func (c *Call) Owner() host.Owner { panic("soon") }

// StateDir is where markers lie.
func (c *Call) StateDir() string { panic("soon") }
