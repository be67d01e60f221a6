package scripts

import (
	"strings"
	"testing"
)

const mongoPre = `if ! /usr/bin/id -g mongod &>/dev/null; then
    /usr/sbin/groupadd -r mongod
fi
if ! /usr/bin/id mongod &>/dev/null; then
    /usr/sbin/useradd -M -r -g mongod -d /var/lib/mongo -s /bin/false \
        -c "MongoDB database server" mongod > /dev/null 2>&1
fi
`

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
		{"adduser --system --quiet --group --home /var/lib/r --no-create-home --gecos 'R S' --shell /bin/false redis", "redis", "redis"},
		{"adduser --quiet --system --ingroup web www", "www", ""},
		{"addgroup --system ssl\nadduser postgres ssl\nadduser --group plain", "", "plain ssl"},
		{"", "", ""}, {"'unclosed useradd x", "", ""}, {"\\", "", ""},
	} {
		all := []string{c.script}
		for what, got := range map[string][2]string{
			"users": {strings.Join(Users(all), " "), c.users}, "groups": {strings.Join(Groups(all), " "), c.groups},
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
		{"adduser --system --home /x --no-create-home --shell /bin/sh svc", "nogroup /x /bin/sh"},
		{"adduser --system --group --home-dir=/y svc", " /y "}, {"adduser --system --ingroup web svc", "web  "}, {"adduser svc web", "  "},
		{"useradd -d", "  "}, {"echo svc", "  "},
	} {
		group, home, shell := Account([]string{c.script}, "svc")
		if got := group + " " + home + " " + shell; got != c.want {
			t.Errorf("%q: got %q, want %q", c.script, got, c.want)
		}
	}
}

func TestStarts(t *testing.T) {
	for _, c := range []struct {
		script string
		want   bool
	}{
		{"invoke-rc.d web start || exit 1", true},
		{"if [ -n \"$2\" ]; then\n_dh_action=restart\nelse\n_dh_action=start\nfi\ndeb-systemd-invoke $_dh_action 'web.service' >/dev/null || true", true},
		{"deb-systemd-invoke $other web.service", true},
		{"systemctl try-restart web", true}, {"service web stop", false}, {"invoke-rc.d webby start", false},
		{"update-rc.d web defaults", false}, {"", false},
	} {
		if got := Starts([]string{c.script}, "web"); got != c.want {
			t.Errorf("%q: got %v, want %v", c.script, got, c.want)
		}
	}
}

func FuzzGuesses(f *testing.F) {
	f.Add(mongoPre)
	f.Add("U=x\nuseradd -r $U\n# sysusers\nu z")
	f.Fuzz(func(t *testing.T, script string) {
		all := []string{script}
		Account(all, "x")
		Starts(all, "x")
		for _, names := range [][]string{Users(all), Groups(all)} {
			for _, n := range names {
				if !plainName.MatchString(n) {
					t.Errorf("guessed %q", n)
				}
			}
		}
	})
}
