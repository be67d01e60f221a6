package secret

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"runbook/runtime/host"
)

// What each view shows.
func TestMask(t *testing.T) {
	v := NewPlaceholders().Vault(map[string]string{"pw": "anaconda", "key": "-- begin --\nline of the key\nend\n", "token": `a\b/c d`, "odd": "secret"}, "mkdir /opt/anaconda", false)
	for _, c := range []struct{ text, all, public string }{
		{"is anaconda.", "is <secret:pw>.", "is anaconda."},
		{v.Of("pw"), "<secret:pw>", "<secret:pw>"},
		{"<secret:pw> secret", "<secret:pw> <secret:odd>", "<secret:pw> <secret:odd>"}, // what hides is not hidden
		{"-- begin --\nline of the key\nend\n", "<secret:key>", "<secret:key>"},
		{"has line of the key, end", "has <secret:key>, end", "has <secret:key>, end"},
		{"get http://h/a%5Cb%2Fc%20d/", "get http://h/<secret:token>/", "get http://h/<secret:token>/"},
		{"get http://h/a/b/c%20d/", "get http://h/<secret:token>/", "get http://h/<secret:token>/"}, // as RedactURL shows it
		{`{"t": "a\\b/c d"}`, `{"t": "<secret:token>"}`, `{"t": "<secret:token>"}`},
	} {
		if got := v.Show(c.text); got != c.all {
			t.Errorf("%q: got %q, want %q", c.text, got, c.all)
		}
		if got := v.Public().Show(c.text); got != c.public {
			t.Errorf("%q in public text: got %q, want %q", c.text, got, c.public)
		}
	}
	if line, err := v.Resolve(string(v.Mask([]byte("has line of the key")))); err != nil || line != "has line of the key" {
		t.Errorf("a line of a secret became %q, %v", line, err)
	}
}

// What each verb does with a placeholder that is whole, cut, or of a secret without a value.
func TestResolve(t *testing.T) {
	p := NewPlaceholders()
	pw, other := p.Of("pw"), p.Of("other")
	real, dry := p.Vault(map[string]string{"pw": `a"b/c`}, "", false), p.Vault(map[string]string{"pw": `a"b/c`}, "", true)
	quotable, _ := Quotable(pw)
	for _, c := range []struct{ text, real, dry, err string }{
		{"none", "none", "none", ""},
		{"is " + pw, `is a"b/c`, "is " + pw, ""},
		{quotable, `a\"b/c`, quotable, ""},
		{other, "", other, "secret other was not asked for"},
		{pw[:20], "", "", "a secret's text was cut or changed"},
		{"x" + strings.ToUpper(pw), "", "", "a secret's text was cut or changed"},
	} {
		got, err := real.Resolve(c.text)
		if err == nil && got != c.real || fmt.Sprint(err) != cmp.Or(c.err, "<nil>") {
			t.Errorf("%q: got %q, %v, want %q, %s", c.text, got, err, c.real, c.err)
		}
		if got, err := dry.Resolve(c.text); err == nil && got != c.dry || (err == nil) != (c.dry != "") {
			t.Errorf("%q, predicted: got %q, %v, want %q", c.text, got, err, c.dry)
		}
		if c.dry == "" && (real.Show(c.text) != "<secret>" || !real.Damaged() || real.Damaged()) {
			t.Errorf("%q: got %q, want damage to be seen once", c.text, real.Show(c.text))
		}
	}
	for _, v := range []*Vault{real, dry} { // servers are asked in a dry run, too
		r, err := v.ResolveRequest(host.Request{URL: "http://h/" + pw, Bearer: pw})
		if err != nil || r.URL != `http://h/a%22b%2Fc` || r.Bearer != `a"b/c` {
			t.Errorf("got %+v, %v", r, err)
		}
	}
}

// A secret in a value of whatever type is shown as its name.
func TestShowValueOfAnyType(t *testing.T) {
	type named string
	p := NewPlaceholders()
	v := p.Vault(map[string]string{"pw": "correct-horse"}, "", false)
	for _, value := range []any{
		"correct-horse", named("correct-horse"), []named{"correct-horse"}, map[string][]string{"a": {"correct-horse"}},
		[]map[string]any{{"correct-horse": 1}}, struct{ A string }{"correct-horse"}, &struct{ A []named }{[]named{"correct-horse"}}, []any{p.Of("pw")},
	} {
		text, err := json.Marshal(v.ShowValue(value))
		if err != nil || strings.Contains(string(text), "horse") || !strings.Contains(string(text), "secret:pw") {
			t.Errorf("%T: got %s, %v", value, text, err)
		}
	}
	for _, value := range []any{nil, 1, true, 2.5, []int{1, 2}} {
		if have := v.ShowValue(value); !reflect.DeepEqual(have, value) {
			t.Errorf("%v: got %v", value, have)
		}
	}
}
