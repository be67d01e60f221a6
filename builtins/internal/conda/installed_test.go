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

// A site may say where channels are that are called by a name.
func TestInstalledFromOwnServers(t *testing.T) {
	for _, c := range []struct {
		spec, channel string
		bases         string
		want          bool
	}{
		{"conda-forge::x", "https://nexus/repo/conda-forge/linux-64", "", false},
		{"conda-forge::x", "https://nexus/repo/conda-forge/linux-64", "https://nexus/repo", true},
		{"conda-forge::x", "https://u:p@nexus/t/tk/repo/conda-forge", "https://nexus/repo/", true},
		{"conda-forge::x", "https://nexus/repository/conda-forge", "https://nexus/repo", false},
		{"a/b::x", "file:///srv/m/a/b/noarch", "file:///srv/m", true}, {"a/b::x", "/srv/m/a/b", "/srv/m https://h", true},
		{"conda-*::x", "https://nexus/repo/conda-forge", "https://nexus/repo", true},
		{"https://nexus/repo/conda-forge::x", "https://nexus/repo/conda-forge/linux-64", "", true},
		{"conda-forge::x", "https://conda.anaconda.org/conda-forge/linux-64", "https://nexus/repo", true},
		{"main::x", "https://nexus/repo/conda-forge", "https://nexus/repo", false},
	} {
		s, err := ParseSpec(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		p := &Installed{Package: Package{Name: "x", Version: VersionOf("1"), Channel: c.channel}}
		if got := s.MatchInstalled(p, strings.Fields(c.bases)...); got != c.want {
			t.Errorf("%s from %s with %s: got %v", c.spec, c.channel, c.bases, got)
		}
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
