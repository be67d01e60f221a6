package media

import (
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

// by runs a script as the service user, the way the manual does.
func by(j *lab.Jail, script string) lab.Result {
	return j.Exec(lab.Cmd{Argv: []string{"su", "-", "anaconda-server", "-c", script}})
}

func must(t *testing.T, j *lab.Jail, script string) string {
	t.Helper()
	r := by(j, script)
	if r.Code != 0 {
		t.Fatalf("%s: got exit code %d, want 0\n%s%s", script, r.Code, r.Out, r.Err)
	}
	return r.Out
}

// refused says that a script by the service user ends with code and says this.
func refused(t *testing.T, j *lab.Jail, script string, code int, says string) {
	t.Helper()
	r := by(j, script)
	if r.Code != code || !strings.Contains(r.Out+r.Err, says) {
		t.Errorf("%s: got exit code %d, want %d and %q\n%s%s", script, r.Code, code, says, r.Out, r.Err)
	}
}

// full is a jail with the expanded medium at /installer.
func full(t *testing.T) *lab.Jail {
	t.Helper()
	j, dir := lab.New(t, lab.Options{}), t.TempDir()
	if err := Expanded(dir); err != nil {
		t.Fatal(err)
	}
	j.Bind(dir, "/installer")
	return j
}

const (
	bin       = "/home/anaconda-server/miniconda2/bin/"
	bootstrap = "bash /installer/anaconda-suite/miniconda/Miniconda2-latest-Linux-x86_64.sh "
	install   = bin + "conda install -y -q --offline --override-channels -c file:///installer/anaconda-suite/pkgs "
)

// The manual from the database to the running server, by hand.
func TestInstall(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it installs in a jail")
	j := full(t)
	testDatabase(t, j)
	j.Must("useradd -m -s /bin/bash anaconda-server")
	j.Must("mkdir -m 0770 /etc/anaconda-server /var/log/anaconda-server; mkdir -m 0770 -p /opt/anaconda-server/package-storage /etc/anaconda-server/mirrors; chown -R anaconda-server: /etc/anaconda-server /var/log/anaconda-server /opt/anaconda-server")
	testConda(t, j)
	testConfigure(t, j)
	testSupervisor(t, j)
}

func testDatabase(t *testing.T, j *lab.Jail) {
	out := j.Must("yum install -y --disablerepo='*' /installer/mongodb-org*.rpm; rpm -q mongodb-org mongodb-org-server mongodb-org-shell mongodb-org-mongos mongodb-org-tools; rpm -K /installer/*.rpm")
	if strings.Count(out, "-2.6.8-1.x86_64\n") != 5 || strings.Count(out, "digests OK") != 5 || !strings.Contains(out, "Complete!") {
		t.Errorf("yum: %s", out)
	}
	j.Must("rpm -V mongodb-org-server mongodb-org-tools")
	for _, step := range []struct {
		argv []string
		code int
		says string
	}{
		{[]string{"service", "mongod", "status"}, 3, "mongod is stopped"},
		{[]string{"service", "mongod", "start"}, 0, "OK"},
		{[]string{"service", "mongod", "status"}, 0, "is running..."},
		{[]string{"service", "mongod", "start"}, 0, ""},
		{[]string{"mongod", "--dbpath", "/var/lib/mongo"}, 100, "already running"},
		{[]string{"ss", "-Hltnp", "sport = :27017"}, 0, `"mongod"`},
		{[]string{"sh", "-c", "ps -o user= -p $(cat /var/run/mongodb/mongod.pid); kill -9 $(cat /var/run/mongodb/mongod.pid); sleep 0.2"}, 0, "mongod\n"},
		{[]string{"service", "mongod", "status"}, 1, "dead but pid file exists"},
		{[]string{"service", "mongod", "restart"}, 0, "OK"},
		{[]string{"service", "mongod", "stop"}, 0, "OK"},
		{[]string{"service", "mongod", "status"}, 3, "mongod is stopped"},
		{[]string{"service", "mongod", "nonsense"}, 2, "Usage"},
		{[]string{"getent", "passwd", "mongod"}, 0, ":/var/lib/mongo:/bin/false"},
		{[]string{"stat", "-c", "%U %a", "/var/lib/mongo", "/var/log/mongodb"}, 0, "mongod 755\nmongod 755\n"},
	} {
		if r := j.Run(0, 0, step.argv...); r.Code != step.code || !strings.Contains(r.Out+r.Err, step.says) {
			t.Errorf("%v: got %+v, want exit code %d and %q", step.argv, r, step.code, step.says)
		}
	}
}

func testConda(t *testing.T, j *lab.Jail) {
	refused(t, j, bootstrap+"</dev/null", 2, "no answer")
	refused(t, j, bootstrap+"-b -p '/home/anaconda-server/a b'", 1, "spaces")
	refused(t, j, bootstrap+"-b -p /root/x", 1, "Could not create")
	must(t, j, bootstrap+"-b -p $HOME/miniconda2")
	refused(t, j, bootstrap+"-b -p $HOME/miniconda2", 1, "ERROR: File or directory already exists: /home/anaconda-server/miniconda2")
	must(t, j, "printf '\\nyes\\n/home/anaconda-server/by-hand\\nyes\\n' | "+bootstrap+"&& by-hand/bin/conda list | grep conda && grep by-hand .bashrc")

	refused(t, j, bin+"conda --version", 0, "conda 4.1.11\n")
	refused(t, j, bin+"conda frobnicate", 2, "invalid choice")
	must(t, j, bin+"conda config --add channels file:///installer/anaconda-suite/pkgs/")
	must(t, j, bin+"conda config --remove channels defaults --force")
	refused(t, j, bin+"conda config --remove channels defaults --force", 1, "KeyError")
	refused(t, j, bin+"conda config --add channels file:///installer/anaconda-suite/pkgs/", 0, "moving to the front")
	if got, want := must(t, j, "cat .condarc"), "channels:\n  - file:///installer/anaconda-suite/pkgs/\n"; got != want {
		t.Errorf(".condarc: got %q, want %q", got, want)
	}

	refused(t, j, bin+"conda install anaconda-client", 1, "EOFError")
	refused(t, j, bin+"conda install -y no-such-thing", 1, "Package missing in current linux-64 channels: \n  - no-such-thing")
	refused(t, j, bin+"conda install -y --override-channels -c file:///nowhere anaconda-client", 1, "Could not find URL: file:///nowhere/linux-64/")
	refused(t, j, install+"anaconda-client binstar-server binstar-static cas-mirror", 0, "supervisor:       3.1.3-py27_0")
	refused(t, j, install+"anaconda-client binstar-server binstar-static cas-mirror", 0, "# All requested packages already installed.")
	refused(t, j, bin+"conda list", 0, "cas-mirror                2.1.1                    py27_0")
	must(t, j, "cd miniconda2; test -d lib/python2.7/site-packages/binstar/static/extras; test -s conda-meta/history; grep -q '\"bin/anaconda-server-config\"' conda-meta/binstar-server-2.17.2-py27_0.json; ! grep -r anaconda1anaconda2 bin lib")
}

func testConfigure(t *testing.T, j *lab.Jail) {
	const config = " --config-file /etc/anaconda-server/config.yaml"
	const user = bin + "anaconda-server-create-user --username superuser --email a@b.c --superuser "
	refused(t, j, user+"--password S3cret", 1, "no config file")
	must(t, j, bin+"anaconda-server-config --init"+config)
	refused(t, j, bin+"anaconda-server-config --init"+config, 1, "already exists")
	must(t, j, bin+"anaconda-server-config --set fs_storage_root /opt/anaconda-server/package-storage"+config)
	if got := must(t, j, "grep fs_storage_root /etc/anaconda-server/config.yaml"); got != "fs_storage_root: /opt/anaconda-server/package-storage\n" {
		t.Errorf("config.yaml: got %q", got)
	}
	refused(t, j, user+"--password S3cret", 1, "could not connect to database")
	refused(t, j, bin+"anaconda-server-db-setup --execute", 1, "could not connect to database")
	j.Must("service mongod start")
	refused(t, j, user, 1, "required")
	must(t, j, user+"--password S3cret")
	refused(t, j, user+"--password other", 1, "already exists")
	refused(t, j, bin+"anaconda-server-db-setup", 0, "would create index users.login")
	refused(t, j, bin+"anaconda-server-db-setup --execute", 0, "created index users.login")
	refused(t, j, bin+"anaconda-server-db-setup --execute", 0, "index users.login exists")
	j.Must("service mongod restart")
	got := j.Must("mongoexport --db binstar --collection users")
	if !strings.Contains(got, `"superuser"`) || !strings.Contains(got, "password_sha256") || strings.Contains(got, "S3cret") {
		t.Errorf("users: got %s", got)
	}
	if r := j.Run(0, 0, "grep", "-rl", "S3cret", "/var/lib/mongo", "/etc", "/var/log", "/home"); r.Out != "" {
		t.Errorf("the password lies in %s", r.Out)
	}
}

func testSupervisor(t *testing.T, j *lab.Jail) {
	const prefix = "/home/anaconda-server/miniconda2/"
	for want := range 2 {
		must(t, j, bin+"anaconda-server-install-supervisord-config.sh")
		if got := must(t, j, "crontab -l"); strings.Count(got, "@reboot "+bin+"supervisord\n") != want+1 {
			t.Errorf("crontab after %d runs: got %q", want+1, got)
		}
	}
	must(t, j, bin+"supervisord")
	running := func() string {
		for range 60 {
			if out := by(j, bin+"supervisorctl status").Out; strings.Count(out, " RUNNING ") == 11 {
				return out
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("not all run:\n%s", by(j, bin+"supervisorctl status; cat /var/log/anaconda-server/*").Out)
		return ""
	}
	if out := running(); !strings.Contains(out, "binstar-worker-low:binstar-worker-low_07") {
		t.Errorf("supervisorctl: got %s", out)
	}
	must(t, j, "cp /installer/anaconda-suite/miniconda/Miniconda3-latest-Linux-x86_64.sh "+prefix+"lib/python2.7/site-packages/binstar/static/extras/")
	must(t, j, "printf 'channels:\\n  - file:///installer/anaconda-suite/pkgs\\nplatforms:\\n  - linux-64\\n' > /etc/anaconda-server/mirrors/conda.yaml; "+bin+"anaconda-server-sync-conda --mirror-config /etc/anaconda-server/mirrors/conda.yaml")
	j.Must(`set -e; cd /installer/anaconda-suite; get() { curl -fsS "http://127.0.0.1:8080$1"; }; get /
get /static/extras/Miniconda3-latest-Linux-x86_64.sh | cmp - miniconda/Miniconda3-latest-Linux-x86_64.sh
get /anaconda/linux-64/cas-mirror-2.1.1-py27_0.tar.bz2 | cmp - pkgs/linux-64/cas-mirror-2.1.1-py27_0.tar.bz2
get /anaconda/linux-64/repodata.json | cmp - pkgs/linux-64/repodata.json`)
	must(t, j, bin+"conda install -y -q -p $HOME/by-hand --override-channels -c http://127.0.0.1:8080/anaconda numpy=1.11 && grep -q 1.11.1 by-hand/share/numpy/about.txt")

	j.Reboot()
	j.Must("service mongod start; service cron start")
	running()
}

// The manual's own script expands the component archives into what the rest of the manual expects.
func TestExpandComponents(t *testing.T) {
	t.Parallel()
	j, dir := lab.New(t, lab.Options{}), t.TempDir()
	if _, err := Build(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	j.Bind(dir, "/media/usb")
	j.Must(`set -ex; cd /media/usb; I=/installer; mkdir $I; md5sum -c *.md5
for f in *.tar; do tar tf $f | cmp - ${f%.tar}.list; done
tar xf linux-64-2016-08-03.tar -C $I --strip-components 1
sha256sum $I/*.rpm > /tmp/before
mkdir $I/anaconda-suite/miniconda
ln -s $I/miniconda/Miniconda-latest-Linux-x86_64.sh $I/anaconda-suite/miniconda/Miniconda2-latest-Linux-x86_64.sh
tar xf miniconda-64bit-2016-08-03.tar -C $I/anaconda-suite/miniconda/
tar xf cluster-2016-08-03.tar -C $I/ --strip-components 2
mkdir -p $I/R/pkgs/linux-64
tar xf linux-64-R-Packages-2016-08-03.tar -C $I/R/pkgs/linux-64/ --strip-components 1
for f in $I/anaconda-suite/miniconda/Miniconda*-4.1.11-*; do o=$(basename $f); o=${o/Miniconda2/Miniconda}; ln -s $f $I/anaconda-suite/miniconda/${o/4.1.11/latest}; done
tar xfk notebook-2016-08-04.tar -C $I --strip-components 2 && exit 1 # the packages are there
sha256sum --quiet -c /tmp/before
tar xf notebook-2016-08-04.tar -C /tmp; ! cmp /tmp/scratch/notebook/mongodb-org-2.6.8-1.x86_64.rpm $I/mongodb-org-2.6.8-1.x86_64.rpm
mv $I/anaconda-notebook $I/wakari
for c in anaconda-suite anaconda-cluster R wakari; do test -s $I/$c/pkgs/linux-64/repodata.json; done
for v in 3-latest-Linux-x86_64.sh 3-latest-MacOSX-x86_64.sh 3-latest-Windows-x86_64.exe -latest-Linux-x86_64.sh; do test -s $I/anaconda-suite/miniconda/Miniconda$v; done
bash $I/anaconda-suite/miniconda/Miniconda2-latest-Linux-x86_64.sh -b -p /opt/m && /opt/m/bin/conda list`)
}
