package repodata

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func scanText(text string) (records []Record, sum *Summary, err error) {
	sum, err = Scan(strings.NewReader(text), func(r *Record) error {
		records = append(records, ownRecord(r))
		return nil
	})
	return records, sum, err
}

// ownRecord returns a copy that outlives the scan.
func ownRecord(r *Record) Record {
	c := *r
	c.Depends = cloned(r.Depends)
	for _, s := range []*string{&c.File, &c.Raw, &c.Name, &c.Version, &c.Build, &c.MD5, &c.SHA256, &c.Subdir, &c.License, &c.LicenseFamily} {
		*s = strings.Clone(*s)
	}
	return c
}

func TestHostileKeys(t *testing.T) {
	tests := []struct{ name, want string }{
		{"../x-1-0.conda", "with '/'"},
		{"a/../../x-1-0.conda", "with '/'"},
		{"/etc/cron.d/x-1-0.conda", "with '/'"},
		{"//host/x-1-0.conda", "with '/'"},
		{`C:\x-1-0.conda`, "with ':'"},
		{`x\..\y-1-0.conda`, `with '\\'`},
		{".", "begins so"},
		{"..", "begins so"},
		{"", "begins so"},
		{" ", "with ' '"},
		{"x-1-0.conda/", "with '/'"},
		{"%2e%2e%2fx-1-0.conda", "with '%'"},
		{"x%00-1-0.conda", "with '%'"},
		{"x\x00-1-0.conda", `with '\x00'`},
		{"x\n-1-0.conda", `with '\n'`},
		{"x\x1b-1-0.conda", `with '\x1b'`},
		{"x\u202e-1-0.conda", `with '\u202e'`},
		{"straße-1-0.conda", "with 'ß'"},
		{"\u00e9-1-0.conda", "with 'é'"},
		{"e\u0301-1-0.conda", "with '\u0301'"},
		{strings.Repeat("x", 202) + "-1-0.conda", "212 bytes, want at most 211"},
		{strings.Repeat("x", 4086) + "-1-0.conda", "4096 bytes"},
		{"repodata.json", "neither"},
		{"repodata.json.zst", "neither"},
		{".staging", "begins so"},
		{".x-1-0.conda.part", "begins so"},
		{".conda", "begins so"},
		{"a-1-0.conda?", "with '?'"},
		{"a-1-0.conda#", "with '#'"},
		{"a?b-1-0.conda", "with '?'"},
		{"-rf-1-0.conda", "begins so"},
		{"+x-1-0.conda", "begins so"},
		{"a b-1-0.conda", "with ' '"},
		{"x-1-0.CONDA", "neither"},
		{"x-1-0.tar.gz", "neither"},
		{"x-1-0.tar.bz2.part", "neither"},
	}
	for _, test := range tests {
		if err := CheckFile(test.name); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: got %v, want %s", test.name, err, test.want)
		}
		key, _ := json.Marshal(test.name)
		for _, section := range []string{"packages", "packages.conda"} {
			_, _, err := scanText(fmt.Sprintf("{%q:\n {%s: {}}}", section, key))
			if err == nil || !strings.Contains(err.Error(), "line 2, column 3: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%.60q in %s: got %v, want %s", test.name, section, err, test.want)
			}
		}
	}
	for _, name := range []string{"zlib-1.2.8-3.tar.bz2", "_r-mutex-1.0.1-anacondar_1.conda", "x-1!2.0+g1-0.conda",
		"PyYAML-3-0.tar.bz2", "a-b-c-1-0.conda", strings.Repeat("x", 201) + "-1-0.conda"} {
		if err := CheckFile(name); err != nil {
			t.Error(err)
		}
	}
}

