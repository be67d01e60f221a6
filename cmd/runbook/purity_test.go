package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/trace"
)

// What the kernel was asked to do is the judge of what a trace says.

// watched are the calls that change something, reach out, or begin a program.
const watched = "%file,%process,connect,ftruncate,fallocate,fchmod,fchown,fsetxattr,fremovexattr,sethostname,bpf," +
	"init_module"

// A call is one of the kernel, as strace tells it.
type call struct {
	name, args string
	own        bool     // the program's own, and not of a command that it began
	argv       []string // of an execve
}

// kernelCalls runs the program in a site under strace, from its first event on, and returns what it and its commands
// asked of the kernel.
func kernelCalls(t *testing.T, s site, events string, args ...string) []call {
	t.Helper()
	g := s.gate(events, args...)
	g.hold(2)
	log := filepath.Join(t.TempDir(), "calls")
	pid := strconv.Itoa(g.cmd.Process.Pid)
	tracer := exec.Command("strace", "-f", "-y", "--pidns-translation", "-xx", "-s", "65535", "-o", log, "-p", pid, "-e", "trace="+watched)
	if err := tracer.Start(); err != nil {
		lab.Skip(t, "strace: "+err.Error())
	}
	g.await("traces it", func() bool { return traced(pid) })
	g.release()
	select { // which takes its time where each call is looked at
	case <-g.ended:
	case <-time.After(8 * time.Minute):
	}
	if code := g.wait(); code != 0 {
		t.Fatalf("exit %d\n%s", code, g.said())
	}
	tracer.Process.Signal(syscall.SIGTERM)
	tracer.Wait()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return parseCalls(string(text), pid)
}

var (
	callLine = regexp.MustCompile(`(?m)^(\d+) +(?:<\.\.\. )?([a-z0-9_]+)(?: resumed>|\()(.*)$`)
	madeTask = regexp.MustCompile(`= \d+ /\* (\d+) in strace's PID NS`)
	inHex    = regexp.MustCompile(`(?:\\x[0-9a-f]{2})+`)
	quoted   = regexp.MustCompile(`"(?:\\x[0-9a-f]{2})*"`)
)

// parseCalls reads a log of strace of a process.
func parseCalls(log, pid string) (calls []call) {
	lines := callLine.FindAllStringSubmatch(log, -1)
	parent, began := map[string]string{}, map[string]bool{} // of tasks; those that became another program
	for _, l := range lines {
		switch l[2] {
		case "clone", "clone3", "fork", "vfork":
			if m := madeTask.FindStringSubmatch(l[3]); m != nil {
				parent[m[1]] = l[1]
			}
		case "execve":
			began[l[1]] = true
		}
	}
	became := map[string]bool{} // so far
	halves := map[string]bool{} // calls of tasks of which only the beginning has been read: it has the arguments
	for _, l := range lines {
		half := l[1] + " " + l[2]
		if halves[half] && strings.Contains(l[0], "resumed>") {
			delete(halves, half)
			continue
		}
		halves[half] = strings.HasSuffix(l[0], "<unfinished ...>")
		own := !became[l[1]]
		for task := parent[l[1]]; task != "" && task != pid; task = parent[task] {
			own = own && !began[task]
		}
		c := call{name: l[2], own: own, args: inHex.ReplaceAllStringFunc(l[3], func(text string) string {
			plain, _ := strconv.Unquote(`"` + text + `"`)
			return plain
		})}
		if c.name == "execve" && !strings.Contains(l[0], "resumed>") {
			_, list, _ := strings.Cut(l[3], "[")
			list, _, _ = strings.Cut(list, "]")
			for _, word := range quoted.FindAllString(list, -1) {
				plain, _ := strconv.Unquote(word)
				c.argv = append(c.argv, plain)
			}
			became[l[1]] = true
		}
		calls = append(calls, c)
	}
	return calls
}

// Where two tasks call at a time, strace writes a call in two lines, and the second one has no address.
func TestCallInTwoLines(t *testing.T) {
	calls := parseCalls(`7  connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(80)}, 16 <unfinished ...>
8  close(4)                                = 0
7  <... connect resumed>)            = -1 EINPROGRESS (Operation now in progress)
8  <... connect resumed>)            = 0
`, "7")
	var got []string
	for _, c := range calls {
		got = append(got, c.name+" "+strings.Join(port.FindStringSubmatch(c.args), " "))
	}
	if want := []string{"connect htons(80) 80", "close ", "connect "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: one whose beginning is not there stays", got, want)
	}
}

var (
	writing = regexp.MustCompile(`O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE|APPEND)`)
	changes = regexp.MustCompile(`^(creat|mkdir|rmdir|unlink|rename|link|symlink|mknod|f?chmod|f?l?chown|f?truncate|` +
		`fallocate|f?utim|[lf]?(set|remove)xattr|umount|pivot_root|chroot|swapon|sethostname|bpf|init_module)`)
	port     = regexp.MustCompile(`htons\((\d+)\)`)
	argument = regexp.MustCompile(`(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"|\d+<(/[^>]*)>`)
)

