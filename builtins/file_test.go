package builtins

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"runbook/runtime"
	"runbook/runtime/host"
)

// What each builtin does, by its effects and what it leaves: "path mode content",
// where content of a link is "-> target".
func TestFileBuiltins(t *testing.T) {
	files := map[string]string{
		"/etc/conf": "a=1\nb=2\n", "/etc/bare": "a=1", "/srv/same": "a=1\nb=2\n",
		"/srv/tree/x": "x", "/srv/tree/sub/y": "y",
	}
	for _, test := range []struct{ body, effects, leaves string }{
		{`write("/etc/new", "hi\n")`, "write /etc/new", "/etc/new 0644 hi"},
		{`write("/etc/new", b"\x00\xff", mode=0o600)`, "write /etc/new", "/etc/new 0600 \x00\xff"},
		{`write("/etc/new", "")`, "write /etc/new", "/etc/new 0644"},
		{`write("/etc/conf", "a=1\nb=2\n")`, "", "/etc/conf 0644 a=1\nb=2"},
		{`write("/etc/conf", "a=1\nb=2\n", mode=0o600)`, "meta /etc/conf", "/etc/conf 0600 a=1\nb=2"},
		{`write("/etc/conf", "c\n", mode=0o600)`, "write /etc/conf", "/etc/conf 0600 c"},
		{`write("/etc/conf", "a=1\nb=2\n", owner="nobody", group="nogroup")`, "meta /etc/conf", "/etc/conf 0644 nobody:nogroup a=1\nb=2"},
		{`write("/etc/conf", "c\n", owner="65534", group="0")`, "write /etc/conf", "/etc/conf 0644 nobody:root c"},

		{`mkdir("/srv/a/b/c", mode=0o770, owner="nobody")`, "mkdir /srv/a|mkdir /srv/a/b|mkdir /srv/a/b/c", "/srv/a 0755|/srv/a/b/c 0770 nobody:root"},
		{`mkdir("/srv/tree")`, "", "/srv/tree 0755"},
		{`mkdir("/srv/tree", mode=0o700, group="adm")`, "meta /srv/tree", "/srv/tree 0700 root:adm|/srv/tree/x 0644 x"},
		{"symlink('/srv/l', 'tree')\nmkdir('/srv/l', mode=0o700)\nmkdir('/srv/l/in')", "symlink /srv/l|meta /srv/tree|mkdir /srv/l/in", "/srv/tree/in 0755"},

		{`line("/etc/conf", "c=3")`, "write /etc/conf", "/etc/conf 0644 a=1\nb=2\nc=3"},
		{`line("/etc/bare", "c=3")`, "write /etc/bare", "/etc/bare 0644 a=1\nc=3"},
		{`line("/etc/bare", "a=1")`, "", "/etc/bare 0644 a=1"},
		{`line("/etc/conf", "b=3", match="^b=")`, "write /etc/conf", "/etc/conf 0644 a=1\nb=3"},
		{`line("/etc/conf", "z", match="=")`, "write /etc/conf", "/etc/conf 0644 a=1\nz"},
		{`line("/etc/conf", "a=9", match="=")`, "write /etc/conf", "/etc/conf 0644 a=1\na=9"},
		{`line("/etc/conf", "a=1", match="^x")`, "", "/etc/conf 0644 a=1\nb=2"},
		{`line("/etc/new", "c=3", match="^c")`, "write /etc/new", "/etc/new 0644 c=3"},

		{`copy("/etc/conf", "/srv/conf")`, "write /srv/conf", "/srv/conf 0644 a=1\nb=2"},
		{`copy("/etc/conf", "/etc/bare", mode=0o600, owner="nobody")`, "write /etc/bare", "/etc/bare 0600 nobody:root a=1\nb=2"},
		{`copy("/etc/conf", "/srv/same", mode=0o640)`, "meta /srv/same", "/srv/same 0640 a=1\nb=2"},
		{`copy("/srv/tree", "/srv/copy", owner="nobody")`, "mkdir /srv/copy|tree /srv/copy", "/srv/copy 0755 nobody:root|/srv/copy/sub/y 0644 nobody:root y"},
		{"mkdir('/srv/copy', mode=0o700)\nwrite('/srv/copy/x', 'x')\nwrite('/srv/copy/z', 'z')\ncopy('/srv/tree', '/srv/copy')", "mkdir /srv/copy|write /srv/copy/x|write /srv/copy/z|tree /srv/copy",
			"/srv/copy 0700|/srv/copy/x 0644 x|/srv/copy/z 0644 z|/srv/copy/sub/y 0644 y"},
		{"mkdir('/srv/copy')\nmkdir('/srv/copy/sub', mode=0o700)\ncopy('/srv/tree', '/srv/copy', owner='nobody')", "mkdir /srv/copy|mkdir /srv/copy/sub|tree /srv/copy",
			"/srv/copy/sub 0700 nobody:root|/srv/copy/sub/y 0644 nobody:root y"},
		{"symlink('/srv/tree/l', 'x')\ncopy('/srv/tree', '/srv/copy')", "symlink /srv/tree/l|mkdir /srv/copy|tree /srv/copy", "/srv/copy/l -> x"},

		{`move("/srv/tree", "/srv/moved")`, "move /srv/moved", "/srv/moved/sub/y 0644 y|/srv/tree gone"},
		{`remove("/srv/tree")`, "remove /srv/tree", "/srv/tree gone"},
		{`remove("/srv/nothing/at/all")`, "", "/srv/nothing gone"},
		{`remove("/etc/conf")`, "remove /etc/conf", "/etc/conf gone"},

		{`symlink("/srv/l", "../nowhere")`, "symlink /srv/l", "/srv/l -> ../nowhere"},
		{`symlink("/srv/l", "tree", owner="nobody")`, "symlink /srv/l", "/srv/l -> tree nobody:root"},

		{`chown("/srv/tree", "nobody", adopt=True)`, "meta /srv/tree", "/srv/tree 0755 nobody:nogroup|/srv/tree/sub/y 0644 nobody:nogroup y"},
		{`chown("/srv/tree", "nobody", group="adm", recursive=False, adopt=True)`, "meta /srv/tree", "/srv/tree 0755 nobody:adm|/srv/tree/x 0644 x"},
		{`chown("/srv/tree", "0", group="0")`, "", "/srv/tree 0755"},
		{`chown("/srv/tree", "65534", group="4", adopt=True)`, "meta /srv/tree", "/srv/tree/x 0644 nobody:adm x"},
	} {
		m := newMachine(t, files)
		_, real := m.thrice(test.body)
		if got := strings.Join(effects(real), "|"); got != test.effects {
			t.Errorf("%s: effects %s, want %s", test.body, got, test.effects)
		}
		for want := range strings.SplitSeq(test.leaves, "|") {
			name, _, _ := strings.Cut(want, " ")
			if got := m.describe(name); got != want {
				t.Errorf("%s: left %q, want %q", test.body, got, want)
			}
		}
	}
}

