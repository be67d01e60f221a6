package secret

import (
	"encoding/base64"
	"math/rand"
	"strings"
	"testing"
)

// What programs print of a secret shows its name. The texts are what Python 3.11, bash 5.2, perl, jq, node, od and curl
// print.
func TestForms(t *testing.T) {
	for value, outputs := range map[string][]string{
		`Pa\ss"w0rd`: {
			`'Pa\\ss"w0rd'`, `b'Pa\\ss"w0rd'`, `"Pa\\ss\"w0rd"`, `Pa%5Css%22w0rd`, `pw=Pa%5css%22w0rd`, `Pa\ss&quot;w0rd`, `Pa\ss&#34;w0rd`,
			`+ true 'Pa\ss"w0rd'`, `declare -x X="Pa\\ss\"w0rd"`, `"{\"a\":\"Pa\\\\ss\\\"w0rd\"}"`, `50615c73732277307264`, `50 61 5c 73 73 22 77 30 72 64`,
		},
		"it's-s3cret": {
			`"it's-s3cret"`, `'it\'s-s3cret'`, `+ true 'it'\''s-s3cret'`, `'it'"'"'s-s3cret'`, `it\'s-s3cret`, `it\'s\-s3cret`, `it's\-s3cret`,
			`it%27s-s3cret`, `it&#x27;s-s3cret`, `it&#39;s-s3cret`, `it&apos;s-s3cret`, `'it''s-s3cret'`,
		},
		"ünïc-pass☃😀": {
			`'\xfcn\xefc-pass\u2603\U0001f600'`, `"\u00fcn\u00efc-pass\u2603\ud83d\ude00"`, `b'\xc3\xbcn\xc3\xafc-pass\xe2\x98\x83\xf0\x9f\x98\x80'`,
			`%C3%BCn%C3%AFc-pass%E2%98%83%F0%9F%98%80`, `%c3%bcn%c3%afc-pass%e2%98%83%f0%9f%98%80`, `ünïc\-pass☃😀`,
			`+ true $'\303\274n\303\257c-pass\342\230\203\360\237\230\200'`, `c3bc6ec3af632d70617373e29883f09f9880`, `C3BC6EC3AF632D70617373E29883F09F9880`,
		},
		"a b&c=d/e+f?#%$": {
			`a%20b%26c%3Dd/e%2Bf%3F%23%25%24`, `a+b%26c%3Dd%2Fe%2Bf%3F%23%25%24`, `a%20b%26c%3Dd%2Fe%2Bf%3F%23%25%24`, `a%20b&c=d/e+f?#%25$`,
			`a\ b\&c\=d\/e\+f\?\#\%\$`, `a\ b\&c=d/e\+f\?\#%\$`, `a\ b\&c=d/e+f\?#%\$`, `a b&amp;c=d/e+f?#%$`, `a b&c=d/e+f?#%%$`, `"a b\u0026c=d\/e+f?#%$"`,
		},
		"tab\there\x1b[0m": {`'tab\there\x1b[0m'`, `"tab\there\u001b[0m"`, `+ true $'tab\there\E[0m'`, `tab%09here%1B%5B0m`},
	} {
		v := NewPlaceholders().Vault(map[string]string{"pw": value}, "", false)
		for _, out := range outputs {
			shown := v.Show(out)
			if before, after, ok := strings.Cut(shown, "<secret:pw>"); !ok || len(before) > 18 || len(after) > 4 {
				t.Errorf("%s: got %s", out, shown)
			}
			if back, err := v.Resolve(string(v.Mask([]byte(out)))); err != nil || back != out {
				t.Errorf("%s: masked and resolved it is %s, %v", out, back, err)
			}
		}
	}
}

