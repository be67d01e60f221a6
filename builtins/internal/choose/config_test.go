package choose

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecode(t *testing.T) {
	list := func(s ...any) []any { return s }
	got, err := Decode(map[string]any{
		"channels": list("/a", "/b"), "platforms": nil, "license_blacklist": "GPL", "python_versions": list(2.7, "3.10", 3.4),
		"fetch_installers": true, "remote_url": "https://x/", "mirror_dir": "/m", "package_list": list(),
		"latest": 3, "newer_than": time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC), "formats": "prefer-conda", "with_depends": true,
	})
	want := Config{
		Channels: []string{"/a", "/b"}, LicenseBlacklist: []string{"GPL"}, PythonVersions: []string{"2.7", "3.10", "3.4"}, FetchInstallers: true,
		RemoteURL: "https://x/", MirrorDir: "/m", Latest: 3, NewerThan: "2024-01-31", Formats: PreferConda, WithDepends: true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	if got, _ := Decode(map[string]any{"remote_url": "https://x/"}); len(got.Channels) != 2 || got.Channels[0] != "https://x/pkgs/free" {
		t.Errorf("got %+v", got)
	}
	got, err = Decode(map[string]any{"newer_than": time.Date(2024, 1, 31, 5, 0, 0, 0, time.FixedZone("", 3600)), "package_list": list("a >=1", "b"), "fetch_installers": nil, "latest": nil})
	if want := (Config{NewerThan: "2024-01-31T05:00:00+01:00", PkgList: []string{"a >=1", "b"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWrongConfigs(t *testing.T) {
	type values = map[string]any
	for _, c := range []struct {
		values values
		want   string
	}{
		{values{"chanels": "x"}, `got the unknown key "chanels" | did you mean "channels"?`},
		{values{"whitelists": "x"}, `did you mean "whitelist"?`},
		{values{"with_dependencies": "x"}, `did you mean "with_depends"?`},
		{values{"packagelist": "x"}, `did you mean "package_list"?`},
		{values{"quota": 5}, `got the unknown key "quota"`},
		{values{"pkg_list": "a", "package_list": "b"}, "package_list: got pkg_list, too, which is the same | leave out one of them"},
		{values{"python_versions": []any{3.1}}, `python_versions: got the number 3.1, which YAML also reads where 3.10 is written | write it in quotes: "3.10" or "3.1"`},
		{values{"python_versions": 3.2}, `python_versions: got the number 3.2, which YAML also reads where 3.20 is written | write it in quotes: "3.20" or "3.2"`},
		{values{"python_versions": 3}, "python_versions: got 3, want a string"},
		{values{"python_versions": 3.0}, "python_versions: got the number 3, want a string | write it in quotes"},
		{values{"python_versions": "3"}, `python_versions: got "3", want two numbers such as 2.7`},
		{values{"python_versions": "3.6.1"}, `python_versions: got "3.6.1", want two numbers such as 2.7`},
		{values{"python_versions": ".6"}, `want two numbers`},
		{values{"python_versions": "3.x"}, `want two numbers`},
		{values{"fetch_installers": "yes"}, "fetch_installers: got yes, want true or false"},
		{values{"mirror_dir": "x"}, `mirror_dir: got "x", want an absolute path`},
		{values{"mirror_dir": []any{1}}, "mirror_dir: got [1], want a string"},
		{values{"channels": values{"a": 1}}, "channels: got map[a:1], want a string"},
		{values{"license_blacklist": "GLP3"}, `got the unknown licence family in license_blacklist "GLP3" | did you mean "`},
		{values{"platforms": "Linux"}, `platforms: got "Linux", want a subdir's name`},
		{values{"pkg_list": "a", "blacklist": "b"}, "want it alone"},
		{values{"pkg_list": "a b c d"}, `pkg_list: spec "a b c d": got "c d" after the version, want one build at most | write a name such as numpy, or a spec such as "numpy >=1.8,<2" or "*[license=GPL*]"`},
		{values{"whitelist": "numpy >"}, `whitelist: spec "numpy >": got ">", want a version |`},
		{values{"blacklist": []any{"x[track_features=y]"}}, `blacklist: got "x[track_features=y]", want no features`},
		{values{"blacklist": "x; if y"}, `blacklist: got "x; if y", want a spec without conditions`},
		{values{"latest": "1"}, "latest: got 1, want a whole number"},
		{values{"latest": 1.5}, "latest: got 1.5, want a whole number"},
		{values{"latest": -1}, "latest: got -1, want how many versions to keep"},
		{values{"formats": "bz2"}, `formats: got "bz2", want one of four | write all, prefer-conda, conda, tar.bz2`},
		{values{"newer_than": "yesterday"}, `newer_than: got "yesterday", want a date after 1970 | write a date such as 2024-01-31`},
		{values{"newer_than": 2024}, "newer_than: got 2024, want a string"},
		{values{"with_depends": 1}, "with_depends: got 1, want true or false"},
	} {
		if c.values["channels"] == nil {
			c.values["channels"] = "/x"
		}
		got, err := Decode(c.values)
		if err == nil {
			err = got.Check()
		}
		if !strings.Contains(hinted(err), c.want) {
			t.Errorf("%v: got %s\nwant %s", c.values, hinted(err), c.want)
		}
	}
	if err := (Config{}).Check(); !strings.Contains(hinted(err), "channels: got none | give channels=") {
		t.Error(hinted(err))
	}
	if _, err := NewSelector(Config{Formats: "x"}); err == nil {
		t.Error("want an error")
	}
}

func TestFingerprint(t *testing.T) {
	print := func(c Config) string {
		s, err := NewSelector(c)
		if err != nil {
			t.Fatal(err)
		}
		return s.Fingerprint()
	}
	// Neither where things are from or go to, nor the order of words, decides anything.
	same := []Config{
		{}, {Channels: []string{"/a"}}, {Platforms: []string{"linux-64"}}, {Formats: All}, {MirrorDir: "/m", RemoteURL: "x", FetchInstallers: true},
	}
	for _, c := range same {
		if print(c) != print(Config{}) {
			t.Errorf("%+v: got another one than for nothing", c)
		}
	}
	a, b := Config{Blacklist: []string{"a", "b", "a"}, PythonVersions: []string{"2.7", "3.4"}}, Config{Blacklist: []string{" b", "a"}, PythonVersions: []string{"3.4", "2.7"}}
	if print(a) != print(b) {
		t.Error("the order of words makes a difference")
	}
	if print(Config{NewerThan: "2024-01-31"}) != print(Config{NewerThan: "2024-01-31T00:00:00Z"}) {
		t.Error("the form of a time makes a difference")
	}
	seen := map[string]Config{}
	for _, c := range []Config{
		{}, {PkgList: []string{"a"}}, {Blacklist: []string{"a"}}, {Whitelist: []string{"a"}}, {LicenseBlacklist: []string{"GPL"}}, {PythonVersions: []string{"2.7"}},
		{Latest: 1}, {Latest: 2}, {NewerThan: "2024-01-31"}, {Formats: OnlyConda}, {Formats: PreferConda}, {WithDepends: true}, {WithDepends: true, Platforms: []string{"linux-64"}},
		{PkgList: []string{"c::a"}}, {PkgList: []string{"c::a"}, Channels: []string{"/c"}}, {PkgList: []string{"*[channel=c]"}, Channels: []string{"/c"}},
	} {
		if other, ok := seen[print(c)]; ok {
			t.Errorf("%+v and %+v have one", c, other)
		}
		seen[print(c)] = c
	}
	const known = "828d6a7471992a21f54827bd0ae75c37e351abef8cfeab40630eae1d96578a15"
	if got := print(Config{Blacklist: []string{"a"}, Latest: 2}); got != known {
		t.Errorf("got %s: raise rules where choices change", got)
	}
}