// describe says what is at name; owners only if not root's.
func (m *machine) describe(name string) string {
	l := m.local()
	meta, err := l.Lstat(name)
	if err != nil {
		return name + " gone"
	}
	owner := ""
	if meta.Owner != (host.Owner{User: "root", Group: "root"}) {
		owner = " " + meta.User + ":" + meta.Group
	}
	if target, err := l.Readlink(name); err == nil {
		return name + " -> " + target + owner
	}
	out := name + " " + modeText(meta.Mode) + owner
	if data, err := host.ReadFile(l, name); err == nil && len(data) > 0 {
		out += " " + strings.TrimSuffix(string(data), "\n")
	}
	return out
}

// A copy that fails leaves what was there and no partial files; one that was killed
// may leave some, and names may be as long as names can be.
func TestCopyTreeIsCutShort(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/a": "old"})
	long := strings.Repeat("n", 255)
	root, err := os.OpenRoot(filepath.Join(m.root, "srv"))
	m.must(err)
	defer root.Close()
	m.must(root.WriteFile(partialCopy("a"), []byte("left by a killed run"), 0o600))
	broken := func() (host.File, error) { return nil, errors.New("broken medium") }
	entries := host.Manifest{
		{Name: "a", Meta: host.Meta{Mode: 0o644}, Content: host.Bytes([]byte("new"))},
		{Name: long, Meta: host.Meta{Mode: 0o600}, Content: host.Content{Open: broken}},
	}
	err = copyEntries(t.Context(), m.local(), root, entries)
	names, _ := os.ReadDir(filepath.Join(m.root, "srv"))
	if !says(err, long+": broken medium") || len(names) != 1 || m.read("/srv/a") != "old" {
		t.Errorf("got %v, left %v, a holds %q", err, names, m.read("/srv/a"))
	}
	entries[1].Content = host.Bytes([]byte("long"))
	m.must(copyEntries(t.Context(), m.local(), root, entries))
	if got := m.describe("/srv/a") + "|" + m.describe("/srv/"+long); got != "/srv/a 0644 new|/srv/"+long+" 0600 long" {
		t.Errorf("left %s", got)
	}
}

