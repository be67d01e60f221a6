package runtime

import (
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// What the trace says of trees.

// tree is what the trace says of m. Where a size is not known beforehand, as of
// a download, neither bytes nor digest would mean anything.
func tree(m host.Entries) map[string]any {
	files, bytes, digest := m.Totals()
	detail := map[string]any{"files": files}
	if owner, ok := ownerOfAll(m); ok {
		ownerOf(owner, detail)
	}
	known := true
	for e := range m {
		known = known && (e.Size >= 0 || e.Derived)
		if files > 1 {
			continue
		}
		detail["file"] = e.Name
		if e.Sum != "" {
			detail["sha256"] = e.Sum
		}
	}
	if known {
		detail["bytes"], detail["digest"] = bytes, digest
	}
	return detail
}

// mostListed is how many files of a tree are listed beside the trace.
const mostListed = 200_000

// list keeps what a real run puts below a directory, under the digest that the trace has of it, to be looked for again
// later.
func (d *door) list(m host.Entries, detail map[string]any) error {
	digest, _ := detail["digest"].(string)
	if files, _ := detail["files"].(int); digest == "" || files > mostListed || d.run.Keep == nil ||
		d.run.Info.Mode != trace.RealRun {
		return nil
	}
	return d.run.Keep(digest, m.List())
}

// ownerOfAll returns the owner of what m lists, if it is the same everywhere.
func ownerOfAll(m host.Entries) (owner host.Owner, ok bool) {
	first := true
	for e := range m {
		if !first && e.Owner != owner {
			return host.Owner{}, false
		}
		owner, first = e.Owner, false
	}
	return owner, true
}
