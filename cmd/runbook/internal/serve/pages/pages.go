// Package pages writes the pages that people open: what they say, never where it comes from.
//
// Two things to know. All that a page shows passes html/template, for it comes from indexes that anybody may have
// written. And every link is relative, so that pages work below /t/TOKEN/ and behind a proxy, and print no token.
//
// The server fills the types below and calls Write.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"runbook/builtins/mirrored/catalog"
)

//go:embed pages.html style.css page.js
var files embed.FS

// A Page is what all have in common. Body is what the template of the kind takes.
type Page struct {
	Title       string
	Root        string // relative to the page, ends in a slash
	Crumbs      []Link // the last is the page itself
	Version     string // of the program
	Account     string // in which one can search; may be ""
	Here, Query string // where that is, and what was looked for
	Body        any
}

// A Link is a text that may lead somewhere; Rest stands behind it.
type Link struct{ Text, Link, Rest string }

// A Command is one to copy.
type Command struct{ For, ID, Text string }

// A Pager leads to the neighbours of a part of a list; "" where there is none.
type Pager struct{ Earlier, Later string }

// Accounts is the body of "accounts". Extras says that there are installers.
type Accounts struct {
	Channels []Account
	Extras   bool
}

// An Account is a row of them. Said replaces what is not known yet.
type Account struct {
	Name, Link, Said string
	Packages, Files  int
	Platforms, From  []string
	Published        time.Time
}

// A Filter keeps a page to one platform.
type Filter struct {
	Link
	Current bool
}

// A Channel is the body of "channel".
type Channel struct {
	Account, Said, Token string
	Packages, Files      int
	Platforms            []string
	Found                []Package
	Nearest              *Link
	Pager                Pager
	Commands             []Command
	Origins              []Origin
}

// A Package is a row of a channel.
type Package struct {
	catalog.Package
	Link string
}

// An Origin is a row of where a channel comes from.
type Origin struct {
	catalog.Origin
	Link string
}

// A Name is the body of "package".
type Name struct {
	Name, Said, Token string
	Latest            *Link
	Commands          []Command
	Platforms         []string
	Filters           []Filter
	Versions          []Version
	Pager             Pager
	Dependents        []Link
	Users             Pager // of the dependents
}

// A Version is a row of a package.
type Version struct {
	catalog.Version
	Link string
}

// A Release is the body of "version": one version with its files. Open says that these are shown at once.
type Release struct {
	Name, Number, Package, Said, Token string
	Removed, Open                      bool
	Commands                           []Command
	Platforms                          []string
	Filters                            []Filter
	Files                              []File
	Pager                              Pager
}

// A File is one of a version.
type File struct {
	catalog.File
	Link     string
	Missing  bool // it is not there
	Verified bool
	Arrived  time.Time
	From     []string
	Depends  []Link
}

// A Listing is the body of "listing".
type Listing struct {
	Title   string
	Entries []Entry
	More    bool
}

// An Entry is a file, or a directory, of which Size is -1.
type Entry struct {
	Link
	Size    int64
	Changed time.Time
}

// A Problem is the body of "problem".
type Problem struct {
	Title, Text   string
	Link, Nearest *Link
}

// A Set has the templates and what they refer to.
type Set struct {
	templates     *template.Template
	style, script []byte
}

// New returns the pages, or an error that only a mistake in them can cause.
func New() (*Set, error) {
	s := &Set{}
	var err error
	if s.style, err = files.ReadFile("style.css"); err != nil {
		return nil, err
	}
	if s.script, err = files.ReadFile("page.js"); err != nil {
		return nil, err
	}
	s.templates, err = template.New("pages").Funcs(template.FuncMap{
		"styleTag": func() string { return Tag(s.style) }, "scriptTag": func() string { return Tag(s.script) },
		"count": count, "size": size, "join": func(all []string) string { return strings.Join(all, ", ") },
	}).ParseFS(files, "pages.html")
	return s, err
}

// Write returns a page of a kind: accounts, channel, package, version, listing or problem.
func (s *Set) Write(kind string, p Page) ([]byte, error) {
	var b bytes.Buffer
	err := s.templates.ExecuteTemplate(&b, kind, p)
	return b.Bytes(), err
}

// Asset returns a file that pages refer to, and its type; nil if there is none of that name.
func (s *Set) Asset(name string) (text []byte, kind string) {
	switch name {
	case "style.css":
		return s.style, "text/css; charset=utf-8"
	case "page.js":
		return s.script, "text/javascript; charset=utf-8"
	}
	return nil, ""
}

// Tag tells a text from others, in an address or as an entity tag.
func Tag(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// count writes a number with its thousands apart.
func count(n any) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// size writes a number of bytes for people: 1.5 MB is 1,500,000 bytes.
func size(n int64) string {
	value := float64(n)
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if value < 1000 {
			digits := 1
			if unit == "B" || value >= 100 {
				digits = 0
			}
			return strconv.FormatFloat(value, 'f', digits, 64) + "\u00a0" + unit
		}
		value /= 1000
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + "\u00a0TB"
}
