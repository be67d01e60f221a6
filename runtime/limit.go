package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// The interpreter checks between two instructions how much a script uses. These
// are the limits of what one instruction may make or go through.
const (
	maxText     = 16 << 20 // bytes of a text
	maxElements = 4 << 20  // of a list or the like
	maxBits     = 1 << 16  // of a number
	maxDigits   = 20_000   // of a number in a text
	maxWeight   = 64 << 20 // bytes of the arguments of a call, about
	maxNesting  = 200      // of values in values
	maxGlobals  = 2000     // of nesting in a file's globals, which nothing but freezing goes through
)

var errDeep = errors.New("value is nested too deep, or holds itself")

// These names cannot be written in a script, so nothing can shadow them.
const (
	callName    = "(call)"
	factorName  = "(factor)"
	boundedName = "(bounded)"
	addendName  = "(addend)"
)

// limit replaces every call f(x) in a file by (call)(f, x), x * y by x *
// (factor)(y), and the right operand of % and the keys of dicts by (bounded)(x),
// which check sizes before the interpreter does the same.
func limit(f *syntax.File) {
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			if fn, ok := n.Fn.(*syntax.Ident); !ok || !strings.HasPrefix(fn.Name, "(") {
				n.Args = append([]syntax.Expr{n.Fn}, n.Args...)
				n.Fn = &syntax.Ident{Name: callName, NamePos: n.Lparen}
			}
		case *syntax.BinaryExpr:
			n.Y = limitOperand(n.Op, n.OpPos, n.Y)
		case *syntax.AssignStmt:
			n.RHS = limitOperand(n.Op, n.OpPos, n.RHS)
		case *syntax.DictEntry:
			n.Key = wrapped(boundedName, n.Key, n.Colon)
		}
		return true
	})
}

func limitOperand(op syntax.Token, pos syntax.Position, y syntax.Expr) syntax.Expr {
	switch op {
	case syntax.STAR, syntax.STAR_EQ:
		return wrapped(factorName, y, pos)
	case syntax.PERCENT, syntax.PERCENT_EQ:
		return wrapped(boundedName, y, pos)
	case syntax.PLUS, syntax.PLUS_EQ:
		return wrapped(addendName, y, pos)
	}
	return y
}

// wrapped is the call NAME(x).
func wrapped(name string, x syntax.Expr, pos syntax.Position) syntax.Expr {
	return &syntax.CallExpr{Fn: &syntax.Ident{Name: name, NamePos: pos}, Lparen: pos, Args: []syntax.Expr{x}, Rparen: pos}
}

// limited returns what limit calls.
func (l *loader) limited() starlark.StringDict {
	return starlark.StringDict{
		callName: starlark.NewBuiltin("call", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple,
			kwargs []starlark.Tuple) (starlark.Value, error) {
			return l.checkedCall(t, args[0], args[1:], kwargs)
		}),
		factorName: starlark.NewBuiltin("factor", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple,
			_ []starlark.Tuple) (starlark.Value, error) {
			return factor{args[0]}, nil
		}),
		boundedName: starlark.NewBuiltin("bounded", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple,
			_ []starlark.Tuple) (starlark.Value, error) {
			return args[0], operand(args[0])
		}),
		addendName: starlark.NewBuiltin("addend", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple,
			_ []starlark.Tuple) (starlark.Value, error) {
			return args[0], addable(args[0])
		}),
	}
}

// addable refuses what is added to another value if it alone is as large as a value may be: one that doubles gets
// there.
func addable(v starlark.Value) error {
	switch n := starlark.Len(v); v.(type) {
	case starlark.String, starlark.Bytes:
		if n > maxText/2 {
			return fmt.Errorf("got a text of %d MiB to be added, want at most %d", n>>20, maxText>>21)
		}
	default:
		if n > maxElements/2 {
			return fmt.Errorf("got a %s of %d elements to be added, want at most %d", v.Type(), n, maxElements/2)
		}
	}
	return nil
}

