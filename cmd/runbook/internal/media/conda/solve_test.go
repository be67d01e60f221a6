package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	tests := []struct {
		version, spec string
		want          bool
	}{
		{"2.7.12", "2.7*", true}, {"2.7.12", "2.7.*", true}, {"2.70", "2.7*", false}, {"3.5.2", "2.7*", false}, {"1", "*", true}, {"1", "", true},
		{"1.10", ">=1.9", true}, {"1.9", ">=1.10", false}, {"1.5", ">=1,<2", true}, {"2", ">=1,<2", false}, {"2", "<=2", true}, {"2", ">2", false},
		{"1.0", "!=1.0", false}, {"1.1", "!=1.0", true}, {"1.1", "1.0|1.1", true}, {"1.0", "1.0 py27_0", true}, {"1.0", "1.0 py35_0", false}, {"1.0.1", "1.0", false},
	}
	for _, tt := range tests {
		if got := matches(&record{Version: tt.version, Build: "py27_0"}, tt.spec); got != tt.want {
			t.Errorf("%s matches %q: got %v, want %v", tt.version, tt.spec, got, tt.want)
		}
	}
}

func TestCommandLineSpec(t *testing.T) {
	for spec, want := range map[string]string{"A": "a", "a=1": "a 1*", "a==1.0": "a 1.0", "a=1.0=0": "a 1.0 0", "a>=1,<2": "a >=1,<2", "a 1.0": "a 1.0"} {
		if got := commandLineSpec(spec); got != want {
			t.Errorf("%s: got %q, want %q", spec, got, want)
		}
	}
}

func TestSolve(t *testing.T) {
	rec := func(name, version string, channel int, depends ...string) *record {
		return &record{Name: name, Version: version, Depends: depends, channel: channel}
	}
	available := []*record{
		rec("a", "1", 0, "b >=1", "python 2.7*"), rec("a", "9", 1), rec("b", "1.9", 0), rec("b", "1.10", 0, "c"), rec("c", "1", 0, "b"),
		rec("old", "1", 0, "python 3*"), rec("torn", "1", 0, "nothing"), rec("x", "1", 0, "b 1.9"), rec("python", "3.5", 0),
	}
	tests := []struct{ specs, want, err string }{
		{"a", "c-1 b-1.10 a-1", ""}, // first channel first, newest version, dependencies before, a circle ends
		{"b=1.9", "b-1.9", ""},
		{"python", "", ""}, // installed
		{"old", "python-3.5 old-1", ""},
		{"none", "", "Package missing in current linux-64 channels: \n  - none"},
		{"torn", "", "Dependency missing in current linux-64 channels: \n  - nothing"},
		{"b x", "", "UnsatisfiableError"},
	}
	for _, tt := range tests {
		order, err := solve(strings.Fields(tt.specs), available, map[string]*record{"python": rec("python", "2.7.12", 0)})
		var got []string
		for _, r := range order {
			got = append(got, r.Name+"-"+r.Version)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got error %v, want %q", tt.specs, err, tt.err)
		}
		if err == nil && !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%s: got %v, want %s", tt.specs, got, tt.want)
		}
	}
}

// The verdicts are the real conda's, as far as this one knows its specs: without channels and brackets.
func TestVerdicts(t *testing.T) {
	data, err := os.ReadFile("../../../../../builtins/internal/conda/testdata/verdicts.txt")
	if err != nil {
		t.Fatal(err)
	}
	var records []*record
	compared := 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "{") {
			var r record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			records = append(records, &r)
			continue
		}
		spec, verdicts, _ := strings.Cut(line, "\t")
		if strings.HasPrefix(spec, "#") || strings.Contains(spec, "::") || strings.ContainsAny(spec, "[~") {
			continue
		}
		name, constraint, _ := strings.Cut(commandLineSpec(spec), " ")
		compared++
		for i, r := range records {
			if got := r.Name == name && matches(r, constraint); got != (verdicts[i] == '1') {
				t.Errorf("%s with %s %s %s: got %v", spec, r.Name, r.Version, r.Build, got)
			}
		}
	}
	if compared < 40 {
		t.Errorf("compared %d specs", compared)
	}
}
