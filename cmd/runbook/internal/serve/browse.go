package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"runbook/builtins/mirrored/catalog"
	"runbook/cmd/runbook/internal/serve/pages"
	"runbook/runtime/nearest"
)

// apart stands in a path between what is mirrored and what is said about it: /ACCOUNT/-/PACKAGE/VERSION.
const apart = "-"

// How many rows a page shows.
const (
	packageRows   = 50
	versionRows   = 100
	fileRows      = 50
	dependentRows = 100
)

// A view is one request for a page.
type view struct {
	*Server
	a   *answer
	r   *http.Request
	q   *query
	ask url.Values // what stands behind the question mark
}

func (s *Server) view(a *answer, r *http.Request, q *query) view {
	return view{s, a, r, q, r.URL.Query()}
}

// isPage reports whether a path is that of a page rather than of a file or directory. A channel may have a subdir of
// that name, or be called so: its files come first.
func (s *Server) isPage(q *query) bool {
	if len(q.parts) > 1 && q.parts[1] != apart || !isAccount(s.dir, q.parts[0]) {
		return false
	}
	_, err := s.dir.Stat(q.name())
	return len(q.parts) == 1 || err != nil
}

// asset answers with the style sheet or the script of the pages, if that is what is asked for.
func (v view) asset() bool {
	if len(v.q.parts) != 2 {
		return false
	}
	text, kind := v.pages.Asset(v.q.parts[1])
	if text == nil {
		return false
	}
	v.a.Header().Set("ETag", `"`+pages.Tag(text)+`"`)
	v.a.Header().Set("Content-Type", kind)
	v.a.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // their digest is in the link
	http.ServeContent(v.a, v.r, "", time.Time{}, strings.NewReader(string(text)))
	return true
}

// pagePolicy is what the pages' own style sheet and script need; nothing comes from elsewhere.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// show answers with a page.
func (v view) show(code int, kind string, p pages.Page) {
	p.Root, p.Version = v.q.root(), v.opts.Version
	if p.Account != "" {
		p.Here, p.Query = v.here(p.Account), v.query()
	}
	for i := range p.Crumbs[:len(p.Crumbs)-1] {
		p.Crumbs[i].Link = p.Root + p.Crumbs[i].Link
	}
	text, err := v.pages.Write(kind, p)
	if err != nil {
		v.opts.Complain(fmt.Errorf("page %s: %w", kind, err))
		v.a.explain = nil // it would fail again
		v.a.refuse(http.StatusInternalServerError)
		return
	}
	h := v.a.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "private, no-cache")
	v.a.WriteHeader(code)
	if !v.a.head {
		v.a.Write(text)
	}
}

// crumbs leads from the list of channels to the page; the last is the page.
func crumbs(all ...pages.Link) []pages.Link {
	return append([]pages.Link{{Text: "Channels"}}, all...)
}

