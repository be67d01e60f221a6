package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// A setting is a var of install.star with another value than the installation has.
type setting struct {
	value string
	check string // a script that succeeds on a server that has it
	back  string // one that succeeds on a server that has the old value again; "" if both may hold
	with  string // more flags
}

const (
	usual = "/opt/anaconda-server/package-storage"
)

// settings are the vars that can be changed where the server is installed.
var settings = map[string]setting{
	"port": {"9090", "curl -fsS http://127.0.0.1:9090/ && ! curl -fs http://127.0.0.1:8080/ && grep -qx 'port: 9090' /etc/anaconda-server/config.yaml && iptables -t nat -C PREROUTING -p tcp -i lo --dport 80 -m comment --comment '# Anaconda Repository #' -j REDIRECT --to-ports 9090 && iptables -t nat -S PREROUTING | grep -m1 REDIRECT | grep 9090",
		"curl -fsS http://127.0.0.1:8080/ && ! curl -fs http://127.0.0.1:9090/ && iptables -t nat -S PREROUTING | grep -m1 REDIRECT | grep 8080", ""},
	"storage": {"/srv/packages", "su anaconda-server -c 'echo new >/srv/packages/probe' && curl -fsS http://127.0.0.1:8080/probe | grep new && curl -fsS http://127.0.0.1:8080/anaconda/linux-64/repodata.json | cmp - /srv/packages/anaconda/linux-64/repodata.json",
		"! curl -fs http://127.0.0.1:8080/probe && grep -qx 'fs_storage_root: " + usual + "' /etc/anaconda-server/config.yaml", ""},
	"mirror_dir":      {"/srv/mirror", "grep -q file:///srv/mirror/anaconda$ /etc/anaconda-server/mirrors/conda.yaml && test -d /srv/mirror/anaconda/linux-64", "grep -q file:///opt/anaconda-server/mirror/anaconda$ /etc/anaconda-server/mirrors/conda.yaml", ""},
	"register_from":   {"media", "grep -q file:///installer/anaconda-suite/pkgs$ /etc/anaconda-server/mirrors/conda.yaml", "grep -q file:///opt/anaconda-server/mirror/anaconda$ /etc/anaconda-server/mirrors/conda.yaml", ""},
	"platforms":       {"linux-64,win-64", "! grep -q osx-64 /etc/anaconda-server/mirrors/conda.yaml", "grep -q osx-64 /etc/anaconda-server/mirrors/conda.yaml", ""},
	"installer_path":  {"/media/again", "grep -q file:///media/again /home/anaconda-server/miniconda2/.condarc", "grep -q file:///installer /home/anaconda-server/miniconda2/.condarc", ""},
	"superuser_name":  {"chief", "mongoexport -d binstar -c users | grep -q '\"chief\"'", "", ""},
	"superuser_email": {"chief@example.org", "mongoexport -d binstar -c users | grep -q root@localhost", "", ""},
	"interface":       {"lo", "iptables -C INPUT -p tcp -i lo --dport 80 -m comment --comment '# Anaconda Repository #' -j ACCEPT", "", ""},
	"mirror_r":        {"false", "test -d " + usual + "/r-channel", "", ""},
	"mirror_wakari":   {"false", "test -d " + usual + "/wakari", "", ""},
	"mirror_cluster":  {"false", "test -d " + usual + "/anaconda-cluster", "", ""},
	"port80":          {"false", "test -f /etc/iptables/rules.v4", "", ""},
	"service_group":   {"packagers", "test $(id -gn anaconda-server) = packagers && test $(stat -c %G " + usual + ") = packagers", "test $(id -gn anaconda-server) = anaconda-server && test $(stat -c %G " + usual + ") = anaconda-server", ""},
}

// untouched are vars that say nothing of a server that is there, or that a run refuses to change on it.
var untouched = map[string]string{
	"airgap": "takes everything from the network", "rpm_cdn": "network", "miniconda_url": "network", "cloud_url": "network", "repo_urls": "network",
	"min_memory_gb": "a limit", "min_free_gb": "a limit", "rules_restored": "an assurance",
	"service_user": "another account would be another server", "service_home": "so would another home",
	"server": "another server: see the test", "keeper": "native", "tokens": "native", "certificate": "native", "certificate_key": "native", "verify": "native",
}

