package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"runbook/runtime/host"
	"runbook/runtime/host/hosttest"
	"runbook/runtime/host/sample"
)

const (
	histories, fewHistories = 2500, 500
	asNobody, fewAsNobody   = 800, 200
)

// TestOverlayActsLikeLocal compares them over equal machines.
func TestOverlayActsLikeLocal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root, so owners cannot be given; TestOverlayAsNobody has the rest")
	}
	dir := hosttest.Machine(t)
	for seed := range int64(sample.Count(t, fewHistories, histories)) {
		acts, base := machines(t, filepath.Join(dir, fmt.Sprint(seed)), seed)
		hosttest.History(t, seed, 8, acts, host.NewOverlay(base, base.Self()))
		os.RemoveAll(filepath.Join(dir, fmt.Sprint(seed)))
	}
}

// machines returns two hosts below dir that went through the same changes.
func machines(t *testing.T, dir string, seed int64) (a, b *host.Local) {
	for _, s := range []string{"a", "b"} {
		hosttest.Furnish(t, filepath.Join(dir, s))
	}
	a, b = host.NewLocal(filepath.Join(dir, "a")), host.NewLocal(filepath.Join(dir, "b"))
	a.Path, b.Path = dir, dir // no getent: the accounts are those of the machines
	hosttest.Plant(t, a)
	hosttest.Plant(t, b)
	r := rand.New(rand.NewSource(-seed - 1))
	for range 6 {
		if log, errs := hosttest.Change(r, a, b); fmt.Sprint(errs[0]) != fmt.Sprint(errs[1]) {
			t.Fatal("equal machines differ: ", log)
		}
	}
	return a, b
}

// nobodyDir tells the test below that it runs as nobody.
const nobodyDir = "RUNBOOK_TEST_NOBODY"

// TestOverlayAsNobody compares refusals: nobody works in a place of its own
// where some things belong to others.
func TestOverlayAsNobody(t *testing.T) {
	if dir := os.Getenv(nobodyDir); dir != "" {
		compareAsNobody(t, dir)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root, so there is nobody to become")
	}
	dir := hosttest.Machine(t)
	for seed := range int64(sample.Count(t, fewAsNobody, asNobody)) {
		machines(t, filepath.Join(dir, fmt.Sprint(seed)), seed)
		giveSome(filepath.Join(dir, fmt.Sprint(seed), "a"), seed)
		giveSome(filepath.Join(dir, fmt.Sprint(seed), "b"), seed)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestOverlayAsNobody$", fmt.Sprintf("-test.short=%v", testing.Short()))
	cmd.Env = append(os.Environ(), nobodyDir+"="+dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{2000}}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// giveSome gives nobody a machine and some of what is in it. The rest stays
// with root, more or less open to others.
func giveSome(dir string, seed int64) {
	r := rand.New(rand.NewSource(seed))
	modes := []fs.FileMode{0o755, 0o777, 0o777 | fs.ModeSticky, 0o775, 0o770, 0o711, 0o744}
	os.Lchown(dir, 65534, 65534)
	for _, name := range []string{"a", "b", "a/c", "b/f", "a/d", "b/n"} {
		name = filepath.Join(dir, name)
		if r.Intn(2) == 0 {
			os.Lchown(name, 65534, 65534)
		} else if fi, err := os.Lstat(name); err == nil && fi.IsDir() {
			os.Lchown(name, 0, 2000*r.Intn(2))
			os.Chmod(name, modes[r.Intn(len(modes))])
		}
	}
}

func compareAsNobody(t *testing.T, dir string) {
	if os.Geteuid() != 65534 {
		t.Fatal("still somebody")
	}
	_, err := host.NewLocal("/").Exec(t.Context(), host.Cmd{Process: host.Process{Argv: []string{"true"}, User: "root"}})
	var h interface{ Hint() string }
	if !errors.As(err, &h) || h.Hint() == "" {
		t.Errorf("nobody acts as root, or is not told why not: %v", err)
	}
	for seed := range int64(sample.Count(t, fewAsNobody, asNobody)) {
		p := filepath.Join(dir, fmt.Sprint(seed))
		acts, base := host.NewLocal(filepath.Join(p, "a")), host.NewLocal(filepath.Join(p, "b"))
		acts.Path, base.Path = dir, dir
		hosttest.History(t, seed, 12, acts, host.NewOverlay(base, base.Self()))
	}
}

// TestSimulatedActsLikeLocal compares a machine that is data with one that has the same files.
func TestSimulatedActsLikeLocal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root, so owners cannot be given")
	}
	dir := hosttest.Machine(t)
	for seed := range int64(sample.Count(t, fewAsNobody, asNobody)) {
		root := filepath.Join(dir, fmt.Sprint(seed))
		hosttest.Furnish(t, root)
		acts := host.NewLocal(root)
		acts.Path = dir // no getent
		data := host.NewSimulated()
		for _, err := range []error{
			data.Mkdir("/etc", host.Meta{Mode: 0o755}),
			data.WriteFile("/etc/passwd", host.Bytes([]byte(hosttest.Passwd)), host.Meta{Mode: 0o644}),
			data.WriteFile("/etc/group", host.Bytes([]byte(hosttest.Group)), host.Meta{Mode: 0o644}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		hosttest.Plant(t, acts)
		hosttest.Plant(t, data)
		runs := data.Runs(host.Owner{})
		hosttest.History(t, seed, 8, acts, runs)
		runs.Settle()
		hosttest.History(t, -seed, 4, acts, runs)
		os.RemoveAll(root)
	}
}
