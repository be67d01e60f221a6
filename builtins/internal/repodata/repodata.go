// Package repodata reads and writes repodata.json, the index of one subdir of a
// conda channel, without ever turning a record into Go values and back.
//
// Records are patched by hand upstream and hold keys that nobody here knows of, so
// a [Record] is the very text that the source wrote, and [Index.Bytes] splices it
// through unchanged. An index comes from outside and its keys become names of
// files, so [Parse] is strict: what two readers could understand in two ways is an
// error, and so is a name that is not one plain file's.
//
// The mirror engine calls it; it calls nobody.
package repodata

import (
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// An Index is a repodata.json in parts. All its texts are parts of the parsed one.
type Index struct {
	Info    []Member // of the "info" object
	Records []Record // of "packages" and "packages.conda", in the order of the text
	Removed []string // files that are no longer installable
	Others  []Member // what else stands at the top, "signatures" too
	// Dropped names the top-level members that list files in other ways ("v3",
	// "packages.whl") and are not empty. Their values are not kept.
	Dropped []string
}

// A Member is a key and the JSON text of its value.
type Member struct{ Key, Raw string }

// A Record describes one package file.
type Record struct {
	File  string // "zlib-1.2.8-3.tar.bz2", a name by the rules of CheckFile
	Conda bool   // stands in "packages.conda"
	Raw   string // JSON text of the record
}

// Fields are those parts of a record that choosing and verifying need. A missing
// or null one is "", and -1 for Size.
type Fields struct {
	Name, Version, Build   string
	MD5, SHA256            string // lower-case hex
	Size                   int64  // bytes
	Subdir                 string
	License, LicenseFamily string
	Depends                []string // "python 3.4*"
}

const (
	maxDepth = 64      // containers in one another; real ones have 4
	maxName  = 211     // bytes of a file's name: CEP 26
	maxSize  = 1 << 40 // bytes of a package, so that sums of sizes stay sums
)

// Parse splits text, which must be one JSON object in UTF-8. Text of nothing but
// white space is an empty index (CEP 36). Errors name the line and column. All records
// are checked here, so that All has no error to return.
func Parse(text string) (*Index, error) {
	x := &scanner{s: text}
	switch {
	case strings.HasPrefix(text, "\ufeff"):
		x.fail("got a byte order mark, want JSON")
	case !utf8.ValidString(text):
		x.i = invalidAt(text)
		x.fail("got a byte that is no UTF-8")
	}
	index := &Index{}
	if x.space(); x.i == len(text) {
		return index, x.err
	}
	for c := x.object(); x.next(&c); {
		x.top(index, c.key)
	}
	if x.space(); x.err == nil && x.i < len(text) {
		x.fail("got %s after the end", x.glimpse())
	}
	if x.err == nil {
		x.err = index.unique()
	}
	return index, x.err
}

// top reads the value of a member of the whole.
func (x *scanner) top(index *Index, key string) {
	switch {
	case key == "info" && x.peek() == 'n':
		x.value()
	case key == "info":
		for c := x.object(); x.next(&c); {
			index.Info = append(index.Info, Member{c.key, x.value()})
		}
	case key == "packages" || key == "packages.conda":
		x.records(index, key == "packages.conda")
	case key == "removed":
		index.Removed = x.list(nil, "removed")
	case key == "v3" || strings.HasPrefix(key, "packages."):
		if raw := x.value(); len(raw) > len("{}") {
			index.Dropped = append(index.Dropped, key)
		}
	default:
		index.Others = append(index.Others, Member{key, x.value()})
	}
}

// records reads an object of records.
func (x *scanner) records(index *Index, conda bool) {
	var f Fields
	for c := x.object(); x.next(&c); {
		file := c.key
		if err := CheckFile(file); err != nil {
			x.fail("%v", err)
			return
		}
		start := x.i
		x.record(&f)
		if x.err == nil {
			index.Records = append(index.Records, Record{file, conda, x.s[start:x.i]})
		} else if !x.placed {
			x.err, x.placed = fmt.Errorf("%s: %w", file, x.err), true
		}
	}
}

// unique refuses a file that is in both sections.
func (index *Index) unique() error {
	seen := map[string]bool{}
	for _, r := range index.Records {
		if r.Conda {
			seen[r.File] = true
		}
	}
	for _, r := range index.Records {
		if len(seen) > 0 && !r.Conda && seen[r.File] {
			return fmt.Errorf("%s: is in packages and in packages.conda", r.File)
		}
	}
	return nil
}

// CheckFile refuses a name that is not <name>-<version>-<build>.tar.bz2 or .conda in the
// characters that CEP 26 has for these, capitals included, or has more than 211 of them.
// Such a name is one plain file in any directory.
func CheckFile(name string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+!-", r))
	}
	switch i := strings.IndexFunc(name, bad); {
	case len(name) > maxName:
		return fmt.Errorf("%q...: got a file name of %d bytes, want at most %d", name[:20], len(name), maxName)
	case i >= 0:
		return fmt.Errorf("%q: got a file name with %q, want letters, digits and ._+!-", name, []rune(name[i:])[0])
	case name == "" || strings.ContainsRune(".-+!", rune(name[0])):
		return fmt.Errorf("%q: got a file name that begins so, want a letter, a digit or _ first", name)
	case !strings.HasSuffix(name, ".tar.bz2") && !strings.HasSuffix(name, ".conda"):
		return fmt.Errorf("%q: got a file that is neither .tar.bz2 nor .conda", name)
	}
	return nil
}

// BaseURL returns where the info says that the files are (CEP 15), "" for beside the index.
func (index *Index) BaseURL() string {
	for _, m := range index.Info {
		if x := (&scanner{s: m.Raw}); m.Key == "base_url" {
			return x.textIfAny()
		}
	}
	return ""
}

// All yields each record with its fields, which are good until the next one.
func (index *Index) All() iter.Seq2[Record, *Fields] {
	return func(yield func(Record, *Fields) bool) {
		x, f := &scanner{}, &Fields{}
		for _, r := range index.Records {
			x.s, x.i = r.Raw, 0
			if x.record(f); x.err != nil {
				panic("repodata: record that Parse did not check: " + x.err.Error())
			}
			if !yield(r, f) {
				return
			}
		}
	}
}

// Named reports whether r's file is called what its fields say, as CEP 26 wants.
func (r Record) Named(f *Fields) bool {
	stem := strings.TrimSuffix(strings.TrimSuffix(r.File, ".conda"), ".tar.bz2")
	n, v := len(f.Name), len(f.Version)
	return len(stem) == n+v+len(f.Build)+2 && stem[:n] == f.Name && stem[n] == '-' &&
		stem[n+1:n+1+v] == f.Version && stem[n+1+v] == '-' && stem[n+v+2:] == f.Build
}
