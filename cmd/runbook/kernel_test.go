package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/aymanbagabas/go-udiff"
	"golang.org/x/sys/unix"

	"runbook/cmd/runbook/internal/lab"
)

// young are the calls of the kernel that the program makes where they are there; behind each, the first Linux with it.
var young = map[string]int{
	"renameat2":               unix.SYS_RENAMEAT2,               // 3.15
	"getrandom":               unix.SYS_GETRANDOM,               // 3.17
	"copy_file_range":         unix.SYS_COPY_FILE_RANGE,         // 4.5
	"pidfd_open":              unix.SYS_PIDFD_OPEN,              // 5.3
	"openat2":                 unix.SYS_OPENAT2,                 // 5.6
	"mount_setattr":           unix.SYS_MOUNT_SETATTR,           // 5.12
	"landlock_create_ruleset": unix.SYS_LANDLOCK_CREATE_RULESET, // 5.13
	"fchmodat2":               unix.SYS_FCHMODAT2,               // 6.6
}

// oldest is, by architecture, the number of the first call that the oldest kernel that Go runs on does not have: Linux
// 3.2 and, the first with arm64, 3.7.
var oldest = map[string]int{"amd64": unix.SYS_KCMP, "arm64": unix.SYS_FINIT_MODULE}

// oldWork is a runbook with what the quick start leaves out: commands, questions of a dry run, copies, moves.
const oldWork = `
dir = var("dir", type = "path")

def work():
    mkdir(dir + "/a/b", mode = 0o750)
    write(dir + "/a/file", "text\n" * 50000)
    line(dir + "/a/file", "one more")
    copy(dir + "/a", dir + "/copied")
    move(dir + "/copied", dir + "/moved")
    symlink(dir + "/link", "a/file")
    run(["tar", "-C", dir, "-cf", dir + "/some.tar", "a"], unless = ["test", "-e", dir + "/never"])
    log(query(["uname", "-s"]).stdout)
    remove(dir + "/moved")

def unpack():
    mkdir(dir + "/out")
    extract(dir + "/some.tar", dir + "/out")

step(work)
step(unpack)
`

// The program does all its work on kernels that lack what it makes use of elsewhere: without each of the young calls,
// which it does make, and without all calls that the oldest kernel does not have.
func TestOldKernels(t *testing.T) {
	t.Parallel()
	first, ok := oldest[goruntime.GOARCH]
	if !ok {
		lab.Skip(t, "the calls of "+goruntime.GOARCH+" are not known")
	}
	want, err := works(t, "without", -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	without := func(t *testing.T, first, last int) {
		t.Parallel()
		if have, err := works(t, "without", first, last); err != nil || have != want {
			t.Errorf("%v\n%s", err, udiff.Unified("want", "have", want, have))
		}
	}
	for name, nr := range young {
		t.Run(name, func(t *testing.T) {
			if _, err := works(t, "kill", nr, nr); err == nil && os.Geteuid() == 0 { // which alone is confined
				t.Errorf("%s was never called", name)
			}
			without(t, nr, nr)
		})
	}
	t.Run("all", func(t *testing.T) { without(t, first, 1<<20) })
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		k := onTerminal(t, dir, "older", "without", strconv.Itoa(first), strconv.Itoa(1<<20),
			binary(t), "run", "quickstart.star", "--state", filepath.Join(dir, "state"))
		k.types("", "Ctrl-C ends it")
		url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(k.seen)
		res, err := http.Get(url + "anaconda/noarch/hello-1.0-0.tar.bz2")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || !bytes.HasPrefix(text, []byte("BZh")) {
			t.Errorf("%s: got %d %.200q, want a package", url, res.StatusCode, text)
		}
	})
}

// works runs the quick start and, in a dry run and for real, oldWork with some calls of the kernel taken away; see
// older. It returns what files there are then, with their modes and sizes.
func works(t *testing.T, how string, first, last int) (listing string, err error) {
	t.Helper()
	dir, state := t.TempDir(), t.TempDir()
	book := filepath.Join(t.TempDir(), "old.star")
	if err := os.WriteFile(book, []byte(oldWork), 0o644); err != nil {
		t.Fatal(err)
	}
	quick, dry := []string{"quickstart.star", "--var", "serve=false"}, []string{book, "--dry-run", "--step", "work"}
	for _, args := range [][]string{quick, dry, {book}} {
		c := exec.Command("older", how, strconv.Itoa(first), strconv.Itoa(last), binary(t), "run")
		c.Args = append(append(c.Args, "--state", state, "--var", "dir="+dir), args...)
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("runbook run %q: %w\n%s", args, err, out)
		}
	}
	err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Name() == ".runbook-mirror" { // which holds the name of the directory
			return fs.SkipDir
		}
		fi, err := e.Info()
		if err == nil && fi.Mode().IsRegular() {
			listing += fmt.Sprintln(strings.TrimPrefix(name, dir), fi.Mode(), fi.Size())
		} else if err == nil {
			listing += fmt.Sprintln(strings.TrimPrefix(name, dir), fi.Mode())
		}
		return err
	})
	return listing, err
}

// older is a program for tests, "older HOW FIRST LAST COMMAND [ARG...]": the command runs as on a kernel that does not
// know the calls with the numbers FIRST to LAST, or with "kill" each such call is the end of who makes it.
func older() {
	goruntime.LockOSThread()
	first, err1 := strconv.Atoi(os.Args[2])
	last, err2 := strconv.Atoi(os.Args[3])
	action := uint32(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
	if os.Args[1] == "kill" {
		action = unix.SECCOMP_RET_KILL_PROCESS
	}
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call; see seccomp(2)
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: uint32(first), Jf: 2},
		{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: uint32(last), Jt: 1},
		{Code: unix.BPF_RET, K: action},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	name, err := exec.LookPath(os.Args[4])
	err = errors.Join(err1, err2, err, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if err == nil && first >= 0 {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0)
	}
	if err == nil {
		err = syscall.Exec(name, os.Args[4:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(125)
}
