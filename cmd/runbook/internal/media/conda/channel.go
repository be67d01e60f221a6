package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// A record is what a channel's index says of a package, and where from.
type record struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Build       string   `json:"build"`
	BuildNumber int      `json:"build_number"`
	Depends     []string `json:"depends"`
	MD5         string   `json:"md5"`
	Size        int64    `json:"size"`

	file, base string // "NAME-VERSION-BUILD.tar.bz2" and the URL of its directory
	channel    int    // 0 is the first
}

func (r *record) dist() string { return strings.TrimSuffix(r.file, ".tar.bz2") }

// channels resolves the channels of the command line and of the configuration, in order, to URLs.
func channels(prefix string, given []string, override bool) ([]string, error) {
	names := given
	if !override {
		m, err := readRC(condarc(prefix))
		if err != nil {
			return nil, err
		}
		if e := m.Get("channels"); e != nil {
			names = append(names, e.List...)
		} else {
			names = append(names, "defaults")
		}
	}
	var urls []string
	for _, name := range names {
		switch {
		case name == "defaults":
			urls = append(urls, "https://repo.continuum.io/pkgs/free", "https://repo.continuum.io/pkgs/pro")
		case strings.Contains(name, "://"):
			urls = append(urls, strings.TrimRight(name, "/"))
		default:
			urls = append(urls, "https://conda.anaconda.org/"+name)
		}
	}
	return urls, nil
}

// index reads the channels' indexes. A channel must have linux-64; noarch may be absent, as it was in 2016.
func index(urls []string, offline bool) ([]*record, error) {
	var all []*record
	for i, u := range urls {
		if offline && !strings.HasPrefix(u, "file://") {
			continue
		}
		for _, subdir := range []string{"linux-64", "noarch"} {
			records, err := readIndex(u+"/"+subdir, i)
			if errors.Is(err, os.ErrNotExist) && subdir == "noarch" {
				continue
			}
			if errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("CondaRuntimeError: Runtime error: Could not find URL: %s/%s/", u, subdir)
			}
			if err != nil {
				return nil, fmt.Errorf("CondaHTTPError: %s/%s/repodata.json: %w", u, subdir, err)
			}
			all = append(all, records...)
		}
	}
	return all, nil
}

func readIndex(base string, channel int) ([]*record, error) {
	data, err := fetch(base + "/repodata.json")
	if err != nil {
		return nil, err
	}
	var repodata struct{ Packages map[string]*record }
	if err := json.Unmarshal(data, &repodata); err != nil {
		return nil, err
	}
	var records []*record
	for file, r := range repodata.Packages {
		r.file, r.base, r.channel = file, base, channel
		records = append(records, r)
	}
	return records, nil
}

// fetch reads a URL whole. What is not there is os.ErrNotExist.
func fetch(address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return os.ReadFile(u.Path)
	}
	r, err := http.Get(address)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	switch r.StatusCode {
	case http.StatusOK:
		return io.ReadAll(r.Body)
	case http.StatusNotFound:
		return nil, os.ErrNotExist
	}
	return nil, errors.New(r.Status)
}
