package builtins

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"runbook/runtime/trace"
)

// newConda has an installer that does what the real ones do with -b -p. What
// they install is run by its absolute name, so the root is the machine's own.
func newConda(t *testing.T) (m *machine, body func(string) string) {
	m = &machine{t: t, root: "/", tools: toolbox(t)}
	dir := t.TempDir()
	body = func(s string) string { return strings.ReplaceAll(s, "/srv", dir) }
	m.must(os.WriteFile(dir+"/conda.sh", []byte(body(`#!/bin/bash
p=$3; [ "$1 $2" = "-b -p" ] || exit 9
[ -e $p ] && { echo "ERROR: File or directory already exists: $p" >&2; exit 1; }
mkdir -p $p/bin $p/conda-meta; echo > $p/conda-meta/python-2.7.12-1.json
[ -e /srv/broken ] && exit 1
echo > $p/conda-meta/history
cat > $p/bin/conda <<'EOF'
#!/bin/bash
echo "$@" >> /srv/calls
shift
while [ $# -gt 0 ]; do case $1 in
-p) p=$2; shift;;
-*) ;;
*=*) echo > $p/conda-meta/${1%=*}-${1#*=}.1-py27_0.json;;
*) echo > $p/conda-meta/$1-1.0-0.json;;
esac; shift; done
EOF
chmod 755 $p/bin/conda
`)), 0o644))
	return m, body
}

func TestCondaBootstrap(t *testing.T) {
	m, body := newConda(t)
	sum := hexSum(m.read(body("/srv/conda.sh")))
	m.thrice(body(`conda.bootstrap("/srv/conda.sh", "/srv/c", sha256 = "` + sum + `  conda.sh")`))
	if left := m.read(body("/srv/c.runbook-incomplete")); !strings.Contains(left, "no such file") {
		t.Errorf("the marker is still there: %q", left)
	}
}

// An interrupted installation is done again, after what it left is removed.
func TestCondaBootstrapAgain(t *testing.T) {
	m, body := newConda(t)
	m.write(body("/srv/broken"), "")
	if _, err := m.real(body(`conda.bootstrap("/srv/conda.sh", "/srv/c")`)); err == nil {
		t.Fatal("want an error")
	}
	m.must(os.Remove(body("/srv/broken")))
	_, real := m.thrice(body(`conda.bootstrap("/srv/conda.sh", "/srv/c")`))
	m.shows(strings.Join(eventTexts(real), ""), "remove [] "+body("/srv/c "), "incomplete installed")
}

func TestCondaBootstrapRefuses(t *testing.T) {
	m, body := newConda(t)
	m.write(body("/srv/other/file"), "mine")
	m.write(body("/srv/page.sh"), "<html>")
	m.fails(body(`conda.bootstrap("/srv/conda.sh", "/srv/other")`), "has no conda-meta/history")
	m.fails(body(`conda.bootstrap("/srv/page.sh", "/srv/c")`), "is not a shell script")
	m.fails(body(`conda.bootstrap("/srv/none.sh", "/srv/c")`), "no such file")
	m.fails(`conda.bootstrap("/srv/conda.sh", "/none/c")`, `mkdir("/none")`)
	m.fails(body(`conda.bootstrap("/srv/conda.sh", "/srv/other/file/c")`), "want a directory")
	m.fails(body(`conda.bootstrap("/srv/conda.sh", "/srv/a b")`), "without blanks")
	m.fails(body(fmt.Sprintf(`conda.bootstrap("/srv/conda.sh", "/srv/c", sha256 = "%064d")`, 0)), "want 0000")
	m.fails(body(fmt.Sprintf(`conda.bootstrap("/srv/conda.sh", "/srv/c", md5 = "%032d")`, 0)), "want 0000")
	m.fails(body(`conda.bootstrap("/srv/conda.sh", "/srv/c", sha256 = "0000")`), "want 64 hex digits")
	m.fails(`conda.bootstrap("/srv/conda.sh", "/srv/c", user = "none")`, `useradd("none")`)
}

// The three together: a dry run knows nothing of what the installer brings.
func TestCondaInstall(t *testing.T) {
	m, body := newConda(t)
	steps := body(`conda.bootstrap("/srv/conda.sh", "/srv/c")
conda.channels("/srv/c", add = ["file:///srv/pkgs"], remove = ["defaults"])
conda.install("/srv/c", ["anaconda-client", "numpy=1.8"])
conda.install("/srv/c", ["anaconda-client"])`)
	dry, real := m.thrice(steps)
	m.shows(strings.Join(guesses(dry), "\n"), body("packages that /srv/c does not have yet"))
	if n := len(guesses(real)); n != 0 {
		t.Errorf("got %d assumptions in a real run", n)
	}
	if got := m.read(body("/srv/calls")); got != body("install -y -q -p /srv/c --offline anaconda-client numpy=1.8\n") {
		t.Errorf("got %q", got)
	}
	if got := m.read(body("/srv/c/.condarc")); got != body("channels:\n  - file:///srv/pkgs\n") {
		t.Errorf("got %q", got)
	}
	m.fails(body(`conda.install("/srv/none", ["a"])`), "conda.bootstrap()")
	m.fails(body(`conda.channels("/srv/none", add = ["a"])`), "conda.bootstrap()")
	events, err := m.dry(body(`conda.install("/srv/c", ["python=2.7"])`))
	if err != nil || events[len(events)-1].Counts.Same != 1 || events[len(events)-1].Kind != trace.End {
		t.Errorf("got %v, %v", eventTexts(events), err)
	}
}

