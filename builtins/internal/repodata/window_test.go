package repodata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"runbook/runtime/host/sample"
)

// scanWindow scans with a window that begins with size bytes.
func scanWindow(r io.Reader, size int) (records []Record, sum *Summary, err error) {
	x := newScanner(context.Background(), false)
	x.b, x.r = make([]byte, size+padding), r
	x.on.record = func(r *Record) error {
		records = append(records, ownRecord(r))
		return nil
	}
	err = x.index()
	return records, &x.top.Summary, err
}

const windowText = ` {"info": {"subdir":"linux-64", "base_url":"..\/x", "odd":[{"b":1,"a":"\u00e9é"}]},
 "packages" : {"b-1-0.tar.bz2": {"name":"b","version":"1" , "build":"0","depends":["a 1", "c\n"], "size":12,"timestamp":1700000000},
   "A-1-0.tar.bz2":{"timestamp":1700000000123 ,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","x":{"y":[null,true,false,-1.5e3]}}},
 "packages.conda":{"b-1-0.conda":{}}, "v3" : { "conda":{ "d-1-0" : {"n\u0061me":"d"} }, "whl":{"x":{"a":[1]}}},
 "removed":["x","y"], "signatures" :{"b-1-0.conda":{"k":"v"}} , "other":"é😀", "repodata_version":2 }   ` + "\n\n"

// What is read does not depend on where the window or a reader's pieces end.
func TestWindows(t *testing.T) {
	texts := []string{windowText, windowText + "x", "   ", "{", "\ufeff{}", "null", `{"a":1,"a":2}`}
	for i := range len(windowText) {
		texts = append(texts, windowText[:i], windowText[:i]+"\x00"+windowText[i+1:], windowText[:i]+"]"+windowText[i+1:])
	}
	for i, text := range texts {
		records, sum, err := scanText(text)
		sizes := []int{1, 7, 64 + i%64}
		for size := range 200 * max(0, 1-i) {
			sizes = append(sizes, size+1)
		}
		for _, size := range sizes {
			got, gotSum, gotErr := scanWindow(strings.NewReader(text), size)
			if fmt.Sprint(gotErr) != fmt.Sprint(err) || !reflect.DeepEqual(got, records) || err == nil && !reflect.DeepEqual(gotSum, sum) {
				t.Fatalf("window %d of %q:\ngot  %v %+v\nwant %v %+v", size, text, gotErr, got, err, records)
			}
		}
		if i > 10 {
			continue
		}
		for _, r := range []io.Reader{iotest.OneByteReader(strings.NewReader(text)), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			if got, _, gotErr := scanWindow(r, 64); fmt.Sprint(gotErr) != fmt.Sprint(err) || !reflect.DeepEqual(got, records) {
				t.Fatalf("pieces of %q: got %v, want %v", text, gotErr, err)
			}
		}
	}
}

