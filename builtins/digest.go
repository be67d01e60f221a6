package builtins

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"runbook/runtime/fetch"
	"runbook/runtime/host"
)

// A wantedDigest is one that a file must have.
type wantedDigest struct {
	kind, want string
	hash       hash.Hash
}

func (op *downloadOp) digests() (all []wantedDigest) {
	if op.sha256 != "" {
		all = append(all, wantedDigest{"sha256", op.sha256, sha256.New()})
	}
	if op.md5 != "" {
		all = append(all, wantedDigest{"md5", op.md5, md5.New()})
	}
	return all
}

// verified is the content of the source, which fails at its end if it is not
// what is wanted: then the host does not give it its name.
func (op *downloadOp) verified() host.Content {
	if len(op.digests()) == 0 {
		return op.content
	}
	return host.Content{Open: func() (host.File, error) {
		f, err := op.content.Reader()
		if err != nil {
			return nil, err
		}
		return &verifiedFile{File: f, digests: op.digests()}, nil
	}}
}

// A verifiedFile is checked if it is read from beginning to end.
type verifiedFile struct {
	host.File
	digests []wantedDigest
}

func (v *verifiedFile) Read(p []byte) (int, error) {
	n, err := v.File.Read(p)
	for _, d := range v.digests {
		d.hash.Write(p[:n])
		if err != io.EOF {
			continue
		}
		if have := hex.EncodeToString(d.hash.Sum(nil)); have != d.want {
			return n, advise(fmt.Errorf("%w: got %s %s, want %s", fetch.ErrDigest, d.kind, have, d.want))
		}
	}
	return n, err
}

func (v *verifiedFile) Seek(offset int64, whence int) (int64, error) {
	v.digests = nil // somebody looks for a part
	return v.File.Seek(offset, whence)
}

// giveTo sets the owner, where one is named, of a file below root.
func giveTo(ctx context.Context, h host.Reader, root *host.Root, name string, o host.Owner) error {
	uid, err := accountID(ctx, h, host.User, o.User)
	if err != nil {
		return err
	}
	gid, err := accountID(ctx, h, host.Group, o.Group)
	if err != nil || uid < 0 && gid < 0 {
		return err
	}
	return root.Lchown(name, uid, gid)
}