// wantsPage reports whether a person asks, with a browser.
func wantsPage(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return reads && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// explain answers a person whose request is refused.
func (v view) explain(code int) {
	title, text := http.StatusText(code), "The server cannot answer this. Try again in a moment, or ask who runs it."
	switch code {
	case http.StatusUnauthorized:
		title, text = "A token is needed", "This channel is not open to everybody. Give your token as the password, or put "+
			"t/TOKEN/ with it before the channel in the address. Who runs the server makes one: runbook serve token."
	case http.StatusForbidden:
		title, text = "Not with this token", "It is for other channels, or the server itself may not read this one."
	case http.StatusNotFound:
		title, text = "There is nothing here", "No file and no page has this address. The source may have taken a file "+
			"back, or the mirror left it out: the page of its channel lists what there is."
	}
	v.problem(code, "", title, pages.Problem{Text: text, Link: &pages.Link{Text: "All channels", Link: v.q.root()}})
}

// problem answers a person with what is wrong and what to do. The account is one that the reader may read, or "".
func (v view) problem(code int, account, title string, p pages.Problem) {
	at := crumbs(pages.Link{Text: title})
	if account != "" && account != title {
		at = crumbs(pages.Link{Text: account, Link: escaped(account) + "/"}, pages.Link{Text: title})
	}
	p.Title = title
	v.show(code, "problem", pages.Page{Title: title, Account: account, Crumbs: at, Body: p})
}

// query is what the reader looks for.
func (v view) query() string {
	words := strings.TrimSpace(v.ask.Get("q"))
	return strings.ToValidUTF8(words[:min(len(words), 200)], "")
}

// accounts answers with the channels that the reader may read.
func (v view) accounts() {
	var rows []pages.Account
	ctx, cancel := context.WithTimeout(v.r.Context(), patience)
	defer cancel()
	for _, name := range v.Accounts() {
		if v.admits(name, v.r, v.q) == http.StatusOK && v.stays(name) {
			rows = append(rows, v.account(name, ctx.Done()))
		}
	}
	v.show(http.StatusOK, "accounts", pages.Page{Title: "Channels", Crumbs: []pages.Link{{Text: "Channels"}},
		Body: pages.Accounts{Channels: rows, Extras: v.extras != nil}})
}

func (v view) account(name string, enough <-chan struct{}) pages.Account {
	row := pages.Account{Name: name, Link: v.q.root() + escaped(name) + "/"}
	c, back, err := v.shelf.take(name, enough)
	switch {
	case errors.Is(err, errReading):
		v.a.Header().Set("Refresh", "2")
		row.Said = firstLine(err)
		return row
	case err != nil:
		row.Said = "its index cannot be read: " + firstLine(err)
		return row
	}
	defer back()
	row.Packages, row.Files = c.Len()
	for _, o := range c.Origins() {
		row.Platforms = append(row.Platforms, o.Subdir)
		row.From = union(row.From, o.From...)
		if o.Published.After(row.Published) {
			row.Published = o.Published
		}
	}
	slices.Sort(row.Platforms)
	return row
}

// page answers with what is said about an account: /ACCOUNT/, /ACCOUNT/-/PACKAGE or /ACCOUNT/-/PACKAGE/VERSION.
func (v view) page() {
	account := v.q.parts[0]
	ctx, cancel := context.WithTimeout(v.r.Context(), patience)
	defer cancel()
	c, back, err := v.shelf.take(account, ctx.Done())
	switch {
	case errors.Is(err, errReading):
		v.a.Header().Set("Refresh", "1")
		v.problem(http.StatusOK, "", "One moment", pages.Problem{
			Text: "The index of " + account + " is being read, which takes some seconds. This page comes again by itself.",
			Link: &pages.Link{Text: "Look again", Link: v.asking("", "")}})
		return
	case err != nil:
		v.problem(http.StatusOK, "", account, pages.Problem{Text: "Its packages cannot be shown: " + firstLine(err) +
			". Clients get its files all the same. Mirror it again, or ask who runs this server to look."})
		return
	}
	defer back()
	switch {
	case len(v.q.parts) == 1:
		v.channel(c, account)
	case len(v.q.parts) == 3:
		v.name(c, account, v.q.parts[2])
	case len(v.q.parts) == 4:
		v.release(c, account, v.q.parts[2], v.q.parts[3])
	default:
		v.absent("There is no such page.", nil)
	}
}

// absent answers that there is no such package, and leads to one that may have been meant.
func (v view) absent(text string, nearest *pages.Link) {
	account := v.q.parts[0]
	v.problem(http.StatusNotFound, account, "There is nothing here", pages.Problem{Text: text, Nearest: nearest,
		Link: &pages.Link{Text: "All packages of this channel", Link: v.here(account)}})
}

// nearest returns the package that may have been meant.
func (v view) nearest(c *catalog.Catalog, account, name string) *pages.Link {
	if found := nearest.Of(name, c.Like(name)); found != "" {
		return &pages.Link{Text: found, Link: v.about(account, found)}
	}
	return nil
}

func (v view) channel(c *catalog.Catalog, account string) {
	words := v.query()
	body := pages.Channel{Account: account}
	body.Packages, body.Files = c.Len()
	found, total := c.Search(words, v.from("from"), packageRows)
	for _, p := range found {
		body.Found = append(body.Found, pages.Package{Package: p, Link: v.about(account, p.Name)})
	}
	body.Pager = v.pager("from", packageRows, total)
	body.Said = said(v.from("from"), len(found), total, "package")
	title := account
	if words != "" {
		title = words + " in " + account
		body.Said += " with " + words + " in the name"
		if total == 0 {
			body.Said = "No package has “" + words + "” in its name"
			body.Nearest = v.nearest(c, account, words)
		}
	}
	body.Commands, body.Token = v.use(account)
	for _, o := range c.Origins() {
		body.Platforms = append(body.Platforms, o.Subdir)
		body.Origins = append(body.Origins, pages.Origin{Origin: o, Link: v.here(account) + escaped(o.Subdir) + "/"})
	}
	v.show(http.StatusOK, "channel",
		pages.Page{Title: title, Account: account, Crumbs: crumbs(pages.Link{Text: account}), Body: body})
}

func (v view) name(c *catalog.Catalog, account, name string) {
	versions := c.Versions(name)
	users, total := c.Dependents(name, v.from("users"), dependentRows)
	if len(versions) == 0 && total == 0 {
		v.absent("The channel "+account+" has no package "+name+".", v.nearest(c, account, name))
		return
	}
	body := pages.Name{Name: name, Said: said(v.from("users"), len(users), total, "package")}
	for _, n := range versions {
		if body.Latest == nil && !n.Removed {
			body.Latest = &pages.Link{Text: n.Number, Link: v.about(account, name, n.Number)}
		}
		body.Platforms = union(body.Platforms, n.Subdirs...)
	}
	body.Filters = v.filters(body.Platforms)
	versions = slices.DeleteFunc(versions, func(n catalog.Version) bool { return !v.wants(n.Subdirs...) })
	for _, n := range part(v, "from", versions, versionRows) {
		body.Versions = append(body.Versions, pages.Version{Version: n, Link: v.about(account, name, n.Number)})
	}
	body.Pager = v.pager("from", versionRows, len(versions))
	for _, u := range users {
		body.Dependents = append(body.Dependents, pages.Link{Text: u, Link: v.about(account, u)})
	}
	body.Users = v.pager("users", dependentRows, total)
	if body.Latest != nil {
		body.Commands, body.Token = v.install(account, name, "")
	}
	v.show(http.StatusOK, "package", pages.Page{Title: name + " in " + account, Account: account,
		Crumbs: crumbs(pages.Link{Text: account, Link: escaped(account) + "/"}, pages.Link{Text: name}), Body: body})
}

func (v view) release(c *catalog.Catalog, account, name, number string) {
	files, err := c.Files(name, number)
	switch {
	case err != nil:
		v.problem(http.StatusOK, account, name+" "+number,
			pages.Problem{Text: "Its records cannot be read: " + firstLine(err) + "."})
		return
	case len(files) == 0 && c.Has(name):
		latest := c.Versions(name)[0].Number
		v.absent("The channel "+account+" has "+name+", but no version "+number+".",
			&pages.Link{Text: name + " " + latest, Link: v.about(account, name, latest)})
		return
	case len(files) == 0:
		v.absent("The channel "+account+" has no package "+name+".", v.nearest(c, account, name))
		return
	}
	body := pages.Release{Name: name, Number: number, Removed: true, Package: v.about(account, name)}
	for _, f := range files {
		body.Removed = body.Removed && f.Removed
		body.Platforms = union(body.Platforms, f.Subdir)
	}
	body.Filters = v.filters(body.Platforms)
	files = slices.DeleteFunc(files, func(f catalog.File) bool { return !v.wants(f.Subdir) })
	shown := part(v, "from", files, fileRows)
	body.Said, body.Open = said(v.from("from"), len(shown), len(files), "file"), len(shown) <= 3
	body.Pager = v.pager("from", fileRows, len(files))
	origins := map[string][]string{}
	for _, o := range c.Origins() {
		origins[o.Subdir] = o.From
	}
	for _, f := range shown {
		body.Files = append(body.Files, v.file(c, account, f, origins[f.Subdir]))
	}
	if !body.Removed {
		body.Commands, body.Token = v.install(account, name, number)
	}
	above := pages.Link{Text: account, Link: escaped(account) + "/"}
	v.show(http.StatusOK, "version", pages.Page{Title: name + " " + number + " in " + account, Account: account,
		Crumbs: crumbs(above, pages.Link{Text: name, Link: path.Join(escaped(account), apart, escaped(name))},
			pages.Link{Text: number}), Body: body})
}

// file says what is known of a file, and whether it is here.
func (v view) file(c *catalog.Catalog, account string, f catalog.File, from []string) pages.File {
	row := pages.File{File: f, Link: v.here(account) + escaped(f.Subdir) + "/" + escaped(f.Name)}
	fi, err := v.dir.Stat(path.Join(account, f.Subdir, f.Name))
	if row.Missing = err != nil || !fi.Mode().IsRegular(); !row.Missing {
		row.Arrived, row.From = ctime(fi), from
		row.Verified = v.tags.of(account, f.Subdir, f.Name, fi).verified
		if row.Size < 0 { // the index does not say
			row.Size = fi.Size()
		}
	}
	for _, d := range f.Depends {
		name := catalog.NameOf(d)
		link := pages.Link{Text: name, Rest: strings.TrimPrefix(d, name)}
		if !strings.HasPrefix(d, name) { // channel::name
			link = pages.Link{Text: d}
		}
		if c.Has(name) {
			link.Link = v.about(account, name)
		}
		row.Depends = append(row.Depends, link)
	}
	return row
}

// here is the page of an account, about that of a package or one of its versions; relative to what was asked for.
func (v view) here(account string) string { return v.q.root() + escaped(account) + "/" }

func (v view) about(account string, names ...string) string {
	link := v.here(account) + apart
	for _, n := range names {
		link += "/" + escaped(n)
	}
	return link
}

func escaped(name string) string { return url.PathEscape(name) }
