package iptables

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// in runs a script in a new network namespace, with iptables being one
// of the two backends.
func in(t *testing.T, backend, script string, args ...string) string {
	t.Helper()
	pre := `iptables() { command iptables-` + backend + ` "$@"; }; save() { iptables-` + backend +
		`-save "$@"; }; restore() { iptables-` + backend + `-restore "$@"; }; `
	out, err := exec.Command("unshare",
		append([]string{"-n", "sh", "-ec", pre + script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", backend, err, out)
	}
	return string(out)
}

func backends(t *testing.T) (list []string) {
	for _, b := range []string{"nft", "legacy"} {
		if err := exec.Command("unshare", "-n", "iptables-"+b, "-L", "-n").Run(); err != nil {
			t.Logf("NOT TESTED: iptables-%s cannot be used here: %v", b, err)
			continue
		}
		list = append(list, b)
	}
	if len(list) == 0 {
		t.Skip("NOT TESTED: no iptables here, or no right to a network namespace")
	}
	return list
}

// What we add is what iptables-save then prints, as far as we compare.
func TestRealRules(t *testing.T) {
	rules := []Rule{web, redirect,
		{Chain: "INPUT", Jump: "REJECT"},
		{Chain: "INPUT", Protocol: "udp", DPort: "1000:2000", Jump: "DROP", Comment: "-j ACCEPT"},
		{Chain: "OUTPUT", Protocol: "17", Jump: "ACCEPT", Comment: "plain"},
		{Chain: "FORWARD", InInterface: "veth+", Jump: "ACCEPT", Comment: "größe 'x'"},
		{Table: "nat", Chain: "OUTPUT", Protocol: "tcp", DPort: "80", Jump: "REDIRECT", ToPort: "8000-8010"},
		{Table: "mangle", Chain: "PREROUTING", Protocol: "icmp", Jump: "ACCEPT"},
		{Chain: "INPUT", Comment: "only counts"},
	}
	for _, b := range backends(t) {
		for _, r := range rules {
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			for _, argv := range [][]string{r.Append(), r.Insert()} {
				set, err := Parse(in(t, b, `"$@"; save`, argv...))
				if err != nil {
					t.Fatal(err)
				}
				c := set.Chain(r.Table, r.Chain)
				if c.Index(r) != 0 || len(c.Rules) != 1 {
					t.Errorf("%s: added %q, got %q", b, r, c.Rules)
				}
			}
			add := r.Append()
			del := slices.Replace(slices.Clone(add), 3, 4, "-D")
			gone := in(t, b, strings.Join(quoted(add), " ")+"; "+strings.Join(quoted(del), " ")+"; save")
			if set, err := Parse(gone); err != nil || set.Chain(r.Table, r.Chain).Index(r) >= 0 {
				t.Errorf("%s: not deleted: %v\n%s", b, err, gone)
			}
		}
	}
}

// quoted are words for a shell.
func quoted(words []string) []string {
	list := slices.Clone(words)
	for i, w := range list {
		list[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return list
}

// Both backends read what we save, and then print what we would save again.
func TestRealSave(t *testing.T) {
	const rules = `iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -s 10.0.0.1 ! -i eth1 -p udp -m multiport --dports 1,2 -j REJECT
		iptables -N mine; iptables -A mine -m limit --limit 1/sec -j LOG --log-prefix 'a "b" '; iptables -I INPUT -j mine; iptables -P FORWARD DROP
		iptables -t nat -A PREROUTING -p tcp --dport 80 -m comment --comment "it's \\ here" -j REDIRECT --to-port 8080; `
	texts := map[string]string{}
	for _, b := range backends(t) {
		saved, err := Save(in(t, b, rules+"save -c"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := Save(in(t, b,
			`printf %s "$1" | restore --test; printf %s "$1" | restore; iptables -t mangle -L -n >/dev/null; save -c`, saved))
		if err != nil || again != saved {
			t.Errorf("%s: %v, saved\n%sand then\n%s", b, err, saved, again)
		}
		texts[b] = saved
	}
	if len(texts) == 2 && texts["nft"] != texts["legacy"] {
		t.Errorf("nft:\n%slegacy:\n%s", texts["nft"], texts["legacy"])
	}
}