// changed returns the paths that a call would change, nil of one that only reads.
func (c call) changed() (paths []string) {
	isOpen := strings.HasPrefix(c.name, "open") && writing.MatchString(c.args)
	if !isOpen && !changes.MatchString(c.name) {
		return nil
	}
	for _, m := range argument.FindAllStringSubmatch(c.args, -1) {
		name := m[2] + m[3]
		if !path.IsAbs(name) {
			name = path.Join(m[1], name)
		}
		paths = append(paths, path.Clean(name))
		if isOpen {
			break
		}
	}
	if strings.HasPrefix(c.name, "link") || strings.HasPrefix(c.name, "symlink") {
		paths = paths[max(0, len(paths)-1):] // what it leads to stays as it is
	}
	return paths
}

// A mount is none of them: what a question may see is mounted for it alone.

// isDevice reports whether a write to a path changes nothing.
func isDevice(name string) bool {
	return name == "/dev/null" || name == "/dev/tty" || strings.HasPrefix(name, "/proc/")
}

// A dry run writes nothing but its trace, connects to nothing and begins nothing but what its trace calls a probe. A real
// run writes what its trace calls an effect, and its state; and it tells the system's log how it ended.
func TestPurity(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		lab.Skip(t, "strace: "+err.Error())
	}
	for name, args := range map[string][]string{
		"install": append([]string{"install.star", "--var", "interface=lo"}, all...),
		"native":  {"install.star", "--var", "airgap=true", "--var", "server=native"},
		"mirror":  {"mirror.star", "--var", "channels=/installer/anaconda-suite/pkgs", "--var", "dest=/srv/channels"},
		"quick":   {"quickstart.star", "--var", "serve=false", "--var", "dir=/srv/quick"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, expandedMedia(t))
			for _, mode := range []string{"dry", "real"} {
				file := "/root/" + mode + ".jsonl"
				run := append([]string{"run"}, args...)
				if mode == "dry" {
					run = append(run, "--dry-run")
				}
				judge(t, kernelCalls(t, s, file, run...), events(t, s, file), file)
			}
		})
	}
}

// judge holds what the kernel was asked for against a trace.
func judge(t *testing.T, calls []call, told []trace.Event, file string) {
	t.Helper()
	var may [][]string
	var said strings.Builder // by ops, which tell whom they ask
	touched := []string{file, file + ".out", file + ".blobs", "/var/lib/runbook"}
	isDry := told[0].Run.Mode == trace.DryRun
	for _, e := range told {
		switch {
		case e.Kind == trace.Op:
			fmt.Fprintln(&said, e.Target, e.Args)
		case e.Kind == trace.Probe:
			may = append(may, e.Argv)
		case e.Kind == trace.Effect && !isDry:
			may = append(may, e.Argv)
			touched = append(touched, e.Path)
			for key := range e.Sets {
				_, name, _ := strings.Cut(string(key), ":")
				touched = append(touched, name)
			}
		}
	}
	found := map[string]bool{}
	complain := func(format string, what ...string) {
		if !found[format] {
			found[format] = true
			t.Errorf("%s: the program %s: %q", file, format, what)
		}
	}
	seen := 0
	for _, c := range calls {
		if !c.own {
			continue
		}
		for _, name := range c.changed() {
			seen++
			if !isDevice(name) && !slices.ContainsFunc(touched, func(p string) bool { return p != "" && within(name, p) }) {
				complain("changes "+name, c.name, c.args)
			}
		}
		if c.name == "connect" && (isDry || !strings.Contains(c.args, `sun_path="/dev/log"`)) {
			m := port.FindStringSubmatch(c.args)
			if m == nil || !regexp.MustCompile(`\b`+m[1]+`\b`).MatchString(said.String()) {
				complain("reaches out", c.name, c.args)
			}
		}
		if c.argv != nil && !slices.ContainsFunc(may, func(argv []string) bool { return slices.EqualFunc(argv, c.argv, isWord) }) {
			complain("begins", c.argv...)
		}
	}
	if !isDry && seen < 20 {
		t.Errorf("%s: strace saw the program change %d files, want more: nothing was judged", file, seen)
	}
}

// isWord reports whether a word of a command is what the trace has of it.
func isWord(told, word string) bool {
	return told == word || strings.HasPrefix(told, "<secret:") && word != ""
}

// within reports whether a name is a path, below it, or beside it as what becomes of it.
func within(name, of string) bool {
	return name == of || strings.HasPrefix(name, of+"/") || path.Dir(name) == path.Dir(of) && strings.HasPrefix(path.Base(name), ".")
}
