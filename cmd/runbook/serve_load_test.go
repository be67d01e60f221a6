package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// sums are two packages of one name and size, with their digests.
var sums = [2]struct{ text, md5 string }{{"1\n", "b026324c6904b2a9cb4b88d6d61c81d1"}, {"2\n", "26ab0db90d72e28ad0ba1e22ee510510"}}

// fetchAll fetches an index and a package until it is to stop, each by the tag that it has, and returns how often it got
// what.
func fetchAll(url string, stop chan struct{}) map[string]int {
	answers := map[string]int{}
	tags, texts := map[string]string{}, map[string]map[string]string{}
	for {
		for _, name := range []string{"repodata.json", "a-1-0.tar.bz2"} {
			if texts[name] == nil {
				texts[name] = map[string]string{}
			}
			answers[fetchOnce(url+name, name, tags, texts[name])]++
		}
		select {
		case <-stop:
			return answers
		default:
		}
	}
}

// fetchOnce fetches a file unless it has the tag that the last one had. A tag that two texts have is told.
func fetchOnce(url, name string, tags, texts map[string]string) string {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err.Error()
	}
	if tags[name] != "" {
		r.Header.Set("If-None-Match", tags[name])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return err.Error()
	}
	tag := a.Header.Get("ETag")
	if a.StatusCode != 200 {
		return fmt.Sprint(a.StatusCode, " ", name)
	}
	if was, ok := texts[tag]; ok && tag != "" && was != string(body) {
		return "one tag of two texts: " + name
	}
	tags[name], texts[tag] = tag, string(body)
	if name == "repodata.json" && !json.Valid(body) || name != "repodata.json" && string(body) != sums[0].text && string(body) != sums[1].text {
		return fmt.Sprintf("200 torn %s: %q", name, body)
	}
	return "200 whole " + name
}
