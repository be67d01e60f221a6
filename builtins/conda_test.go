package builtins

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runbook/builtins/internal/conda"
	"runbook/runtime/trace"
)

// newConda has an installer that does what the real ones do with -b -p. What
// they install is run by its absolute name, so the root is the machine's own.
// Its conda is condaStandIn.
func newConda(t *testing.T) (m *machine, body func(string) string) {
	m = &machine{t: t, root: "/", tools: toolbox(t)}
	dir := t.TempDir()
	self, err := os.Executable()
	m.must(err)
	body = func(s string) string { return strings.ReplaceAll(s, "/srv", dir) }
	m.must(os.WriteFile(dir+"/conda.sh", []byte(body(`#!/bin/bash
p=$3; [ "$1 $2" = "-b -p" ] || exit 9
[ -e $p ] && { echo "ERROR: File or directory already exists: $p" >&2; exit 1; }
mkdir -p $p/bin $p/conda-meta
echo '{"name":"python","version":"2.7.12","build":"1","channel":"defaults"}' > $p/conda-meta/python-2.7.12-1.json
[ -e /srv/broken ] && exit 1
[ -e /srv/shipped ] && cp /srv/shipped $p/.condarc
echo > $p/conda-meta/history
cat > $p/bin/conda <<'EOF'
#!/bin/bash
echo "$@" >> /srv/calls
env > /srv/environment
STAND_IN=conda exec `+self+` /srv "$@"
EOF
chmod 755 $p/bin/conda
`)), 0o644))
	m.must(os.WriteFile(dir+"/records.json", []byte(body(condaRecords)), 0o644))
	return m, body
}

// condaRecords are what channels have, each a record as conda-meta will have it: real ones of which
// the fields were kept that decide something.
const condaRecords = `[
{"name":"anaconda-client","version":"1.5.1","build":"py27_0","channel":"file:///srv/pkgs/linux-64"},
{"name":"numpy","version":"1.8.2","build":"py27_0","channel":"file:///srv/pkgs/linux-64"},
{"name":"numpy","version":"1.11.1","build":"py27_0","channel":"file:///srv/pkgs/linux-64"},
{"name":"openssl","version":"1.0.2h","build":"1","channel":"file:///srv/pkgs/linux-64"},
{"name":"tzdata","version":"2022g","build":"h04d1e81_0","channel":"file:///srv/pkgs/noarch"},
{"name":"tzdata","version":"2022g","build":"h191b570_0","channel":"https://conda.anaconda.org/conda-forge/noarch"},
{"name":"zlib","version":"1.2.8","build":"3","build_number":3,"channel":"file:///srv/pkgs/linux-64"},
{"name":"zlib","version":"1.2.11","build":"0","channel":"file:///srv/pkgs/linux-64"}
]`

