package serve

import (
	"html/template"
	"io/fs"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
)

// most is how many names of a directory are listed: an index has them all.
const most = 2000

var page = template.Must(template.New("listing").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}}</title></head>
<body><h1>{{.Title}}</h1>
<ul>
{{range .Entries}}<li><a href="{{.Link}}">{{.Name}}</a></li>
{{end}}</ul>
{{if .More}}<p>There are more: the index has them all.</p>
{{end}}</body></html>
`))

// An entry of a listing; the link is relative to what was asked for.
type entry struct{ Name, Link string }

// list answers with the names in a directory that are shown, and that wanted, if it is given, wants.
func (s *Server) list(a *answer, root *os.Root, q *query, wanted func(string) bool) {
	f, _, err := open(root, path.Join(".", q.name()))
	if err != nil {
		s.failed(a, q.name(), err)
		return
	}
	defer f.Close()
	found, _ := f.ReadDir(most + 1) // what cannot be read is not listed
	title := "/" + q.name()
	data := struct {
		Title   string
		Entries []entry
		More    bool
	}{title, nil, len(found) > most}
	for _, e := range found[:min(len(found), most)] {
		if !hidden(e.Name()) && (wanted == nil || e.IsDir() && wanted(e.Name())) {
			data.Entries = append(data.Entries, entryOf(e, q))
		}
	}
	slices.SortFunc(data.Entries, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	a.Header().Set("Content-Type", "text/html; charset=utf-8")
	a.Header().Set("Cache-Control", "no-store")
	_ = page.Execute(a, data) // of a client that is gone
}

func entryOf(e fs.DirEntry, q *query) entry {
	name := e.Name()
	if e.IsDir() {
		name += "/"
	}
	link := (&url.URL{Path: name}).EscapedPath()
	if !q.slash { // then links are relative to the directory above
		link = url.PathEscape(path.Base(q.name())) + "/" + link
	}
	return entry{name, "./" + link}
}