func TestWrongLinkIsReplaced(t *testing.T) {
	m := newMachine(t, nil)
	m.must(os.Symlink("old", filepath.Join(m.root, "srv/l")))
	_, real := m.thrice(`symlink("/srv/l", "new")`)
	got, left := effects(real), m.describe("/srv/l")
	if !slices.Equal(got, []string{"remove /srv/l", "symlink /srv/l"}) || left != "/srv/l -> new" {
		t.Errorf("got %v, left %s", got, left)
	}
	m.thrice(`symlink("/srv/l", "new", owner="nobody", group="nogroup")`)
	if got := m.describe("/srv/l"); got != "/srv/l -> new nobody:nogroup" {
		t.Errorf("left %s", got)
	}
}

func TestFileBuiltinsRefuse(t *testing.T) {
	m := newMachine(t, map[string]string{"/etc/conf": "a", "/srv/tree/x": "x", "/srv/bad": "\xff"})
	m.must(os.Symlink("conf", filepath.Join(m.root, "etc/link")))
	m.must(os.Symlink("nowhere", filepath.Join(m.root, "etc/dangling")))
	m.must(syscall.Mkfifo(filepath.Join(m.root, "srv/fifo"), 0o600))
	for body, want := range map[string]string{
		`write("/no/x", "")`:                      `mkdir("/no")`,
		`write("/etc/conf/x", "")`:                "/etc/conf is a file",
		`write("/etc/link", "")`:                  "name the file that it points to, /etc/conf",
		`write("/etc/dangling", "")`:              "is a symbolic link",
		`write("/srv/tree", "")`:                  "is a directory, want a file",
		`write("/srv/fifo", "")`:                  "is a special file",
		`write("/etc/x", 1)`:                      "got int, want a string or bytes",
		`write("/etc/x", "", owner="who")`:        `useradd("who")`,
		`write("/etc/x", "", group="who")`:        `no group "who"`,
		`write("etc/x", "")`:                      "relative",
		`mkdir("/etc/conf")`:                      "is a file, want a directory",
		`mkdir("/etc/conf/x")`:                    "/etc/conf is a file",
		`mkdir("/etc/dangling")`:                  "which is missing",
		`line("/etc/conf", "a\nb")`:               "more than one line",
		`line("/etc/conf", "a", match="(")`:       "missing closing",
		`line("/etc/link", "a")`:                  "is a symbolic link",
		`line("/no/x", "a")`:                      `mkdir("/no")`,
		`copy("/no", "/srv/x")`:                   "/no is not there",
		`copy("/etc/conf", "/srv/tree")`:          `name the copy itself: "/srv/tree/conf"`,
		`copy("/srv/tree", "/etc/conf")`:          "is a file, want a directory",
		`copy("/srv/tree", "/srv/tree/in")`:       "cannot copy",
		`copy("/srv/tree", "/srv/t", mode=0o600)`: "for a directory",
		`copy("/srv/fifo", "/srv/f")`:             "is a special file",
		`copy("/etc/conf", "/no/x")`:              `mkdir("/no")`,
		`move("/no", "/nor")`:                     "neither is /nor",
		`move("/etc/conf", "/srv/tree")`:          "/srv/tree is there, too",
		`move("/srv/tree", "/srv/tree/x")`:        "cannot move",
		`move("/etc/conf", "/no/x")`:              `mkdir("/no")`,
		`symlink("/etc/conf", "x")`:               "is a file, want a symbolic link",
		`symlink("/srv/tree", "x")`:               "is a directory, want a symbolic link",
		`symlink("/no/x", "x")`:                   `mkdir("/no")`,
		`symlink("/srv/l", "")`:                   "got no name",
		`chown("/no", "root")`:                    "is not there",
		`chown("/srv/tree", "who")`:               `useradd("who")`,
		`chown("/srv/tree", "")`:                  "got no name",
		`read("/no")`:                             "read /no: ",
		`read("/srv/bad")`:                        "no UTF-8",
		`read("/srv/tree")`:                       "read /srv/tree: ",
		`sha256("/no")`:                           "sha256 /no: ",
		`exists("/etc", assume="yes")`:            "got string, want bool",
		`glob("/etc/**/x")`:                       "got **",
		`glob("/etc/[a")`:                         "syntax error",
	} {
		m.fails(body, want)
	}
	for _, name := range strings.Fields(`/ /usr /usr/lib /etc /etc/ /var /var/lib /home /proc/sys /sys/kernel /dev/null
		/lib64 /boot/grub /usr/../etc`) {
		m.fails(`remove("`+name+`")`, "name a directory of its own below it")
	}
	m.thrice(`
remove("/usr/lib/x")
remove("/var/lib/x")
remove("/home/x")
remove("/opt/x")
remove("/dev/shm/x")
remove("/etcetera")`)
}

