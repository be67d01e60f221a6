package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Snapshot says what a jail's files are: for each absolute path its type, mode, owner and group in numbers and, of a
// regular file, size and SHA-256 (up to 64 MB), of a link its target, of a device its number. Times are left out.
type Snapshot map[string]string

// maxDigest is how large a file may be to be read for a snapshot, in bytes.
const maxDigest = 64 << 20

// Volatile lists what two equal installations may differ in: logs, caches, the databases of package managers, pid
// files and sockets, and backups that useradd and its like leave. It is for Snapshot.
func Volatile() []string {
	return []string{"/tmp", "/var/tmp", "/var/log", "/var/cache", "/var/lib/rpm", "/var/lib/dnf", "*.pid", "*.sock", "*.lock",
		"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"}
}

// Snapshot looks at the whole jail but /proc, /sys, /dev, /run, what Bind showed and what skip names: absolute paths
// with all that lies below them, or patterns (path.Match) for the last element of a path. It fails the test if it
// cannot.
func (j *Jail) Snapshot(skip ...string) Snapshot {
	j.t.Helper()
	skip = slices.Concat([]string{"/proc", "/sys", "/dev", "/run"}, j.binds, skip)
	root, all := j.RootPath(""), Snapshot{}
	err := filepath.WalkDir(root+"/.", func(outside string, d fs.DirEntry, err error) error {
		name := path.Clean("/" + strings.TrimPrefix(outside, root))
		if err == nil && skipped(name, skip) {
			return skipTree(d)
		}
		if err == nil {
			all[name], err = j.describe(outside, name, d)
		}
		return err
	})
	if err != nil {
		j.t.Fatalf("snapshot: %v", err)
	}
	return all
}

// Diff lists how t differs from s, a line each, sorted by path: "+ path new", "- path old", or "~ path: old -> new".
func (s Snapshot) Diff(t Snapshot) []string {
	both := maps.Clone(s)
	maps.Copy(both, t)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(both)) {
		old, was := s[name]
		now, is := t[name]
		switch {
		case !was:
			lines = append(lines, "+ "+name+" "+now)
		case !is:
			lines = append(lines, "- "+name+" "+old)
		case old != now:
			lines = append(lines, "~ "+name+": "+old+" -> "+now)
		}
	}
	return lines
}

// String lists the snapshot, a line for each path, sorted.
func (s Snapshot) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s %s\n", name, s[name])
	}
	return b.String()
}

// A fileID changes whenever a file's content may have: no program can set its change time.
type fileID struct {
	name          string
	inode         uint64
	size          int64
	change, nanos int64
}

// describe is the value of a snapshot for the file called name in the jail. Digests are kept, so a second snapshot
// reads only what changed, and those of the base root are kept for all jails.
func (j *Jail) describe(outside, name string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	st := info.Sys().(*syscall.Stat_t)
	text := fmt.Sprintf("%s %d:%d", info.Mode(), st.Uid, st.Gid)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(outside)
		return text + " -> " + target, err
	case info.Mode()&fs.ModeDevice != 0:
		return fmt.Sprintf("%s %d", text, st.Rdev), nil
	case !info.Mode().IsRegular():
		return text, nil
	case info.Size() > maxDigest:
		return fmt.Sprintf("%s %d", text, info.Size()), nil
	}
	id := fileID{name, st.Ino, st.Size, st.Ctim.Sec, st.Ctim.Nsec}
	digests := &j.digests
	if changed := time.Unix(st.Ctim.Unix()); changed.Before(j.begun) {
		digests = ofBase()
	}
	sum, ok := digests.Load(id)
	if !ok {
		if sum, err = digest(outside); err != nil {
			return "", err
		}
		digests.Store(id, sum)
	}
	return fmt.Sprintf("%s %d %s", text, info.Size(), sum), nil
}

// ofBase holds the digests of files that are older than the jails they were seen in.
var ofBase = sync.OnceValue(func() *sync.Map { return new(sync.Map) })

func digest(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func skipped(name string, skip []string) bool {
	return slices.ContainsFunc(skip, func(s string) bool {
		if strings.HasPrefix(s, "/") {
			return name == s
		}
		ok, _ := path.Match(s, path.Base(name))
		return ok
	})
}

func skipTree(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}