// Memory is bounded whatever the text.
func TestLimits(t *testing.T) {
	repeat := func(s string, n int) io.Reader { return &repeater{s: s, n: n} }
	read := func(parts ...any) io.Reader {
		var rs []io.Reader
		for _, p := range parts {
			if s, ok := p.(string); ok {
				p = strings.NewReader(s)
			}
			rs = append(rs, p.(io.Reader))
		}
		return io.MultiReader(rs...)
	}
	i := 0
	record := func() string { i++; return fmt.Sprintf(`"x-%d-0.conda":{},`, i) }
	tests := map[string]struct {
		r    io.Reader
		want string
	}{
		"long string":                    {read(`{"a":"`, repeat("x", 1<<30)), "line 1, column 6: got more than 67108864 bytes in a value"},
		"long record":                    {read(`{"packages":{"x-1-0.tar.bz2":{"a":"`, repeat("x", 1<<30)), "line 1, column 14: got more than 16777216 bytes in a record"},
		"long key":                       {read(`{"`, repeat("x", 1<<30)), "bytes in a key"},
		"long info":                      {read(`{"info":{"x":[`, repeat("1,", 1<<30)), "bytes in a member of info"},
		"many members":                   {read(`{"a":"`, repeat("x", 40<<20), `","b":"`, repeat("x", 40<<20), `"}`), "bytes in a value"},
		"many keys":                      {read(`{"a":{"b":0`, &repeater{n: 1 << 21, f: func() string { i++; return fmt.Sprintf(`,"%d":0`, i) }}), "more than 1048576 keys"},
		"many records":                   {read(`{"packages.conda":{`, &repeater{n: 1 << 23, f: record}), "got more than 4194304 members"},
		"many wheels":                    {read(`{"v3":{"whl":{`, &repeater{n: 1 << 23, f: record}), "got more than 4194304 members"},
		"long record after a long value": {read(`{"a":"`, repeat("x", 40<<20), `","packages":{"x-1-0.tar.bz2":{"a":"`, repeat("x", 17<<20), `"}}}`), "got more than 16777216 bytes in a record"},
		"depends":                        {read(`{"packages":{"x-1-0.tar.bz2":{"depends":[""`, repeat(`,"a"`, 1_000_000), `]}}}`), ""},
		"spaces":                         {read(repeat(" ", 100<<20), "{}", repeat("\n", 100<<20)), ""},
		"spaces, endless":                {read("{", repeat(" \n", 1<<40)), "got more than 2147483648 bytes"},
	}
	if !sample.Full() { // they take seconds; TestLongText and "many records" have their likes
		delete(tests, "spaces, endless")
		delete(tests, "many wheels")
	}
	for name, test := range tests {
		_, err := Scan(test.r, func(*Record) error { return nil })
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

// A text is not read for ever. This one has gone on for almost as long as it may.
func TestLongText(t *testing.T) {
	x := newScanner(context.Background(), false)
	x.b, x.r = make([]byte, 1<<16+padding), io.MultiReader(strings.NewReader("{"), &repeater{s: " \n", n: 1 << 40})
	x.gone = maxText - 1<<20
	if err := x.index(); err == nil || !strings.Contains(err.Error(), "got more than 2147483648 bytes") {
		t.Errorf("got %v", err)
	}
}

// A repeater reads as n times s or f().
type repeater struct {
	s    string
	f    func() string
	n    int
	rest []byte
}

func (r *repeater) Read(p []byte) (int, error) {
	for len(r.rest) < len(p) && r.n > 0 {
		if r.f != nil {
			r.rest = append(r.rest, r.f()...)
			r.n--
			continue
		}
		k := min(r.n, 1<<16)
		r.rest = append(r.rest, strings.Repeat(r.s, k)...)
		r.n -= k
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = append(r.rest[:0], r.rest[n:]...)
	return n, nil
}

func TestErrorsAreReturned(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Scan(iotest.ErrReader(broken), nil); err != broken {
		t.Error(err)
	}
	if _, err := Scan(io.MultiReader(strings.NewReader(windowText[:300]), iotest.ErrReader(io.ErrUnexpectedEOF)), nil); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if _, err := Scan(strings.NewReader(windowText), func(*Record) error { return broken }); err != broken {
		t.Error(err)
	}
	for _, n := range []int{1, 2} {
		rw := &Rewrite{Sources: []func() (io.ReadCloser, error){text(windowText), text("{}")}[:n]}
		if _, err := rw.Run(context.Background(), failing{broken}); err != broken {
			t.Error(err)
		}
		rw.Keep = func(int, *Record) (bool, error) { return false, broken }
		if _, err := rw.Run(context.Background(), io.Discard); err != broken {
			t.Error(err)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(broken)
		if _, err := rw.Run(ctx, io.Discard); err != context.Canceled {
			t.Error(err)
		}
		rw.Sources[n-1] = func() (io.ReadCloser, error) { return nil, broken }
		if _, err := rw.Run(context.Background(), &bytes.Buffer{}); err != broken {
			t.Error(err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write(p []byte) (int, error) { return 0, f.err }