// What the system needs is never given away, closed, moved or removed, whatever it is called.
func TestVital(t *testing.T) {
	m := newMachine(t, map[string]string{"/etc/shadow": "x", "/etc/cron.d/job": "x", "/mnt/a/b/c": "x", "/mnt/d/x": "x",
		"/proc/self/mounts": "/dev/sda1 / ext4 rw 0 0\n/dev/sdb /mnt/a/b\\040c ext4 rw 0 0\n/dev/sdc /mnt/d ext4 rw 0 0\n"})
	m.must(os.MkdirAll(filepath.Join(m.root, "mnt/a/b c"), 0o755))
	m.must(os.MkdirAll(filepath.Join(m.root, "usr/lib"), 0o755))
	m.must(errors.Join(os.Symlink("/", filepath.Join(m.root, "srv/r")), os.Symlink("usr/lib", filepath.Join(m.root, "lib"))))
	for _, body := range []string{
		`mkdir("/usr", mode=0o770)`, `mkdir("/usr", owner="nobody", adopt=True)`, `mkdir("/srv/r/etc", owner="nobody")`,
		`mkdir("/srv/r", mode=0o700)`, `chown("/etc/shadow", "nobody")`, `chown("/lib", "nobody", adopt=True)`,
		`chown("/srv/r/usr/lib", "nobody", adopt=True)`, `chown("/etc/cron.d", "nobody", recursive=False)`, `move("/etc/cron.d", "/etc/cron.x")`,
		`remove("/srv/r/etc")`, `remove("/mnt/a")`, `remove("/mnt/d")`, `mkdir("/mnt/d", owner="nobody", adopt=True)`,
		`move("/mnt/a", "/mnt/b")`, `remove("/var/state")`, `remove("/var")`, `chown("/var/state", "nobody", adopt=True)`,
	} {
		dry, real := m.failsDry(body, ""), error(nil)
		if _, real = m.real(body); real == nil || dry == nil || dry.Error() != real.Error() || runtime.HintOf(real) == "" {
			t.Errorf("%s: dry run: %v, run: %v", body, dry, real)
		}
	}
	for _, name := range []string{"etc/shadow", "etc/cron.d/job", "mnt/a/b/c", "mnt/d/x"} {
		fi, err := os.Stat(filepath.Join(m.root, name))
		if err != nil || fi.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s: %v %v", name, fi, err)
		}
	}
}

// A directory with files that no run made is given away only where the script says so.
func TestAdopt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can give files away")
	}
	m := newMachine(t, map[string]string{"/srv/old/f": "x", "/home/old/f": "x"})
	for _, body := range []string{`mkdir("/srv/old", owner="nobody")`, `chown("/srv/old", "nobody")`,
		"archive('/srv/a.tar', texts={'f': 'y'})\nextract('/srv/a.tar', '/srv/old', owner='nobody')",
		`mirror("/srv/old", "/srv", account="old", owner="nobody")`, `useradd("new", home="/home/old")`} {
		m.fails(body, "adopt=True")
	}
	m.thrice(`
mkdir("/srv/new")
write("/srv/new/f", "x")
chown("/srv/new", "nobody")
mkdir("/srv/old", owner="nobody", adopt=True)
chown("/srv/old", "nobody")`)
}

// Numbers that are none of an account are refused before they wrap around.
func TestAccountNumbers(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/f": "x"})
	for _, n := range strings.Fields("4294967295 4294967296 18446744073709551616 99999999999999999999") {
		m.fails(`chown("/srv/f", "`+n+`")`, "want 0 to 4294967294")
		m.fails(`mkdir("/srv/d", group="`+n+`")`, "want 0 to 4294967294")
	}
	for _, n := range strings.Fields("-1 -7 +5 0x0 1e3") {
		m.fails(`chown("/srv/f", "`+n+`")`, "no user")
	}
	m.fails(`chown("/srv/f", "nobody:nogroup")`, `group="nogroup"`)
}

