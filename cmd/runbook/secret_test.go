package main

import (
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

// canary is in every secret of these tests and in nothing else.
const canary = "Zq7"

// canaries are secrets that quoting, escaping, searching or printing could get wrong.
var canaries = map[string]string{
	"plain":      "Zq7correct-horse",
	"short":      "Zq7!",
	"quotes":     `Zq7"it's\ "` + "`$(id)`",
	"percent":    "Zq7%s%d%n%20%",
	"pattern":    `Zq7.*+?[(^$|)]{2}\d`,
	"unicode":    "Zq7žluťoučký☃\u202e",
	"lines":      "-----BEGIN Zq7-----\nMIIBZq7\nZq7==\n-----END Zq7-----",
	"address":    "Zq7/a b?c=d&e#f:@+",
	"markup":     "<Zq7>&amp;</Zq7>",
	"tabs":       "Zq7\tZq7\r\x1b[31mZq7",
	"backslash":  `Zq7\n\x41Z\\`,
	"json":       `{"Zq7": ["Zq7", null]}`,
	"inner mark": "<secret:Zq7#000000000000000000000000>",
}

// sinks is a runbook that puts a secret wherever one may be put, and has every step go wrong that mentions one.
const sinks = `
pw = secret("pw")
url = "http://127.0.0.1:8099"

def good():
    mkdir("/srv/out", mode = 0o700)
    run(["sh", "-c", "cat >/srv/out/stdin"], stdin = pw)
    run(["sh", "-c", 'printf %s "$PW" >/srv/out/env; printf "%s\\n" "$PW"; printf "it is %s\\n" "$PW" >&2'], env = {"PW": pw})
    run(["sh", "-c", 'printf %s "$1" >/srv/out/argv; printf "%s\\n" "$1"', "sh", "" + pw])
    write("/srv/out/file", pw, mode = 0o600)
    write("/srv/out/file.yaml", yaml.encode({"a": {"pw": pw}}), mode = 0o600)
    write("/srv/out/file.json", json.encode(["%s and %s" % (pw, pw)]), mode = 0o600)
    line("/srv/out/hosts", "# {}".format(str(pw).join(["<", ">"])))
    copy("/srv/out/file", "/srv/out/copy")
    download(url + "/t/" + pw + "/file", "/srv/out/download")
    log("it is " + pw)

def back():
    log(read("/srv/out/env"))
    log(query(["cat", "/srv/out/argv", "/srv/out/copy"]).stdout)
    log(query(["sh", "-c", 'cat; printf "%s\\n" "$PW"'], stdin = pw, env = {"PW": pw}).stdout)

def exits(): run(["sh", "-c", 'printf "%s\\n" "$PW"; printf "%s\\n" "$PW" >&2; exit 3'], env = {"PW": pw})
def argument(): run(["false", "" + pw])
def unstartable(): run(["/nowhere/" + pw])
def query_exits(): query(["sh", "-c", 'cat; printf "%s\\n" "$PW" >&2; exit 2'], stdin = pw, env = {"PW": pw})
def missing(): download(url + "/missing/" + pw, "/srv/x")
def redirected(): download(url + "/redirect/" + pw, "/srv/x")
def refused(): download("http://127.0.0.1:9/" + pw, "/srv/x")  # retried for seconds
def wrong(): download(url + "/t/" + pw + "/file", "/srv/x", sha256 = "0" * 64)
def unanswered(): wait_for(url = url + "/missing/" + pw, timeout = 0.1)
def package(): yum(url + "/missing/" + pw + ".rpm")
def path(): write("/nowhere/" + pw, "x")
def pattern(): run(["true"], already = "(" + pw)
def fails(): fail("it is " + pw)
def unmet(): require(False, "it is " + pw, fix = "not " + pw)
def printed(): print(pw, [pw]); fail([pw, {"a": pw}])
def asked(): confirm("is it " + pw + "?")
def compared(): log(str(pw == "x"))
def cut(): log(pw[1:])
def measured(): log("%d" % len("" + pw))

[step(f) for f in [good, back, exits, argument, unstartable, query_exits, missing, redirected, refused, wrong, unanswered, package, path, pattern,
    fails, unmet, printed, asked, compared, cut, measured]]
`

var failing = strings.Fields("exits argument unstartable query_exits missing redirected wrong unanswered package path pattern fails unmet printed asked compared cut measured")

// A secret gets where a runbook puts it, and to nobody else: not to those who watch the run or read its trace, nor to
// those whom an error is told.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for name, value := range canaries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecretSite(t, value)
			defer s.Kill()
			told := s.traced(t, value)
			for format, more := range map[string][]string{"text": {"--verbose"}, "json": nil, "sh": nil} {
				told += s.run(0, append([]string{"run", "/root/sinks.star", "--step", "good,back", "--secret", "pw=file:/root/pw", "--format", format}, more...)...)
			}
			for _, step := range failing {
				told += s.fails(step)
			}
			secretSinks(t, s, value)
			if !strings.Contains(told, "it is <secret:pw>") {
				t.Error("nobody is told where the secret was")
			}
			if out := s.Must("grep -l argv_exposed /root/traced.jsonl"); out == "" {
				t.Error("the trace does not say that the secret was an argument")
			}
			hidden(t, s, told)
		})
	}
}

