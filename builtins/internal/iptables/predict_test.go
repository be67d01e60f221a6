package iptables

import (
	"strings"
	"testing"
)

func TestPredict(t *testing.T) {
	http := Rule{Chain: "INPUT", Protocol: "tcp", DPort: "80", Jump: "ACCEPT", Comment: "a b"}
	line := `-A INPUT -p tcp -m tcp --dport 80 -m comment --comment "a b" -j ACCEPT`
	empty := "*filter\n:FORWARD ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	one := empty + "-A FORWARD -j DROP\n-A INPUT -j DROP\nCOMMIT\n"
	for _, c := range []struct {
		text string
		rule Rule
		add  func(string, Rule) (string, error)
		want string
	}{
		{"", http, Inserted, empty + line + "\nCOMMIT\n"},
		{"", http, Appended, empty + line + "\nCOMMIT\n"},
		{one, http, Inserted, empty + "-A FORWARD -j DROP\n" + line + "\n-A INPUT -j DROP\nCOMMIT\n"},
		{one, http, Appended, empty + "-A FORWARD -j DROP\n-A INPUT -j DROP\n" + line + "\nCOMMIT\n"},
		{one, Rule{Table: "raw", Chain: "OUTPUT", Jump: "REJECT"}, Inserted,
			one + "*raw\n:OUTPUT ACCEPT [0:0]\n:PREROUTING ACCEPT [0:0]\n-A OUTPUT -j REJECT --reject-with icmp-port-unreachable\nCOMMIT\n"},
	} {
		have, err := c.add(c.text, c.rule)
		if err != nil || have != c.want {
			t.Errorf("%v: got\n%s, %v, want\n%s", c.rule, have, err, c.want)
		}
		set, err := Parse(have)
		if err != nil || set.Chain(c.rule.Table, c.rule.Chain).Index(c.rule) < 0 {
			t.Errorf("%v is not in\n%s, %v", c.rule, have, err)
		}
	}
	two := empty + "-A FORWARD -j DROP\n" + line + "\n-A INPUT -j DROP\n" + line + "\nCOMMIT\n"
	for text, want := range map[string]string{two: strings.Replace(two, line+"\n", "", 1), one: one} {
		if have, err := Deleted(text, http); err != nil || have != want {
			t.Errorf("got\n%s, %v, want\n%s", have, err, want)
		}
	}
	if _, err := Inserted("*filter\n", http); err == nil {
		t.Error("want an error for a text that ends early")
	}
}

// The quoting of xtables_save_string.
func TestSaved(t *testing.T) {
	for s, want := range map[string]string{"foo_b-1": "foo_b-1", "a:b": `"a:b"`, `x'y"\`: `"x\'y\"\\"`} {
		if have := saved(s); have != want {
			t.Errorf("got %s, want %s", have, want)
		}
		if words := split(saved(s)); strings.Join(words, "|") != s {
			t.Errorf("got %q, want %q", words, s)
		}
	}
}