func TestHostileSections(t *testing.T) {
	const twice = "twice, or a name that differs only in the case"
	tests := []struct{ text, want string }{
		{`{"packages.conda":{"x-1-0.tar.bz2":{}}}`, `line 1, column 20: "x-1-0.tar.bz2": got a file of another kind, want .conda here`},
		{`{"packages":{"x-1-0.conda":{}},"packages.conda":{"x-1-0.conda":{}}}`, twice},
		{`{"packages":{"x-1-0.tar.bz2":{},"x-1-0.tar.bz2":{}}}`, "x-1-0.tar.bz2: line 1, column 33: got the file " + twice},
		{`{"packages":{"x-1-0.tar.bz2":{},"y-1-0.tar.bz2":{},"x-1-0.tar.bz2":{}}}`, "x-1-0.tar.bz2: line 1, column 52: got the file " + twice},
		{`{"packages":{"x-1-0.tar.bz2":{},"\u0078-1-0.tar.bz2":{}}}`, twice},
		{`{"packages.conda":{"A-1-0.conda":{},"a-1-0.conda":{}}}`, "a-1-0.conda: line 1, column 37: got the file " + twice},
		{`{"packages.conda":{"a-1-0.conda":{},"b-1-0.conda":{},"A-1-0.conda":{}}}`, twice},
		{`{"packages.conda":{"a-1-0.conda":{}},"v3":{"conda":{"a-1-0":{}}}}`, "a-1-0.conda: line 1, column 53: got the file " + twice},
		{`{"v3":{"conda":{"a-1-0":{}}},"packages.conda":{"A-1-0.conda":{}}}`, twice},
		{`{"v3":{"tar.bz2":{"a-1-0":{},"b-1-0":{}}},"packages":{"b-1-0.tar.bz2":{}}}`, twice},
		{`{"v3":{"conda":{"a-1-0.conda":{}}}}`, "got a key with an extension, want none"},
		{`{"v3":{"conda":{"../a-1-0":{}}}}`, "with '/'"},
		{`{"v3":{"conda":{"a-1-0":[]}}}`, `got "[", want '{'`},
		{`{"v3":{"conda":{},"conda":{}}}`, `got the key "conda" twice`},
		{`{"v3":{"whl":{"a":1,"a":2}}}`, `got the key "a" twice`},
		{`{"v3":{"whl":{"a":{"b":1,"b":1}}}}`, `got the key "b" twice`},
		{`{"v3":[]}`, `got "[", want '{'`},
		{`{"packages":{},"packages":{}}`, `column 16: got the key "packages" twice`},
		{`{"packages":{},"pack\u0061ges":{}}`, `got the key "packages" twice`},
		{`{"packages":[]}`, "line 1, column 13: got \"[\", want '{'"},
		{`{"packages":null}`, `got "null", want '{'`},
		{`{"packages":{"x-1-0.tar.bz2":[]}}`, `x-1-0.tar.bz2: line 1, column 30: got "[", want '{'`},
		{`{"packages":{"x-1-0.tar.bz2":null}}`, `got "null", want '{'`},
		{`{"packages.whl":{"a":1,"a":2}}`, "twice"},
		{`{"info":[]}`, "want '{'"},
		{`{"info":{"subdir":5}}`, "subdir: got \"5\", want a string"},
		{`{"info":{"base_url":["a"]}}`, "base_url: got"},
		{`{"info":{"a":1,"a":1}}`, `got the key "a" twice`},
		{`{"info":{"x":{"a":1,"a":1}}}`, `got the key "a" twice`},
		{`{"removed":[1]}`, `removed: got "1", want strings`},
		{`{"removed":{}}`, `got "{", want '['`},
		{`{"removed":"x"}`, `want '['`},
		{`{"signatures":[]}`, "want '{'"},
		{`{"signatures":{"a":1,"a":2}}`, `got the key "a" twice`},
	}
	for _, test := range tests {
		if _, _, err := scanText(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.text, err, test.want)
		}
	}
}

func TestHostileValues(t *testing.T) {
	hex := strings.Repeat("a", 64)
	tests := []struct{ member, want string }{
		{`"size":-1`, "size: got -1, want a whole number up to 1099511627776"},
		{`"size":-0`, "size: got -0"},
		{`"size":1099511627777`, "size: got 1099511627777"},
		{`"size":9223372036854775807`, "size: got 9223372036854775807"},
		{`"size":9223372036854775808`, "size: got 9223372036854775808"},
		{`"size":1e400`, "size: got 1e400"},
		{`"size":"12"`, `size: got "12"`},
		{`"size":12.0`, "size: got 12.0"},
		{`"size":1e2`, "size: got 1e2"},
		{`"size":[]`, "size: got []"},
		{`"size":true`, "size: got true"},
		{`"size":012`, "want a comma"},
		{`"size":0x10`, "want a comma"},
		{`"size":1,"size":1`, `the key "size" twice`},
		{`"build_number":-1`, "build_number: got -1"},
		{`"build_number":"1"`, `build_number: got "1"`},
		{`"build_number":99999999999999999`, "build_number: got 99999999999999999"},
		{`"sha256":"` + hex[1:] + `"`, "want 64 hex digits"},
		{`"sha256":"` + hex + `a"`, "want 64 hex digits"},
		{`"sha256":"` + hex[1:] + `g"`, "want 64 hex digits"},
		{`"sha256":"` + hex[:60] + `\u212a` + `"`, "want 64 hex digits"},
		{`"sha256":"` + hex[3:] + "\u212a" + `"`, "want 64 hex digits"},
		{`"sha256":"` + hex[1:] + `:"`, "want 64 hex digits"},
		{`"sha256":"` + hex[1:] + "`\"", "want 64 hex digits"},
		{`"sha256":[]`, "sha256: got"},
		{`"md5":"abc"`, "md5: got"},
		{`"md5":5`, "md5: got"},
		{`"name":[]`, "name: got"},
		{`"name":{"a":"b"}`, "name: got"},
		{`"version":1.0`, "version: got"},
		{`"build":false`, "build: got"},
		{`"depends":"python"`, "want '['"},
		{`"depends":[1]`, "depends: got"},
		{`"depends":[["a"]]`, "depends: got"},
		{`"depends":{}`, "want '['"},
		{`"a":1,"A":1,"a":2`, `the key "a" twice`},
		{`"a":1,"\u0061":2`, `the key "a" twice`},
		{`"md5":null,"md5":null`, `the key "md5" twice`},
		{`"legacy_a":1,"legacy_b":1,"legacy_a":1`, `the key "legacy_a" twice`},
		{`"z":{"b":1,"a":1,"b":1}`, `the key "b" twice`},
		{`"a":"\ud800"`, "want an escape"},
		{`"a":"` + "\xff" + `"`, "no UTF-8"},
		{`"a":nul`, "want a value"},
		{`"a"`, "want a colon"},
		{`"a":1,`, "want a key"},
		{`,`, "want a key"},
		{`1:1`, "want a key"},
	}
	for _, test := range tests {
		_, _, err := scanText("{\"packages.conda\": {\n\"x-1-0.conda\": {" + test.member + "}}}")
		if err == nil || !strings.HasPrefix(err.Error(), "x-1-0.conda: line 2, column") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.member, err, test.want)
		}
	}
}