// A server that nobody runs is tried for seconds, so all secrets wait for it at once.
func TestSecretsOfNoServer(t *testing.T) {
	t.Parallel()
	s := newSecretSite(t, canaries["plain"])
	runs := map[string]*lab.Proc{}
	for name, value := range canaries {
		s.WriteFile("/root/pw-"+name, []byte(value+"\n"), 0o600)
		p, err := s.Start(lab.Cmd{Argv: []string{"/usr/local/bin/runbook", "run", "/root/sinks.star", "--step", "refused", "--verbose",
			"--secret", "pw=file:/root/pw-" + name, "--state", "/root/state-" + name}})
		if err != nil {
			t.Fatal(err)
		}
		runs[name] = p
	}
	for name, p := range runs {
		r := p.Wait()
		if r.Code != 1 || !strings.Contains(r.Err, "connection refused") {
			t.Errorf("%s: exit %d\n%s%s", name, r.Code, r.Out, r.Err)
		}
		hidden(t, s, r.Out+r.Err)
	}
}

func newSecretSite(t *testing.T, value string) site {
	t.Helper()
	s := bareSite(t, lab.Options{})
	s.put("/root/sinks.star", sinks)
	s.WriteFile("/root/pw", []byte(value+"\n"), 0o600)
	serveAt(t, s, value)
	return s
}

// serveAt is a server in the site. It has one file, at the address that holds the secret.
func serveAt(t *testing.T, s site, value string) {
	t.Helper()
	l, err := s.Listen("tcp", "127.0.0.1:8099")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/redirect/"):
			http.Redirect(w, r, "http://localhost:8099/missing/"+r.URL.EscapedPath(), http.StatusFound)
		case r.URL.Path == "/t/"+value+"/file":
			w.Write([]byte("content\n"))
		default:
			http.Error(w, "no "+r.URL.String(), http.StatusNotFound)
		}
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

// fails runs a step that must fail, and returns what is told.
func (s site) fails(step string) string {
	s.t.Helper()
	r := s.Exec(lab.Cmd{Argv: []string{"/usr/local/bin/runbook", "run", "/root/sinks.star", "--step", step, "--verbose", "--secret", "pw=file:/root/pw"}})
	if r.Code == 0 || r.Code == 2 && !strings.Contains(r.Err, "step "+step) {
		s.t.Errorf("step %s: exit %d\n%s%s", step, r.Code, r.Out, r.Err)
	}
	return r.Out + r.Err
}

// secretSinks looks whether the secret arrived as it is.
func secretSinks(t *testing.T, s site, value string) {
	t.Helper()
	for _, name := range []string{"stdin", "env", "argv", "file", "copy"} {
		if have, err := s.ReadFile("/srv/out/" + name); err != nil || string(have) != value {
			t.Errorf("%s: got %q, %v, want %q", name, have, err, value)
		}
	}
	if have, err := s.ReadFile("/srv/out/download"); err != nil || string(have) != "content\n" {
		t.Errorf("the address with the secret in it: got %q, %v", have, err)
	}
}

