package serve

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"runbook/cmd/runbook/internal/serve/pages"
)

// from returns how many rows of a list a page leaves out.
func (v view) from(list string) int {
	n, err := strconv.Atoi(v.ask.Get(list))
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}

// pager leads to the other parts of a list.
func (v view) pager(list string, rows, total int) (p pages.Pager) {
	from := v.from(list)
	if from > 0 {
		p.Earlier = v.asking(list, strconv.Itoa(max(0, from-rows)))
	}
	if from+rows < total {
		p.Later = v.asking(list, strconv.Itoa(from+rows))
	}
	return p
}

// asking is a link to the same page that asks for something else, too; "" and "0" are not asked for.
func (v view) asking(name, value string) string {
	next := url.Values{}
	for _, kept := range []string{"q", "platform", "from", "users"} {
		text := v.ask.Get(kept)
		if kept == name {
			text = value
		}
		if text != "" && text != "0" {
			next.Set(kept, text)
		}
	}
	return "?" + next.Encode()
}

// part returns the rows that a page of a list shows.
func part[T any](v view, list string, all []T, rows int) []T {
	from := min(v.from(list), len(all))
	return all[from:min(len(all), from+rows)]
}

// filters lead to the same page for one platform, where there is a choice.
func (v view) filters(platforms []string) (all []pages.Filter) {
	if len(platforms) < 2 {
		return nil
	}
	for _, name := range append([]string{""}, slices.Sorted(slices.Values(platforms))...) {
		link := pages.Link{Text: cmp.Or(name, "all platforms"), Link: v.asking("platform", name)}
		all = append(all, pages.Filter{Link: link, Current: name == v.ask.Get("platform")})
	}
	return all
}

// union adds to all what it has not.
func union(all []string, more ...string) []string {
	for _, one := range more {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// wants reports whether the reader wants to see what is for these platforms.
func (v view) wants(platforms ...string) bool {
	one := v.ask.Get("platform")
	return one == "" || slices.Contains(platforms, one)
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
