package builtins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

var sha256Builtin = &runtime.Builtin{
	Name: "sha256",
	Args: []runtime.Arg{
		param("path", "path", "", "a file"),
		assumeParam("string"),
	},
	Summary: "return the SHA-256 of what a file holds, in hex",
	Example: `sha256("/etc/passwd")`,
	Read: func(c *runtime.Call, h host.Reader) (starlark.Value, error) {
		var p runtime.Path
		var assume starlark.Value
		if err := c.Unpack("path", &p, "assume", &assume); err != nil {
			return nil, err
		}
		sum, err := digestOf(c.Context(), h, string(p), sha256.New())
		return answer(c, string(p), starlark.String(sum), err, assume)
	},
}

// digestOf returns the hex digest of what name holds, secrets not masked.
func digestOf(ctx context.Context, h host.Reader, name string, d hash.Hash) (string, error) {
	c, err := runtime.Unmasked(h).Content(name)
	if err == nil {
		err = readInto(ctx, d, c)
	}
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(d.Sum(nil)), nil
}

// readInto copies a content until ctx ends.
func readInto(ctx context.Context, w io.Writer, c host.Content) error {
	f, err := c.Reader()
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, untilDone{ctx, f})
	return err
}
