package main

import (
	"path"
	"slices"
	"strings"
	"testing"

	"runbook/runtime/trace"
)

// The vendor's command takes in what was mirrored, again when that is not what it took last, and only then.
func TestRegister(t *testing.T) {
	t.Parallel()
	s := newSpoilt(t, refusal{})
	s.run(0, fromMedia("run", "install.star")...)
	checkApart(t, s)
	const index, program = "/media/R/pkgs/linux-64/repodata.json", "/home/anaconda-server/miniconda2/bin/anaconda-server-sync-conda"
	checkRegistered(t, s, "nothing has changed", nil)
	s.Must("cp -p " + index + " /root/index")
	edit(t, s.RootPath(index), func(records map[string]any) { delete(records, path.Base(strings.TrimSpace(s.Must("echo "+firstOfR)))) })
	checkRegistered(t, s, "a package is gone", []string{"r-channel"})
	s.Must("cp -p /root/index " + index)
	checkRegistered(t, s, "it is back", []string{"r-channel"})

	s.Must("mv " + program + " /root/program; printf '#!/bin/sh\\necho no licence >&2\\nexit 1\\n' >" + program + "; chmod 755 " + program)
	out := s.run(1, fromMedia("run", "install.star", "--step", "mirror_anaconda,mirror_r_channel", "--var", "platforms=linux-64")...)
	if !strings.Contains(out, "/mirrors/conda.yaml: exit status 1: no licence") {
		t.Errorf("does not say why it failed:\n%s", out)
	}
	s.Must("mv /root/program " + program)
	both := []string{"anaconda", "r-channel"}
	checkRegistered(t, s, "it failed", both, "--var", "platforms=linux-64")
	s.Must("rm /etc/anaconda-server/mirrors/r-channel.registered")
	checkRegistered(t, s, "forgotten", []string{"r-channel"}, "--var", "platforms=linux-64")

	checkStore(t, s)

	checkRegistered(t, s, "from media", both, "--var", "register_from=media")
	if got, want := s.read("/etc/anaconda-server/mirrors/r-channel.yaml"), "  - file:///media/R/pkgs\n"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	s.clean()
}

// checkStore spoils what clients read, which the next run has the vendor's command put right.
func checkStore(t *testing.T, s site) {
	t.Helper()
	const store, platforms = "/opt/anaconda-server/package-storage/r-channel/linux-64", "platforms=linux-64"
	pkg := store + "/" + path.Base(strings.TrimSpace(s.Must("echo "+firstOfR)))
	for why, spoil := range map[string]string{
		"a package is gone":    "rm " + pkg,
		"a package is cut":     "truncate -s -1 " + pkg,
		"a byte is wrong":      "printf X | dd of=" + pkg + " bs=1 seek=100 conv=notrunc",
		"with its old time":    "touch -r " + pkg + " /tmp/t; printf X | dd of=" + pkg + " bs=1 seek=100 conv=notrunc; touch -r /tmp/t " + pkg,
		"the index is gone":    "rm " + store + "/repodata.json",
		"the index is another": "echo '{}' > " + store + "/repodata.json",
		"the account is gone":  "rm -r /opt/anaconda-server/package-storage/r-channel",
	} {
		s.Must("sleep 0.1; " + spoil + " 2>/dev/null")
		checkRegistered(t, s, why, []string{"r-channel"}, "--var", platforms)
		s.Must("cmp " + pkg + " " + firstOfR + " && grep -q r-base " + store + "/repodata.json")
	}
	s.Must("sleep 0.1; touch " + pkg + "; echo x > " + store + "/upload.tar.bz2") // read again, and right
	s.run(0, fromMedia("run", "install.star", "--step", "mirror_r_channel", "--var", platforms)...)
	checkRegistered(t, s, "nothing is wrong", nil, "--var", platforms)

	// A command that claims success.
	const program = "/home/anaconda-server/miniconda2/bin/anaconda-server-sync-conda"
	s.Must("rm " + pkg + "; mv " + program + " /root/program; printf '#!/bin/sh\n' >" + program + "; chmod 755 " + program)
	out := s.run(1, fromMedia("run", "install.star", "--step", "mirror_r_channel", "--var", platforms)...)
	if want := "anaconda-server-sync-conda ended well, but /opt/anaconda-server/package-storage/r-channel is not as "; !strings.Contains(out, want) {
		t.Errorf("does not say %q:\n%s", want, out)
	}
	s.Must("mv /root/program " + program)
	checkRegistered(t, s, "it works again", []string{"r-channel"}, "--var", platforms)
}

// checkApart looks at the mirror of media on the same file system: it takes no space, is root's, and the media are as they were.
func checkApart(t *testing.T, s site) {
	t.Helper()
	const mirror = "/opt/anaconda-server/mirror"
	for script, want := range map[string]string{
		"find " + mirror + " ! -user root":                                             "",
		"find " + mirror + " -name '*.tar.bz2' -links 1":                               "",
		"find /media ! -user root -o ! -group root":                                    "",
		"stat -c '%a %G' " + mirror:                                                    "750 anaconda-server",
		"cat /etc/anaconda-server/mirrors/*.registered | sha256sum --quiet -c":         "",
		"head -1 /etc/anaconda-server/mirrors/wakari.registered | cut -c1-60":          "# /home/anaconda-server/miniconda2/bin/anaconda-server-sync-",
		"grep file: /etc/anaconda-server/mirrors/*.yaml | sort | sed 's/.*file/file/'": "file://" + mirror + "/anaconda-cluster\nfile://" + mirror + "/anaconda\nfile://" + mirror + "/r-channel\nfile://" + mirror + "/wakari",
	} {
		if have := strings.TrimSpace(s.Must(script)); have != want {
			t.Errorf("%s: got %q, want %q", script, have, want)
		}
	}
}

// checkRegistered runs the steps of two channels dry, for real and again: the vendor's command runs for these accounts, as
// the dry run said, and then no more.
func checkRegistered(t *testing.T, s site, why string, want []string, more ...string) {
	t.Helper()
	args := fromMedia(append([]string{"run", "install.star", "--step", "mirror_anaconda,mirror_r_channel"}, more...)...)
	s.Must("rm -rf /root/*.jsonl*")
	s.run(0, append(args, "--dry-run", "--trace", "/root/dry.jsonl")...)
	s.run(0, append(args, "--trace", "/root/real.jsonl")...)
	s.run(0, append(args, "--trace", "/root/again.jsonl")...)
	if out := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(out, "equal") {
		t.Errorf("%s: %s", why, out)
	}
	for name, want := range map[string][]string{"dry": want, "real": want, "again": nil} {
		var have []string
		for _, e := range events(t, s, "/root/"+name+".jsonl") {
			if e.Kind == trace.Result && name == "again" && e.Outcome != trace.Same {
				t.Errorf("%s: the second run: %s %s %s", why, e.Outcome, e.Op, e.Target)
			}
			if e.Kind == trace.Effect && e.Call == "exec" {
				_, account, other := strings.Cut(e.Argv[len(e.Argv)-1], "--account=")
				if !other {
					account = "anaconda"
				}
				have = append(have, account)
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: %s: registered %v, want %v", why, name, have, want)
		}
	}
}
