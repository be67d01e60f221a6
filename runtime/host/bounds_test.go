package host_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"runbook/runtime/host"
)

// A ground is where confined commands are tried: in, which they may change, and out, which they may not.
type ground struct {
	t       *testing.T
	in, out string
	local   *host.Local
}

func newGround(t *testing.T) ground {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // another account enters, too
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g := ground{t: t, in: filepath.Join(dir, "in"), out: filepath.Join(dir, "out"), local: host.NewLocal("/")}
	g.local.Helper = "/proc/self/exe"
	for _, d := range []string{g.in, g.out, g.out + "/sub"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{g.in + "/mine", g.out + "/theirs", g.out + "/sub/deep"} {
		if err := os.WriteFile(f, []byte("as it was\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(dir+"/pipe", 0o666); err != nil {
		t.Fatal(err)
	}
	return g
}

// do runs a script within bounds.
func (g ground) do(script string, b host.Bounds) (host.Result, error) {
	g.t.Helper()
	p := host.Process{Argv: []string{"bash", "-c", script}, Env: map[string]string{"IN": g.in, "OUT": g.out}}
	res, err := g.local.Exec(g.t.Context(), host.Cmd{Process: p, Within: &b})
	if res.Loose != "" {
		g.t.Skip("NOT TESTED: " + res.Loose)
	}
	return res, err
}

func (g ground) inside() host.Bounds { return host.Bounds{Trees: []string{g.in}} }

// print returns names, modes, owners, times and texts of what is outside.
func (g ground) print() string {
	g.t.Helper()
	cmd := host.Process{Argv: []string{"sh", "-c",
		`find "$1" -printf '%P %y %m %u %g %T@ %n %l\n' | sort; find "$1" -type f | sort | xargs cat`, "sh", g.out}}
	res, err := g.local.Query(g.t.Context(), cmd)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(res.Stdout)
}

// trespasses are scripts that change what is outside; each ends with 0 if it could, as it can where that is declared.
var trespasses = map[string]string{
	"write":                   `echo changed >"$OUT/theirs"`,
	"append":                  `echo changed >>"$OUT/theirs"`,
	"make":                    `echo new >"$OUT/new"`,
	"make a directory":        `mkdir "$OUT/new"`,
	"remove":                  `rm -f "$OUT/theirs"`,
	"remove a tree":           `rm -rf "$OUT/sub"`,
	"truncate":                `truncate -s 0 "$OUT/theirs"`,
	"chmod":                   `chmod 777 "$OUT/theirs"`,
	"chmod of a directory":    `chmod 777 "$OUT"`,
	"chown":                   `chown 65534 "$OUT/theirs"`,
	"times":                   `touch -d 2001-01-01 "$OUT/theirs"`,
	"rename there":            `mv "$OUT/theirs" "$OUT/ours"`,
	"rename out":              `mv "$IN/mine" "$OUT/mine"`,
	"rename over":             `mv -f "$IN/mine" "$OUT/theirs"`,
	"rename in":               `mv "$OUT/theirs" "$IN/theirs"`,
	"hard link out":           `ln "$IN/mine" "$OUT/mine"`,
	"hard link in":            `ln "$OUT/theirs" "$IN/theirs" && echo changed >"$IN/theirs"`,
	"symbolic link":           `ln -s "$OUT/theirs" "$IN/link" && echo changed >"$IN/link"`,
	"symbolic link to a tree": `ln -s "$OUT" "$IN/dir" && echo changed >"$IN/dir/theirs"`,
	"link through /proc":      `echo changed >"/proc/self/root$OUT/theirs"`,
	"dots":                    `echo changed >"$IN/../out/theirs"`,
	"open descriptor":         `exec 3<"$OUT/theirs"; chmod 777 /proc/self/fd/3 || echo changed >/proc/self/fd/3`,
	"map":                     `python3 -c 'import mmap,os,sys; f=os.open(sys.argv[1],os.O_RDWR); m=mmap.mmap(f,0); m[0]=65' "$OUT/theirs"`,
	"a child that stays":      `(setsid sh -c 'sleep 0.2; echo changed >"$OUT/theirs"; chmod 777 "$OUT/theirs"' >/dev/null 2>&1 &); sleep 0.6; grep -q changed "$OUT/theirs"`,
	"a loaded library":        `LD_PRELOAD=libc.so.6 sh -c 'echo changed >"$OUT/theirs"'`,
}

// attacks are scripts that nobody declares; each ends with 0 if it could.
var attacks = map[string]string{
	"attributes":              `setfattr -n user.x -v y "$OUT/theirs" || python3 -c 'import os,sys; os.setxattr(sys.argv[1], "user.x", b"y")' "$OUT/theirs"`,
	"immutable":               `chattr +i "$OUT/theirs"`,
	"a new namespace":         `unshare -Urm sh -c 'mount -o remount,rw,bind "$OUT"; echo changed >"$OUT/theirs"'`,
	"remount":                 `mount -o remount,rw,bind / || mount -o remount,rw "$OUT"`,
	"bind mount":              `mount --bind "$OUT" "$IN" && echo changed >"$IN/theirs"`,
	"unmount":                 `umount -l "$IN"`,
	"the first namespace":     `nsenter -t 1 -m true`,
	"the first root":          `echo changed >"/proc/1/root$OUT/theirs"`,
	"chroot":                  `chroot "/proc/1/root" true`,
	"a device":                `mknod "$IN/disk" b 253 0`,
	"a disk":                  `d=$(lsblk -lnpo NAME 2>/dev/null | head -1); head -c 1 "${d:-/dev/vda}"`,
	"memory":                  `head -c 1 /dev/mem || head -c 1 /dev/kmsg`,
	"the kernel":              `echo x >/proc/sys/kernel/domainname`,
	"a pipe with a name":      `exec 3<>"$OUT/../pipe"`,
	"a handle":                `python3 -c "$HANDLE" "$IN" "$OUT/theirs"`,
	"a namespace unmapped":    `unshare -Um sh -c 'umount -l "$OUT" || mount -o remount,rw,bind / || mount -t tmpfs none "$OUT"'`,
	"its own limits":          `echo 1000 >/proc/self/oom_score_adj`,
	"host name":               `hostname stolen`,
	"environment of others":   `grep -qz . "/proc/$OTHER/environ"`,
	"memory of others":        `head -c 1 "/proc/$OTHER/mem"; test -r "/proc/$OTHER/maps" && grep -q . "/proc/$OTHER/maps"`,
	"signal":                  `kill -9 "$OTHER"`,
	"cron":                    `echo '* * * * * root true' >/etc/cron.d/runbook-hostile`,
	"crontab":                 `echo '* * * * * true' | crontab -`,
	"accounts":                `echo x:x:0:0::/:/bin/sh >>/etc/passwd`,
	"preload for all":         `echo /x.so >/etc/ld.so.preload`,
	"shared memory":           `echo x >/dev/shm/runbook-hostile`,
	"others' temporary files": `echo x >/tmp/runbook-hostile`,
	"another service":         `python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])' "$SOCKET"`,
	"an abstract socket":      `python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect("\0"+sys.argv[1])' "$ABSTRACT"`,
	"a setuid program":        `cp /bin/sh "$IN/sh" && chmod u+s "$IN/sh" && grep -q '^NoNewPrivs:.0' /proc/self/status`,
	"time":                    `date -s 2001-01-01`,
}

// Each is stopped, and one that keeps to its bounds works beside it.
func TestHostileCommandsAreStopped(t *testing.T) {
	if n := len(trespasses) + len(attacks); n < 40 {
		t.Fatalf("got %d scripts, want 40", n)
	}
	other := newNeighbour(t)
	for _, all := range []map[string]string{trespasses, attacks} {
		for name, script := range all {
			t.Run(name, func(t *testing.T) { isStopped(t, other.env()+script) })
		}
	}
	if !other.lives() {
		t.Error("the other process was ended")
	}
}

func isStopped(t *testing.T, script string) {
	g := newGround(t)
	before, passwd := g.print(), contentsOf(t, "/etc/passwd")
	res, err := g.do(script, g.inside())
	if err == nil {
		t.Errorf("it ended with 0: %s%s", res.Stdout, res.Stderr)
	}
	if after := g.print(); after != before {
		t.Errorf("outside is:\n%s\nwas:\n%s", after, before)
	}
	if contentsOf(t, "/etc/passwd") != passwd {
		t.Error("/etc/passwd was changed")
	}
	for _, f := range []string{"/etc/cron.d/runbook-hostile", "/dev/shm/runbook-hostile", "/tmp/runbook-hostile"} {
		if _, err := os.Lstat(f); err == nil {
			t.Errorf("%s was made", f)
		}
	}
	if _, err := g.do(`echo good >>"$IN/mine" && mkdir "$IN/d" && mv "$IN/mine" "$IN/d/" && chmod 600 "$IN/d/mine" &&
		ln "$IN/d/mine" "$IN/again" && f=$(mktemp) && echo x >"$f" && rm "$IN/again" && cat /etc/passwd >/dev/null`,
		g.inside()); err != nil {
		t.Errorf("a command that keeps to its bounds: %v", err)
	}
}

// What is stopped for want of a declaration can be done with one.
func TestDeclaredChangesAreLetBy(t *testing.T) {
	for name, script := range trespasses {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			if _, err := g.do(script, host.Bounds{Trees: []string{filepath.Dir(g.in)}}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A command that makes a file, or replaces one, can make others beside it: that is told. What was there stays.
func TestConfinedCommandsMakeNames(t *testing.T) {
	names := func(g ground, names ...string) (b host.Bounds) {
		for _, n := range names {
			b.Names = append(b.Names, filepath.Join(g.out, n))
		}
		return b
	}
	for _, c := range []struct{ script, names, refused string }{
		{`mkdir -p "$OUT/new/deep" && echo x >"$OUT/new/deep/f" && chmod 700 "$OUT/new"`, "new", ""},
		{`mkdir -p "$OUT/new/deep"`, "new/deep/er", ""},
		{`echo x >"$OUT/new.lock" && mv "$OUT/new.lock" "$OUT/new"`, "new", ""},
		{`echo x >"$OUT/theirs+" && mv "$OUT/theirs+" "$OUT/theirs"`, "theirs", ""},
		{`sed -i s/as/is/ "$OUT/theirs" 2>/dev/null || cp "$OUT/theirs" "$OUT/theirs-"`, "theirs", ""},
		{`echo x >"$OUT/link"`, "theirs", ""},
		{`echo x >"$OUT/new"; echo x >"$OUT/theirs"`, "new", "Read-only file system"},
		{`echo x >"$OUT/new"; chmod 777 "$OUT/sub/deep"`, "new", "Read-only file system"},
		{`echo x >"$OUT/new"; rm -rf "$OUT/sub"`, "new", "Device or resource busy|Read-only file system"},
		{`echo x >"$OUT/new"; mv "$OUT/new" "$OUT/theirs"`, "new", "Device or resource busy"},
		{`echo x >"$OUT/new"; rm "$OUT/link"`, "new", "Device or resource busy"},
		{`echo x >"$OUT/new"; mv "$OUT" "$OUT.old"`, "new", "Read-only file system|Device or resource busy"},
		{`echo x >"$OUT/new"; chmod 777 "$OUT"`, "new", "changed mode or owner of .*/out, which"},
		{`echo x >"$OUT/other"`, "new", "it made .*/out/other, which its effect does not declare"},
	} {
		g := newGround(t)
		if err := os.Symlink("theirs", g.out+"/link"); err != nil {
			t.Fatal(err)
		}
		before := g.print()
		_, err := g.do(c.script, names(g, c.names))
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: %v", c.script, err)
		case c.refused != "" && (err == nil || !regexp.MustCompile(c.refused).MatchString(err.Error())):
			t.Errorf("%s: got %v, want %s", c.script, err, c.refused)
		}
		fi, err := os.Stat(g.out)
		if err != nil || fi.Mode().Perm() != 0o755 {
			t.Errorf("%s: the directory has mode %v, %v", c.script, fi.Mode(), err)
		}
		os.RemoveAll(g.out + "/new")
		if strings.Contains(c.refused, "Read") && strings.SplitN(g.print(), "\n", 2)[1] != strings.SplitN(before, "\n", 2)[1] {
			t.Errorf("%s: got\n%s\nwant\n%s", c.script, g.print(), before)
		}
	}
}

// A tree that is a file, or a link to one, is replaced as most programs do it; and one of another account's.
func TestConfinedCommandsReplaceFiles(t *testing.T) {
	g := newGround(t)
	if err := os.Symlink("out/theirs", filepath.Dir(g.out)+"/link"); err != nil {
		t.Fatal(err)
	}
	b := host.Bounds{Trees: []string{filepath.Dir(g.out) + "/link"}}
	for _, script := range []string{`echo x >"$OUT/theirs"`, `echo x >"$OUT/.new" && mv "$OUT/.new" "$OUT/theirs"`} {
		if _, err := g.do(script, b); err != nil {
			t.Error(err)
		}
	}
	if _, err := g.do(`chmod 777 "$OUT/sub"`, b); err == nil {
		t.Error("it changed what is beside it")
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(g.in, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	inside := g.inside()
	for script, want := range map[string]int{`id -un >"$IN/who" && mktemp`: 0, `echo x >"$OUT/x"`: 1, `cat /etc/shadow`: 1} {
		p := host.Process{Argv: []string{"sh", "-c", script}, User: "nobody", Env: map[string]string{"IN": g.in, "OUT": g.out}}
		res, err := g.local.Exec(t.Context(), host.Cmd{Process: p, Within: &inside, OK: []int{want}})
		if want == 1 && res.Code == 0 || want == 0 && err != nil || res.Loose != "" {
			t.Errorf("%s: got %d, %v, %q", script, res.Code, err, res.Loose)
		}
	}
	if got := contentsOf(t, g.in+"/who"); got != "nobody\n" {
		t.Errorf("got %q", got)
	}
}

// Where it may make a name in the root of the file system, the rest is closed, too.
func TestConfinedCommandsMakeNamesInRoot(t *testing.T) {
	g := newGround(t)
	const name = "/runbook-test-of-names"
	defer os.RemoveAll(name)
	b := host.Bounds{Names: []string{name}}
	if _, err := g.do("echo x >"+name, b); os.Geteuid() == 0 && err != nil {
		t.Error(err)
	}
	if _, err := g.do(`echo x >"$OUT/theirs"`, b); err == nil {
		t.Error("it changed another file")
	}
	if _, err := g.do("echo x >/etc/runbook-test-of-names", b); err == nil {
		t.Error("it made another file")
	}
}

// A command without network reaches nothing, not even this machine. Others do.
func TestOfflineCommandsReachNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	g := newGround(t)
	for _, proto := range []string{"tcp", "udp"} {
		script := "exec 3<>/dev/" + proto + "/127.0.0.1/" + port + " && echo x >&3"
		_, err := g.do(script, host.Bounds{Offline: true})
		var hint interface{ Hint() string }
		if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "--confine=offline gave it no network") {
			t.Errorf("%s: got %v", proto, err)
		}
		if _, err := g.do(script, host.Bounds{}); err != nil {
			t.Errorf("%s: %v", proto, err)
		}
	}
}

// What it does with its temporary files leaves nothing behind, nor does confining it.
func TestConfinedCommandsHaveTemporaryFiles(t *testing.T) {
	g := newGround(t)
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	g.do("true", g.inside())
	before := open()
	for range 5 {
		g.do("true", host.Bounds{Trees: []string{g.in}, Names: []string{g.out + "/new"}})
	}
	if after := open(); after > before+1 {
		t.Errorf("got %d open files, want %d", after, before)
	}
	res, err := g.do(`mktemp; echo "$TMPDIR"`, host.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(res.Stdout)) {
		if _, err := os.Lstat(name); err == nil || !strings.HasPrefix(name, "/tmp/runbook-") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What cannot be confined runs, and says why it was not.
func TestUnboundCommandsSayWhy(t *testing.T) {
	for want, c := range map[string]host.Cmd{
		"a package manager installs anywhere":    {Critical: true},
		"it may change everything: it touches /": {Touches: []string{"/"}},
		"as it says":                             {Unbound: "as it says"},
		"":                                       {Touches: []string{"/a"}, TouchesFacts: []host.Fact{{Kind: host.Port, Name: "80"}}},
	} {
		if _, have := c.Bounds(); have != want {
			t.Errorf("got %q, want %q", have, want)
		}
	}
	b, _ := host.Cmd{
		Touches: []string{"/b", "/a", "/a/c"}, Gives: map[string]host.Owner{"/home": {}}, Edits: []string{"/etc/x"},
		Makes: []host.Entry{{Name: "/a/d"}, {Name: "/m/n"}, {Name: "/m"}},
	}.Bounds()
	if have, want := fmt.Sprint(b), "{[/a /b /home] [/etc/x /m] false}"; have != want {
		t.Errorf("got %s, want %s", have, want)
	}
	g := newGround(t)
	link := filepath.Join(t.TempDir(), "root")
	if err := os.Symlink("/", link); err != nil {
		t.Fatal(err)
	}
	res, err := g.local.Exec(t.Context(), host.Cmd{Process: host.Process{Argv: []string{"true"}}, Within: &host.Bounds{Trees: []string{link}}})
	if err != nil || !strings.Contains(res.Loose, "it may change everything") {
		t.Errorf("got %q, %v", res.Loose, err)
	}
}

// Of the attacks those that harm nobody work where nothing is confined: they are stopped by that alone.
func TestAttacksWorkOtherwise(t *testing.T) {
	other := newNeighbour(t)
	names := strings.Split("a pipe with a name,another service,an abstract socket,environment of others,memory of others", ",")
	if os.Geteuid() == 0 {
		names = append(names, "a handle")
	}
	for _, name := range names {
		g := newGround(t)
		p := host.Process{Argv: []string{"bash", "-c", other.env() + attacks[name]}, Env: map[string]string{"IN": g.in, "OUT": g.out}}
		if _, err := g.local.Exec(t.Context(), host.Cmd{Process: p}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func contentsOf(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A neighbour is a process with secrets in its environment, and services that listen.
type neighbour struct {
	cmd              *os.Process
	socket, abstract string
}

func newNeighbour(t *testing.T) neighbour {
	t.Helper()
	n := neighbour{socket: filepath.Join(t.TempDir(), "s"), abstract: "runbook-test-" + strconv.Itoa(os.Getpid())}
	for _, name := range []string{n.socket, "@" + n.abstract} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "300"}, &os.ProcAttr{Env: []string{"SECRET=x"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); p.Wait() })
	n.cmd = p
	return n
}

func (n neighbour) env() string {
	return "HANDLE='" + handle + "' OTHER=" + strconv.Itoa(n.cmd.Pid) + " SOCKET='" + n.socket + "' ABSTRACT='" + n.abstract + "'\n"
}

// handle opens a file by way of another's mount; see open_by_handle_at(2).
const handle = `import ctypes, os, sys
c = ctypes.CDLL(None, use_errno=True)
h = ctypes.create_string_buffer(b"\x80\0\0\0" + 132 * b"\0")
m = ctypes.c_int()
assert c.name_to_handle_at(-100, sys.argv[2].encode(), h, ctypes.byref(m), 0) == 0, "no handle"
f = c.open_by_handle_at(os.open(sys.argv[1], os.O_RDONLY), h, os.O_RDONLY)
assert f >= 0, os.strerror(ctypes.get_errno())
os.fchmod(f, 0o777)
`

func (n neighbour) lives() bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(n.cmd.Pid) + "/stat")
	return err == nil && !strings.Contains(string(data), ") Z ")
}
