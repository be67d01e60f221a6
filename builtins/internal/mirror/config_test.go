package mirror

import (
	"reflect"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	list := func(s ...any) []any { return s }
	got, err := Decode(map[string]any{
		"channels": list("/a", "/b"), "platforms": nil, "license_blacklist": "GPL", "python_versions": list(2.7, "3.10"),
		"fetch_installers": true, "remote_url": "https://x/", "mirror_dir": "/m", "pkg_list": list(),
	})
	want := Config{Channels: []string{"/a", "/b"}, LicenseBlacklist: []string{"GPL"}, PythonVersions: []string{"2.7", "3.10"}, FetchInstallers: true, RemoteURL: "https://x/", MirrorDir: "/m"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, _ := Decode(map[string]any{"remote_url": "https://x/"}); len(got.Channels) != 2 || got.Channels[0] != "https://x/pkgs/free" {
		t.Errorf("got %+v", got)
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
		{values{"quota": 5}, `got the unknown key "quota"`},
		{values{"python_versions": []any{3.1}}, `python_versions: got the number 3.1, which may stand for another version | write it in quotes: "3.10"`},
		{values{"python_versions": 3}, "python_versions: got 3, want a string"},
		{values{"python_versions": "3"}, `python_versions: got "3", want two numbers such as 2.7`},
		{values{"fetch_installers": "yes"}, "fetch_installers: got yes, want true or false"},
		{values{"mirror_dir": "x"}, `mirror_dir: got "x", want an absolute path`},
		{values{"mirror_dir": []any{1}}, "mirror_dir: got [1], want a string"},
		{values{"channels": values{"a": 1}}, "channels: got map[a:1], want a string"},
		{values{"license_blacklist": "GLP3"}, `got the unknown licence family in license_blacklist "GLP3" | did you mean "`},
		{values{"platforms": "Linux"}, `platforms: got "Linux", want a subdir's name`},
		{values{"pkg_list": "a", "blacklist": "b"}, "want it alone"},
	} {
		if c.values["channels"] == nil {
			c.values["channels"] = "/x"
		}
		got, err := Decode(c.values)
		if err == nil {
			err = got.check()
		}
		if !strings.Contains(hinted(err), c.want) {
			t.Errorf("%v: got %s\nwant %s", c.values, hinted(err), c.want)
		}
	}
}
