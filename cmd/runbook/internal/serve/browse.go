package serve

import (
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
	dependentRows = 100
)

// A view is one request for a page.
type view struct {
	*Server
	a *answer
	r *http.Request
	q *query
}

// isPage reports whether a path is that of a page rather than of a file or directory.
func (s *Server) isPage(q *query) bool {
	return len(q.parts) > 1 && q.parts[1] == apart || len(q.parts) == 1 && isAccount(s.dir, q.parts[0])
}

// asset answers with the style sheet or the script of the pages.
func (v view) asset() {
	text, kind := v.pages.Asset(path.Base(v.q.name()))
	if text == nil || len(v.q.parts) != 2 {
		v.a.refuse(http.StatusNotFound)
		return
	}
	v.a.Header().Set("ETag", `"`+pages.Tag(text)+`"`)
	v.a.Header().Set("Content-Type", kind)
	v.a.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // pages name them with their digest
	http.ServeContent(v.a, v.r, "", time.Time{}, strings.NewReader(string(text)))
}

// pagePolicy is what the pages' own style sheet and script need; nothing comes from elsewhere.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// show answers with a page.
func (v view) show(code int, kind string, p pages.Page) {
	p.Root, p.Version = v.q.root(), v.opts.Version
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
	h.Set("Cache-Control", "no-store") // it holds what only this reader may know
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
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// explain answers a person whose request is refused.
func (v view) explain(code int) {
	texts := map[int]string{
		http.StatusUnauthorized: "This channel is for those who have a token: give it as the password, or in the URL, " +
			"as /t/TOKEN/.",
		http.StatusForbidden:    "Your token is not for this channel, or the server may not read it.",
		http.StatusNotFound:     "There is nothing here. The mirror may not have it, or has it under another name.",
	}
	text, ok := texts[code]
	if !ok {
		text = "The server cannot answer now: " + strings.ToLower(http.StatusText(code)) + ". Try again in a moment."
	}
	v.problem(code, http.StatusText(code), text, &pages.Link{Text: "All channels", Link: v.q.root()})
}

// problem answers a person with what is wrong and what to do.
func (v view) problem(code int, title, text string, link *pages.Link) {
	v.show(code, "problem", pages.Page{Title: title, Crumbs: crumbs(pages.Link{Text: title}),
		Body: pages.Problem{Title: title, Text: text, Link: link}})
}

// accounts answers with the channels that the reader may read.
func (v view) accounts() {
	var rows []pages.Account
	for _, name := range v.Accounts() {
		if v.admits(name, v.r, v.q) == http.StatusOK {
			rows = append(rows, v.account(name))
		}
	}
	v.show(http.StatusOK, "accounts", pages.Page{Title: "Channels", Crumbs: []pages.Link{{Text: "Channels"}}, Body: rows})
}

func (v view) account(name string) pages.Account {
	row := pages.Account{Name: name, Link: v.q.root() + escaped(name) + "/"}
	c, back, err := v.shelf.take(name)
	if err != nil {
		row.Said = firstLine(err)
		return row
	}
	defer back()
	row.Packages, row.Files = c.Len()
	for _, o := range c.Origins() {
		row.Platforms = append(row.Platforms, o.Subdir)
		for _, from := range o.From {
			if !slices.Contains(row.From, from) {
				row.From = append(row.From, from)
			}
		}
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
	c, back, err := v.shelf.take(account)
	switch {
	case errors.Is(err, errReading):
		v.a.Header().Set("Refresh", "1")
		v.problem(http.StatusOK, "One moment", "The index of "+account+" is being read. This page comes again by itself.",
			&pages.Link{Text: "Look again", Link: "?" + v.r.URL.RawQuery})
		return
	case err != nil:
		v.problem(http.StatusOK, account, "Its packages cannot be shown: "+firstLine(err)+".",
			&pages.Link{Text: "Its files", Link: v.q.root() + escaped(account) + "/noarch/"})
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
		v.absent("There is no such page.")
	}
}

// absent answers that there is no such package, and leads to those that there are.
func (v view) absent(text string) {
	v.problem(http.StatusNotFound, "Not Found", text,
		&pages.Link{Text: "All packages of this channel", Link: v.here(v.q.parts[0])})
}

func (v view) channel(c *catalog.Catalog, account string) {
	words := strings.TrimSpace(v.r.URL.Query().Get("q"))
	if len(words) > 200 {
		words = strings.ToValidUTF8(words[:200], "")
	}
	from := v.from()
	body := pages.Channel{Account: account, Here: v.here(account), Query: words}
	body.Packages, body.Files = c.Len()
	found, total := c.Search(words, from, packageRows)
	for _, p := range found {
		body.Found = append(body.Found, pages.Package{Package: p, Link: v.about(account, p.Name)})
	}
	body.Pager = pager(url.Values{"q": {words}}, from, packageRows, total)
	body.Said = said(from, len(found), total, "package")
	if total == 0 && words != "" {
		body.Said = "No package has that in its name"
		if name := nearest.Of(words, c.Like(words)); name != "" {
			body.Nearest = &pages.Link{Text: name, Link: v.about(account, name)}
		}
	}
	body.Commands, body.Token = v.use(account)
	for _, o := range c.Origins() {
		body.Origins = append(body.Origins, pages.Origin{Origin: o, Link: v.here(account) + escaped(o.Subdir) + "/"})
	}
	title := account
	if words != "" {
		title = words + " in " + account
	}
	v.show(http.StatusOK, "channel", pages.Page{Title: title, Crumbs: crumbs(pages.Link{Text: account}), Body: body})
}

func (v view) name(c *catalog.Catalog, account, name string) {
	from := v.from()
	body := pages.Name{Name: name}
	for _, n := range c.Versions(name) {
		if body.Latest == "" && !n.Removed {
			body.Latest = n.Number
		}
		body.Versions = append(body.Versions, pages.Version{Version: n, Link: v.about(account, name, n.Number)})
	}
	users, total := c.Dependents(name, from, dependentRows)
	for _, u := range users {
		body.Dependents = append(body.Dependents, pages.Link{Text: u, Link: v.about(account, u)})
	}
	if len(body.Versions) == 0 && total == 0 {
		v.absent("The channel " + account + " has no package " + name + ".")
		return
	}
	body.Said = said(from, len(users), total, "package")
	body.Pager = pager(url.Values{}, from, dependentRows, total)
	if body.Latest != "" {
		body.Commands, body.Token = v.install(account, name, "")
	}
	v.show(http.StatusOK, "package", pages.Page{Title: name + " in " + account,
		Crumbs: crumbs(pages.Link{Text: account, Link: escaped(account) + "/"}, pages.Link{Text: name}), Body: body})
}

func (v view) release(c *catalog.Catalog, account, name, number string) {
	files, err := c.Files(name, number)
	if err != nil {
		v.problem(http.StatusOK, name+" "+number, "Its records cannot be read: "+firstLine(err)+".", nil)
		return
	}
	if len(files) == 0 {
		v.absent("The channel " + account + " has no " + name + " " + number + ".")
		return
	}
	body := pages.Release{Name: name, Number: number, Said: said(0, len(files), len(files), "file"), Open: len(files) <= 3}
	origins := map[string][]string{}
	for _, o := range c.Origins() {
		origins[o.Subdir] = o.From
	}
	removed := true
	for _, f := range files {
		removed = removed && f.Removed
		body.Files = append(body.Files, v.file(c, account, f, origins[f.Subdir]))
	}
	if !removed {
		body.Commands, body.Token = v.install(account, name, number)
	}
	above := pages.Link{Text: account, Link: escaped(account) + "/"}
	v.show(http.StatusOK, "version", pages.Page{Title: name + " " + number + " in " + account,
		Crumbs: crumbs(above, pages.Link{Text: name, Link: path.Join(escaped(account), apart, escaped(name))},
			pages.Link{Text: number}), Body: body})
}

// file says what is known of a file, and whether it is here.
func (v view) file(c *catalog.Catalog, account string, f catalog.File, from []string) pages.File {
	row := pages.File{File: f, Link: v.here(account) + escaped(f.Subdir) + "/" + escaped(f.Name)}
	fi, err := v.dir.Stat(path.Join(account, f.Subdir, f.Name))
	if row.Missing = err != nil || !fi.Mode().IsRegular(); !row.Missing {
		row.Arrived, row.From = ctime(fi), from
		row.Verified = v.tags.known(account, f.Subdir).Digest(f.Name, fi) != ""
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

// from returns how many rows a page leaves out.
func (v view) from() int {
	n, err := strconv.Atoi(v.r.URL.Query().Get("from"))
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}

func pager(q url.Values, from, rows, total int) (p pages.Pager) {
	at := func(n int) string {
		next := url.Values{}
		for k, v := range q {
			if v[0] != "" {
				next[k] = v
			}
		}
		if n > 0 {
			next.Set("from", strconv.Itoa(n))
		}
		return "?" + next.Encode()
	}
	if from > 0 {
		p.Earlier = at(max(0, from-rows))
	}
	if from+rows < total {
		p.Later = at(from + rows)
	}
	return p
}

// said counts rows for people.
func said(from, shown, total int, what string) string {
	if total != 1 {
		what += "s"
	}
	if shown == total {
		return fmt.Sprintf("%d %s", total, what)
	}
	if shown == 0 {
		return fmt.Sprintf("%d %s, none from %d on", total, what, from+1)
	}
	return fmt.Sprintf("%d to %d of %d %s", from+1, from+shown, total, what)
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

// use returns the commands that make a channel known, and what to say of tokens.
func (v view) use(account string) ([]pages.Command, string) {
	at, token := v.address(account)
	return []pages.Command{
		{For: "conda", ID: "use-conda", Text: "conda config --add channels " + at},
		{For: "mamba", ID: "use-mamba", Text: "mamba config prepend channels " + at},
		{For: "pixi", ID: "use-pixi", Text: "pixi workspace channel add " + at},
	}, token
}

// install returns the commands that install a package, of one version unless that is "".
func (v view) install(account, name, version string) ([]pages.Command, string) {
	at, token := v.address(account)
	spec, pixi := shellWord(name), shellWord(name)
	if version != "" {
		spec, pixi = shellWord(name+"="+version), shellWord(name+"=="+version)
	}
	return []pages.Command{
		{For: "conda", ID: "install-conda", Text: "conda install -c " + at + " " + spec},
		{For: "mamba", ID: "install-mamba", Text: "mamba install -c " + at + " " + spec},
		{For: "pixi", ID: "install-pixi", Text: "pixi workspace channel add " + at + " && pixi add " + pixi},
	}, token
}

// shellWord quotes a text that a shell would not take for one word.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+=-", r))
	}
	if text != "" && !strings.ContainsFunc(text, plain) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// address is the URL of a channel as the reader reached it, without the token, and what to say of that.
func (v view) address(account string) (at, token string) {
	scheme := "http"
	if v.r.TLS != nil || v.r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	host := v.r.Host
	if host == "" || strings.ContainsFunc(host, notInHosts) {
		host = "HOST"
	}
	prefix := ""
	if v.tokens != nil && !v.tokens.get().free(account) {
		prefix, token = "/t/TOKEN", "Put your token in the place of TOKEN."
	}
	return scheme + "://" + host + prefix + "/" + escaped(account), token
}

func notInHosts(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-:[]_", r))
}
