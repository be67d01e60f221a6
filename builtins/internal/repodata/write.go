package repodata

import (
	"encoding/json"
	"slices"
	"strings"
)

// Bytes returns index as the text of a repodata.json that stands beside its files.
// The records' own text is unchanged; records, sorted by file, are the only order that
// it makes. What would be untrue there is left out: base_url (CEP 15; without it the
// version is 1 again), repodata_revisions, channel_relations, and signatures and removals of files
// that the index does not list or lists.
func (index *Index) Bytes() []byte {
	records := slices.Clone(index.Records)
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.File, b.File) })
	size := 1 << 10
	for _, r := range records {
		size += len(r.File) + len(r.Raw) + len("\"\":,\n")
	}
	b := append(make([]byte, 0, size), "{\n\"info\":{"...)
	sep := ""
	for _, m := range index.Info {
		if m.Key != "base_url" && m.Key != "repodata_revisions" && m.Key != "channel_relations" {
			b, sep = appendMember(append(b, sep...), m), ","
		}
	}
	b = appendRecords(append(b, "},\n\"packages\":{"...), records, false)
	b = appendRecords(append(b, "},\n\"packages.conda\":{"...), records, true)
	b = appendJSON(append(b, "},\n\"removed\":"...), index.removed(records))
	for _, m := range index.Others {
		switch m.Key {
		case "repodata_version":
			m.Raw = "1"
		case "signatures":
			m.Raw = signatures(m.Raw, records)
		}
		b = appendMember(append(b, ",\n"...), m)
	}
	return append(b, "\n}\n"...)
}

func appendRecords(b []byte, records []Record, conda bool) []byte {
	sep := "\n"
	for _, r := range records {
		if r.Conda == conda { // a file's name needs no escapes
			b = append(append(append(b, sep...), '"'), r.File...)
			b, sep = append(append(b, `":`...), r.Raw...), ",\n"
		}
	}
	return b
}

// removed returns the removals of files that records do not bring back, sorted, each once.
func (index *Index) removed(records []Record) []string {
	files := []string{}
	for _, f := range slices.Sorted(slices.Values(index.Removed)) {
		if !listed(records, f) && (len(files) == 0 || files[len(files)-1] != f) {
			files = append(files, f)
		}
	}
	return files
}

// signatures keeps those members of raw that belong to records.
func signatures(raw string, records []Record) string {
	x := &scanner{s: raw}
	if x.peek() != '{' {
		return "{}"
	}
	b, sep := []byte{'{'}, ""
	for c := x.object(); x.next(&c); {
		if m := (Member{c.key, x.value()}); listed(records, m.Key) {
			b, sep = appendMember(append(b, sep...), m), ","
		}
	}
	return string(append(b, '}'))
}

func listed(records []Record, file string) bool {
	_, ok := slices.BinarySearchFunc(records, file, func(r Record, f string) int { return strings.Compare(r.File, f) })
	return ok
}

func appendMember(b []byte, m Member) []byte {
	return append(append(appendJSON(b, m.Key), ':'), m.Raw...)
}

func appendJSON(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		panic("repodata: " + err.Error()) // strings always have a JSON form
	}
	return append(b, j...)
}
