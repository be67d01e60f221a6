package main

import (
	"cmp"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/client"
	"runbook/cmd/runbook/internal/lab"
)

// carried is where the program lies on a host to which an operator copied it.
const carried = "/root/runbook"

// nativeSite is a bare host with media, a cable to others, and the program where no package put it.
func nativeSite(t *testing.T) (s site, other *lab.Jail) {
	t.Helper()
	s = bareSite(t, lab.Options{})
	s.Bind(expandedMedia(t), "/installer")
	other = lab.New(t, lab.Options{Hostname: "client"})
	lab.Wire(t, s.Jail, other, "10.77.0.1/24", "10.77.0.2/24")
	s.Must("cp /usr/local/bin/runbook " + carried + " && umount /usr/local/bin/runbook && rm /usr/local/bin/runbook")
	return s, other
}

// native runs the program that the operator carried.
func (s site) native(code int, args ...string) string {
	s.t.Helper()
	r := s.Exec(lab.Cmd{Argv: slices.Concat([]string{carried}, args), Timeout: 5 * time.Minute})
	if r.Code != code {
		s.t.Fatalf("runbook %s: exit %d, want %d\n%s%s", strings.Join(args, " "), r.Code, code, r.Out, r.Err)
	}
	return r.Out + r.Err
}

