package builtins

import (
	"strings"
	"testing"
)

// fakeCrontab keeps tables where Debian does.
var fakeCrontab = map[string]string{
	"/usr/bin/crontab": `t=$R/var/$2
grep -q "^$2:" $R/etc/passwd || { echo "crontab:  user '$2' unknown" >&2; exit 1; }
case $3 in
-l) cat $t 2>/dev/null || { echo "no crontab for $2" >&2; exit 1; };;
-) cat > $t;;
esac`,
	"/usr/bin/useradd": `for n; do :; done; echo "$n:x:1001:1001::/home/$n:/bin/sh" >> $R/etc/passwd
echo "$n:x:1001:" >> $R/etc/group; mkdir $R/home/$n`,
	"/usr/bin/vendor": `echo "@reboot /opt/old/bin/supervisord" >> $R/var/nobody`,
}

func TestCron(t *testing.T) {
	m := newMachine(t, fakeCrontab)
	m.write("/var/root", "# mine\nPATH=/bin\n0 5 * * *  backup   now\n")
	m.thrice(`cron('root', '@reboot', '/bin/a 100%')
cron('root', '0 5 * * *', 'backup now')
cron('nobody', '5  4 * * sun', 'b')`)
	want := "# mine\nPATH=/bin\n0 5 * * *  backup   now\n@reboot /bin/a 100\\%\n"
	if got := m.read("/var/root"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := m.read("/var/nobody"); got != "5 4 * * sun b\n" {
		t.Errorf("got %q", got)
	}
}

func TestCronReplaces(t *testing.T) {
	m := newMachine(t, fakeCrontab)
	m.write("/var/root", "@reboot /old/supervisord\n# keep supervisord\n@reboot /old/supervisord -n\n")
	_, real := m.thrice(`cron("root", "@reboot", "/new/supervisord -c /x", match = "supervisord")`)
	if got := m.read("/var/root"); got != "# keep supervisord\n@reboot /new/supervisord -c /x\n" {
		t.Errorf("got %q\n%s", got, eventTexts(real))
	}
}

// A line that an earlier step of the same run put there, or replaced.
func TestCronTwice(t *testing.T) {
	m := newMachine(t, fakeCrontab)
	m.write("/var/root", "@reboot /old/supervisord\n")
	_, real := m.twice(`cron("root", "@reboot", "/a/supervisord", match = "supervisord")
cron("root", "@reboot", "/b/supervisord", match = "supervisord")
cron("root", "@reboot", "/a/supervisord")`)
	m.shows(strings.Join(eventTexts(real), ""), "[{line @reboot /a/supervisord @reboot /b/supervisord}]")
	if got := m.read("/var/root"); got != "@reboot /b/supervisord\n@reboot /a/supervisord\n" {
		t.Errorf("got %q", got)
	}
}

// The crontab of a user that only the dry run made.
func TestCronOfPredictedUser(t *testing.T) {
	m := newMachine(t, fakeCrontab)
	m.write("/etc/skel/.bashrc", "x")
	m.fails(`cron("app", "@daily", "x")`, `make it first: useradd("app")`)
	m.write("/usr/bin/useradd", fakeCrontab["/usr/bin/useradd"]+"; cp $R/etc/skel/.bashrc $R/home/$n")
	m.write("/usr/bin/getent", "exit 2")
	m.thrice("useradd('app', shell = '/bin/sh')\ncron('app', '@daily', 'x')")
}

// What a vendor's command does to a crontab a dry run cannot know: it assumes,
// and the real run corrects it.
func TestCronAfterUnknownChange(t *testing.T) {
	m := newMachine(t, fakeCrontab)
	body := `run(["vendor"], touches = ["crontab:nobody"], once = "v")
cron("nobody", "@reboot", "/new/supervisord", match = "supervisord")`
	dry, err := m.dry(body + "\ncron('nobody', '@daily', 'x', match = 'supervisord')")
	if n := strings.Count(strings.Join(guesses(dry), ""), "crontab:nobody"); err != nil || n != 2 {
		t.Errorf("got %v, %v, want a guess for each line", guesses(dry), err)
	}
	if _, err := m.real(body); err != nil || m.read("/var/nobody") != "@reboot /new/supervisord\n" {
		t.Errorf("got %q, %v", m.read("/var/nobody"), err)
	}
}

func TestCronRefuses(t *testing.T) {
	m := newMachine(t, fakeCrontab)
	m.fails(`cron("root", "61 * * * *", "x")`, "minute")
	m.fails(`cron("root", "@reboot", "a\nb")`, "control character")
	m.fails(`cron("-u", "@reboot", "a")`, "want an account")
}
