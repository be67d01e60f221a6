package conda

import (
	"os"
	"strings"
	"testing"
)

// The file has what three real condas say of real records, of which few fields were kept.
func TestInstalledAsCondaSaysIt(t *testing.T) {
	data, err := os.ReadFile("testdata/verdicts.txt")
	if err != nil {
		t.Fatal(err)
	}
	var records []*Installed
	specs := 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "{") {
			p, err := ParseInstalled([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, p)
			continue
		}
		text, verdicts, _ := strings.Cut(line, "\t")
		s, err := ParseSpec(text)
		if err != nil || len(verdicts) != len(records) {
			t.Fatalf("%s: got %d verdicts on %d records, %v", text, len(verdicts), len(records), err)
		}
		specs++
		for i, p := range records {
			if got := s.MatchInstalled(p); got != (verdicts[i] == '1') {
				t.Errorf("%s with %s %s %s of %s: got %v", text, p.Name, &p.Version, p.Build, p.Channel, got)
			}
		}
	}
	if specs < 80 || len(records) < 15 {
		t.Errorf("got %d specs and %d records", specs, len(records))
	}
}

func TestNoRecords(t *testing.T) {
	p, err := ParseInstalled([]byte(`{"name":"x","version":"1","license":["MIT"],"channel":null,"build":"0"}`))
	if err != nil || p.Name != "x" || p.Build != "0" {
		t.Errorf("an odd licence: got %v, %v", p, err)
	}
	for _, text := range []string{"", "{", "[]", "{}", `{"name":"x"}`, `{"name":1}`} {
		if p, err := ParseInstalled([]byte(text)); err == nil {
			t.Errorf("%q: got %v", text, p)
		}
	}
}

func TestSameChannel(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"file:///x", "file:///x/", true}, {"file:///x", "/x", true}, {"file:/x", "file:///x//", true}, {"file:///x", "file:///y", false},
		{"conda-forge", "https://conda.anaconda.org/conda-forge/", true}, {"conda-forge", "http://conda.anaconda.org/conda-forge", true},
		{"https://h/conda-forge", "conda-forge", false}, {"https://conda.anaconda.org/t/x/binstar", "binstar", false},
		{"https://h/t/x/c", "https://h/t/y/c", false}, {"defaults", "https://repo.anaconda.com/pkgs/main", false}, {" a", "a/", true},
	} {
		if got := SameChannel(c.a, c.b); got != c.same {
			t.Errorf("%q and %q: got %v", c.a, c.b, got)
		}
	}
}
