package runtime

import "testing"

// What is hidden of a secret where it may not be seen, and what of the runbook's own texts.
func TestMask(t *testing.T) {
	ss := newSecrets().with(map[string]string{"pw": "anaconda", "key": "-- begin --\nline of the key\nend\n", "token": `a\b/c d`, "odd": "secret"}, "mkdir /opt/anaconda")
	for _, c := range []struct{ text, all, own string }{
		{"is anaconda.", "is <secret:pw>.", "is anaconda."},
		{ss.mark("pw", ""), "<secret:pw>", "<secret:pw>"},
		{"<secret:pw> secret", "<secret:pw> <secret:odd>", "<secret:pw> <secret:odd>"}, // what hides is not hidden
		{"-- begin --\nline of the key\nend\n", "<secret:key>", "<secret:key>"},
		{"has line of the key, end", "has <secret:key>, end", "has <secret:key>, end"},
		{"get http://h/a%5Cb%2Fc%20d/", "get http://h/<secret:token>/", "get http://h/<secret:token>/"},
		{"get http://h/a/b/c%20d/", "get http://h/<secret:token>/", "get http://h/<secret:token>/"}, // as RedactURL shows it
		{`{"t": "a\\b/c d"}`, `{"t": "<secret:token>"}`, `{"t": "<secret:token>"}`},
	} {
		if got := ss.redact(c.text); got != c.all {
			t.Errorf("%q: got %q, want %q", c.text, got, c.all)
		}
		if got := ss.ownTexts().redact(c.text); got != c.own {
			t.Errorf("%q of the runbook's own: got %q, want %q", c.text, got, c.own)
		}
	}
	if _, err := ss.resolve(string(ss.mask([]byte("has line of the key"))), asIs); err == nil {
		t.Error("a line of a secret was taken for all of it")
	}
}
