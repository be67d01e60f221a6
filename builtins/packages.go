package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"runbook/runtime"
	"runbook/runtime/host"
)

// What yum and apt have in common: names of packages, what the scripts of packages do, and the locks of their
// databases.

// anyGlob is in a name that stands for many.
var anyGlob = regexp.MustCompile(`[*?\[]`)

// expand returns the files that name matches, sorted, if it is a pattern, else name alone. Files that do not end in
// ext are left out.
func expand(h host.Reader, name, ext string) ([]string, error) {
	if !path.IsAbs(name) || !anyGlob.MatchString(path.Base(name)) {
		return []string{name}, nil
	}
	dir, pattern := path.Split(name)
	names, err := h.ReadDir(path.Clean(dir))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, n := range names {
		ok, err := path.Match(pattern, n)
		if err != nil {
			return nil, fmt.Errorf("got %q, want a pattern: %w", name, err)
		}
		if ok && strings.HasSuffix(n, ext) {
			files = append(files, dir+n)
		}
	}
	if len(files) == 0 {
		return nil, runtime.Hint(fmt.Errorf("no %s file matches %s", ext, name),
			"there is: "+shorten(append(names, "nothing else")))
	}
	return files, nil
}

// A scripted is a package whose scripts make accounts.
type scripted interface {
	Users() []string
	Groups() []string
	Account(user string) (group, home, shell string)
}

// assumeAccounts adds to cmd the accounts that the scripts of p make.
func assumeAccounts(ctx context.Context, h host.Reader, cmd *host.Cmd, p scripted) error {
	for _, u := range p.Users() {
		if err := assume(ctx, h, cmd, fact(host.User, u), host.Present); err != nil {
			return err
		}
		group, home, shell := p.Account(u)
		if _, err := strconv.Atoi(group); err == nil {
			group = "" // whose number that is, a script may know
		}
		err := assume(ctx, h, cmd, fact(host.Group, cmp.Or(group, u)), host.Present)
		for k, v := range map[*host.Kind]string{host.Primary: group, host.Home: home, host.Shell: shell} {
			if v != "" {
				err = errors.Join(err, assume(ctx, h, cmd, fact(k, u), v))
			}
		}
		if err != nil {
			return err
		}
	}
	for _, g := range p.Groups() {
		if err := assume(ctx, h, cmd, fact(host.Group, g), host.Present); err != nil {
			return err
		}
	}
	return nil
}

// assume has a dry run believe that f has a value after cmd, unless it has one already.
func assume(ctx context.Context, h host.Reader, cmd *host.Cmd, f host.Fact, value string) error {
	have, err := h.Fact(ctx, f)
	if err == nil && have == "" {
		cmd.Assumes[f] = value
	}
	return err
}

func isDocumentation(name string) bool {
	for _, dir := range []string{"/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}

// packageRoom is about how many bytes the databases of packages and of their front ends need.
const packageRoom = 16 << 20

// needRoom returns an error if the disk below dir is so full that the database of packages would be damaged, which no
// later run can mend. Where df gives no answer, the package manager has to.
func needRoom(ctx context.Context, h host.Reader, dir string) error {
	free, err := h.Fact(ctx, fact(host.DiskFree, dir))
	bytes, _, _ := strings.Cut(free, " ")
	n, nerr := strconv.ParseInt(bytes, 10, 64)
	if err != nil || nerr != nil || n >= packageRoom {
		return nil
	}
	return runtime.Hint(fmt.Errorf("%d MB free for %s, want %d", n>>20, dir, packageRoom>>20),
		"make room first: a full disk can damage the database of packages")
}

// lockTime is how long a package manager that somebody else runs is waited for.
const lockTime = 10 * time.Minute

// waitForLocks waits until no process holds the locks of a package manager, and says who does meanwhile. Locks are
// files that hold the number of a process, or that a process has locked. A dry run takes it that they are given back
// in time.
func waitForLocks(ctx context.Context, h host.Reader, locks ...string) error {
	deadline := time.Now().Add(lockTime)
	for n := 0; ; n++ {
		who := ""
		for _, l := range locks {
			who = cmp.Or(who, holder(h, l))
		}
		if who == "" {
			return nil
		}
		runtime.Observe(ctx, "waited_for", who)
		runtime.Progress(ctx, "waiting for "+who)
		switch err := runtime.Sleep(ctx, min(time.Duration(n+1)*100*time.Millisecond, time.Second)); {
		case errors.Is(err, runtime.ErrNoWaiting):
			return nil
		case err != nil:
			return runtime.Hint(fmt.Errorf("waited for %s: %w", who, err), lockAdvice)
		case time.Now().After(deadline):
			return runtime.Hint(fmt.Errorf("waited %s for %s", lockTime, who), lockAdvice)
		}
	}
}

const lockAdvice = "let it end, or find out what it does; never remove a lock by hand while its holder runs"

// holder says which process holds a lock: "yum (process 123), which holds /run/yum.pid". It returns "" if none does,
// or nobody can tell.
func holder(h host.Reader, lock string) string {
	seen := h.LstatAll(path.Dir(lock), []string{path.Base(lock)})[0]
	if seen.Err != nil || !seen.Mode.IsRegular() {
		return ""
	}
	var pids []string
	if strings.HasSuffix(lock, ".pid") {
		text, _ := host.ReadFile(h, lock)
		pids = strings.Fields(string(text))
	} else {
		table, _ := host.ReadFile(h, "/proc/locks")
		name, _ := h.Resolve(lock, true)
		pids = lockedBy(string(table), seen.Ino)
		pids = slices.DeleteFunc(pids, func(pid string) bool { return !hasOpen(h, pid, name) })
	}
	for _, pid := range pids {
		if n, err := strconv.Atoi(pid); err != nil || n <= 0 {
			continue
		}
		name, err := host.ReadFile(h, path.Join("/proc", pid, "comm"))
		known := !strings.HasSuffix(lock, ".pid") || packager.Match(name) // a number may belong to another process by now
		if err == nil && known {                                          // else it has ended
			return fmt.Sprintf("%s (process %s), which holds %s", strings.TrimSpace(string(name)), pid, lock)
		}
	}
	return ""
}

// packager is what package managers are called that write their number into a file.
var packager = regexp.MustCompile(`^(yum|dnf|microdnf|python|platform-python|packagekit|rpm)`)

// lockedBy returns the processes that have locked a file with an inode number, from /proc/locks; see proc(5):
// "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF". The file may be another one, on another disk.
func lockedBy(table string, ino uint64) (pids []string) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) >= 6 && f[1] != "->" && strings.HasSuffix(f[5], fmt.Sprintf(":%d", ino)) {
			pids = append(pids, f[4])
		}
	}
	return pids
}

// hasOpen reports whether a process has a file open.
func hasOpen(h host.Reader, pid, name string) bool {
	dir := path.Join("/proc", pid, "fd")
	fds, _ := h.ReadDir(dir)
	return slices.ContainsFunc(fds, func(fd string) bool {
		target, err := h.Readlink(path.Join(dir, fd))
		return err == nil && target == name
	})
}