// checkedCall calls fn unless that could take more than it may.
func (l *loader) checkedCall(t *starlark.Thread, fn starlark.Value, args starlark.Tuple,
	kwargs []starlark.Tuple) (starlark.Value, error) {
	if _, ok := fn.(*starlark.Function); ok {
		return starlark.Call(t, fn, args, kwargs)
	}
	b, ok := fn.(*starlark.Builtin)
	if ok && unmeasured(b.Name()) {
		return starlark.Call(t, fn, args, kwargs)
	}
	s := newScale(maxNesting)
	err := s.addCall(args, kwargs)
	if err == nil && ok {
		err = limitMethod(b, args, maxWeight-s.left)
		if name := b.Name(); err == nil && (name == "str" || name == "repr" || name == "format") {
			err = refuseHeres(args...)
		}
	}
	if err != nil {
		if ok {
			err = fmt.Errorf("%s: %w", b.Name(), err)
		}
		return nil, err
	}
	for i, kw := range kwargs { // sorted(x, key=f) calls f by itself
		if key, ok := kw[1].(*starlark.Builtin); ok && kw[0] == starlark.String("key") {
			kwargs[i] = starlark.Tuple{kw[0], l.checkedBuiltin(key)}
		}
	}
	t.Steps += uint64(maxWeight-s.left) / 64
	return starlark.Call(t, fn, args, kwargs)
}

func (l *loader) checkedBuiltin(b *starlark.Builtin) starlark.Value {
	return starlark.NewBuiltin(b.Name(), func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple,
		kwargs []starlark.Tuple) (starlark.Value, error) {
		return l.checkedCall(t, b, args, kwargs)
	})
}

// unmeasured reports whether the function called name goes through none of its
// arguments.
func unmeasured(name string) bool {
	switch name {
	case "len", "type", "bool", "range", "append", "insert", "hasattr", "getattr", "clear", "items", "keys", "values":
		return true
	}
	return false
}

// limitMethod refuses what makes far more than it gets.
func limitMethod(b *starlark.Builtin, args starlark.Tuple, weight int) error {
	recv, isText := b.Receiver().(starlark.String)
	size := int64(len(recv))
	switch {
	case isText && b.Name() == "join" && len(args) == 1:
		size = joined(int64(len(recv)), args[0])
	case isText && b.Name() == "format":
		size += int64(strings.Count(string(recv), "{")) * int64(weight)
	case isText && b.Name() == "replace" && len(args) >= 2:
		was, _ := args[0].(starlark.String)
		by, _ := args[1].(starlark.String)
		if len(by) > len(was) && len(recv) <= maxText {
			size += int64(strings.Count(string(recv), string(was))) * int64(len(by)-len(was))
		}
	case !isText && (b.Name() == "int" || b.Name() == "float") && len(args) > 0:
		if text, _ := args[0].(starlark.String); len(text) > maxDigits {
			return fmt.Errorf("got a number of %d digits, want at most %d", len(text), maxDigits)
		}
	}
	if size > maxText {
		return fmt.Errorf("got a text of %d MiB, want at most %d", size>>20, maxText>>20)
	}
	return nil
}

// joined is the size of the elements of v with so much between them.
func joined(between int64, v starlark.Value) (size int64) {
	it := starlark.Iterate(v)
	if it == nil {
		return 0
	}
	defer it.Done()
	for x := starlark.Value(nil); it.Next(&x); size += between {
		if s, ok := x.(starlark.String); ok {
			size += int64(len(s))
		}
	}
	return size
}

// A scale weighs values before something goes through them, in bytes, about.
type scale struct {
	left    int // bytes that may still be added
	nesting int
}

func newScale(nesting int) *scale { return &scale{maxWeight, nesting} }

func (s *scale) addCall(args starlark.Tuple, kwargs []starlark.Tuple) error {
	for _, x := range args {
		if err := s.add(x, 0); err != nil {
			return err
		}
	}
	for _, kw := range kwargs {
		if err := s.add(kw[1], 0); err != nil {
			return err
		}
	}
	return nil
}

// add refuses values that are nested too deep and values that are too large,
// which one that holds another many times over may be, too.
func (s *scale) add(v starlark.Value, depth int) error {
	if depth > s.nesting {
		return errDeep
	}
	if s.left -= 16; s.left < 0 {
		return fmt.Errorf("value is larger than %d MiB", maxWeight>>20)
	}
	switch v := v.(type) {
	case starlark.String:
		s.left -= len(v)
	case starlark.Bytes:
		s.left -= len(v)
	case starlark.Int:
		return limitNumber(v)
	case *starlark.Function:
		return s.addFunction(v, depth)
	case starlark.IterableMapping:
		for key, value := range starlark.Entries(v) {
			if err := errors.Join(s.add(key, depth+1), s.add(value, depth+1)); err != nil {
				return err
			}
		}
	case starlark.Iterable:
		return s.addElements(v, depth)
	}
	return nil
}

