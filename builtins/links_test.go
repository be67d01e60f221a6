package builtins

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"runbook/runtime"
)

const account = 65534 // nobody, who owns /srv/app and puts links there

// into are calls that change or read what is called P, a directory of the account that becomes a link to /victim.
var into = []string{
	`write("P/f", "new\n", owner = "nobody")`,
	`write("P/f", "old\n", mode = 0o666, owner = "nobody")`,
	`line("P/f", "one more")`,
	`copy("/etc/conf", "P/f", owner = "nobody")`,
	`copy("/etc/tree", "P/t", owner = "nobody")`,
	`copy("P/f", "/srv/out/f")`,
	`copy("P/t", "/srv/out/t")`,
	`log(read("P/f"))`,
	`mkdir("P", mode = 0o777, owner = "nobody", adopt = True)`,
	`mkdir("P/m", mode = 0o777, owner = "nobody", adopt = True)`,
	`mkdir("P/m/n/o", owner = "nobody")`,
	`chown("P", "nobody", adopt = True)`,
	`chown("P/t", "nobody", adopt = True)`,
	`chown("P/f", "nobody")`,
	`symlink("P/s", "elsewhere", owner = "nobody")`,
	`move("P/f", "P/g")`,
	`move("/etc/conf", "P/new")`,
	`remove("P/f")`,
	`remove("P/t")`,
	`remove("P")`,
	`download("/etc/conf", "P/f", owner = "nobody")`,
	`extract("/etc/a.tar", "P", owner = "nobody", adopt = True)`,
	`mirror("/etc/channel", "P", account = "t", owner = "nobody", adopt = True)`,
	`conda.channels("P", add = ["nodefaults"], user = "nobody")`,
	`archive("P/f.tar", texts = {"x": "y"})`,
}

// besieged is a machine with a victim, and a tree of the account beside it.
func besieged(t *testing.T) *machine {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root is led elsewhere")
	}
	m := newMachine(t, nil)
	if dir, err := os.MkdirTemp("/dev/shm", "runbook-test-"); err == nil { // in memory, where swaps are quick
		t.Cleanup(func() { os.RemoveAll(dir) })
		m.must(os.Chmod(dir, 0o755))
		m.root = dir
		m.bin = filepath.Join(dir, "usr/bin")
		m.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
		m.write("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
		m.write("/proc/self/status", "Uid:\t0\t0\t0\t0\n")
	}
	for name, text := range map[string]string{"/etc/conf": "conf\n", "/etc/tree/x": "x\n", "/etc/channel/noarch/repodata.json": "{}",
		"/victim/f": "old\n", "/victim/t/x": "theirs\n", "/victim/t/noarch/repodata.json": "{}", "/victim/m/n/x": "x\n",
		"/victim/.condarc": "channels: [secret]\n", "/victim/s": "s\n"} {
		m.write(name, text)
	}
	f, err := os.Create(filepath.Join(m.root, "etc/a.tar"))
	m.must(err)
	w := tar.NewWriter(f)
	m.must(w.WriteHeader(&tar.Header{Name: "f", Mode: 0o644, Size: 3}))
	_, err = w.Write([]byte("tar"))
	m.must(errors.Join(err, w.Close(), f.Close()))
	m.must(os.MkdirAll(filepath.Join(m.root, "srv/out"), 0o755))
	return m
}

// furnish gives the account a directory like the victim.
func (m *machine) furnish(dir string) {
	os.RemoveAll(filepath.Join(m.root, "srv/out"))
	os.RemoveAll(filepath.Join(m.root, dir))
	m.write("/etc/conf", "conf\n")
	m.must(os.MkdirAll(filepath.Join(m.root, "srv/out"), 0o755))
	for name, text := range map[string]string{"f": "old\n", "t/x": "mine\n", "t/noarch/repodata.json": "{}", "m/n/x": "x\n",
		".condarc": "channels: [mine]\n"} {
		m.write(filepath.Join(dir, name), text)
	}
	m.must(filepath.WalkDir(filepath.Join(m.root, dir), func(name string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(name, account, account))
	}))
}

// census describes every byte, mode and owner below a directory.
func (m *machine) census(dir string) string {
	var b strings.Builder
	m.must(filepath.WalkDir(filepath.Join(m.root, dir), func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := os.Lstat(name)
		if err != nil {
			return err
		}
		data, _ := os.ReadFile(name)
		st := fi.Sys().(*syscall.Stat_t)
		fmt.Fprintln(&b, name, fi.Mode(), st.Uid, st.Gid, st.Nlink, string(data))
		return nil
	}))
	return b.String()
}