func TestWriteShows(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	bytesOf := func(s, shown string) string {
		return fmt.Sprintf("%d bytes, sha256 %s; no text, so its bytes are shown escaped:\n%s", len(s), hexSum(s), shown)
	}
	m := newMachine(t, map[string]string{"/etc/a": "old\n", "/etc/big": big, "/etc/empty": "", "/etc/bin": "\x00"})
	m.write("/etc/key", "hunter2\n")
	m.must(os.Chmod(filepath.Join(m.root, "etc/key"), 0o600))
	for body, want := range map[string]host.Change{
		`write("/etc/new", "new\n")`:                     {What: "content", From: "", To: "new\n"},
		`write("/etc/a", "new\n")`:                       {What: "content", From: "old\n", To: "new\n"},
		`write("/etc/empty", "x")`:                       {What: "content", From: "(empty)", To: "x"},
		`write("/etc/a", "")`:                            {What: "content", From: "old\n", To: "(empty)"},
		`write("/etc/key", "new")`:                       {What: "content", From: "8 bytes that others may not read", To: "new"},
		`line("/etc/key", "a", "h")`:                     {What: "line", From: "7 bytes that others may not read", To: "a"},
		`write("/etc/big", "x")`:                         {What: "content", From: big, To: "x"},
		`write("/etc/bin", b"\x01\x00")`:                 {What: "content", From: bytesOf("\x00", `\x00`), To: bytesOf("\x01\x00", `\x01\x00`)},
		`write("/etc/new", b"a\\ \"\xff\n* root\n\x00")`: {What: "content", To: bytesOf("a\\ \"\xff\n* root\n\x00", "a\\\\ \"\\xff\n* root\n\\x00")},
	} {
		events, err := m.dry(body)
		if got := changesOf(events, 0); err != nil || len(got) == 0 || got[0] != want {
			t.Errorf("%s: got %q, %v, want %q", body, got, err, want)
		}
	}
}

func TestSecretsInFiles(t *testing.T) {
	m := newMachine(t, nil)
	m.secrets = map[string]string{"pw": `hun"ter2\`}
	_, real := m.thrice(`
write("/etc/a", "pw=" + pw + "\n", mode=0o600)
line("/etc/l", "again=" + pw)
write("/etc/b", pw)
copy("/etc/b", "/srv/b")
write("/etc/j", json.encode({"pw": pw}))
write("/etc/y", yaml.encode({"pw": "x" + pw, "list": [pw]}))`)
	for name, want := range map[string]string{
		"/etc/a": "pw=hun\"ter2\\\n", "/etc/l": "again=hun\"ter2\\\n", "/etc/b": `hun"ter2\`, "/srv/b": `hun"ter2\`,
		"/etc/j": `{"pw":"hun\"ter2\\"}`, "/etc/y": "pw: \"xhun\\\"ter2\\\\\"\nlist:\n  - \"hun\\\"ter2\\\\\"\n",
	} {
		if got := m.read(name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	if _, err := m.real(`copy("/etc", "/srv/etc")`); err != nil || m.read("/srv/etc/a") != m.read("/etc/a") {
		t.Errorf("copied tree holds %q, %v", m.read("/srv/etc/a"), err)
	}
	text := strings.Join(eventTexts(real), "")
	if strings.Contains(text, "ter2") || !strings.Contains(text, "<secret:pw>") {
		t.Errorf("emitted %s", text)
	}
}

// What keeps its owner keeps it on every host.
func TestOwnerStays(t *testing.T) {
	for _, body := range []string{
		`write("/srv/x", "new")`, `write("/srv/x", "old", mode=0o600)`, `line("/srv/x", "new")`,
		`copy("/etc/passwd", "/srv/x")`, `copy("/etc", "/srv")`,
		`download("/etc/group", "/srv/x")`, `download(URL + "/x", "/srv/x", sha256="` + hexSum("data") + `")`,
	} {
		m := newMachine(t, map[string]string{"/etc/x": "etc", "/srv/x": "old"})
		body = strings.ReplaceAll(body, "URL", `"`+m.serve(pages(map[string]string{"/x": "data"}))+`"`)
		m.must(os.Chown(filepath.Join(m.root, "srv/x"), 65534, 4))
		o, _, err := m.play(runtime.Predicted, body)
		if err != nil {
			t.Fatal(err)
		}
		m.thrice(body)
		for _, h := range []host.Reader{o, m.local()} {
			if meta, err := h.Lstat("/srv/x"); err != nil || meta.Owner != (host.Owner{User: "nobody", Group: "adm"}) {
				t.Errorf("%s: on %T x belongs to %v, %v", body, h, meta.Owner, err)
			}
		}
	}
}
