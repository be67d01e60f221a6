package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A keyedTerminal is a program on a terminal, and what it has shown since it was last waited for.
type keyedTerminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	shown  chan byte
	seen   string
}

// onTerminal starts a program on a terminal of its own.
func onTerminal(t *testing.T, dir string, argv ...string) *keyedTerminal {
	t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = dir
	c.Env = append(os.Environ(), "NO_COLOR=1", "TERM=xterm", "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	return startOnTerminal(t, c, c.Start)
}

// startOnTerminal gives a program a terminal and starts it.
func startOnTerminal(t *testing.T, c *exec.Cmd, start func() error) *keyedTerminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	k := &keyedTerminal{t: t, master: master, cmd: c, shown: make(chan byte, 1<<20)}
	k.cmd.Stdin, k.cmd.Stdout, k.cmd.Stderr = slave, slave, slave
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.cmd.Process.Kill(); k.cmd.Wait() })
	go func() {
		defer close(k.shown)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			for _, b := range buf[:n] {
				k.shown <- b
			}
			if err != nil {
				return
			}
		}
	}()
	return k
}

// types presses keys and waits until the terminal shows a text.
func (k *keyedTerminal) types(keys, want string) {
	k.t.Helper()
	k.seen = ""
	if _, err := k.master.WriteString(keys); err != nil {
		k.t.Fatal(err)
	}
	for timeout := time.After(20 * time.Second); !strings.Contains(k.seen, want); {
		select {
		case b, ok := <-k.shown:
			if !ok {
				k.t.Fatalf("it ended; after %q got %q, want %q", keys, k.seen, want)
			}
			k.seen += string([]byte{b})
		case <-timeout:
			k.t.Fatalf("after %q got %q, want %q", keys, k.seen, want)
		}
	}
}

// TestPromptOnTerminal types at the prompt as a person does.
func TestPromptOnTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	book := "def web():\n    write(\"/srv/web.conf\", \"x\")\n\nstep(web, title = \"The web\")\n"
	if err := os.WriteFile(filepath.Join(dir, "b.star"), []byte(book), 0o644); err != nil {
		t.Fatal(err)
	}
	k := onTerminal(t, dir, "runbook", "repl", "b.star")
	k.types("", "> ")
	k.types("6 * 7\r", "42\r\n")
	k.types("web()\r", "would    write      /srv/web.conf")
	k.types("", "> ")
	k.types("exists(\"/srv/web.conf\")\r", "True\r\n> ")

	k.types("symli\t", "symlink")                    // completes
	k.types("\x03", "> ")                            // and is given up
	k.types("conda.\t", "bootstrap  channels  inst") // several
	k.types("in\t(\x15", "stall(")
	k.types("service(str(1), sta\t", "service(str(1), state")
	k.types("\x03", "> ")
	k.types("\x1b[A\r", "True\r\n> ") // from the history, which has no empty lines
	k.types("\x1b[A\x1b[A\x1b[A\r", "42\r\n> ")

	k.types("def f(x):\r", "... ")
	k.types("\treturn x + 1\r", "... ")
	k.types("\r", "> ")
	k.types("f(1)\r", "2\r\n> ")
	k.types("for i in range(3):\r", "... ")
	k.types("\x03", "> ") // the block is given up
	k.types("nmae\r", "undefined: nmae")
	k.types("", "> ")

	k.types("log(\"begun\"); query([\"sleep\", \"600\"])\r", "note     begun")
	k.types("\x03", "interrupted")
	k.types("", "> ")
	k.types("f(2)\r", "3\r\n> ")
	k.types("7\x04\x7f8\r", "8\r\n> ") // no end while there is something typed
	k.types("\x04", "would change")
	if err := k.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
