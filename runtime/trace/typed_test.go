package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func TestCommands(t *testing.T) {
	var b strings.Builder
	for _, s := range Commands(sample(RealRun), "/var/lib/runbook") {
		fmt.Fprintf(&b, "== %s\n%s\n-- checks\n%s\n-- failed: %s\n", s.Step,
			strings.Join(s.Commands, "\n"), strings.Join(s.Checks, "\n"), s.Failed)
	}
	golden(t, "typed.txt", []byte(b.String()))
}

// What an effect of an op is for people.
func TestCommandsOfEffects(t *testing.T) {
	type detail = map[string]any
	long := strings.Repeat("line\n", 20)
	for _, row := range []struct {
		op     Event
		effect Event
		want   []string
	}{
		{Event{}, Event{Call: "mkdir", Path: "/srv/a b", Detail: detail{"mode": "0750", "owner": "a", "group": "g"}}, []string{"install -d -m 0750 -o a -g g '/srv/a b'"}},
		{Event{}, Event{Call: "write", Path: "/var/lib/runbook/once/x.json", Detail: detail{"text": "x"}}, nil},
		{Event{}, Event{Call: "write", Path: "/etc/x", Detail: detail{"text": "a\n", "mode": "0644"}}, []string{"cat >/etc/x <<'EOF'", "a", "EOF"}},
		{Event{}, Event{Call: "write", Path: "/etc/x", Detail: detail{"text": "a\x1b[2J\n", "mode": "0600", "owner": "u"}}, []string{"cat >/etc/x <<'EOF'", `a\x1b[2J`, "EOF", "chmod 0600 /etc/x", "chown u /etc/x"}},
		{Event{}, Event{Call: "write", Path: "/etc/x", Detail: detail{"text": "pw <secret:db>\n", "mode": "0600"}}, []string{"install -m 0600 /dev/null /etc/x", "cat >/etc/x <<EOF", "pw ${DB}", "EOF"}},
		{Event{}, Event{Call: "write", Path: "/etc/x", Detail: detail{"text": long}}, slices.Concat([]string{"cat >/etc/x <<'EOF'"}, strings.Split(strings.TrimSpace(long), "\n")[:typedHead], []string{"[12 more lines]", "EOF"})},
		{Event{}, Event{Call: "write", Path: "/etc/x", Detail: detail{"sha256": "ab"}}, []string{"# /etc/x is written; its text is not known before the run"}},
		{Event{Op: "line", Changes: []host.Change{{What: "line", To: "a $x"}}}, Event{Call: "write", Path: "/etc/x", Detail: detail{"text": "o\na $x\n"}}, []string{"echo 'a $x' >>/etc/x"}},
		{Event{Op: "line", Changes: []host.Change{{What: "line", From: "old", To: "new"}}}, Event{Call: "write", Path: "/etc/x"}, []string{"# in /etc/x, put in the place of the line: old", "# new"}},
		{Event{Op: "iptables.save"}, Event{Call: "write", Path: "/etc/sysconfig/iptables", Detail: detail{"text": "*nat\n"}}, []string{"iptables-save >/etc/sysconfig/iptables"}},
		{Event{Op: "copy", Args: detail{"src": "/a"}}, Event{Call: "write", Path: "/b", Detail: detail{"mode": "0644"}}, []string{"install -m 0644 /a /b"}},
		{Event{Op: "download", Args: detail{"url": "https://x/y", "dest": "/d/b", "sha256": "ab  y"}}, Event{Call: "tree", Path: "/d", Detail: detail{"files": 1, "owner": "u"}},
			[]string{"curl -fL -C - -o /d/b https://x/y", "chown u /d/b", "echo 'ab  /d/b' | sha256sum -c"}},
		{Event{Op: "extract", Args: detail{"archive": "/x.tar", "strip_components": 2, "only": []string{"*.rpm"}, "keep_existing": true, "md5": "cd"}}, Event{Call: "tree", Path: "/b"},
			[]string{"echo 'cd  /x.tar' | md5sum -c", "tar -xf /x.tar -C /b --strip-components=2 --skip-old-files --wildcards '*/*.rpm'"}},
		{Event{Op: "mirror", Args: detail{"channels": []string{"https://c/a", "file:///b"}, "dest": "/srv", "link": true}}, Event{Call: "tree", Path: "/srv/a", Detail: detail{"owner": "u"}},
			[]string{"runbook run mirror.star --var channels=https://c/a,file:///b --var dest=/srv --var link=true \\", "    --var owner=u"}},
		{Event{}, Event{Call: "meta", Path: "/b", Detail: detail{"files": 3, "owner": "u", "group": "g"}}, []string{"chown -R u:g /b"}},
		{Event{}, Event{Call: "exec", User: "u", Argv: []string{"a", "-p", "<secret:pw>"}, Detail: detail{"env": map[string]string{"X": "1 2"}}}, []string{"su - u", "export X='1 2'", `a -p "$PW"`, "exit"}},
		{Event{}, Event{Call: "exec", User: "root", Argv: []string{"a"}, Detail: detail{"env": map[string]string{"X": "1"}}}, []string{"X=1 a"}},
		{Event{}, Event{Call: "exec", Argv: []string{"crontab", "-"}, Stdin: "x", Detail: detail{"text": "@reboot y\n"}}, []string{"crontab - <<'EOF'", "@reboot y", "EOF"}},
		{Event{}, Event{Call: "exec", Argv: []string{"a", "b\nc", "\x1b"}}, []string{"a 'b", `c' "$(printf '\033')"`}},
		{Event{}, Event{Call: "symlink", Path: "/b", Detail: detail{"target": "a"}}, []string{"ln -s a /b"}},
		{Event{}, Event{Call: "remove", Path: "/b"}, []string{"rm -r /b"}},
		{Event{}, Event{Call: "move", Detail: detail{"from": "/a", "to": "/b"}}, []string{"mv /a /b"}},
	} {
		row.op.Kind, row.effect.Kind = Op, Effect
		events := []Event{{Kind: Run, Run: &RunInfo{User: Person{Name: "root"}}}, {Kind: Step, State: Begin}, row.op, row.effect}
		for _, events := range [][]Event{events, read(t, written(t, events))} { // as they are, and from a file
			if have := Commands(events, "/var/lib/runbook")[0].Commands; !slices.Equal(have, row.want) {
				t.Errorf("%v: got\n%s\nwant\n%s", row.effect, strings.Join(have, "\n"), strings.Join(row.want, "\n"))
			}
		}
	}
}
