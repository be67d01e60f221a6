package main

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
)

// The main job, on a bare root with media: dry, for real, and again.
func TestInstall(t *testing.T) {
	t.Parallel()
	s, client := newSiteOf(t, expandedMedia(t), lab.Options{}), lab.New(t, lab.Options{Hostname: "client"})
	lab.Wire(t, s.Jail, client, "10.77.0.1/24", "10.77.0.2/24")

	before := s.Snapshot("/root")
	s.install(0, "--dry-run", "--trace", "/root/dry.jsonl")
	if d := before.Diff(s.Snapshot("/root")); len(d) > 0 {
		t.Fatalf("the dry run changed:\n%s", strings.Join(d, "\n"))
	}
	s.install(0, "--trace", "/root/real.jsonl")
	if out := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(out, "equal") {
		t.Errorf("got %s", out)
	} else {
		t.Log(out)
	}
	s.run(0, "audit", "verify", "/root/real.jsonl")
	checkServer(t, s, client)
	checkMirrors(t, s)

	installed := s.Snapshot(volatile()...)
	if out := s.install(0, "--trace", "/root/again.jsonl"); strings.Contains(out, " changed,") || strings.Contains(out, "\n  changed ") {
		t.Errorf("the second run changed something:\n%s", out)
	}
	if d := installed.Diff(s.Snapshot(volatile()...)); len(d) > 0 {
		t.Errorf("the second run changed:\n%s", strings.Join(d, "\n"))
	}
	checkSecret(t, s)
}

// volatile is what a running system changes by itself.
func volatile() []string {
	return append(lab.Volatile(), "/root", "/var/lib/runbook", "/var/spool/cron/crontabs", "*.log", "*.log.*", "/home/anaconda-server/miniconda2/pkgs")
}

// checkServer looks at the server as its users do.
func checkServer(t *testing.T, s site, client *lab.Jail) {
	t.Helper()
	status := s.Must("su - anaconda-server -c 'miniconda2/bin/supervisorctl -c miniconda2/etc/supervisord.conf status'")
	if n := strings.Count(status, "RUNNING"); n != 11 {
		t.Errorf("got %d programs running, want 11:\n%s", n, status)
	}
	s.Must("service mongod status")
	if tab := s.Must("crontab -u anaconda-server -l"); strings.Count(tab, "@reboot") != 1 {
		t.Errorf("got crontab:\n%s", tab)
	}
	web := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}, Timeout: 10 * time.Second}
	for _, page := range []string{"/static/extras/Miniconda3-latest-Linux-x86_64.sh"} {
		res, err := web.Get("http://10.77.0.1" + page)
		if err != nil {
			t.Errorf("port 80: %v", err)
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || !strings.HasPrefix(string(body), "#!") {
			t.Errorf("%s: got %s, %d bytes, %v", page, res.Status, len(body), err)
		}
	}
	rules := s.Must("iptables-save; cat /etc/iptables/rules.v4")
	if strings.Count(rules, "--to-ports 8080") != 2 || strings.Count(rules, "-j ACCEPT") < 4 {
		t.Errorf("got rules:\n%s", rules)
	}
}

// checkMirrors compares every package of every channel with the media's index.
func checkMirrors(t *testing.T, s site) {
	t.Helper()
	for channel, account := range map[string]string{"anaconda-suite": "anaconda", "R": "r-channel", "wakari": "wakari", "anaconda-cluster": "anaconda-cluster"} {
		checkAccount(t, s, channel, account)
	}
}

func checkAccount(t *testing.T, s site, channel, account string) {
	t.Helper()
	indexes, err := filepath.Glob(s.RootPath("/installer/" + channel + "/pkgs/*/repodata.json"))
	if err != nil || len(indexes) == 0 {
		t.Fatalf("%s: %v, %v", channel, indexes, err)
	}
	for _, name := range indexes {
		checkSubdir(t, name, s.RootPath("/opt/anaconda-server/package-storage/"+account+"/"+filepath.Base(filepath.Dir(name))))
	}
}

func checkSubdir(t *testing.T, index, dir string) {
	t.Helper()
	var source, mirrored struct {
		Packages map[string]struct{ MD5 string }
	}
	for name, v := range map[string]any{index: &source, dir + "/repodata.json": &mirrored} {
		data, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(source.Packages) != len(mirrored.Packages) {
		t.Errorf("%s: got %d packages, want %d", dir, len(mirrored.Packages), len(source.Packages))
	}
	for name, record := range source.Packages {
		if sum, err := md5File(dir + "/" + name); err != nil || sum != record.MD5 {
			t.Errorf("%s/%s: got md5 %s, %v, want %s", dir, name, sum, err, record.MD5)
		}
	}
}

// checkSecret looks for the password wherever a run might have left it.
func checkSecret(t *testing.T, s site) {
	t.Helper()
	found := s.Exec(lab.Cmd{Argv: []string{"grep", "-rlF", "--exclude=password", password, "/root", "/var/lib/runbook", "/var/log", "/etc", "/home", "/opt", "/tmp", "/var/spool"}})
	if found.Out != "" {
		t.Errorf("the password is in %s", found.Out)
	}
	real, err := os.ReadFile(s.RootPath("/root/real.jsonl"))
	if err != nil || !strings.Contains(string(real), `"argv_exposed"`) {
		t.Errorf("the trace does not say that the password was an argument: %v", err)
	}
}

func md5File(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := md5.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), err
}
