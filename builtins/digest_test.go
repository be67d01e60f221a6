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
		other + "  a.tar\r\n" + hex + " *./dir/x.tar\r\n":       hex,
		"MD5 (a.tar) = " + other + "\nMD5 (x.tar) = " + hex:     hex,
		"MD5 (a (1).tar) = " + other + "\n" + hex + "  x.tar\n": hex,
	} {
		if got, err := parseDigest("md5", text, "/media/x.tar", 16); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"\n":                                  "32 hex digits",
		"x":                                   `got "x"`,
		hex[1:]:                               "32 hex digits",
		hex + hex:                             "32 hex digits",
		"<html>":                              "32 hex digits",
		other + "  a.tar\n" + hex + "  b.tar": "got 2 lines, none for x.tar",
		hex[2:] + "  x.tar\n" + hex + " y":    "32 hex digits",
	} {
		if got, err := parseDigest("md5", text, "/media/x.tar", 16); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v, want %s", text, got, err, want)
		}
	}
}
