package hosttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"strings"
	"testing"

	"runbook/runtime/host"
)

// Change makes one random change to all hosts and tells what it was and what
// each answered. Root says that they may do everything.
func Change(r *rand.Rand, hosts ...host.Host) (log string, errs []error) {
	c := pick(r)
	for _, h := range hosts {
		errs = append(errs, c.do(h))
	}
	return fmt.Sprintf("%s: %v", c.text, errs), errs
}

// History makes steps random changes to a host that acts and to one that
// predicts, over equal files, and fails when they come to differ. An error
// that may leave half of its effect ends the history, and so does one that an
// overlay cannot know.
func History(t *testing.T, seed int64, steps int, real, over host.Host) {
	t.Helper()
	r := rand.New(rand.NewSource(seed))
	var logs []string
	for i := range steps {
		log, errs := Change(r, real, over)
		logs = append(logs, log)
		if errors.Is(errs[1], host.ErrUnknown) {
			return
		}
		same := fmt.Sprint(errs[0]) == fmt.Sprint(errs[1])
		if strings.HasPrefix(log, "tree") { // a fill has its own words
			same = Reason(errs[0]) == Reason(errs[1])
		}
		if !same {
			t.Fatalf("seed %d: they answer differently after\n%s", seed, strings.Join(logs, "\n"))
		}
		if halved(log, errs[0]) {
			return
		}
		look(t, r, seed, logs, real, over)
		if i%3 != 1 && i != steps-1 {
			continue // looking at everything takes most of the time
		}
		if a, b := Tree(real, "/"), Tree(over, "/"); a != b && !strings.Contains(b, host.ErrUnknown.Error()) {
			t.Fatalf("seed %d after\n%s\nreal:\n%soverlay:\n%s", seed, strings.Join(logs, "\n"), a, b)
		}
	}
}

// halved reports whether a failed change may have done part of its work.
func halved(log string, err error) bool {
	if err == nil {
		return false
	}
	op, _, _ := strings.Cut(log, " ")
	if !errors.Is(err, fs.ErrPermission) && !strings.Contains(err.Error(), "did not take effect") {
		return false
	}
	return op == "remove" || op == "chown" || op == "tree" || strings.Contains(err.Error(), "did not take effect")
}

// look compares what both answer to a question about any name, links included.
func look(t *testing.T, r *rand.Rand, seed int64, logs []string, real, over host.Host) {
	t.Helper()
	name := names[r.Intn(len(names))] + []string{"", "/c", "/c/e", "/x"}[r.Intn(4)]
	ask := func(h host.Host) string {
		m, err1 := h.Lstat(name)
		s, err2 := h.Readlink(name)
		d, err3 := h.ReadDir(name)
		text, err4 := host.ReadFile(h, name)
		return fmt.Sprintln(m.Mode, m.Owner, err1, s, err2, d, err3, string(text), err4)
	}
	if a, b := ask(real), ask(over); a != b && !strings.Contains(b, host.ErrUnknown.Error()) {
		t.Fatalf("seed %d after\n%s\n%s\nreal:    %soverlay: %s", seed, strings.Join(logs, "\n"), name, a, b)
	}
}

var (
	names = [...]string{"/a", "/b", "/a/c", "/a/d", "/a/c/e", "/b/f", "/b/f/g", "/a/c/e/h", "/a/l/f", "/b/m/e",
		"/b/n", "/a/x", "/b/f/y", "/a/l/z"}
	targets = [...]string{"a", "b", "c", "c/e", "/a/c", "/nowhere", "../b", "../a/c", "..", "/", "../../b/f", "d/.."}
	modes   = [...]fs.FileMode{0o755, 0o700, 0o711, 0o644, 0o777, 0o777 | fs.ModeSticky, 0o775 | fs.ModeSetgid,
		0o755 | fs.ModeSetuid, 0o077, 0}
	users = [...]string{"", "", "", "nobody", "ann", "bob", "1000", "nobody", "0", "carl"}
	teams = [...]string{"", "", "", "staff", "team", "2000", "root"}
)

