package builtins

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runbook/runtime/trace"
)

func TestRun(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/usr/bin/make":  `echo "$@" "$X" $(cat) > $R/srv/made`,
		"/usr/bin/init":  `mkdir -p $R/srv/db`,
		"/usr/bin/check": `[ -e $R/srv/checked ]`,
		"/usr/bin/touch": `exec /usr/bin/touch $R$1`,
		"/usr/bin/user":  `[ -e $R/srv/user ] && { echo "user $1 already exists" >&2; exit 3; }; : > $R/srv/user`,
	})
	m.thrice(`run("make 'a b' c", creates = "/srv/made", env = {"X": "1"}, stdin = "in")
run(["init"], creates = "/srv/db/")
run(["mkdir", "-p", "` + m.root + `/srv/dir"], creates = "/srv/dir")
run(["touch", "/srv/checked"], unless = "check it")
run(["make", "again"], once = "again")`)
	if got := m.read("/srv/made"); got != "again\n" && !strings.HasPrefix(got, "again") {
		t.Errorf("got %q", got)
	}
	m.shows(m.read("/var/state/once/again.json"), `"once":"again","argv_sha256":"`)
	for range 2 {
		if _, err := m.real(`run(["user", "bob"], already = "already exists")`); err != nil {
			t.Error(err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	m := newMachine(t, nil)
	m.fails(`run("a 'b")`, "balanced quotes")
	m.fails(`run([])`, "want a command")
	m.fails(`run("a", creates = "b")`, "want an absolute one")
	m.fails(`run("a", once = "../x")`, "want letters")
	m.fails(`run("a", touches = ["b"])`, "the kinds are")
	m.fails(`run("a", touches = ["nothing:b"])`, "the kinds are")
	m.fails(`run("a", already = "(")`, "missing closing")
	m.fails(`run("a", user = "none")`, `useradd("none")`)
	m.fails(`run("a", unless = "/no/such/program")`, "unless /no/such/program")
}

// A command that says it makes something and does not is a failure.
func TestRunIsVerified(t *testing.T) {
	m := newMachine(t, nil)
	_, err := m.real(`run("true", creates = "/srv/made")`)
	if err == nil || !strings.Contains(err.Error(), "did not take effect") {
		t.Errorf("got %v", err)
	}
}

// What a command left when it was cut off does not count as done, unless it may
// have gone on without the run that began it.
func TestRunCutOff(t *testing.T) {
	const boot, body = "/proc/sys/kernel/random/boot_id", `run(["make"], creates = "/srv/made")`
	marker := newBegun("/var/state", "/srv/made").file
	m := newMachine(t, map[string]string{
		boot:            "monday\n",
		"/usr/bin/make": `echo half > $R/srv/made; cp $R/var/state/begun/* $R/srv/begun; exit $(cat $R/srv/code)`,
		"/srv/code":     "1",
	})
	play := func(outcome trace.Outcome, reason string) {
		t.Helper()
		events, err := m.real(body)
		i := slices.IndexFunc(events, func(e trace.Event) bool { return e.Kind == trace.Result })
		if i < 0 || events[i].Outcome != outcome {
			t.Errorf("got %v, want %s", eventTexts(events), outcome)
		}
		if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
			t.Errorf("got %v, want %s", err, reason)
		}
	}
	remove := func(name string) { m.must(os.Remove(filepath.Join(m.root, name))) }

	play(trace.Failed, "exit status 1")
	play(trace.Failed, "may be half made")
	m.write("/srv/code", "0")
	m.fails(body, "to keep it remove /var/state/begun/")
	remove("/srv/made")
	play(trace.Changed, "")
	play(trace.Same, "")

	if left, _ := filepath.Glob(m.root + "/var/state/begun/*"); len(left) > 0 {
		t.Errorf("after success there is %s", left)
	}
	m.write(marker, m.read("/srv/begun")) // as if the run had been killed
	m.thrice(body)
	m.write(marker, m.read("/srv/begun"))
	m.write(boot, "tuesday\n")
	play(trace.Failed, "may be half made")
	remove(marker)
	play(trace.Same, "")
	m.write(marker, m.read("/srv/begun"))
	remove("/srv/made")
	m.thrice(body)
}

// What a command touches a dry run does not know any more.
func TestRunTouches(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/t/done": "", "/usr/bin/check": "exit 0"})
	dry, err := m.dry(`run("x", touches = ["/srv/t", "port:8080"])
run("y", creates = "/srv/t/done")
run("z", unless = "check /srv/t/done")
wait_for(port = 8080)`)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []trace.Outcome
	for _, e := range dry {
		if e.Kind == trace.Result {
			outcomes = append(outcomes, e.Outcome)
			if len(outcomes) > 1 && len(e.Assumed) == 0 {
				t.Errorf("%s: nothing assumed", e.Target)
			}
		}
	}
	if got := outcomes; len(got) != 4 || got[1] != trace.Changed || got[2] != trace.Changed || got[3] != trace.Same {
		t.Errorf("got %v", got)
	}
}

func TestQuery(t *testing.T) {
	m := newMachine(t, map[string]string{"/usr/bin/ask": `echo "$1-$X-$(cat)"; echo err >&2; exit $2`})
	body := `a = query("ask 'a b' 3", ok = [0, 3], env = {"X": "y"}, stdin = "in")
if a.code != 3 or a.stdout != "a b-y-in\n" or a.stderr != "err\n": fail(str(a))`
	if _, err := m.dry(body); err != nil {
		t.Error(err)
	}
	if _, err := m.real(body); err != nil {
		t.Error(err)
	}
	m.fails(`query("ask a 3")`, "ok=[0, 3]")
	m.fails(`query("no-such-program")`, "executable file not found")
}

func TestQueryAfterChange(t *testing.T) {
	m := newMachine(t, map[string]string{"/usr/bin/ask": `cat $R$1`, "/srv/a": "old"})
	touching := "run('x', touches = ['/srv/a'])\n"
	m.failsDry(touching+`query("ask /srv/a")`, "assume=")
	for _, assume := range []string{`"new"`, `{"stdout": "new", "code": 0}`} {
		dry, err := m.dry(touching + `if query("ask /srv/a", assume = ` + assume + `).stdout != "new": fail("old")
run('y')`)
		if err != nil {
			t.Errorf("%s: %v, %v", assume, err, eventTexts(dry))
		}
	}
	m.fails(`query("ask /srv/a", assume = {"out": "new"})`, "want code, stdout or stderr")
}