// leaked reports what of the victim came to where others may read it.
func (m *machine) leaked() (names []string) {
	for _, name := range []string{"srv/out/f", "srv/out/t/x"} {
		if strings.Contains(m.read(name), "theirs") {
			names = append(names, name)
		}
	}
	return names
}

// While the account swaps its directory for a link all the time, no call touches what the link leads to.
func TestSwappedDirectory(t *testing.T) {
	m := besieged(t)
	swaps := 4_000
	if !testing.Short() {
		swaps = 100_000
	}
	m.must(os.Mkdir(filepath.Join(m.root, "srv/app"), 0o755))
	m.must(os.Chown(filepath.Join(m.root, "srv/app"), account, account))
	p, l := filepath.Join(m.root, "srv/app/d"), filepath.Join(m.root, "srv/app/l")
	var lock sync.Mutex
	done, swapped := 0, make(chan bool, 1)
	stop := make(chan bool)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			lock.Lock()
			if unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, l, unix.RENAME_EXCHANGE) == nil {
				done++
			}
			lock.Unlock()
			select {
			case swapped <- true:
			default:
			}
		}
	}()
	defer close(stop)
	plant := func() {
		lock.Lock()
		defer lock.Unlock()
		os.Remove(l)
		os.RemoveAll(l)
		m.furnish("/srv/app/d")
		m.must(errors.Join(os.Symlink("/victim", l), os.Lchown(l, account, account)))
	}
	before := m.census("victim")
	for _, body := range into {
		lock.Lock()
		done = 0
		lock.Unlock()
		for enough := false; !enough; {
			plant()
			<-swapped
			m.real(strings.ReplaceAll(body, "P/", "/srv/app/d/")) // it may succeed or be refused
			m.real(strings.ReplaceAll(strings.ReplaceAll(body, `"P`, `"/srv/app/d`), "P/", "/srv/app/d/"))
			lock.Lock()
			enough = done >= swaps
			lock.Unlock()
			if leaked := m.leaked(); leaked != nil {
				t.Fatalf("%s: %v hold what is the victim's", body, leaked)
			}
		}
		if after := m.census("victim"); after != before {
			t.Fatalf("%s: the victim was\n%s\nand is\n%s", body, before, after)
		}
	}
}

// A link is a way in that somebody prepared.
type preparedLink struct {
	name string // of what leads to /victim
	make func(m *machine) error
}

func (m *machine) link(target, name string, owner int) error {
	name = filepath.Join(m.root, name)
	return errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.Symlink(target, name), os.Lchown(name, owner, owner))
}

func (m *machine) dir(name string, owner int, mode fs.FileMode) error {
	full := filepath.Join(m.root, name)
	return errors.Join(os.MkdirAll(full, 0o755), os.Chown(full, owner, owner), os.Chmod(full, mode))
}