// Base64 hides a secret wherever it stands in what is encoded.
func TestBase64(t *testing.T) {
	values := []string{"pass", "longsecretvalue9", "ünïc-pass", strings.Repeat("0123456789abcdef", 20), "five5", "sixsix"}
	for _, value := range values {
		v := NewPlaceholders().Vault(map[string]string{"pw": value}, "", false)
		for _, before := range []string{"", "u", "u:", "abc", "user:"} {
			for _, after := range []string{"", "\n", "@", "more"} {
				for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
					shown := v.Show("Basic " + e.EncodeToString([]byte(before+value+after)))
					// A character holds six bits: what stays has at most a part of the first and of the last byte.
					if rest := strings.ReplaceAll(shown, "<secret:pw>", ""); len(rest) > 6+4*(len(before)+len(after)+4)/3 || rest == shown {
						t.Errorf("%q %q %q: got %s", before, value, after, shown)
					}
				}
			}
		}
	}
}

// Long pieces of a secret are hidden, as they are and encoded; what is public is not.
func TestPieces(t *testing.T) {
	value := "-----BEGIN PUBLIC-----\nZqlongSecretValue-0123456789-abcdefghij-KLMNOPQRST-0123456789876543210"
	v := NewPlaceholders().Vault(map[string]string{"pw": value}, "-----BEGIN PUBLIC-----", false)
	encoded := base64.StdEncoding.EncodeToString([]byte("user:" + value + "\n"))
	for text, want := range map[string]string{
		"x ZqlongSecretValue-01":       "x <secret:pw>",
		"x ZqlongSecretV y":            "x ZqlongSecretV y", // shorter than a piece
		"3456789-abcdefghij-KLM, more": "<secret:pw>, more",
		"of BEGIN PUBLIC----":          "of BEGIN PUBLIC----",
		encoded[8:40] + "\n" + encoded[40:80] + "\n" + encoded[80:108]: "<secret:pw>\n<secret:pw>\n<secret:pw>",
		"nothing of it, though it is quite long":                       "nothing of it, though it is quite long",
	} {
		if got := v.Show(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if got := v.Public().Show(text); got != text && text[0] != '-' {
			t.Errorf("%q: in public text it is %q", text, got)
		}
	}
}

// Mask is undone by Resolve, whatever stands beside a secret: what is read and written again is the same.
func TestMaskResolve(t *testing.T) {
	values := map[string]string{"a": "Zq7\"it's\\ `$(id)`", "b": "-----BEGIN k-----\nMIIBsomething\n-----END k-----", "c": "<secret:a>", "d": "ünïc-☃", "e": "aaaa"}
	v := NewPlaceholders().Vault(values, "", false)
	r := rand.New(rand.NewSource(1))
	pieces := []string{"a", "\\", "\n", "'", "aaa", "=", "<secret:", ">", "0", " "}
	for _, f := range v.forms {
		pieces = append(pieces, f.text)
	}
	for range 3000 {
		var text strings.Builder
		for range 1 + r.Intn(5) {
			text.WriteString(pieces[r.Intn(len(pieces))])
		}
		back, err := v.Resolve(string(v.Mask([]byte(text.String()))))
		if err != nil || back != text.String() {
			t.Fatalf("%q became %q, %v", text.String(), back, err)
		}
	}
}

// However output comes, no secret is cut by what is passed on.
func TestWriter(t *testing.T) {
	values := map[string]string{"a": "Zq7-first-value", "b": "one\ntwo\nthree\nfour"}
	r := rand.New(rand.NewSource(1))
	for round := range 300 {
		v := NewPlaceholders().Vault(values, "", false)
		long := strings.Repeat("x", 70000*(round%2))
		text := "begin " + long + values["a"] + "\none\n" + values["b"] + "\n" + long[:len(long)/3] + values["b"] + values["a"] + "\ntwo"
		var out strings.Builder
		w := &Writer{W: &out, Vault: v}
		for rest := text; rest != ""; {
			n := min(len(rest), 1+r.Intn(1+len(rest)/(1+r.Intn(20))))
			w.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		w.Flush()
		if want := v.Show(text); out.String() != want {
			t.Fatalf("got %d bytes, want %d: %.200s", out.Len(), len(want), strings.ReplaceAll(out.String(), "x", ""))
		}
	}
}
