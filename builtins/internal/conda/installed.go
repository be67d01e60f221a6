package conda

import (
	"cmp"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
)

// An Installed is a package that is in a prefix.
type Installed struct {
	Package
	URL string // where it came from, if that is known
}

// ParseInstalled reads a record of PREFIX/conda-meta, of any conda since 2013.
func ParseInstalled(record []byte) (*Installed, error) {
	var r struct {
		Name, Version, Build   string
		BuildNumber            int64 `json:"build_number"`
		Channel, Schannel, URL string
		Fn, Subdir, MD5        string
		SHA256                 string
		Platform, Arch         string
		License                string
		LicenseFamily          string `json:"license_family"`
	}
	var odd *json.UnmarshalTypeError // of a field such as license, which is left out
	if err := json.Unmarshal(record, &r); err != nil && !errors.As(err, &odd) {
		return nil, err
	}
	if r.Name == "" || r.Version == "" {
		return nil, errors.New("got a record without name or version")
	}
	p := &Installed{URL: r.URL, Package: Package{
		Name: r.Name, Version: VersionOf(r.Version), Build: r.Build, BuildNumber: r.BuildNumber,
		Channel: cmp.Or(r.Channel, r.Schannel, r.URL), Subdir: r.Subdir, File: r.Fn, MD5: r.MD5, SHA256: r.SHA256,
		License: r.License, LicenseFamily: r.LicenseFamily,
	}}
	if p.Subdir == "" { // records had none before 2017
		p.Subdir = cmp.Or(readChannel(r.Channel).subdir, readChannel(r.URL).subdir, subdirOf(r.Platform, r.Arch))
	}
	return p, nil
}

// subdirOf returns the subdir of what old records say of the platform: if they say nothing, this machine's.
func subdirOf(platform, arch string) string {
	switch {
	case platform == "" && runtime.GOARCH == "arm64":
		return "linux-aarch64"
	case platform == "":
		return "linux-64"
	case arch == "x86_64":
		arch = "64"
	case arch == "x86":
		arch = "32"
	}
	return platform + "-" + arch
}

// MatchInstalled is Match for a package of a prefix. Unlike a mirror, conda knows which channel
// is meant by a name: one at Anaconda's servers, or below one of bases.
func (s *Spec) MatchInstalled(p *Installed, bases ...string) bool {
	return s.matchRest(&p.Package) && s.matchSource(readChannel(p.Channel), bases)
}

func (s *Spec) matchSource(have channel, bases []string) bool {
	names := []string{have.name, have.canonical}
	for _, b := range bases {
		names = append(names, have.under(b))
	}
	if !s.channel.exact() {
		return s.channel.match(have.canonical) || slices.ContainsFunc(names[2:], s.channel.match)
	}
	want := readChannel(s.channel.text)
	return slices.ContainsFunc(names, func(n string) bool { return n != "" && n == want.name }) ||
		have.at != "" && have.at == want.at
}
