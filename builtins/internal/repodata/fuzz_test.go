package repodata

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func addSeeds(f *testing.F) {
	for _, s := range []string{windowText, "", "{}", `{"packages.conda":{"x-1-0.conda":{"size":1,"b":{"a":1,"b":[1e3,-0.5]}}}}`,
		`{"info":{"a":"\ud83d\ude00","channel_relations":{"base":"../x"},"subdir":null},"removed":["x","x"]}`,
		`{"packages":{"B-1-0.tar.bz2":{},"a-1-0.tar.bz2":{"timestamp":253402300800}},"v3":{"tar.bz2":{"c-1-0":{}},"whl":{}}}`,
		`{"repodata_version":2,"info":null,"signatures":{"x-1-0.conda":1},"packages.conda":{"x-1-0.conda":{}},"packages.x":[ ]}`, `{"v3":{"conda":{}}}`, `{"packages.conda":{"x-1-0.conda":{"a!":1,"a":2,"md5":"","name":""}}}`,
		`{"packages":{"x-1-0.tar.bz2":{"legacy_b":1,"legacy_a":2,"md5":"` + strings.Repeat("A", 32) + `"}}}`} {
		f.Add(s)
	}
}

// What Scan takes means the same to encoding/json, whatever the window.
func FuzzScan(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		records, sum, err := scanText(text)
		for _, size := range []int{1, 33} {
			got, gotSum, gotErr := scanWindow(strings.NewReader(text), size)
			if fmt.Sprint(gotErr) != fmt.Sprint(err) || !reflect.DeepEqual(got, records) || err == nil && !reflect.DeepEqual(gotSum, sum) {
				t.Fatalf("%q: window %d: got %v, want %v", text, size, gotErr, err)
			}
		}
		if err != nil || strings.Trim(text, " \t\r\n") == "" {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q: is no JSON", text)
		}
		compare(t, "fuzz", text, records)
		alone(t, text, records)
	})
}

// What Rewrite makes of an index that it takes is one that it takes and leaves alone, and means the same.
func FuzzRewrite(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		rewritten(true, text) // only must not panic
		out, err := rewritten(false, text)
		if _, _, scanErr := scanText(text); (scanErr == nil) != (err == nil) {
			t.Fatalf("%q: got %v, and %v of Scan", text, err, scanErr)
		}
		if err != nil {
			return
		}
		if _, _, err := scanText(out); err != nil || !strings.HasSuffix(out, "\n}\n") {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
		sameOutputs(t, text, text, out)
		before, _, _ := scanText(text)
		if after, _, _ := scanText(out); !reflect.DeepEqual(placeless(before), placeless(after)) {
			t.Fatalf("%q became %q", text, out)
		}
	})
}

// placeless takes from records where they stand.
func placeless(all []Record) []Record {
	for i := range all {
		all[i].At, all[i].Len = 0, 0
	}
	return all
}

// alone reads each record again from its place.
func alone(t *testing.T, text string, records []Record) {
	for _, r := range records {
		again, _, err := scanText(r.Section.Alone(text[r.At : r.At+int64(r.Len)]))
		if err != nil || len(again) != 1 {
			t.Fatalf("%q: %s alone: %v", text, r.File, err)
		}
		again[0].At, again[0].Len = r.At, r.Len
		if !reflect.DeepEqual(again[0], r) {
			t.Fatalf("%q: %s alone is %v, want %v", text, r.File, again[0], r)
		}
	}
}