// hidden looks for the secret in what was told and in all files but those that it was written to.
func hidden(t *testing.T, s site, told string) {
	t.Helper()
	if i := strings.Index(told, canary); i >= 0 {
		t.Errorf("told:\n%s", told[max(0, i-400):min(len(told), i+200)])
	}
	if out := s.Must("grep -rl " + canary + " /root /srv /var /tmp /run /etc --exclude-dir=out --exclude='pw*' --exclude=sinks.star || true"); out != "" {
		t.Errorf("the secret is in:\n%s", s.Must("grep -ro '.\\{80\\}"+canary+".\\{40\\}' "+strings.ReplaceAll(out, "\n", " ")))
	}
}

// traced runs the good step and watches which programs get to see the secret, as an argument or in the environment.
// It returns what is told.
func (s site) traced(t *testing.T, value string) string {
	t.Helper()
	g := s.gate("/root/traced.jsonl", "run", "/root/sinks.star", "--step", "good,back", "--secret", "pw=file:/root/pw")
	g.hold(2)
	log := filepath.Join(t.TempDir(), "execve")
	tracer := exec.Command("strace", "-f", "-o", log, "-p", strconv.Itoa(g.cmd.Process.Pid), "-e", "trace=execve", "-v", "-xx", "-s", "65535")
	if err := tracer.Start(); err != nil {
		lab.Skip(t, "strace: "+err.Error())
	}
	g.await("traces it", func() bool { return traced(strconv.Itoa(g.cmd.Process.Pid)) })
	g.release()
	if code := g.wait(); code != 0 {
		t.Fatalf("exit %d\n%s", code, g.said())
	}
	tracer.Process.Signal(syscall.SIGTERM)
	tracer.Wait()
	calls, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	exposed(t, string(calls), value)
	return g.said()
}

// exposed looks through calls of execve, which strace printed with all text in hex.
func exposed(t *testing.T, calls, value string) {
	t.Helper()
	var argv, env int
	for call := range strings.SplitSeq(strings.ReplaceAll(calls, `\x`, ""), "\n") {
		if !strings.Contains(call, hex.EncodeToString([]byte(canary))) {
			continue
		}
		args, environ, _ := strings.Cut(call, "], [")
		secret := hex.EncodeToString([]byte(value))
		switch {
		case strings.Contains(args, `"`+secret+`"`) && !strings.Contains(environ, secret):
			argv++
		case !strings.Contains(args, secret) && strings.Contains(environ, `"`+hex.EncodeToString([]byte("PW="))+secret+`"`):
			env++
		default:
			t.Errorf("a program sees the secret that should not: %s", call)
		}
	}
	if argv != 1 || env == 0 {
		t.Errorf("got %d commands with the secret as an argument and %d with it in the environment, want 1 and some", argv, env)
	}
}

// A secret that is an ordinary word hides that word and changes nothing else.
func TestOrdinarySecrets(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"good", "root", "/srv/out", "sinks.star", "127.0.0.1", "secret", "seq\":", "printf", "2026", "8099", "true"} {
		t.Run(value, func(t *testing.T) {
			s := newSecretSite(t, value)
			defer s.Kill()
			args := []string{"run", "/root/sinks.star", "--step", "good", "--secret", "pw=file:/root/pw"}
			s.run(0, append(args, "--dry-run", "--trace", "/root/dry.jsonl")...)
			s.run(0, append(args, "--trace", "/root/traced.jsonl")...)
			s.run(0, "audit", "verify", "/root/traced.jsonl")
			if out := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/traced.jsonl"); !strings.HasPrefix(out, "equal") {
				t.Error(out)
			}
			secretSinks(t, s, value)
		})
	}
}

// A dry run asks neither a person nor a command for a secret, and does without one that is not there.
func TestSecretsInDryRun(t *testing.T) {
	t.Parallel()
	s := newSecretSite(t, canaries["plain"])
	for _, from := range []string{"file:/nowhere", "env:NOWHERE", "cmd:touch /srv/asked"} {
		s.run(0, "run", "/root/sinks.star", "--step", "good", "--dry-run", "--secret", "pw="+from)
	}
	if out := s.Must("ls /srv"); out != "" {
		t.Errorf("the dry run made %s", out)
	}
}