func TestMain(m *testing.M) {
	if os.Getenv("STAND_IN") == "conda" {
		if err := condaStandIn(os.Args[1], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// condaStandIn is conda install with the arguments args. Its verdicts are the real one's: those of
// Spec.MatchInstalled, which a test of package conda holds against it. Without -c it searches all channels.
func condaStandIn(dir string, args []string) error {
	var channels, specs []string
	prefix := ""
	for ; len(args) > 0; args = args[1:] {
		switch args[0] {
		case "-y", "-q", "--offline", "--override-channels":
		case "-p":
			prefix, args = args[1], args[1:]
		case "-c":
			channels, args = append(channels, args[1]), args[1:]
		default:
			specs = append(specs, args[0])
		}
	}
	text, err := os.ReadFile(dir + "/records.json")
	var records []json.RawMessage
	if err == nil {
		err = json.Unmarshal(text, &records)
	}
	if _, lazy := os.Stat(dir + "/lazy"); err != nil || lazy == nil {
		return err
	}
	for _, s := range specs {
		if err := condaStandInInstall(prefix, s, channels, records); err != nil {
			return err
		}
	}
	return nil
}

func condaStandInInstall(prefix, text string, channels []string, records []json.RawMessage) error {
	spec, err := conda.ParseSpec(text)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(prefix + "/conda-meta/" + spec.Name() + "-[0-9]*.json")
	if err != nil {
		return err
	}
	var best *conda.Installed
	var record []byte
	for _, r := range records {
		p, err := conda.ParseInstalled(r)
		if err != nil {
			return err
		}
		served := len(channels) == 0 || slices.ContainsFunc(channels, func(c string) bool { return strings.HasPrefix(p.Channel, c+"/") })
		if served && spec.MatchInstalled(p) && (best == nil || conda.Compare(best.Version, p.Version) < 0) {
			best, record = p, r
		}
	}
	if best == nil {
		return fmt.Errorf("PackagesNotFoundError: The following packages are not available from current channels:\n\n  - %s\n\n"+
			"Current channels:\n\n  - %s", text, strings.Join(channels, "\n  - "))
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return os.WriteFile(fmt.Sprintf("%s/conda-meta/%s-%s-%s.json", prefix, best.Name, best.Version, best.Build), record, 0o644)
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
	m.write(body("/srv/shipped"), "channels:\n  - conda-forge\n")
	steps := body(`conda.bootstrap("/srv/conda.sh", "/srv/c")
conda.channels("/srv/c", only = ["file:///srv/pkgs"])
conda.install("/srv/c", ["anaconda-client", "numpy=1.8"])
conda.install("/srv/c", ["anaconda-client", "numpy"])`)
	dry, err := m.dry(steps)
	m.must(err)
	real, err := m.real(steps)
	m.must(err)
	m.again(steps)
	if d, r := condaEffects(dry), condaEffects(real); d != r {
		t.Errorf("dry run:\n%s\nrun:\n%s", d, r)
	}
	m.shows(strings.Join(guesses(dry), "\n"), body("packages that /srv/c does not have yet"))
	if n := len(guesses(real)); n != 0 {
		t.Errorf("got %d assumptions in a real run", n)
	}
	want := body("install -y -q -p /srv/c --offline --override-channels -c file:///srv/pkgs anaconda-client numpy=1.8\n")
	if got := m.read(body("/srv/calls")); got != want {
		t.Errorf("got %q", got)
	}
	if got := m.read(body("/srv/c/.condarc")); got != body("channels: #!final\n  - file:///srv/pkgs\n") {
		t.Errorf("got %q", got)
	}
	m.fails(body(`conda.install("/srv/none", ["a"])`), "conda.bootstrap()")
	m.fails(body(`conda.channels("/srv/none", add = ["a"])`), "conda.bootstrap()")
}

// condaEffects returns what the runs do; what an assumed file has, only one of them knows.
func condaEffects(events []trace.Event) (text string) {
	for _, e := range events {
		if e.Kind == trace.Effect {
			text += eventText(e)
		}
	}
	return text
}

// What conda-meta has decides, for each form of specs. A spec that is not met is a change, and a run
// after which it is not met failed.
func TestCondaInstallVerdicts(t *testing.T) {
	m, body := newConda(t)
	install := func(spec string, want trace.Outcome) {
		t.Helper()
		events, err := m.real(body(`conda.install("/srv/c", ["` + spec + `"], env = {"SITE": "a b"})`))
		if got := outcomes(events); err != nil || !slices.Equal(got, []trace.Outcome{want}) {
			t.Errorf("%s: got %s, %v, want %s", spec, got, err, want)
		}
	}
	_, err := m.real(body(`conda.bootstrap("/srv/conda.sh", "/srv/c")
conda.install("/srv/c", ["zlib=1.2.8=3", "openssl=1.0.2", "pkgs::tzdata", "numpy==1.8.2"])`))
	m.must(err)
	for spec := range strings.FieldsSeq("zlib>=1.2,<2 zlib==1.2.8.0 zlib=1.2.8=3 openssl=1.0.2 tzdata=2022 pkgs::tzdata numpy=1.8 python=2.7 defaults::python") {
		install(spec, trace.Same)
	}
	for spec := range strings.FieldsSeq("zlib>=1.3 zlib==1.2 zlib=1.2.8=99 zlib=1.2.12|1.3 numpy=1.8.2=py34_0 openssl>=1.1 r::numpy") {
		if _, err := m.real(body(`conda.install("/srv/c", ["` + spec + `"])`)); !says(err, "PackagesNotFoundError") {
			t.Errorf("%s: got %v, want that conda does not find it", spec, err)
		}
	}
	for spec := range strings.FieldsSeq("zlib!=1.2.8 zlib=1.2.8 numpy>=1.9 conda-forge::tzdata pkgs::tzdata") {
		install(spec, trace.Changed)
		install(spec, trace.Same)
	}
	m.shows(m.read(body("/srv/environment")), "SITE=a b")
	named := filepath.Base(body("/srv")) + "/pkgs::zlib" // as seen from above
	if _, err := m.real(body(`conda.install("/srv/c", ["` + named + `"])`)); !says(err, "PackagesNotFoundError") {
		t.Errorf("%s: got %v", named, err)
	}
	m.write(body("/srv/c/.condarc"), "channel_alias: file://"+filepath.Dir(body("/srv"))+"\n")
	install(named, trace.Same)
	m.write(body("/srv/lazy"), "")
	if _, err := m.real(body(`conda.install("/srv/c", ["zlib>1.2.8"])`)); !says(err, "did not take effect") {
		t.Errorf("got %v, want that nothing came of it", err)
	}
	m.write(body("/srv/c/conda-meta/broken-1-0.json"), "{")
	m.fails(body(`conda.install("/srv/c", ["broken"])`), "broken-1-0.json")
}

// outcomes returns those of the ops.
func outcomes(events []trace.Event) (all []trace.Outcome) {
	for _, e := range events {
		if e.Kind == trace.Result {
			all = append(all, e.Outcome)
		}
	}
	return all
}

// Other files that add channels are told of, without their tokens.
func TestOtherCondarcs(t *testing.T) {
	m, body := newConda(t)
	_, err := m.real(body(`conda.bootstrap("/srv/conda.sh", "/srv/c")`))
	m.must(err)
	m.write(body("/srv/c/condarc.d/site.yml"), "channels: [a, b]\n")
	m.write(body("/srv/c/condarc.d/README"), "channels: [c]\n")
	m.write(body("/srv/c/condarc"), "a: 1\na: 2\n")
	m.write(body("/srv/own"), "channels:\n  - https://h/t/k3y/x #!top\n")
	events, err := m.real(body(`conda.install("/srv/c", ["zlib"], env = {"CONDARC": "/srv/own"})`))
	m.must(err)
	notes := ""
	for _, e := range events {
		notes += e.Text + "\n"
	}
	m.shows(notes, body("/srv/c/condarc.d/site.yml adds channels to those of /srv/c/.condarc: a b"),
		body("/srv/own adds channels to those of /srv/c/.condarc: https://h/t/<TOKEN>/x (#!top: out of its order)"))
	m.shows(notes, body("/srv/c/condarc: line 2: got a again, want it once; it is in line 1 already: conda cannot start with it"))
	if strings.Contains(notes, "README") || strings.Contains(notes, "k3y") {
		t.Errorf("got %s", notes)
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

// What is written does not depend on the file that was there.
func TestCondarcMeta(t *testing.T) {
	for _, mode := range []os.FileMode{0, 0o600, 0o644, 0o755} {
		m := newMachine(t, map[string]string{"/srv/c/bin/conda": ""})
		if mode != 0 {
			m.write("/srv/c/.condarc", "channels: [x]\n")
			m.must(os.Chmod(m.root+"/srv/c/.condarc", mode))
		}
		_, events := m.thrice(`conda.channels("/srv/c", only = ["a"])`)
		for _, e := range events {
			if e.Kind == trace.Effect && (e.Detail["mode"] != "0644" || e.Detail["owner"] != nil || e.Detail["group"] != nil) {
				t.Errorf("mode %o: got %v", mode, e.Detail)
			}
		}
	}
}

func TestCondaChannelsRefuses(t *testing.T) {
	for args, want := range map[string]string{
		`add = []`: "neither add", `only = []`: "at least one", `only = ["a"], add = ["b"]`: "want it alone", `add = ["a/"], remove = ["a"]`: "not removed",
		`add = [" a"]`: "the name or URL", `remove = ["defaults"]`: "no channel would be left",
	} {
		newMachine(t, map[string]string{"/srv/c/bin/conda": ""}).fails(`conda.channels("/srv/c", `+args+`)`, want)
	}
	for text, want := range map[string]string{
		"channels: [a]\nchannels: [b]\n": "line 2: got channels again", "channel: [a]\nchannels: [b]\n": "again", "a: 1\na: 2\n": "got a again",
		"channels: &c [x]\ny: *c\n":  "without anchors",
		"channels: [a]\n---\nx: 1\n": "more than one document", "- a\n": "want settings", "channels: {a: b}\n": "want a list", "channels: [[a]]\n": "want a channel",
	} {
		newMachine(t, map[string]string{"/srv/c/.condarc": text}).fails(`conda.channels("/srv/c", only = ["a"])`, want)
	}
}

// Comments stay, whatever becomes of the list.
func TestCondarc(t *testing.T) {
	for _, c := range []struct {
		have              string
		add, remove, only string // separated by blanks
		want              string // "" if nothing changes
	}{
		{"", "a", "", "", "channels:\n  - a\n  - defaults\n"},
		{"", "a b", "defaults", "", "channels:\n  - a\n  - b\n"},
		{"", "", "x", "", ""},
		{"channels: [a, b]\n", "b", "", "", "channels:\n  - b\n  - a\n"},
		{"channels:\n  - b\n  - a\n", "b", "defaults", "", ""},
		{"# mine\nssl_verify: false # why\nchannels:\n  - a # old\n  - defaults\n", "b", "defaults", "",
			"# mine\nssl_verify: false # why\nchannels:\n  - b\n  - a # old\n"},
		{"# nothing yet\n", "a", "defaults", "", "# nothing yet\nchannels:\n  - a\n"},
		{"ssl_verify: false", "a", "defaults", "", "ssl_verify: false\nchannels:\n  - a\n"},
		{"channels: []\n", "a", "", "", "channels:\n  - a\n  - defaults\n"},
		{"channels:\nx: 1\n", "a", "", "", "channels:\n  - a\n  - defaults\nx: 1\n"},
		{"channels: conda-forge\n", "a", "", "", "channels:\n  - a\n  - conda-forge\n"},
		{"channels: conda-forge\n", "conda-forge", "", "", "channels:\n  - conda-forge\n"}, // conda refuses a text
		{"", "https://h/t/<secret:tok#0123456789abcdef01234567>/c", "defaults", "",
			"channels:\n  - \"https://h/t/<secret:tok#0123456789abcdef01234567:json>/c\"\n"},
		// comments
		{"channels:\n  - a\n  - defaults # the last\n  # why not\n# of x\nx: 1\n", "", "defaults", "", "channels:\n  - a\n  # why not\n# of x\nx: 1\n"},
		{"channels: # ours\n- a # 1\n\n# 2\n- b # 3\n", "b", "", "", "channels: # ours\n- b # 3\n- a # 1\n\n# 2\n"},
		{"channels: [a, b] # ours\nx: 1\n", "", "a", "", "channels: # ours\n  - b\nx: 1\n"},
		{"channels: [ # ours\n  a, # 1\n  'b # c']   # 2\n\nx: [1]\n", "", "a", "", "channels: # ours\n  - 'b # c'\n  # 1\n  # 2\n\nx: [1]\n"},
		{"channels: a # ours\n", "b", "", "", "channels: # ours\n  - b\n  - a\n"},
		{"{channels: [a], x: 1}\n", "b", "", "", "channels:\n  - b\n  - a\nx: 1\n"},
		{"  channels:\n  - a\n  x: 1\n", "b", "", "", "  channels:\n  - b\n  - a\n  x: 1\n"},
		{"channels:\r\n  - a\r\nx: 1\r\n", "b", "", "", "channels:\r\n  - b\r\n  - a\r\nx: 1\r\n"},
		{"x: 1\n...\n", "a", "defaults", "", "x: 1\nchannels:\n  - a\n...\n"},
		{"x: &c [a]\nchannels: *c\n", "b", "", "", "x: &c [a]\nchannels:\n  - b\n  - a\n"},
		{"channel: [a]\n", "b", "", "", "channels:\n  - b\n  - a\n"},
		// spellings
		{"channels:\n  - file:///x/\n", "file:///x", "", "", ""},
		{"channels:\n  - file:///x/\n  - https://conda.anaconda.org/r\n", "/x", "r", "", "channels:\n  - file:///x/\n"},
		// the whole list
		{"", "", "", "a b a/", "channels: #!final\n  - a\n  - b\n"},
		{"channels:\n- conda-forge\n", "", "", "a", "channels: #!final\n  - a\n"},
		{"channels:\n- conda-forge\n# x\n- a\n", "", "", "a", "# x\nchannels: #!final\n- a\n"},
		{"channels: # mine\n  # more\n  - a\n", "", "", "a", "# mine\n  # more\nchannels: #!final\n  - a\n"},
		{"channels: #!final\n  - a\n", "", "", "a", ""},
		{"channels: [a] #!final\n", "", "", "a", ""},
		{"channels: #!final\n  # hides it\n  - a\n", "", "", "a", "  # hides it\nchannels: #!final\n  - a\n"},
		{"channels: #!final\n  - a\n", "b", "", "", "channels: #!final\n  - b\n  - a\n"},
		// flags
		{"channels:\n  - b\n  - a #!top\n", "a", "", "", ""},
		{"channels:\n  - b\n  - a #!top\n", "b", "", "", "channels:\n  - b\n  - a\n"},
		{"channels:\n  - b #!bottom\n  - a #!top\n  - c\n", "", "", "c b", "channels: #!final\n  - c\n  - b\n"},
	} {
		rc, err := parseCondarc(c.have)
		if err != nil {
			t.Errorf("%q: %v", c.have, err)
			continue
		}
		op := &channelsOp{add: strings.Fields(c.add), remove: strings.Fields(c.remove)}
		if c.only != "" {
			op.only = strings.Fields(c.only)
		}
		wanted := op.wanted(rc.channels())
		changes := op.changes(rc, rc.channels(), wanted)
		if c.want == "" {
			if len(changes) > 0 {
				t.Errorf("%q: got %v, want no change", c.have, changes)
			}
			continue
		}
		text, err := rc.with(wanted, op.only != nil)
		if err != nil || string(text) != c.want || len(changes) == 0 {
			t.Errorf("%q:\n got %q, %v, %v\nwant %q", c.have, text, err, changes, c.want)
			continue
		}
		rc, err = parseCondarc(string(text))
		if err != nil || len(op.changes(rc, rc.channels(), op.wanted(rc.channels()))) > 0 {
			t.Errorf("%q: again changes %v", c.have, rc.channels())
		}
	}
}

func TestCondaSpecs(t *testing.T) {
	for _, bad := range []string{"", "-y", "--force", "a;b", "a b c d", "zlib-1.2.8-3.tar.bz2", "/x/y.tar.bz2", "py*", "*", "__glibc", "x@", "x if y", "x>=", "x>=1 <2", "x[colour=red]"} {
		if s, err := parseCondaSpec(bad); err == nil {
			t.Errorf("%q: got %v", bad, s)
		}
	}
	m := newMachine(t, map[string]string{"/srv/c/bin/conda": ""})
	m.fails(`conda.install("/srv/c", ["numpy>=1.8 <2"])`, `got the build "<2"`)
	if n, ok := packageOf("r-base-3.3.1-1.json"); n != "r-base" || !ok {
		t.Errorf("got %s", n)
	}
}

// The indexes of channels that are directories are part of a plan.
func TestCondaInstallReadsIndexes(t *testing.T) {
	m, body := newConda(t)
	for _, name := range []string{"linux-64/repodata.json", "noarch/repodata.json.bz2", "win-64/repodata.json"} {
		m.write(body("/srv/pkgs/"+name), "{}")
	}
	steps := body(`conda.bootstrap("/srv/conda.sh", "/srv/c")
conda.channels("/srv/c", only = ["file:///srv/pkgs"])
conda.install("/srv/c", ["zlib"])`)
	dry, err := m.dry(steps)
	m.must(err)
	real, err := m.real(steps)
	m.must(err)
	for _, events := range [][]trace.Event{dry, real} {
		var read []string
		for _, e := range events {
			for _, in := range e.Inputs {
				read = append(read, in.Path)
			}
		}
		want := strings.Fields(body("/srv/conda.sh /srv/pkgs/linux-64/repodata.json /srv/pkgs/noarch/repodata.json.bz2"))
		if !slices.Equal(read, want) {
			t.Errorf("got %q read, want %q", read, want)
		}
	}
	if d := trace.Diff(dry, real); !d.Equal {
		t.Error(d)
	}
}
