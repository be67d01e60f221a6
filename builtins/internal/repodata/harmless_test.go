package repodata

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// What looks hostile and has a stated outcome.
func TestHarmlessValues(t *testing.T) {
	none := Fields{BuildNumber: -1, Size: -1, Timestamp: -1, IndexedTimestamp: -1}
	with := func(edit func(f *Fields)) Fields {
		f := none
		edit(&f)
		return f
	}
	at := func(ms int64) Fields { return with(func(f *Fields) { f.Timestamp = ms }) }
	sum := strings.Repeat("0123456789abcdef", 4)
	tests := []struct {
		members string
		want    Fields
	}{
		{``, none},
		{`"SHA256":5,"Size":"x"`, none},
		{`"size":null,"sha256":null,"md5":"","name":null,"depends":null,"build_number":null,"timestamp":null`, none},
		{`"size":0`, with(func(f *Fields) { f.Size = 0 })},
		{`"size":2147483648`, with(func(f *Fields) { f.Size = 1 << 31 })},
		{`"size":1099511627776`, with(func(f *Fields) { f.Size = 1 << 40 })},
		{`"sha256":"` + strings.ToUpper(sum) + `"`, with(func(f *Fields) { f.SHA256 = sum })},
		{`"sha256":"\u0030` + sum[1:] + `","md5":"` + sum[:32] + `"`, with(func(f *Fields) { f.SHA256, f.MD5 = sum, sum[:32] })},
		{`"subdir":"../noarch"`, with(func(f *Fields) { f.Subdir = "../noarch" })},
		{`"subdir":5,"license":[1],"license_family":null`, none},
		{`"url":"javascript:","fn":"/etc/passwd"`, none},
		{`"name":"b\u00e9\n\ud83d\ude00"`, with(func(f *Fields) { f.Name = "bé\n😀" })},
		{`"n\u0061me":"x"`, with(func(f *Fields) { f.Name = "x" })},
		{`"version":"2","name":"x","build":"0"`, with(func(f *Fields) { f.Name, f.Version, f.Build = "x", "2", "0" })},
		{`"depends":["a 1","\"b\""]`, with(func(f *Fields) { f.Depends = []string{"a 1", `"b"`} })},
		{`"timestamp":1700000000`, at(1700000000000)},
		{`"timestamp":1700000000123`, at(1700000000123)},
		{`"timestamp":253402300799`, at(253402300799000)},
		{`"timestamp":253402300800`, at(253402300800)},
		{`"timestamp":253402300799999`, at(253402300799999)},
		{`"timestamp":253402300800000`, none},
		{`"timestamp":0`, at(0)},
		{`"timestamp":-1`, none},
		{`"timestamp":-1e99`, none},
		{`"timestamp":1e99`, none},
		{`"timestamp":99999999999999999999999`, none},
		{`"timestamp":1700000000.5`, none},
		{`"timestamp":"1700000000"`, none},
		{`"timestamp":{"a":[]}`, none},
		{`"indexed_timestamp":1700000000123`, with(func(f *Fields) { f.IndexedTimestamp = 1700000000123 })},
	}
	for _, test := range tests {
		for _, space := range []string{"", "\r\n\t "} {
			raw := "{" + space + strings.ReplaceAll(test.members, ",", space+","+space) + space + "}"
			records, _, err := scanText(`{"packages.conda":{"x-1-0.conda":` + raw + `}}`)
			if space != "" && strings.Contains(test.members, "[") {
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", raw, err)
				continue
			}
			if len(records[0].Depends) == 0 {
				records[0].Depends = nil
			}
			if got := records[0]; !reflect.DeepEqual(got.Fields, test.want) || got.Raw != raw {
				t.Errorf("%s: got %+v", raw, got)
			}
		}
	}
}

