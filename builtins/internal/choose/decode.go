package choose

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"runbook/builtins/internal/advice"
)

// Decode reads decoded YAML. An unknown key is an error that names the nearest one.
func Decode(values map[string]any) (Config, error) {
	var c Config
	fields := map[string]any{
		"channels": &c.Channels, "platforms": &c.Platforms, "pkg_list": &c.PkgList, "whitelist": &c.Whitelist, "blacklist": &c.Blacklist,
		"license_blacklist": &c.LicenseBlacklist, "python_versions": &c.PythonVersions,
		"fetch_installers": &c.FetchInstallers, "remote_url": &c.RemoteURL, "mirror_dir": &c.MirrorDir,
		"latest": &c.Latest, "newer_than": &c.NewerThan, "formats": &c.Formats, "with_depends": &c.WithDepends,
	}
	if values["pkg_list"] != nil && values["package_list"] != nil {
		return c, advice.New("leave out one of them", "package_list: got pkg_list, too, which is the same")
	}
	for _, key := range slices.Sorted(slices.Values(keysOf(values))) {
		name := key
		if name == "package_list" { // since 2.26
			name = "pkg_list"
		}
		if fields[name] == nil {
			return c, unknown("key", key, append(keysOf(fields), "package_list"))
		}
		if err := decode(values[key], fields[name]); err != nil {
			return c, fmt.Errorf("%s: %w", key, err)
		}
	}
	if len(c.Channels) == 0 && c.RemoteURL != "" {
		base := strings.TrimSuffix(c.RemoteURL, "/")
		c.Channels = []string{base + "/pkgs/free", base + "/pkgs/pro"}
	}
	return c, nil
}

// decode takes nothing at all, as after "key:", for what an absent key means.
func decode(v, to any) error {
	if v == nil {
		return nil
	}
	ok, want := false, ""
	switch to := to.(type) {
	case *[]string:
		return decodeList(v, to)
	case *string:
		want = "a string"
		if t, isTime := v.(time.Time); isTime { // YAML takes an unquoted 2024-01-31 for one
			v = formatTime(t)
		}
		*to, ok = v.(string)
	case *bool:
		want = "true or false"
		*to, ok = v.(bool)
	case *int:
		want = "a whole number"
		*to, ok = v.(int)
	}
	if !ok {
		return fmt.Errorf("got %v, want %s", v, want)
	}
	return nil
}

func formatTime(t time.Time) string {
	if t.Equal(t.UTC().Truncate(24 * time.Hour)) {
		return t.UTC().Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// decodeList takes one scalar for a list of one: the vendor has "license_blacklist: GPL", too.
func decodeList(v any, to *[]string) error {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, e := range list {
		s, err := scalar(e)
		if err != nil {
			return err
		}
		*to = append(*to, s)
	}
	return nil
}

// scalar takes strings and, because the vendor's examples have them, numbers like 2.7.
func scalar(v any) (string, error) {
	f, ok := v.(float64)
	switch s := strconv.FormatFloat(f, 'f', -1, 64); {
	case !ok:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return "", fmt.Errorf("got %v, want a string", v)
	case s == "3.1" || s == "3.2":
		return "", advice.New(fmt.Sprintf("write it in quotes: %q or %q", s+"0", s),
			"got the number %s, which YAML also reads where %s0 is written", s, s)
	case f <= 0 || f == math.Trunc(f):
		return "", advice.New(`write it in quotes, as in "2.7"`, "got the number %s, want a string", s)
	default:
		return s, nil
	}
}
