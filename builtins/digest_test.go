package builtins

import (
	"strings"
	"testing"
)

func TestParseDigest(t *testing.T) {
	const hex = "d41d8cd98f00b204e9800998ecf8427e"
	other := strings.Repeat("0", 32)
	for text, want := range map[string]string{
		"":                                    "",
		hex:                                   hex,
		strings.ToUpper(hex):                  hex,
		hex + "  any.tar\n":                   hex,
		hex + " *any.tar":                     hex,
		`\` + hex + `  an\ny`:                 hex,
		"MD5 (any.tar) = " + hex:              hex,
		"MD5(any.tar)= " + hex:                hex,
		other + "  a.tar\n" + hex + "  x.tar": hex,
		other + "  a.tar\r\n" + hex + " *./dir/x.tar\r\n":                                          hex,
		"MD5 (a.tar) = " + other + "\nMD5 (x.tar) = " + hex:                                        hex,
		"# by make\n\n; more\n" + hex:                                                              hex,
		"\ufeff# by make\r\n" + hex + "  any.tar\r\n":                                              hex,
		"#\n" + other + "  a.tar\n#\n" + hex + "  x.tar\n":                                         hex,
		other + "  a.tar\n" + hex + "  z.tar":                                                      hex,
		other + "  z.tar\n" + hex + "  x.tar":                                                      hex,
		hex + "  x.tar\n" + hex + "  sub/x.tar":                                                    hex,
		"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + hex + "  x.tar\n" + other + "  y": hex,
		"SHA256 (x.tar) = " + hex + hex + "\nMD5 (x.tar) = " + hex:                                 hex,
		"MD5 (a (1).tar) = " + other + "\n" + hex + "  x.tar\n":                                    hex,
	} {
		if got, err := parseDigest("md5", text, 16, "/media/x.tar", "/srv/z.tar"); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"\n":                                    "32 hex digits",
		"# nothing\n":                           "32 hex digits",
		"MD4 (x.tar) = " + hex:                  "32 hex digits",
		hex + "  x.tar\n" + other + "  a/x.tar": "2 different digests for x.tar",
		"x":                                     `got "x"`,
		hex[1:]:                                 "32 hex digits",
		hex + hex:                               "32 hex digits",
		"<html>":                                "32 hex digits",
		other + "  a.tar\n" + hex + "  b.tar":   "got 2 lines, none for x.tar",
		hex[2:] + "  x.tar\n" + hex + " y":      "32 hex digits",
	} {
		if got, err := parseDigest("md5", text, 16, "/media/x.tar", "/srv/z.tar"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v, want %s", text, got, err, want)
		}
	}
}
