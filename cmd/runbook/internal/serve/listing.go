package serve

import (
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"runbook/cmd/runbook/internal/serve/pages"
)

// most is how many names of a directory are listed: an index has them all.
const most = 2000

// list answers with the names in a directory that are shown.
func (v view) list(dir *os.File) {
	found, _ := dir.ReadDir(most + 1) // what cannot be read is not listed
	title := "/" + path.Join(v.q.below, v.q.name())
	body := pages.Listing{Title: title, More: len(found) > most}
	for _, e := range found[:min(len(found), most)] {
		if !hidden(e.Name()) {
			body.Entries = append(body.Entries, v.entry(e))
		}
	}
	slices.SortFunc(body.Entries, func(a, b pages.Entry) int { return strings.Compare(a.Text, b.Text) })
	above := crumbs()
	link := ""
	for _, name := range append([]string{v.q.below}, v.q.parts...) {
		if name != "" {
			link += (&url.URL{Path: name}).EscapedPath() + "/"
			above = append(above, pages.Link{Text: name, Link: link})
		}
	}
	above[len(above)-1].Link = ""
	page := pages.Page{Title: title, Crumbs: above, Body: body}
	if v.q.below == "" && isAccount(v.dir, v.q.parts[0]) {
		page.Account = v.q.parts[0]
	}
	v.show(http.StatusOK, "listing", page)
}

// entry is a name whose link is relative to what was asked for.
func (v view) entry(e fs.DirEntry) pages.Entry {
	name := e.Name()
	entry := pages.Entry{Size: -1}
	if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() {
		entry.Size, entry.Changed = fi.Size(), fi.ModTime()
	}
	if e.IsDir() {
		name += "/"
	}
	link := (&url.URL{Path: name}).EscapedPath()
	if !v.q.slash { // then links are relative to the directory above
		link = escaped(path.Base(v.q.name())) + "/" + link
	}
	entry.Link = pages.Link{Text: name, Link: "./" + link}
	return entry
}
