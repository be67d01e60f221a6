package rpm

import (
	"strings"
	"testing"
)

func TestGuesses(t *testing.T) {
	for _, c := range []struct{ script, users, groups string }{
		{mongoPre, "mongod", "mongod"},
		{"getent passwd redis >/dev/null || useradd -r -M -s /bin/false redis\n", "redis", ""},
		{"useradd -c 'a b; c' -d /x --shell /bin/sh --gid g1 --system -G a,b svc", "svc", ""},
		{"U=nginx\nG=\"web\"\n/usr/sbin/groupadd -f -r ${G} 2>/dev/null || :\nuseradd -rg $G $U 2> log", "nginx", "web"},
		{"useradd $UNKNOWN; useradd \"$(id -un)\"", "", ""},
		{"# useradd nobody2\necho useradd x", "", ""},
		{"useradd -r \\\n  -s /bin/false \\\n  tomcat && echo done", "tomcat", ""},
		{"systemd-sysusers --replace=/usr/lib/sysusers.d/a.conf - <<EOF\ng data 55\nu apache 48 \"Apache\" /usr/share/httpd\nEOF\n", "apache", "data"},
		{"", "", ""}, {"'unclosed useradd x", "", ""}, {"\\", "", ""},
	} {
		p := &Package{Scripts: []string{c.script}}
		for what, got := range map[string][2]string{
			"users": {strings.Join(p.Users(), " "), c.users}, "groups": {strings.Join(p.Groups(), " "), c.groups},
		} {
			if got[0] != got[1] {
				t.Errorf("%q: %s: got %q, want %q", c.script, what, got[0], got[1])
			}
		}
	}
}

func TestAccount(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"useradd -r -M -s /bin/false svc", "  /bin/false"},
		{"useradd -c 'a b; c' -d /x --shell /bin/sh --gid g1 --system -G a,b svc", "g1 /x /bin/sh"},
		{"G=web\nuseradd -rg $G --home-dir=/srv/x svc", "web /srv/x "},
		{"useradd -gweb -d/x svc", "web /x "},
		{"useradd -g other -d /y another; useradd svc", "  "},
		{"useradd -d", "  "}, {"echo svc", "  "},
	} {
		p := &Package{Scripts: []string{c.script}}
		group, home, shell := p.Account("svc")
		if got := group + " " + home + " " + shell; got != c.want {
			t.Errorf("%q: got %q, want %q", c.script, got, c.want)
		}
	}
}

func FuzzGuesses(f *testing.F) {
	f.Add(mongoPre)
	f.Add("U=x\nuseradd -r $U\n# sysusers\nu z")
	f.Fuzz(func(t *testing.T, script string) {
		p := &Package{Scripts: []string{script}}
		for _, names := range [][]string{p.Users(), p.Groups()} {
			for _, n := range names {
				if !plainName.MatchString(n) {
					t.Errorf("guessed %q", n)
				}
			}
		}
	})
}
