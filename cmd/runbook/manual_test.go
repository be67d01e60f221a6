package main

import (
	"strings"
	"testing"

	"runbook/runtime"
)

// covered says, for each section of the manual that install.star and media.star replace, where in what doc prints for
// them it is: the heading that it stands below, or "" for the beginning, and words that must be there.
var covered = []struct {
	section, file, heading string
	words                  []string
}{
	{"Anaconda Repository Runbook", "install.star", "", []string{"online or from air-gap media", "keeps conda packages for a site"}},
	{"Requirements", "install.star", "## What it needs", []string{"preflight"}},
	{"Hardware Requirements", "install.star", "### Hardware", []string{"physical or virtual", "2.8 GHz", "32 GB", "50 people", "4 GB", "300 GB", "2 GB", "200 GB"}},
	{"Software Requirements", "install.star", "### Software", []string{"RHEL or CentOS, 6.5", "2.6.8", "licence file", "cron"}},
	{"Linux System Accounts Required", "install.star", "### Accounts of the system", []string{"`mongod`", "`mongodb`", "`anaconda-server`", "`service_user`"}},
	{"Software Prerequisites", "install.star", "### Software", []string{"MongoDB from 2.6.8 up to, not including, 3.0"}},
	{"Security Requirements", "install.star", "### Permissions", []string{"root", "sudo", "8080", "iptables", "certificate", "SELinux can stay on"}},
	{"Network Requirements", "install.star", "### Ports", []string{"8080", "22", "443", "25", "389, 636", "LDAPS", "SMTP"}},
	{"Other Requirements", "install.star", "## What it needs", []string{"Nothing else has to be there beforehand"}},
	{"Air Gap vs. Regular Installation", "install.star", "## Two ways", []string{"air gap", "regular", "`--var airgap=true`"}},
	{"Air Gap", "install.star", "## Media for the air gap", []string{"pen drive", "downloaded", "installer_path", "tar -xf anaconda-full-2016-07-11.tar -C /installer", "/installer/scratch/anaconda-full-2016-07-11"}},
	{"Air Gap Full Installer Contents", "install.star", "## Media for the air gap", []string{"anaconda-suite/pkgs", "mongodb-org*-2.6.8-1.x86_64.rpm", "R/pkgs", "wakari/pkgs", "anaconda-cluster/pkgs"}},
	{"Optional: Air Gap Platform-based Archives: sizes", "install.star", "## Media for the air gap", []string{"198 GB", "33 GB", "239 MB", "3.3 GB", "342 MB", "1.7 GB", "scratch/notebook", "for other platforms"}},
	{"Optional: Air Gap Platform-based Archives: download", "media.star", "## How to get them", []string{"https://s3.amazonaws.com/continuum-airgap/2016-08", "tail -f", "curl -O -C -", "`.md5`", "`.list`"}},
	{"Optional: Air Gap Platform-based Archives: unpack", "media.star", "## What to take", []string{"anaconda-suite/miniconda", "R/pkgs/linux-64", "wakari"}},
	{"Install MongoDB packages", "install.star", "MongoDB", []string{"no repository is asked"}},
	{"Verify mongod is running", "install.star", "MongoDB", []string{"`service mongod status`", "mongod (pid 1234) is running", "docs.mongodb.org"}},
	{"Create Anaconda Repository administrator account", "install.star", "Service account", []string{"Any name will do"}},
	{"Create Anaconda Repository directories", "install.star", "Directories", []string{"0770"}},
	{"Give the anaconda-server user ownership", "install.star", "Directories", []string{"chown -R"}},
	{"Run the Miniconda.sh installer script", "install.star", "Miniconda", []string{"batch mode"}},
	{"Review and accept the license terms", "install.star", "Miniconda", []string{"shows the\nlicence", "`yes`"}},
	{"Accept the default location", "install.star", "Miniconda", []string{"`miniconda2` in the home", "ENTER", "CTRL-C"}},
	{"Update the anaconda-server user's path", "install.star", "Miniconda", []string{"PATH", "`.bashrc`"}},
	{"For the new path changes to take effect", "install.star", "Miniconda", []string{"`source ~/.bashrc`"}},
	{"Add the Binstar and Anaconda-Server channels", "install.star", "Server packages", []string{"local channel", "support hands out a token"}},
	{"Create an initial superuser account", "install.star", "Superuser", []string{"letters and digits", "web interface"}},
	{"Configure Supervisord", "install.star", "Supervisord", []string{"line for cron", "configuration"}},
	{"Verify the server is running", "install.star", "Supervisord", []string{"`supervisorctl status`", "binstar-scheduler", "RUNNING", "binstar-worker-low_07"}},
	{"Install Anaconda Repository License", "install.star", "licence", []string{"http://THIS-HOST:8080", "log in", "sales or support"}},
	{"Mirror Installers for Miniconda", "install.star", "Miniconda installers", []string{"/static/extras/Miniconda3-latest-Linux-x86_64.sh", "Anaconda Cluster needs them"}},
	{"Mirror Anaconda Repo", "install.star", "Mirror: anaconda", []string{"hours", "licences can be ignored", "mirrors-sync-configuration", "linux-64", "http://THIS-HOST:8080/anaconda"}},
	{"Optional: Mirror the R channel", "install.star", "Mirror: r-channel", []string{"mirror_r=true"}},
	{"Mirror the Anaconda Enterprise Notebooks Channel", "install.star", "Mirror: wakari", []string{"mirror_wakari=true", "token"}},
	{"Optional: Mirror the Anaconda Cluster channel", "install.star", "Mirror: anaconda-cluster", []string{"mirror_cluster=true"}},
	{"Optional: Adjust iptables", "install.star", "Port 80", []string{"Be careful on a remote host", "CentOS 6.7", "SSH", "tcp dpt:8080", "REDIRECT", "`-t nat`", "/etc/sysconfig/iptables", "service iptables save"}},
}

// What the manual says is in what doc prints, section by section.
func TestManualIsCovered(t *testing.T) {
	docs := map[string]string{"install.star": documented(t, "install.star"), "media.star": documented(t, "media.star")}
	for _, row := range covered {
		text, ok := section(docs[row.file], row.heading)
		if !ok {
			t.Errorf("%s: %s has no heading %q", row.section, row.file, row.heading)
		}
		for _, w := range row.words {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %s, %q lacks %q", row.section, row.file, row.heading, w)
			}
		}
	}
}

// documented is what doc prints for a shipped runbook.
func documented(t *testing.T, name string) string {
	t.Helper()
	p := newProgram()
	book, err := p.rt.Load(runtime.Library{Shipped: p.shipped}, name, runtime.Inputs{})
	if book == nil {
		t.Fatal(err)
	}
	return manual{book: book}.markdown()
}

// section is what stands below a heading, up to the next of its level or a higher one. That of a step may be named
// by its title alone.
func section(text, heading string) (string, bool) {
	if heading == "" {
		text, _, _ = strings.Cut(text, "\n## ")
		return text, true
	}
	var found []string
	level := ""
	for line := range strings.SplitSeq(text, "\n") {
		marks, title, _ := strings.Cut(line, " ")
		isHeading := marks != "" && strings.Trim(marks, "#") == ""
		_, step, _ := strings.Cut(title, ". ")
		switch {
		case isHeading && (line == heading || marks == "###" && step == heading):
			level = marks
		case isHeading && level != "" && len(marks) <= len(level):
			return strings.Join(found, "\n"), true
		case level != "":
			found = append(found, line)
		}
	}
	return strings.Join(found, "\n"), level != ""
}
