package repodata

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// members returns those of an object as encoding/json has them, with their keys exactly. null has none.
func members(t *testing.T, text []byte) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); len(text) > 0 && err != nil {
		t.Fatalf("%.100s: %v", text, err)
	}
	return m
}

// wantFields returns the fields of a record as encoding/json has it.
func wantFields(t *testing.T, raw json.RawMessage) Fields {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	s := func(key string) string { s, _ := m[key].(string); return s }
	n := func(key string) int64 {
		n, _ := m[key].(json.Number)
		if i, err := n.Int64(); err == nil && n[0] != '-' {
			return i
		}
		return -1
	}
	ms := func(key string) int64 {
		switch i := n(key); {
		case i > 253402300799999:
			return -1
		case i < 0 || i > 253402300799:
			return i
		default:
			return i * 1000
		}
	}
	var depends []string
	list, _ := m["depends"].([]any)
	for _, d := range list {
		depends = append(depends, d.(string))
	}
	return Fields{s("name"), s("version"), s("build"), n("build_number"), strings.ToLower(s("md5")), strings.ToLower(s("sha256")), n("size"),
		s("subdir"), s("license"), s("license_family"), depends, ms("timestamp"), ms("indexed_timestamp")}
}

// compare fails unless records are those of encoding/json.
func compare(t *testing.T, name, index string, records []Record) {
	top := members(t, []byte(index))
	v3 := members(t, top["v3"])
	var want [sections]map[string]json.RawMessage
	total := 0
	for s, text := range [sections]json.RawMessage{top["packages"], top["packages.conda"], v3["tar.bz2"], v3["conda"]} {
		want[s] = members(t, text)
		total += len(want[s])
	}
	if total != len(records) {
		t.Errorf("%s: got %d records, want %d", name, len(records), total)
	}
	for _, r := range records {
		key := r.File
		if r.Section >= V3TarBz2 {
			key = strings.TrimSuffix(key, extension(key))
		}
		raw := want[r.Section][key]
		got, fields := r.Fields, wantFields(t, raw)
		if len(got.Depends) == 0 {
			got.Depends = nil
		}
		if string(raw) != r.Raw || !reflect.DeepEqual(got, fields) {
			t.Errorf("%s: %s: got %+v, want %+v", name, r.File, got, fields)
		}
	}
}

// same reports whether two texts mean the same to encoding/json, their numbers to the letter.
func same(t *testing.T, a, b string) bool {
	var v [2]any
	for i, s := range []string{a, b} {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		if err := d.Decode(&v[i]); err != nil {
			t.Fatalf("%.300s: %v", s, err)
		}
	}
	return reflect.DeepEqual(v[0], v[1])
}
