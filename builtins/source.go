package builtins

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

// A source is what an op reads: a file of the machine, or one beside the runbook.
type source struct {
	path string
	here *runtime.Here // or nil
}

var _ starlark.Unpacker = (*source)(nil)

// Unpack implements starlark.Unpacker.
func (s *source) Unpack(v starlark.Value) error {
	if h, ok := v.(*runtime.Here); ok {
		*s = source{here: h}
		return nil
	}
	var p runtime.Path
	err := p.Unpack(v)
	*s = source{path: string(p)}
	return err
}

func (s source) String() string {
	if s.here != nil {
		return s.here.String()
	}
	return s.path
}

// name is what the file is called, for a list of digests.
func (s source) name() string {
	if s.here != nil {
		return s.here.Name
	}
	return s.path
}

// content is what the file holds, secrets not masked.
func (s source) content(h host.Reader) (host.Content, error) {
	if s.here != nil {
		return s.here.Content(), nil
	}
	return runtime.Unmasked(h).Content(s.path)
}

// text returns what a small file beside the runbook holds, if it is a text.
func (s source) text() (data []byte, ok bool) {
	if s.here == nil {
		return nil, false
	}
	data, err := s.here.Bytes()
	return data, err == nil && utf8.Valid(data) && bytes.IndexByte(data, 0) < 0
}

// textOf returns the text of a file beside the runbook.
func textOf(h *runtime.Here) (string, error) {
	data, err := h.Bytes()
	if err == nil && !utf8.Valid(data) {
		err = runtime.Hint(errors.New(h.String()+" holds bytes that are no UTF-8, want a text"), "use copy() for such a file")
	}
	return string(data), err
}