// Each var that can be changed on an installed host, changed, changed back, and each time a run that changes nothing: the
// server has what the command line says, as the dry run said.
func TestInstallVars(t *testing.T) {
	t.Parallel()
	s := newSite(t, expandedMedia(t))
	s.Must("mkdir -p /media/again && mount --bind /installer /media/again")
	base := []string{"--var", "interface=lo"}
	// With nobody there the licence stays open, and all else is done.
	out := s.run(4, slices.Concat([]string{"run", "install.star"}, all[:len(all)-2], base)...)
	if !strings.Contains(out, "then run again with --ack licence") {
		t.Errorf("got %s", out)
	}
	s.Must("test -d " + usual + "/anaconda-cluster/linux-64 && grep -q REDIRECT /etc/iptables/rules.v4")
	if out := s.install(0, base...); strings.Count(out, "\n  changed ") != 1 {
		t.Errorf("more than the licence was left:\n%s", out)
	}
	checkAllVars(t, s)
	t.Run("primary group", func(t *testing.T) {
		s := site{Jail: s.Jail, t: t}
		s.Must("usermod -g users anaconda-server")
		s.changesTo("test $(id -gn anaconda-server) = anaconda-server", base)
	})
	for _, name := range []string{"storage", "port", "service_group", "mirror_dir", "register_from", "platforms", "installer_path", "superuser_name", "superuser_email",
		"interface", "mirror_r", "mirror_wakari", "mirror_cluster", "port80"} {
		v := settings[name]
		t.Run(name, func(t *testing.T) {
			s := site{Jail: s.Jail, t: t}
			s.changesTo(v.check, append(base, "--var", name+"="+v.value))
			s.changesTo(v.back, base)
		})
	}
	t.Run("tweaks", func(t *testing.T) { // of the site's file, made when the server is there
		s := site{Jail: s.Jail, t: t}
		s.book = s.tweaked("", 2, 3, 7, 8)
		s.changesTo("curl -fsS http://127.0.0.1:9080/ && ! curl -fs http://127.0.0.1:8080/ && grep -qx port=9080 /etc/conda-server && "+
			"grep -qx 'fs_storage_root: /data/conda/packages' /etc/anaconda-server/config.yaml", base)
		s.tweaked("", 7)
		s.changesTo("curl -fsS http://127.0.0.1:8080/ && ! curl -fs http://127.0.0.1:9080/ && grep -qx port=8080 /etc/conda-server", base)
		s.tweaked("", 1)
		if out := s.install(3, base...); !strings.Contains(out, "port 8080 is in use by") {
			t.Errorf("another account: got %s", out)
		}
	})
	t.Run("another server", func(t *testing.T) {
		s := site{Jail: s.Jail, t: t}
		for _, name := range []string{"service_user=other", "service_home=/home/other", "server=native"} {
			if out := s.install(3, append(base, "--var", name)...); !strings.Contains(out, "port 8080 is in use by") {
				t.Errorf("%s: got %s", name, out)
			}
		}
	})
	// A run that stops before the server is restarted leaves that to the next one.
	t.Run("cut short", func(t *testing.T) {
		s := site{Jail: s.Jail, t: t}
		s.install(0, append(base, "--var", "port=9090", "--step", "configure")...)
		s.changesTo(settings["port"].check, append(base, "--var", "port=9090"))
		s.changesTo(settings["port"].back, base)
	})
	t.Run("another password", func(t *testing.T) {
		s := site{Jail: s.Jail, t: t}
		out := s.install(0, base...)
		if want := "the account superuser was made by an earlier run and keeps the password and address that it has"; !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	})
}

// changesTo runs dry, for real and again.
func (s site) changesTo(check string, args []string) {
	s.t.Helper()
	s.Must("rm -rf /root/*.jsonl*")
	s.install(0, append(args, "--dry-run", "--trace", "/root/dry.jsonl")...)
	out := s.install(0, append(args, "--trace", "/root/real.jsonl")...)
	if diff := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(diff, "equal") {
		s.t.Errorf("%s: %s", args, diff)
	}
	if check != "" {
		if r := s.Run(0, 0, "bash", "-c", "{ "+check+"; } 2>&1"); r.Code != 0 {
			s.t.Errorf("%s: %s: exit %d\n%s\n%s", args, check, r.Code, r.Out, out)
		}
	}
	if n := strings.Count(s.Must("su anaconda-server -c 'cd; miniconda2/bin/supervisorctl -c miniconda2/etc/supervisord.conf status'"), "RUNNING"); n != 11 {
		s.t.Errorf("%s: got %d programs running, want 11", args, n)
	}
	if again := s.install(0, args...); strings.Contains(again, "\n  changed ") {
		s.t.Errorf("%s: the second run changed something:\n%s", args, again)
	}
}

// checkAllVars sees that each var has its place in one of the tables.
func checkAllVars(t *testing.T, s site) {
	t.Helper()
	var book struct{ Vars []struct{ Name string } }
	if err := json.Unmarshal([]byte(s.run(0, "show", "install.star", "--json")), &book); err != nil || len(book.Vars) == 0 {
		t.Fatalf("got %d vars, %v", len(book.Vars), err)
	}
	for _, v := range book.Vars {
		_, tried := settings[v.Name]
		if _, why := untouched[v.Name]; tried == why {
			t.Errorf("var %s: is in %v of settings and untouched, want one", v.Name, slices.Index([]bool{tried, why}, true))
		}
	}
}
