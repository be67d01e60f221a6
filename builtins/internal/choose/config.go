package choose

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/conda"
	"runbook/runtime/nearest"
)

// Config is what the vendor's YAML files say, with the names of Anaconda's cas-mirror and
// anaconda-server-sync-conda (2.3 and later), and some keys more. An empty list filters nothing.
type Config struct {
	Channels         []string // paths, file:// or http(s):// URLs; earlier ones win
	Platforms        []string // subdirs; all that the channels have if empty
	PkgList          []string // only packages that one of these specs matches; not together with the next three
	Whitelist        []string // specs of what comes back although the next two dropped it
	Blacklist        []string // specs of what to leave out
	LicenseBlacklist []string // licence families to leave out: GPL3, Proprietary, ...
	PythonVersions   []string // "2.7": what only other versions can use is left out
	FetchInstallers  bool     // taken note of: installers are downloaded, not mirrored
	RemoteURL        string   // where the vendor's own channels are, if Channels is empty
	MirrorDir        string   // the destination if a call names none

	Latest int // how many versions of each name in each subdir, in all their builds; 0 for all
	// "2024-01-31", from that day's first moment on in UTC, or an RFC 3339 time: what was indexed or built before is
	// left out
	NewerThan string
	Formats   string // one of All (or empty), PreferConda, OnlyConda and OnlyTarBz2

	// WithDepends adds what the chosen packages depend on, and so on: in their own subdir and noarch, for those of
	// noarch also in each subdir that has what they need. Neither pkg_list, whitelist nor newer_than limits what is added;
	// python_versions, license_blacklist, blacklist and formats do, and latest limits it to the newest versions that
	// will do.
	WithDepends bool
}

// The values of Config.Formats.
const (
	All         = "all"
	PreferConda = "prefer-conda" // a .tar.bz2 is left out if there is a .conda of the same stem and it is kept
	OnlyConda   = "conda"
	OnlyTarBz2  = "tar.bz2"
)

// Formats are the values of Config.Formats.
func Formats() []string { return []string{All, PreferConda, OnlyConda, OnlyTarBz2} }

// Check refuses what cannot be meant.
func (c Config) Check() error {
	if len(c.Channels) == 0 {
		return advice.New("give channels=, or channels in the configuration", "channels: got none")
	}
	for _, s := range c.Platforms {
		if !conda.IsSubdir(s) {
			return advice.New("names are such as linux-64, osx-64, win-32", "platforms: got %q, want a subdir's name", s)
		}
	}
	if c.MirrorDir != "" && !path.IsAbs(c.MirrorDir) {
		return fmt.Errorf("mirror_dir: got %q, want an absolute path", c.MirrorDir)
	}
	return c.checkFilters()
}

func (c Config) checkFilters() error {
	if len(c.PkgList) > 0 && len(c.Whitelist)+len(c.Blacklist)+len(c.LicenseBlacklist) > 0 {
		return advice.New("leave out one or the other",
			"pkg_list: got it together with whitelist, blacklist or license_blacklist, want it alone")
	}
	for _, l := range []struct {
		key   string
		specs []string
	}{{"pkg_list", c.PkgList}, {"whitelist", c.Whitelist}, {"blacklist", c.Blacklist}} {
		for _, s := range l.specs {
			if _, err := parseSpec(l.key, s); err != nil {
				return err
			}
		}
	}
	for _, s := range c.LicenseBlacklist {
		if !slices.Contains(families, plain(s)) {
			return unknown("licence family in license_blacklist", s, families)
		}
	}
	if _, err := wantedPythons(c.PythonVersions); err != nil {
		return err
	}
	if c.Latest < 0 {
		return fmt.Errorf("latest: got %d, want how many versions to keep, or 0 for all", c.Latest)
	}
	if c.Formats != "" && !slices.Contains(Formats(), c.Formats) {
		return advice.New("write "+strings.Join(Formats(), ", "), "formats: got %q, want one of four", c.Formats)
	}
	_, err := c.newerThan()
	return err
}

// parseSpec reads an entry of a list. What cannot be matched is refused, since it would silently choose wrong.
func parseSpec(key, text string) (*conda.Spec, error) {
	spec, err := conda.ParseSpec(text)
	switch {
	case err != nil:
		return nil, advice.On(fmt.Errorf("%s: %w", key, err),
			`write a name such as numpy, or a spec such as "numpy >=1.8,<2" or "*[license=GPL*]"`)
	case spec.Features():
		return nil, advice.New("say it by name, version or build",
			"%s: got %q, want no features: indexes are not searched for them", key, text)
	case spec.Optional():
		return nil, advice.New("leave the condition out", "%s: got %q, want a spec without conditions", key, text)
	}
	return spec, nil
}

// newerThan returns milliseconds since 1970, 0 for none.
func (c Config) newerThan() (int64, error) {
	if c.NewerThan == "" {
		return 0, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, c.NewerThan); err == nil && t.UnixMilli() > 0 {
			return t.UnixMilli(), nil
		}
	}
	return 0, advice.New("write a date such as 2024-01-31 or a time such as 2024-01-31T12:00:00Z",
		"newer_than: got %q, want a date after 1970", c.NewerThan)
}

// unknown is an error that advises the nearest of names.
func unknown(what, got string, names []string) error {
	err := fmt.Errorf("got the unknown %s %q", what, got)
	if n := nearest.Of(got, names); n != "" {
		return advice.On(err, fmt.Sprintf("did you mean %q?", n))
	}
	return err
}

func keysOf(m map[string]any) []string { return slices.Collect(maps.Keys(m)) }
