package lab

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	initEnv   = "RUNBOOK_LAB_INIT"
	readyWord = "ready\n"
)

// MaybeInit must be the first thing that TestMain does. In the first process of a jail it makes the jail and never
// returns; anywhere else it does nothing.
func MaybeInit() {
	args := strings.Split(os.Getenv(initEnv), "\n")
	if len(args) != 4 {
		return
	}
	runtime.LockOSThread()
	if err := makeRoot(args[0], args[1], args[2], args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	reap()
}

// makeRoot turns dir into a jail's root and this process's, in a mount namespace that is already its own.
func makeRoot(dir, lower, sizeMB, hostname string) error {
	root := filepath.Join(dir, "root")
	steps := []func() error{
		func() error { return mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return mount("jail", dir, "tmpfs", 0, "mode=0755,size="+sizeMB+"m") },
		func() error { return mkdirs(dir, 0o755, "upper", "work", "root") },
		func() error {
			return mount("overlay", root, "overlay", 0,
				fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work,volatile", lower, dir, dir))
		},
		func() error { return kernelFiles(root) },
		func() error { return devices(root + "/dev") },
		func() error { return freshRun(root + "/run") },
		func() error { return pivot(root) },
		func() error { return unix.Sethostname([]byte(hostname)) },
		loopbackUp,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// reap is the life of a first process: it collects orphans, since a dead daemon that nobody waited for still looks
// alive to kill -0, and it ends with the test process, which holds the other end of its standard input.
func reap() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD)
	go func() {
		os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	os.Stdout.WriteString(readyWord)
	os.Stdout.Close()
	for range signals {
		for pid := 1; pid > 0; {
			pid, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
}

func kernelFiles(root string) error {
	const safe = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	if err := mount("proc", root+"/proc", "proc", safe, ""); err != nil {
		return err
	}
	return mount("sysfs", root+"/sys", "sysfs", unix.MS_RDONLY|safe, "")
}

// devices makes a small /dev. It must not be sticky and writable by all: Linux then refuses to open /dev/null with
// O_CREAT.
func devices(dev string) error {
	if err := mount("dev", dev, "tmpfs", unix.MS_NOSUID, "mode=0755,size=64k"); err != nil {
		return err
	}
	nodes := map[string][2]uint32{"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9},
		"tty": {5, 0}}
	for name, n := range nodes {
		path := filepath.Join(dev, name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(n[0], n[1]))); err != nil {
			return fmt.Errorf("mknod %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil { // mknod obeys the umask
			return err
		}
	}
	links := map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	if err := mkdirs(dev, 0o755, "pts"); err != nil {
		return err
	}
	if err := mkdirs(dev, 0o1777, "shm"); err != nil {
		return err
	}
	return mount("devpts", dev+"/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620")
}

// freshRun mounts an empty /run, with the directory for locks that cron and iptables expect.
func freshRun(run string) error {
	if err := mount("run", run, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	return mkdirs(run, 0o1777, "lock")
}

func pivot(root string) error {
	old := filepath.Join(root, ".old")
	if err := os.Mkdir(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("pivot_root %s: %w", root, err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Remove("/.old")
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s (%s): %w", kind, target, data, err)
	}
	return nil
}

// mkdirs makes directories below dir with exactly this mode, sticky bit included, whatever the umask.
func mkdirs(dir string, mode uint32, names ...string) error {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := unix.Mkdir(path, mode); err != nil {
			return fmt.Errorf("mkdir %s: %w", path, err)
		}
		if err := unix.Chmod(path, mode); err != nil {
			return fmt.Errorf("chmod %s: %w", path, err)
		}
	}
	return nil
}
