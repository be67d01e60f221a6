package mirror

import (
	"bytes"
	"errors"
	"io"
	"path"

	"runbook/builtins/internal/compress"
)

// An indexed file is one form of an index, to be written.
type indexed struct {
	name, sum string
	data      []byte
}

// addIndex plans to publish data unless the tree has it already, in every form. A subdir with
// a bad package keeps its old index.
func (p *Plan) addIndex(s *subdir, data []byte) error {
	sum := checksum(string(data))
	plainName := path.Join(s.name, indexFile)
	if len(s.bad) > 0 {
		return nil
	}
	same, err := p.disk.equal(plainName, "sha256:"+sum, data)
	if err != nil {
		return err
	}
	known := same
	for _, ext := range []string{".bz2", ".zst"} {
		m, ok, err := p.disk.lstat(plainName + ext)
		if err != nil {
			return err
		}
		known = known && ok && p.disk.knows(plainName+ext, "of:"+sum, m)
	}
	if known {
		return nil
	}
	forms, err := forms(plainName, sum, data)
	if err != nil {
		return err
	}
	for _, f := range forms {
		equal, err := p.disk.equal(f.name, f.sum, f.data)
		if err != nil {
			return err
		}
		same = same && equal
	}
	if !same {
		s.index = forms
	}
	return nil
}

// forms returns the files of an index in the order in which they are published. Clients prefer
// the compressed ones, so none may be older than the plain one.
func forms(name, sum string, data []byte) ([]indexed, error) {
	bz2, err := packed(data, compress.NewBzip2)
	if err != nil {
		return nil, err
	}
	zst, err := packed(data, compress.NewZstd)
	return []indexed{{name + ".bz2", "of:" + sum, bz2}, {name + ".zst", "of:" + sum, zst}, {name, "sha256:" + sum, data}}, err
}

func packed(data []byte, compressor func(io.Writer) (io.WriteCloser, error)) ([]byte, error) {
	var b bytes.Buffer
	w, err := compressor(&b)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(data)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}