// nativeInstall runs dry, for real and again; check is a script that succeeds on the server then.
func (s site) nativeInstall(check string, more ...string) string {
	s.t.Helper()
	args := append([]string{"run", cmp.Or(s.book, "install.star"), "--var", "airgap=true", "--var", "server=native"}, more...)
	s.Must("rm -rf /root/*.jsonl*")
	skip := append(volatile(), "/var/log")
	before := s.Snapshot(skip...)
	s.native(0, append(args, "--dry-run", "--trace", "/root/dry.jsonl")...)
	if d := before.Diff(s.Snapshot(skip...)); len(d) > 0 {
		s.t.Errorf("the dry run changed:\n%s", strings.Join(d, "\n"))
	}
	out := s.native(0, append(args, "--trace", "/root/real.jsonl")...)
	diff := s.Exec(lab.Cmd{Argv: []string{carried, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"}})
	if !strings.HasPrefix(diff.Out, "equal") {
		s.t.Errorf("%s: %s%s", more, diff.Out, diff.Err)
	}
	if r := s.Run(0, 0, "bash", "-c", "{ "+check+"; } 2>&1"); r.Code != 0 {
		s.t.Errorf("%s: %s: exit %d\n%s\n%s", more, check, r.Code, r.Out, out)
	}
	if again := s.native(0, args...); strings.Contains(again, "\n  changed ") {
		s.t.Errorf("%s: the second run changed something:\n%s", more, again)
	}
	return out
}

// serverPID is the process that serves the channels.
func (s site) serverPID() string {
	s.t.Helper()
	return strings.TrimSpace(s.Must("pgrep -u anaconda-server -f 'runbook serve'"))
}

// The program serves what it mirrored: dry, for real and again, and a conda client on another machine installs from it.
// What changes afterwards reaches the server: its port, its files, its program.
func TestInstallNative(t *testing.T) {
	t.Parallel()
	s, other := nativeSite(t)
	out := s.nativeInstall("test $(stat -c %U:%G:%a /usr/local/bin/runbook) = root:root:755 && curl -fsS http://127.0.0.1:8080/healthz",
		"--var", "port80=true", "--var", "mirror_r=true")
	t.Log(out)
	checkAccount(t, s, "anaconda-suite", "anaconda")
	checkAccount(t, s, "R", "r-channel")
	if r := s.Exec(lab.Cmd{Argv: []string{"rpm", "-q", "mongodb-org-server"}}); r.Code == 0 {
		t.Error("MongoDB was installed")
	}
	t.Run("client", func(t *testing.T) { servesClients(t, other) })
	for _, c := range []struct {
		name, check string
		more        []string
	}{
		{"port", "curl -fsS http://127.0.0.1:9090/healthz && ! curl -fs http://127.0.0.1:8080/healthz && iptables -t nat -S PREROUTING | grep -m1 REDIRECT | grep 9090",
			[]string{"--var", "port=9090", "--var", "port80=true"}},
		{"port back", "curl -fsS http://127.0.0.1:8080/healthz && ! curl -fs http://127.0.0.1:9090/healthz", nil},
		{"all packages", "grep -c greeter /dev/null || true", []string{"--var", "verify=all"}},
		{"no packages", "true", []string{"--var", "verify=none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := site{Jail: s.Jail, t: t}
			s.nativeInstall(c.check, c.more...)
		})
	}
	t.Run("another program", func(t *testing.T) {
		s := site{Jail: s.Jail, t: t}
		was := s.serverPID()
		s.Must("cp " + carried + " /root/newer && echo >>/root/newer && mv /root/newer " + carried)
		s.nativeInstall("cmp " + carried + " /proc/$(pgrep -u anaconda-server -f 'runbook serve')/exe")
		if now := s.serverPID(); now == was {
			t.Error("the server was not restarted")
		}
	})
	t.Run("it dies", func(t *testing.T) {
		s := site{Jail: s.Jail, t: t}
		s.Must("kill -9 " + s.serverPID())
		s.Must("for i in $(seq 100); do curl -fs http://127.0.0.1:8080/healthz && exit; sleep 0.2; done; exit 1")
		s.nativeInstall("true")
	})
}

// servesClients asks from another machine: pages, installers, and by a conda client.
func servesClients(t *testing.T, other *lab.Jail) {
	web := &http.Client{Transport: &http.Transport{DialContext: other.DialContext}, Timeout: 10 * time.Second}
	get := func(path string) (status, body string) {
		res, err := web.Get(path)
		if err != nil {
			return err.Error(), ""
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			return err.Error(), ""
		}
		return res.Status, string(text)
	}
	for path, want := range map[string]string{
		"http://10.77.0.1/static/extras/Miniconda3-latest-Linux-x86_64.sh": "#!", "http://10.77.0.1:8080/healthz": "",
		"http://10.77.0.1/anaconda/": "anaconda-client", "http://10.77.0.1/r-channel/noarch/repodata.json": "{",
	} {
		var status, body string
		for range 100 { // until the server has read what its pages show
			if status, body = get(path); status == "200 OK" && strings.Contains(body, want) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if status != "200 OK" || !strings.Contains(body, want) {
			t.Errorf("%s: got %s, %.500s", path, status, body)
		}
	}
	found, err := client.NewSolver(t).Solve(client.Query{Channels: []string{forward(t, other, "10.77.0.1:8080") + "/anaconda"},
		Platforms: []string{"linux-64", "noarch"}, Specs: []string{"binstar-static"}})
	if err != nil || found.Error != "" || len(found.Packages) == 0 {
		t.Fatalf("got %+v, %v", found, err)
	}
	for _, p := range found.Packages {
		if p.Differs != "" || p.Got == "" {
			t.Errorf("%s is not what its record says: %s", p.URL, p.Differs)
		}
	}
}

// forward lets programs of this machine reach an address through a jail.
func forward(t *testing.T, through *lab.Jail, address string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := through.DialContext(t.Context(), "tcp", address)
				if err != nil {
					return
				}
				defer far.Close()
				go func() {
					io.Copy(far, near)
					far.(*net.TCPConn).CloseWrite()
				}()
				io.Copy(near, far)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// With tokens and HTTPS: whoever has no token gets nothing, the run verifies with one.
func TestInstallNativeGuarded(t *testing.T) {
	t.Parallel()
	s, _ := nativeSite(t)
	cert, key := certified(t)
	for from, to := range map[string]string{cert: "/etc/ssl/conda.pem", key: "/etc/ssl/conda.key"} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = s.WriteFile(to, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Must("umask 077; " + carried + " serve token '*' --tokens /etc/conda-tokens >/root/token && chmod 644 /etc/conda-tokens")
	guarded := []string{"--var", "tokens=/etc/conda-tokens", "--secret", "verify_token=file:/root/token"}
	s.nativeInstall("! curl -fs http://127.0.0.1:8080/anaconda/noarch/repodata.json && curl -fsS http://127.0.0.1:8080/t/$(cat /root/token)/anaconda/noarch/repodata.json",
		guarded...)
	s.nativeInstall("curl -fsS --cacert /etc/ssl/conda.pem https://127.0.0.1:8080/t/$(cat /root/token)/anaconda/noarch/repodata.json",
		append(guarded, "--var", "certificate=/etc/ssl/conda.pem", "--var", "certificate_key=/etc/ssl/conda.key")...)
	if found := s.Exec(lab.Cmd{Argv: []string{"sh", "-c", "grep -rlF --exclude=token $(cat /root/token) /root /var/lib/runbook /var/log /etc /opt"}}); found.Out != "" {
		t.Errorf("the token is in %s", found.Out)
	}
}

// What cannot be is said before anything is changed; a package that the server does not have as the index says fails the run.
func TestInstallNativeRefuses(t *testing.T) {
	t.Parallel()
	s, _ := nativeSite(t)
	native := []string{"run", "install.star", "--var", "airgap=true", "--var", "server=native"}
	refuses := func(want string, more ...string) {
		t.Helper()
		if out := s.native(3, append(native, more...)...); !strings.Contains(out, want) {
			t.Errorf("got %s", out)
		}
	}
	refuses("port 80 is not one", "--var", "port=80")
	refuses("systemd does not run here", "--var", "keeper=systemd")
	refuses("there is no /etc/nothing", "--var", "tokens=/etc/nothing", "--var", "verify=none")
	s.Must("mv /usr/bin/supervisord /root/supervisord")
	refuses("apt-get install supervisor")
	if s.Run(0, 0, "id", "anaconda-server").Code == 0 {
		t.Error("something was changed")
	}
	s.Must("mv /root/supervisord /usr/bin/supervisord")
	s.native(0, native...)
	s.Must("f=$(ls /opt/anaconda-server/package-storage/anaconda/linux-64/*.tar.bz2 | head -1); tail -c +2 $f >/root/short; cat /root/short >$f; echo x >>$f")
	if out := s.native(1, append(native, "--step", "verify", "--var", "verify=all")...); !strings.Contains(out, ".tar.bz2") {
		t.Errorf("got %s", out)
	}
	s.nativeInstall("true", "--var", "verify=all") // the mirror repairs it
}