func TestHostileStructure(t *testing.T) {
	deep := func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	tests := []struct{ text, want string }{
		{"null", `line 1, column 1: got "null", want '{'`},
		{"7", `got "7", want '{'`}, {`"x"`, "want '{'"}, {"[]", "want '{'"}, {"true", "want '{'"},
		{"{}{}", `line 1, column 3: got "{", want the end`}, {"{} x", `column 4: got "x", want the end`}, {"{}\n\x00", "line 2, column 1"},
		{"\ufeff{}", "byte order mark"}, {"\xff\xfe{\x00}\x00", "byte order mark"}, {"{\x00}", `got "\x00`},
		{`{"a":1,}`, `got "}", want a key`}, {`{,}`, "want a key"}, {`{"a" 1}`, "want a colon"}, {`{"a":}`, "want a value"},
		{`{"a":1 "b":2}`, `line 1, column 8: got "\"b\":2", want a comma or '}'`}, {`{"a":1,"a":2}`, `line 1, column 8: got the key "a" twice`},
		{`{"b":1,"a":1,"b":2}`, `the key "b" twice`}, {`{"a":{"b":[1,{"c":2,"c":3}]}}`, `the key "c" twice`},
		{`{"a":"` + "\xff" + `"}`, "no UTF-8"}, {"{\"a\":\"\xed\xa0\x80\"}", "no UTF-8"}, {"{\"a\":\"\xc0\xaf\"}", "no UTF-8"}, {"{\"\xe2\x82\":1}", "no UTF-8"},
		{`{"a":"\ud800"}`, "want an escape"}, {`{"a":"\udc00\ud800"}`, "want an escape"}, {`{"a":"\ud800\u0041"}`, "want an escape"},
		{`{"a":"\x"}`, "want an escape"}, {`{"a":"\u12g4"}`, "want an escape"}, {"{\"a\":\"\n\"}", `control character '\n'`}, {"{\"a\":\"\x00\"}", `control character '\x00'`},
		{`{"a":"`, "got the end, want the end of a string"}, {`{"a":"\`, "want an escape"}, {`{"a":tru}`, "want a value"}, {`{"a":nul`, "want a value"},
		{`{"a":01}`, "want a comma"}, {`{"a":-}`, "want a digit"}, {`{"a":1.}`, "want a digit"}, {`{"a":.5}`, "want a value"}, {`{"a":1e}`, "want a digit"},
		{`{"a":+1}`, "want a value"}, {`{"a":NaN}`, "want a value"}, {`{"a":[1,]}`, "want a value"}, {`{"a":[1 2]}`, "want a comma or ']'"}, {`{"a":[1}`, "want a comma or ']'"},
		{deep(64), "more than 64 levels"}, {deep(10_000), "more than 64 levels"}, {deep(1_000_000), "more than 64 levels"},
		{"<!DOCTYPE html><html>", `line 1, column 1: got "<!DOCTYPE html><html"`}, {`{'a':1}`, "want a key"}, {`{"a":1`, "the end"}, {`{`, "got the end, want a key"},
		{`{"a"`, "want a colon"}, {`{"a":`, "got the end, want a value"}, {`{"packages":{"x-1-0.tar.bz2":{"a":1`, "the end"}, {`{"packages":`, "the end"}, {`{"packages":{`, "the end"},
		{"{\"a\":1}\u00a0", "want the end"}, {"\v{}", "want '{'"}, {"// x\n{}", "want '{'"},
	}
	for _, test := range tests {
		if _, _, err := scanText(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: got %v, want %s", test.text, err, test.want)
		}
	}
	for _, text := range []string{"", " \n", "{}", "{}\n", deep(63), "{\r\n}", `{"a":"\ud83d\ude00\u00e9\"\/"}`, `{"a":-0.5E+10}`, `{"a":[],"b":{},"c":"ß"}`, `{"z":1,"a":2}`,
		`{"info":null,"packages":{}}`, `{"v3":null,"signatures":null,"removed":null}`, `{"repodata_version":99}`, `{"":{"":0}}`} {
		if _, _, err := scanText(text); err != nil {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

func TestSummary(t *testing.T) {
	records, sum, err := scanText(`{"info":{"subdir":"noarch","base_url":"..\/x"},"packages":{"b-1-0.tar.bz2":{"name":"b","version":"1","build":"0"}},
		"packages.conda":{"b-1-0.conda":{"name":"c"}},"v3":{"whl":{"x":{}},"conda":{"c-1-0":{"name":"c","version":"1","build":"0"}},"odd":[ ],"new":[1],"tar.bz2":{}},
		"removed":["a-1-0.conda","\u0061"],"packages.whl":{},"packages.zip":{"a":1},"packages.x":null}`)
	want := &Summary{BaseURL: "../x", Subdir: "noarch", Records: 3, Removed: []string{"a-1-0.conda", "a"}, Dropped: []string{"v3.whl", "v3.new", "packages.zip"}}
	if err != nil || !reflect.DeepEqual(sum, want) {
		t.Errorf("got %+v, %v", sum, err)
	}
	got := ""
	for _, r := range records {
		got += fmt.Sprintln(r.Section, r.File, r.Named())
	}
	if want := "0 b-1-0.tar.bz2 true\n1 b-1-0.conda false\n3 c-1-0.conda true\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