// Plant makes what histories need to be of interest: a few directories, files and links.
func Plant(t testing.TB, h host.Host) {
	t.Helper()
	dir := func(name string) error { return h.Mkdir(name, host.Meta{Mode: 0o755}) }
	text := func(name string) error {
		return h.WriteFile(name, host.Bytes([]byte(name)), host.Meta{Mode: 0o644})
	}
	err := cmp.Or(dir("/a"), dir("/b"), dir("/a/c"), dir("/a/c/e"), dir("/b/f"), text("/a/d"), text("/a/c/e/h"),
		text("/b/f/g"),
		h.Symlink("../b", "/a/l", host.Owner{}), h.Symlink("/a/c", "/b/m", host.Owner{}), text("/b/n"))
	if err != nil {
		t.Fatal(err)
	}
}

type change struct {
	text string
	do   func(host.Host) error
}

func pick(r *rand.Rand) change {
	name, other := names[r.Intn(len(names))], names[r.Intn(len(names))]
	target := targets[r.Intn(len(targets))]
	m := host.Meta{Mode: modes[r.Intn(len(modes))],
		Owner: host.Owner{User: users[r.Intn(len(users))], Group: teams[r.Intn(len(teams))]}}
	if r.Intn(2) == 0 {
		m.Owner = host.Owner{}
	}
	ctx := context.Background()
	text := fmt.Sprintf("%d bytes for %s", r.Intn(99), name)
	switch r.Intn(9) {
	case 0, 1:
		return change{fmt.Sprint("write ", name, " ", m.Mode, m.Owner),
			func(h host.Host) error { return h.WriteFile(name, host.Bytes([]byte(text)), m) }}
	case 2, 3:
		m.Mode |= 0o700
		return change{fmt.Sprint("mkdir ", name, " ", m.Mode, m.Owner), func(h host.Host) error { return h.Mkdir(name, m) }}
	case 4:
		return change{fmt.Sprint("symlink ", name, " -> ", target, m.Owner),
			func(h host.Host) error { return h.Symlink(target, name, m.Owner) }}
	case 5:
		return change{fmt.Sprint("setmeta ", name, " ", m.Mode, m.Owner),
			func(h host.Host) error { return h.SetMeta(name, m) }}
	case 6:
		return change{fmt.Sprint("chown ", name, " ", m.Owner), func(h host.Host) error { return h.Chown(name, m.Owner, 0) }}
	case 7:
		if r.Intn(3) == 0 {
			return change{"remove " + name, func(h host.Host) error { return h.Remove(name, 0) }}
		}
		return change{"move " + name + " " + other, func(h host.Host) error { return h.Move(name, other) }}
	default:
		return change{"tree " + name, func(h host.Host) error { return h.WriteTree(ctx, name, forest.All(), plant) }}
	}
}

// A forest has a file, a directory and a link, some of them where histories put others.
var forest = host.Manifest{
	{Name: "e", Meta: host.Meta{Mode: fs.ModeDir | 0o750}},
	{Name: "e/h", Meta: host.Meta{Mode: 0o640, Size: 2}, Content: host.Bytes([]byte("hh"))},
	{Name: "g", Meta: host.Meta{Mode: fs.ModeSymlink}, Target: "../b"},
}

// plant replaces files and links, and leaves directories that are there.
func plant(_ context.Context, root *host.Root) error {
	if err := root.Mkdir("e", 0o700); err == nil {
		if err := root.Chmod("e", 0o750); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := root.Remove("e/h"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.WriteFile("e/h", []byte("hh"), 0o600); err != nil {
		return err
	}
	if err := root.Chmod("e/h", 0o640); err != nil {
		return err
	}
	if err := root.Remove("g"); err != nil && !os.IsNotExist(err) {
		return err
	}
	return root.Symlink("../b", "g")
}