func (s *scale) addElements(v starlark.Iterable, depth int) error {
	switch n := starlark.Len(v); {
	case n > maxElements:
		return fmt.Errorf("got a %s of %d elements, want at most %d", v.Type(), n, maxElements)
	case v.Type() == "range" || strings.HasPrefix(v.Type(), "string."):
		s.left -= 16 * n
		return nil
	}
	for x := range starlark.Elements(v) {
		if err := s.add(x, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// addFunction adds what f holds on to.
func (s *scale) addFunction(f *starlark.Function, depth int) error {
	for i := range f.NumParams() {
		if def := f.ParamDefault(i); def != nil {
			if err := s.add(def, depth+1); err != nil {
				return err
			}
		}
	}
	for i := range f.NumFreeVars() {
		if _, v := f.FreeVar(i); v != nil {
			if err := s.add(v, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func limitNumber(i starlark.Int) error {
	if _, small := i.Int64(); !small && i.BigInt().BitLen() > maxBits {
		return fmt.Errorf("got a number of more than %d bits", maxBits)
	}
	return nil
}

// A factor is the right operand of a multiplication, which it does itself: that
// of two short operands can be huge.
type factor struct{ starlark.Value }

var _ starlark.HasBinary = factor{}

// Binary returns x * f.
func (f factor) Binary(op syntax.Token, x starlark.Value, _ starlark.Side) (starlark.Value, error) {
	if err := limitProduct(x, f.Value); err != nil {
		return nil, err
	}
	return starlark.Binary(op, x, f.Value)
}

func limitProduct(x, y starlark.Value) error {
	n, ok := x.(starlark.Int)
	if !ok {
		x, y = y, x
		n, ok = x.(starlark.Int)
	}
	if !ok {
		return nil
	}
	if m, ok := y.(starlark.Int); ok {
		if bits(n)+bits(m) > maxBits {
			return fmt.Errorf("got a number of more than %d bits", maxBits)
		}
		return nil
	}
	size, most := starlark.Len(y), maxElements
	if _, isList := y.(starlark.Iterable); !isList {
		most = maxText
	}
	times, small := n.Int64()
	if size > 0 && (!small && n.Sign() > 0 || times > int64(most/size)) {
		return fmt.Errorf("got a %s of more than %d elements", y.Type(), most)
	}
	return nil
}

func bits(i starlark.Int) int {
	if n, small := i.Int64(); small && n>>31 == 0 {
		return 31
	}
	return i.BigInt().BitLen()
}

// freeze makes globals constant, unless the interpreter could not go through them.
func freeze(globals starlark.StringDict) error {
	s := newScale(maxGlobals)
	for name, v := range globals {
		if err := s.add(v, 0); err != nil {
			return fmt.Errorf("global %s: %w", name, err)
		}
	}
	globals.Freeze()
	return nil
}

const maxSource = 256 << 10 // bytes of a file of a runbook

// readText reads a regular file: a pipe could block for ever. No fsys has no files.
func readText(fsys fs.FS, name string, most int64) ([]byte, error) {
	if fsys == nil {
		return nil, fs.ErrNotExist
	}
	fi, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if err := TextFile(fi, most); err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = tooLarge(int64(len(text)), most)
	}
	return text, err
}

// TextFile refuses a file that is no regular one or has more than so many bytes.
func TextFile(fi fs.FileInfo, most int64) error {
	switch {
	case fi.IsDir():
		return errDirectory
	case !fi.Mode().IsRegular():
		return errors.New("is no regular file")
	case fi.Size() > most:
		return tooLarge(fi.Size(), most)
	}
	return nil
}

var errDirectory = errors.New("is a directory")

func tooLarge(have, most int64) error {
	return fmt.Errorf("got %s, want at most %s", inUnits(have), inUnits(most))
}

// inUnits is a number of bytes for people, rounded up.
func inUnits(bytes int64) string {
	if bytes > 10<<20 {
		return fmt.Sprintf("%d MiB", (bytes+1<<20-1)>>20)
	}
	return fmt.Sprintf("%d KiB", (bytes+1<<10-1)>>10)
}