// preparedLinks are ways in which a link can lie, each with targets of several kinds.
func preparedLinks() (all []preparedLink) {
	places := []struct {
		dir          string
		owner        int
		mode         fs.FileMode
		link, beyond int // owners of the link, and of the directory above dir
	}{
		{"/srv/app", account, 0o755, account, 0},                             // the account's own, in its directory
		{"/srv/app", account, 0o755, 0, 0},                                   // root's, which the account has moved there
		{"/srv/app", 0, 0o755, account, 0},                                   // the account's, in root's directory
		{"/srv/open", 0, 0o777, 0, 0},                                        // anybody can replace it
		{"/srv/group", 0, 0o775, 0, 0},                                       // the group can: see below
		{"/srv/sticky", 0, 0o777 | fs.ModeSticky, account, 0},                // in a place like /tmp
		{"/srv/sticky", account, 0o777 | fs.ModeSticky, 0, 0},                // whose owner can replace what is root's
		{"/srv/theirs/root", 0, 0o755, 0, account},                           // root's directory below the account's
		{"/srv/theirs/a/b/c", account, 0o700, account, account},              // deep
		{"/srv/set", account, 0o775 | fs.ModeSetgid, account, 0},             // with a group bit
		{"/srv/closed", account, 0o500, account, 0},                          // the owner can open it again
		{"/srv/odd+name/x", account, 0o755, account, 0},                      // with an odd name
		{"/srv/..app", account, 0o755, account, 0},                           // like a way up
		{"/srv/app/" + strings.Repeat("n", 200), account, 0o755, 0, account}, // long
	}
	targets := []string{"/victim", "../../../../../../victim", "/etc/../victim"}
	for i, p := range places {
		for _, target := range targets {
			all = append(all, preparedLink{p.dir + "/l", func(m *machine) error {
				err := errors.Join(m.dir(filepath.Dir(p.dir), p.beyond, 0o755), m.dir(p.dir, p.owner, p.mode))
				if i == 4 {
					err = errors.Join(err, os.Chown(filepath.Join(m.root, p.dir), 0, account))
				}
				return errors.Join(err, m.link(target, p.dir+"/l", p.link))
			}})
		}
	}
	return append(all, preparedLink{"/srv/app/r/victim", func(m *machine) error { // to the root, then down
		return errors.Join(m.dir("/srv/app", account, 0o755), m.link("/", "/srv/app/r", account))
	}}, preparedLink{"/srv/chain", func(m *machine) error { // root's link to the account's link
		return errors.Join(m.dir("/srv/app", account, 0o755), m.link("/victim", "/srv/app/l", account), m.link("/srv/app/l", "/srv/chain", 0))
	}}, preparedLink{"/srv/app/a", func(m *machine) error { // the account's to root's
		return errors.Join(m.dir("/srv/app", account, 0o755), m.link("/victim", "/srv/root", 0), m.link("/srv/root", "/srv/app/a", account))
	}})
}

// No call goes through a link that somebody else than root can have put there, in a run or in a dry run, and both say
// why in the same words.
func TestPreparedLinks(t *testing.T) {
	m := besieged(t)
	before := m.census("victim")
	for _, link := range preparedLinks() {
		m.must(errors.Join(os.RemoveAll(filepath.Join(m.root, "srv")), os.MkdirAll(filepath.Join(m.root, "srv/out"), 0o755)))
		m.must(link.make(m))
		for _, body := range into {
			if body == `remove("P")` || strings.HasPrefix(body, `chown("P",`) {
				continue // acts on the link itself
			}
			body = strings.ReplaceAll(strings.ReplaceAll(body, `"P/`, `"`+link.name+"/"), `"P"`, `"`+link.name+`"`)
			_, dry := m.dry(body)
			_, real := m.real(body)
			if dry == nil || real == nil || dry.Error() != real.Error() || !says(real, "link") || runtime.HintOf(real) == "" {
				t.Errorf("%s\ndry run: %v\nrun: %v", body, dry, real)
			}
		}
		if after := m.census("victim"); after != before || m.leaked() != nil {
			t.Fatalf("%s: the victim was\n%s\nand is\n%s", link.name, before, after)
		}
	}
}

// A link that nobody but root can have put there is followed, and where it leads is told.
func TestRootsLinks(t *testing.T) {
	m := besieged(t)
	m.must(errors.Join(m.link("/var/data", "/srv/data", 0), m.dir("/var/data", 0, 0o755), m.link("data", "/var/again", 0)))
	events, _ := m.twice(`
write("/srv/data/f", "x\n")
mkdir("/srv/data/d", owner = "nobody")
mkdir("/var/again", mode = 0o711)`)
	for i, want := range []string{"{path /srv/data/f /var/data/f}", "{path /srv/data/d /var/data/d}", "{path /var/again /var/data}"} {
		if got := fmt.Sprint(changesOf(events, i)); !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Another name of a file that the account may not read is not written anew for it.
func TestHardLinkedCondarc(t *testing.T) {
	m := besieged(t)
	m.furnish("/srv/app")
	rc := filepath.Join(m.root, "srv/app/.condarc")
	m.must(errors.Join(os.Chmod(filepath.Join(m.root, "victim/f"), 0o600), os.Remove(rc), os.Link(filepath.Join(m.root, "victim/f"), rc)))
	m.fails(`conda.channels("/srv/app", add = ["x"], user = "nobody")`, "nobody may not read it")
	m.must(os.Chmod(rc, 0o644))
	m.must(os.WriteFile(rc, []byte("channels: [y]\n"), 0o644))
	m.thrice(`conda.channels("/srv/app", add = ["x"], user = "nobody")`)
}
