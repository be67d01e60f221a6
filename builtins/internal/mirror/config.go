package mirror

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Config is what the vendor's YAML files say, with the names of Anaconda's cas-mirror and
// anaconda-server-sync-conda (2.3 and later). An empty list filters nothing.
type Config struct {
	Channels         []string // paths, file:// or http(s):// URLs; earlier ones win
	Platforms        []string // subdirs; all that the channels have if empty
	PkgList          []string // only packages of these names; not together with the next three
	Whitelist        []string // names that come back although the next two dropped them
	Blacklist        []string // names to leave out
	LicenseBlacklist []string // licence families to leave out: GPL3, Proprietary, ...
	PythonVersions   []string // "2.7": packages for other versions are left out
	FetchInstallers  bool     // taken note of: installers are downloaded, not mirrored
	RemoteURL        string   // where the vendor's own channels are, if Channels is empty
	MirrorDir        string   // the destination if a call names none
}

// Decode reads decoded YAML. An unknown key is an error that names the nearest one.
func Decode(values map[string]any) (Config, error) {
	var c Config
	fields := map[string]any{
		"channels": &c.Channels, "platforms": &c.Platforms, "pkg_list": &c.PkgList, "whitelist": &c.Whitelist, "blacklist": &c.Blacklist,
		"license_blacklist": &c.LicenseBlacklist, "python_versions": &c.PythonVersions,
		"fetch_installers": &c.FetchInstallers, "remote_url": &c.RemoteURL, "mirror_dir": &c.MirrorDir,
	}
	for key, v := range values {
		if fields[key] == nil {
			return c, unknown("key", key, fields)
		}
		if err := decode(v, fields[key]); err != nil {
			return c, fmt.Errorf("%s: %w", key, err)
		}
	}
	if len(c.Channels) == 0 && c.RemoteURL != "" {
		base := strings.TrimSuffix(c.RemoteURL, "/")
		c.Channels = []string{base + "/pkgs/free", base + "/pkgs/pro"}
	}
	return c, nil
}

func decode(v, to any) error {
	switch to := to.(type) {
	case *[]string:
		list, ok := v.([]any)
		if !ok && v != nil {
			list = []any{v} // the vendor has "license_blacklist: GPL", too
		}
		for _, e := range list {
			s, err := scalar(e)
			if err != nil {
				return err
			}
			*to = append(*to, s)
		}
		return nil
	case *string:
		s, ok := v.(string)
		if !ok && v != nil {
			return fmt.Errorf("got %v, want a string", v)
		}
		*to = s
	case *bool:
		b, ok := v.(bool)
		if !ok {
			return fmt.Errorf("got %v, want true or false", v)
		}
		*to = b
	}
	return nil
}

// scalar takes strings and, because the vendor's examples have them, numbers like 2.7. In YAML 3.10
// is the number 3.1, so these two need quotes.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case float64:
		if s := strconv.FormatFloat(v, 'f', -1, 64); v > 0 && v != math.Trunc(v) && s != "3.1" && s != "3.2" {
			return s, nil
		}
		return "", advise(`write it in quotes: "3.10"`, "got the number %v, which may stand for another version", v)
	}
	return "", fmt.Errorf("got %v, want a string", v)
}

// check refuses what cannot be meant.
func (c Config) check() error {
	if len(c.Channels) == 0 {
		return advise("give channels=, or channels in the configuration", "channels: got none")
	}
	if len(c.PkgList) > 0 && len(c.Whitelist)+len(c.Blacklist)+len(c.LicenseBlacklist) > 0 {
		return advise("leave out one or the other", "pkg_list: got it together with whitelist, blacklist or license_blacklist, want it alone")
	}
	for _, s := range c.Platforms {
		if !isSubdir(s) {
			return advise("names are such as linux-64, osx-64, win-32", "platforms: got %q, want a subdir's name", s)
		}
	}
	for _, s := range c.LicenseBlacklist {
		if !slices.Contains(families, plain(s)) {
			return unknown("licence family in license_blacklist", s, familySet())
		}
	}
	for _, s := range c.PythonVersions {
		if major, minor, ok := strings.Cut(s, "."); !ok || !digits(major) || !digits(minor) {
			return fmt.Errorf("python_versions: got %q, want two numbers such as 2.7", s)
		}
	}
	if c.MirrorDir != "" && !path.IsAbs(c.MirrorDir) {
		return fmt.Errorf("mirror_dir: got %q, want an absolute path", c.MirrorDir)
	}
	return nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func familySet() map[string]any {
	set := map[string]any{}
	for _, f := range families {
		set[f] = true
	}
	return set
}

// unknown is an error that advises the nearest of names.
func unknown(what, got string, names map[string]any) error {
	best, least := "", max(len(got)/3, 2)+1
	for n := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(n)); d < least || d == least && n < best {
			best, least = n, d
		}
	}
	if best == "" {
		return fmt.Errorf("got the unknown %s %q", what, got)
	}
	return advise(fmt.Sprintf("did you mean %q?", best), "got the unknown %s %q", what, got)
}

// distance is how many letters to insert, drop or replace to turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
