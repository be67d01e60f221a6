package host

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h/a/b.tar":             "https://h/a/b.tar",
		"https://h:8443":                "https://h:8443",
		"https://[::1]:80/a":            "https://[::1]:80/a",
		"https://[::1]/a":               "https://[::1]/a",
		"https://u:s3cr3t@h/a":          "https://<redacted>@h/a",
		"https://s3cr3t@h/a":            "https://<redacted>@h/a",
		"https://u:s3@cr3t@h/a":         "https://<redacted>@h/a",
		"https://u:s3/cr3t@h/a":         "https://<redacted>",
		"https://u:s3?cr3t@h/a":         "https://<redacted>",
		"https://u:s3#cr3t@h/a":         "https://<redacted>",
		"https://u:12/cr3t@h/a":         "https://<redacted>",
		"https://u:s3cr3t/a":            "https://<redacted>/a",
		"https://h/t/s3cr3t/c/noarch/x": "https://h/t/<TOKEN>/c/noarch/x",
		"https://h/t/s3cr3t":            "https://h/t/<TOKEN>",
		"https://h/a/b/t/s3cr3t/c":      "https://h/a/b/t/<TOKEN>/c",
		"https://h/t//s3cr3t/c":         "https://h/t//<TOKEN>/c",
		"https://h/t/t/s3cr3t/c":        "https://h/t/<TOKEN>/<TOKEN>/c",
		"https://h/T/s3cr3t/c":          "https://h/T/<TOKEN>/c",
		"https://h/%74/s3cr3t/c":        "https://h/%74/<TOKEN>/c",
		"https://h/t%2Fs3cr3t%2fc":      "https://h/t/<TOKEN>/c",
		`https://h/t\s3cr3t\c`:          "https://h/t/<TOKEN>/c",
		"https://h/t/one/t/s3cr3t/c":    "https://h/t/<TOKEN>/t/<TOKEN>/c",
		"https://h/x?token=s3cr3t":      "https://h/x?<redacted>",
		"https://h?token=s3cr3t":        "https://h?<redacted>",
		"https://h/x#s3cr3t":            "https://h/x",
		"https://h/<secret:token>/x":    "https://h/<secret:token>/x",
		"file:///media/a.tar":           "file:///media/a.tar",
		"s3cr3t":                        "<malformed URL>",
		"u:s3cr3t@h/a":                  "<malformed URL>",
		"ht tp://s3cr3t":                "<malformed URL>",
		"https://h/\x1b[2Js3cr3t":       "<malformed URL>",
		"https://h/\u202es3cr3t":        "<malformed URL>",
		"https://h/s3cr3t\xff":          "<malformed URL>",
		"":                              "<malformed URL>",
	} {
		if got := RedactURL(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("https", "h", "a/b", "x=1")
	f.Fuzz(func(t *testing.T, scheme, h, path, query string) {
		const canary = "c4n4ry"
		for _, raw := range []string{
			scheme + "://u:" + canary + "@" + h, scheme + "://" + canary + "@" + h + "/" + path,
			"https://h/t/" + canary + "/" + path, "https://h/" + strings.ReplaceAll(path, "?", "") + "/t/" + canary,
			"https://h/x?" + canary + query, "https://h/x?" + query + canary,
		} {
			if got := RedactURL(raw); strings.Contains(got, canary) && !strings.Contains(h+path, canary) {
				t.Errorf("%q: got %q", raw, got)
			}
		}
	})
}
