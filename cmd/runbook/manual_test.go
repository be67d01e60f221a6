package main

import (
	"strings"
	"testing"
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
	{"(not in the manual: this program's server)", "install.star", "## Without the vendor's server", []string{"`keeper`", "`tokens`", "`certificate`, `certificate_key`", "`verify`", "supervisord", "restarts"}},
	{"Air Gap", "install.star", "## Media for the air gap", []string{"pen drive", "downloaded", "installer_path", "tar -xf anaconda-full-2016-07-11.tar -C /installer", "/installer/scratch/anaconda-full-2016-07-11"}},
	{"Air Gap Full Installer Contents", "install.star", "## Media for the air gap", []string{"anaconda-suite/pkgs", "mongodb-org*-2.6.8-1.x86_64.rpm", "R/pkgs", "wakari/pkgs", "anaconda-cluster/pkgs"}},
	{"Optional: Air Gap Platform-based Archives: sizes", "install.star", "## Media for the air gap", []string{"198 GB", "33 GB", "239 MB", "3.3 GB", "342 MB", "1.7 GB", "scratch/notebook", "for other platforms"}},
	{"Optional: Air Gap Platform-based Archives: download", "media.star", "## How to get them", []string{"https://s3.amazonaws.com/continuum-airgap/2016-08", "tail -f", "curl -O -C -", "`.md5`", "`.list`"}},
	{"Optional: Air Gap Platform-based Archives: unpack", "media.star", "## What to take", []string{"anaconda-suite/miniconda", "R/pkgs/linux-64", "wakari"}},
	{"Download MongoDB packages", "install.star", "MongoDB", []string{"curl -fL", ".ssl.cf1.rackcdn.com/mongodb-org-server-2.6.8-1.x86_64.rpm", "mongodb-org-mongos"}},
	{"Start mongodb", "install.star", "MongoDB", []string{"service mongod start"}},
	{"Switch to the Anaconda Repository administrator account", "install.star", "Miniconda", []string{"su - anaconda-server"}},
	{"Fetch the download script using curl", "install.star", "Miniconda", []string{"curl -fL", "https://repo.continuum.io/miniconda/Miniconda2-latest-Linux-x86_64.sh"}},
	{"Install the Anaconda Repository packages via conda", "install.star", "Server packages", []string{"conda install -y", "anaconda-client", "binstar-server binstar-static cas-mirror"}},
	{"Initialize the web server", "install.star", "Server configuration", []string{"anaconda-server-config --init", "--config-file /etc/anaconda-server/config.yaml"}},
	{"Set the Anaconda Repository package storage location", "install.star", "Server configuration", []string{"--set fs_storage_root", "/opt/anaconda-server/package-storage"}},
	{"Initialize the Anaconda Repository database", "install.star", "Database", []string{"anaconda-server-db-setup --execute"}},
	{"Install MongoDB packages", "install.star", "MongoDB", []string{"no repository is asked", "yum install -y", "/installer/mongodb-org-2.6.8-1.x86_64.rpm", "/var/cache/anaconda-server/mongodb-org-2.6.8-1.x86_64.rpm"}},
	{"Verify mongod is running", "install.star", "MongoDB", []string{"`service mongod status`", "mongod (pid 1234) is running", "docs.mongodb.org", "\nservice mongod status"}},
	{"Create Anaconda Repository administrator account", "install.star", "Service account", []string{"Any name will do", "useradd -d /home/anaconda-server"}},
	{"Create Anaconda Repository directories", "install.star", "Directories", []string{"0770", "install -d -m 0770", "/etc/anaconda-server/mirrors", "/var/log/anaconda-server", "/opt/anaconda-server/package-storage"}},
	{"Give the anaconda-server user ownership", "install.star", "Directories", []string{"chown -R", "-o anaconda-server -g anaconda-server"}},
	{"Run the Miniconda.sh installer script", "install.star", "Miniconda", []string{"batch mode", "bash /installer/anaconda-suite/miniconda/Miniconda2-latest-Linux-x86_64.sh", "bash /home/anaconda-server/Miniconda2-latest-Linux-x86_64.sh"}},
	{"Review and accept the license terms", "install.star", "Miniconda", []string{"shows the\nlicence", "`yes`"}},
	{"Accept the default location", "install.star", "Miniconda", []string{"`miniconda2` in the home", "ENTER", "CTRL-C"}},
	{"Update the anaconda-server user's path", "install.star", "Miniconda", []string{"`.bashrc`", `echo 'export PATH="/home/anaconda-server/miniconda2/bin:$PATH"' >>`}},
	{"For the new path changes to take effect", "install.star", "Miniconda", []string{"`source ~/.bashrc`"}},
	{"Add the Binstar and Anaconda-Server channels", "install.star", "Server packages", []string{"local channel", "support hands out a token", "file:///installer/anaconda-suite/pkgs", "conda.anaconda.org/t/${BINSTAR_TOKEN}/binstar", "/t/${ANACONDA_TOKEN}/anaconda-server"}},
	{"Create an initial superuser account", "install.star", "Superuser", []string{"letters and digits", "web interface", "anaconda-server-create-user --username superuser", `--password "$SUPERUSER_PASSWORD"`, "--superuser"}},
	{"Configure Supervisord", "install.star", "Supervisord", []string{"line for cron", "configuration", "anaconda-server-install-supervisord-config.sh", "@reboot /home/anaconda-server/miniconda2/bin/supervisord"}},
	{"Verify the server is running", "install.star", "Supervisord", []string{"`supervisorctl status`", "binstar-scheduler", "RUNNING", "binstar-worker-low_07", "supervisorctl -c"}},
	{"Install Anaconda Repository License", "install.star", "licence", []string{"http://THIS-HOST:8080", "log in", "sales or support"}},
	{"Mirror Installers for Miniconda", "install.star", "Miniconda installers", []string{"/static/extras/Miniconda3-latest-Linux-x86_64.sh", "Anaconda Cluster needs them", "/installer/anaconda-suite/miniconda/Miniconda-latest-Windows-x86.exe", "https://repo.continuum.io/miniconda/Miniconda3-latest-MacOSX-x86_64.sh"}},
	{"Mirror Anaconda Repo", "install.star", "Mirror: anaconda", []string{"hours", "licences can be ignored", "mirrors-sync-configuration", "linux-64", "http://THIS-HOST:8080/anaconda", "/etc/anaconda-server/mirrors/conda.yaml", "anaconda-server-sync-conda", "  - noarch"}},
	{"Optional: Mirror the R channel", "install.star", "Mirror: r-channel", []string{"mirror_r=true", "file:///installer/R/pkgs", "https://conda.anaconda.org/r", "--account=r-channel"}},
	{"Mirror the Anaconda Enterprise Notebooks Channel", "install.star", "Mirror: wakari", []string{"mirror_wakari=true", "token", "file:///installer/wakari/pkgs", "anaconda-nb-extensions", "https://conda.anaconda.org/wakari", "--account=wakari"}},
	{"Optional: Mirror the Anaconda Cluster channel", "install.star", "Mirror: anaconda-cluster", []string{"mirror_cluster=true", "file:///installer/anaconda-cluster/pkgs", "https://conda.anaconda.org/anaconda-cluster", "--account=anaconda-cluster"}},
	{"Optional: Adjust iptables", "install.star", "Port 80", []string{"Be careful on a remote host", "CentOS 6.7", "SSH", "tcp dpt:8080", "REDIRECT", "`-t nat`", "/etc/sysconfig/iptables", "service iptables save", "--dport 80 ", "--dport 8080", "-j REDIRECT --to-ports 8080", "iptables-save >/etc/sysconfig/iptables", "iptables -t nat -L PREROUTING -n"}},
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
	book, err := p.declared(name, inputFlags{})
	if err != nil {
		t.Fatal(err)
	}
	ways, err := p.ways(t.Context(), name, inputFlags{}, book)
	if err != nil || len(ways) != 2 {
		t.Fatalf("%s: got %d ways, %v", name, len(ways), err)
	}
	for _, w := range ways {
		for step, did := range w.steps {
			if did.Failed != "" && !(name == "media.star" && step == "layout") { // over the network lists are not known beforehand
				t.Errorf("%s, %s, step %s: %s", name, w.title, step, did.Failed)
			}
		}
	}
	return manual{book, ways}.markdown()
}

// section is what stands below a heading, up to the next of its level or a higher one. That of a step may be named
// by its title alone.
func section(text, heading string) (string, bool) {
	if heading == "" {
		text, _, _ = strings.Cut(text, "\n## ")
		return text, true
	}
	var found []string
	level, inCode := "", false
	for line := range strings.SplitSeq(text, "\n") {
		marks, title, _ := strings.Cut(line, " ")
		inCode = inCode != strings.HasPrefix(line, "```")
		isHeading := !inCode && marks != "" && strings.Trim(marks, "#") == ""
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
