// Package repodata reads and writes repodata.json, the index of one subdir of a conda channel, in one
// pass and in memory that does not grow with the index, without ever turning a record into Go values
// and back.
//
// Records are patched by hand upstream and hold keys that nobody here knows of, so a [Record] is the
// very text that the source wrote, and [Rewrite] copies it unchanged. An index comes from outside and
// its keys become names of files, so [Scan] is strict: what two readers could understand in two ways
// is an error, and so is a name that is not one plain file's.
//
// The mirror engine calls it; it calls nobody.
package repodata

import (
	"context"
	"io"
)

// A Section is where a record stands in an index.
type Section uint8

// The sections that are mirrored. The keys of the first two are names of files, those of v3 (CEP 48) lack the
// extension.
const (
	Packages      Section = iota // "packages", of .tar.bz2 files
	PackagesConda                // "packages.conda", of .conda files
	V3TarBz2                     // "tar.bz2" of "v3"
	V3Conda                      // "conda" of "v3"
)

const sections = V3Conda + 1

// A Record describes one package file. All its texts are views of a buffer: they are good until the next record is
// read.
type Record struct {
	Section Section
	File    string // "zlib-1.2.8-3.tar.bz2", a name by the rules of CheckFile
	Raw     string // the JSON text of the record as its source wrote it
	At      int64  // where its key begins, in bytes of the text that was scanned
	Len     int    // bytes of key and record
	Fields
}

// Fields are those parts of a record that choosing and verifying need. A missing or null one is "", and -1 for numbers.
type Fields struct {
	Name, Version, Build   string
	BuildNumber            int64
	MD5, SHA256            string // lower-case hex
	Size                   int64  // bytes
	Subdir                 string
	License, LicenseFamily string
	Depends                []string // "python 3.4*"
	// milliseconds since 1970; -1 if missing, not a whole number, or after the year 9999
	Timestamp, IndexedTimestamp int64
}

// A Summary is what an index holds besides records.
type Summary struct {
	BaseURL string   // info.base_url (CEP 15), "" for beside the index
	Subdir  string   // info.subdir
	Records int      // in all mirrored sections
	Removed []string // files that are no longer installable, any text
	Dropped []string // top-level members, or "v3.whl", that list files in other ways and are not empty
}

// The limits of what is read. Within them the memory that a scan takes depends on the longest record
// and on the number of records (8 to 24 bytes each), not on the length of the text.
const (
	maxText    = 2 << 30  // bytes of an index
	maxRecord  = 16 << 20 // bytes of one record and its key
	maxOthers  = 64 << 20 // bytes of all members that are not records, with some for each
	maxMembers = 1 << 22  // records, and members of anything else; conda-forge has half a million
	maxKeys    = 1 << 20  // keys of one object within a record, and of those around it
	maxDepth   = 64       // containers in one another; real ones have 4
	maxName    = 211      // bytes of a file's name: CEP 26
	maxSize    = 1 << 40  // bytes of a package, so that sums of sizes stay sums
	maxBuild   = 1 << 53  // a build number that every JSON reader understands
	window     = 256 << 10
)

// Scan reads one index strictly, in bounded memory, and calls f for each record in the order of the
// text. A text of nothing but white space is an empty index (CEP 36). Errors of the text name the line
// and column, and the record's file; those of r and of f are returned as they are. A file that is listed twice
// is an error, in whichever sections, and whether its name is the same or differs in the case of letters only.
// After an error, the records that f got may belong to a text that is not an index.
func Scan(r io.Reader, f func(*Record) error) (*Summary, error) {
	x := newScanner(context.Background(), false)
	x.r, x.on.record = r, f
	err := x.index()
	return &x.top.Summary, err
}

// Alone returns the text of an index that holds one record of a section, member being its key and the record as they
// stand in an index.
func (s Section) Alone(member string) string {
	switch s {
	case Packages:
		return `{"packages":{` + member + `}}`
	case PackagesConda:
		return `{"packages.conda":{` + member + `}}`
	case V3TarBz2:
		return `{"v3":{"tar.bz2":{` + member + `}}}`
	default:
		return `{"v3":{"conda":{` + member + `}}}`
	}
}

// Named reports whether r's file is called what its fields say, as CEP 26 wants.
func (r *Record) Named() bool {
	stem := r.File[:len(r.File)-len(extension(r.File))]
	n, v := len(r.Name), len(r.Version)
	return len(stem) == n+v+len(r.Build)+2 && stem[:n] == r.Name && stem[n] == '-' &&
		stem[n+1:n+1+v] == r.Version && stem[n+1+v] == '-' && stem[n+v+2:] == r.Build
}