// Only the owner can read a .condarc that gives access to a channel.
func TestCondarcWithToken(t *testing.T) {
	for channel, want := range map[string]string{
		`"https://h/c"`: "0644", `"https://h/t/x/c"`: "0600", `"https://u:p@h/c"`: "0600", `"https://h/" + tok`: "0600",
	} {
		m := newMachine(t, map[string]string{"/srv/c/bin/conda": "", "/srv/c/conda-meta/history": ""})
		m.secrets = map[string]string{"tok": "k3y-of-a-channel"}
		m.thrice(`conda.channels("/srv/c", add = [` + channel + `])`)
		if got := m.describe("/srv/c/.condarc"); !strings.HasPrefix(got, "/srv/c/.condarc "+want) {
			t.Errorf("%s: left %s, want mode %s", channel, got, want)
		}
	}
}

func TestCondarc(t *testing.T) {
	for _, c := range []struct {
		have        string
		add, remove []string
		want        string // "" if nothing changes
	}{
		{"", []string{"a"}, nil, "channels:\n  - a\n  - defaults\n"},
		{"", []string{"a", "b"}, []string{"defaults"}, "channels:\n  - a\n  - b\n"},
		{"", nil, []string{"x"}, ""},
		{"channels: [a, b]\n", []string{"b"}, nil, "channels:\n  - b\n  - a\n"},
		{"channels:\n  - b\n  - a\n", []string{"b"}, []string{"defaults"}, ""},
		{"# mine\nssl_verify: false # why\nchannels:\n  - a # old\n  - defaults\n", []string{"b"}, []string{"defaults"},
			"# mine\nssl_verify: false # why\nchannels:\n  - b\n  - a # old\n"},
		{"# nothing yet\n", []string{"a"}, []string{"defaults"}, "# nothing yet\n\nchannels:\n  - a\n"},
		{"channels: []\n", []string{"a"}, nil, "channels:\n  - a\n  - defaults\n"},
		{"channels: conda-forge\n", []string{"a"}, nil, "channels:\n  - a\n  - conda-forge\n"},
		{"", []string{"https://h/t/<secret:tok#abc>/c"}, []string{"defaults"},
			"channels:\n  - \"https://h/t/<secret:tok#abc>/c\"\n"},
	} {
		rc, err := parseCondarc(c.have)
		if err != nil {
			t.Fatal(err)
		}
		op := &channelsOp{add: c.add, remove: c.remove}
		have, wanted := rc.channels(), op.wanted(rc.channels())
		if c.want == "" {
			if fmt.Sprint(have) != fmt.Sprint(wanted) {
				t.Errorf("%q: got %v, want no change of %v", c.have, wanted, have)
			}
			continue
		}
		text, err := rc.with(wanted)
		if err != nil || string(text) != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.have, text, err, c.want)
		}
		rc, err = parseCondarc(string(text))
		if err != nil || fmt.Sprint(op.wanted(rc.channels())) != fmt.Sprint(rc.channels()) {
			t.Errorf("%q: adding again changes %v", c.have, rc.channels())
		}
	}
}

func TestCondaSpecs(t *testing.T) {
	for _, c := range []struct {
		spec, have string
		met        bool
	}{
		{"python", "2.7", true}, {"python", "", false}, {"python=2.7", "2.7.12", true}, {"python=2.7", "2.70", false},
		{"python==2.7", "2.7", true}, {"python>=3", "2.7", true}, {"python=2.7=1", "2.7", true},
		{"r::python=3.*", "3.5", true}, {"a=1", "present", true},
	} {
		s, err := parseCondaSpec(c.spec)
		if err != nil || s.met(c.have) != c.met {
			t.Errorf("%s with %q: got %v, %v", c.spec, c.have, !c.met, err)
		}
	}
	for _, bad := range []string{"", "-y", "--force", "a b", "a;b", "/x/y.tar.bz2"} {
		if s, err := parseCondaSpec(bad); err == nil {
			t.Errorf("%q: got %v", bad, s)
		}
	}
	if n, v, ok := packageOf("r-base-3.3.1-1.json"); n != "r-base" || v != "3.3.1" || !ok {
		t.Errorf("got %s %s", n, v)
	}
}
