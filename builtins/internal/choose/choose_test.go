package choose

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/repodata"
)

// A noted record and where it is from.
type noted struct {
	subdir string
	source int
	repodata.Record
}

func (n *noted) String() string { return n.subdir + "/" + n.File }

// recordsOf reads a line per record: "subdir/name-version-build.conda: bar >=2; python 3.4*". Words after a bar are
// license=, family=, time=, indexed= and source=; underscores stand for space.
func recordsOf(t *testing.T, text string) (list []*noted) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		line, extra, _ := strings.Cut(line, "|")
		path, depends, _ := strings.Cut(line, ":")
		n := &noted{}
		var ok bool
		if n.subdir, n.File, ok = strings.Cut(strings.TrimSpace(path), "/"); !ok {
			t.Fatal(line)
		}
		if strings.HasSuffix(n.File, ".conda") {
			n.Section = repodata.PackagesConda
		}
		parts := strings.Split(stemOf(n.File), "-")
		n.Name, n.Version, n.Build = strings.Join(parts[:len(parts)-2], "-"), parts[len(parts)-2], parts[len(parts)-1]
		n.BuildNumber, _ = strconv.ParseInt(n.Build[strings.LastIndex(n.Build, "_")+1:], 10, 64)
		n.Timestamp, n.IndexedTimestamp = -1, -1
		for d := range strings.SplitSeq(depends, ";") {
			if d = strings.TrimSpace(d); d != "" {
				n.Depends = append(n.Depends, d)
			}
		}
		for _, word := range strings.Fields(extra) {
			key, value, _ := strings.Cut(word, "=")
			number, _ := strconv.ParseInt(value, 10, 64)
			switch key {
			case "license":
				n.License = strings.ReplaceAll(value, "_", " ")
			case "family":
				n.LicenseFamily = value
			case "time":
				n.Timestamp = number
			case "indexed":
				n.IndexedTimestamp = number
			case "source":
				n.source = int(number)
			default:
				t.Fatal(word)
			}
		}
		list = append(list, n)
	}
	return list
}

// A selection is what a Selector said about records.
type selection struct {
	kept, warnings, unused string
	undated                int
}

// choose notes in any order, since none must matter.
func choose(t *testing.T, c Config, records []*noted) (s selection) {
	t.Helper()
	sel, err := NewSelector(c)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	if sel.NeedsAll() {
		for _, i := range rand.Perm(len(records)) {
			n := records[i]
			copied := n.Record
			copied.File, copied.Depends = strings.Clone(n.File), slices.Clone(n.Depends)
			sel.See(n.subdir, n.source, &copied)
			copied = repodata.Record{} // views are no longer good
		}
	}
	s.warnings = strings.Join(sel.Decide(), "\n")
	var kept []string
	for _, n := range records {
		if sel.Keeps(n.subdir, n.source, &n.Record) {
			kept = append(kept, n.String())
		}
	}
	s.kept, s.unused, s.undated = strings.Join(kept, " "), strings.Join(sel.Unused(), "\n"), sel.Undated()
	return s
}

func hinted(err error) string {
	if err == nil {
		return "<nil>"
	}
	if hint := advice.Of(err); hint != "" {
		return err.Error() + " | " + hint
	}
	return err.Error()
}

func contains(words, word string) bool { return slices.Contains(strings.Fields(words), word) }

func join(words []string) string { return strings.Join(words, " ") }

func lastBar(s string) int { return strings.LastIndex(s, "|") }

// replaceAll takes words and numbers in turn.
func replaceAll(s string, pairs ...any) string {
	for i := 0; i < len(pairs); i += 2 {
		s = strings.ReplaceAll(s, pairs[i].(string), strconv.FormatInt(pairs[i+1].(int64), 10))
	}
	return s
}
