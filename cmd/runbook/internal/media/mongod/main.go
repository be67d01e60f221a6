// Command mongod stands in for MongoDB's server on test media: it takes the options and the configuration file that
// MongoDB 2.6's package uses, forks, writes a pid file, locks its directory and listens, and keeps what package store
// keeps.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"runbook/cmd/runbook/internal/media/store"
)

// readyFD is the pipe by which a forked server tells its parent that it listens.
const readyFD = "MONGOD_READY_FD"

func main() {
	set, version, err := options(os.Args[1:])
	switch {
	case version:
		fmt.Println("db version v2.6.8")
	case err != nil:
		fmt.Fprintln(os.Stderr, "error command line:", err)
		os.Exit(2)
	case set("fork") == "true" && os.Getenv(readyFD) == "":
		os.Exit(fork(set("logpath")))
	default:
		if err := serve(set); err != nil {
			fmt.Fprintln(os.Stderr, "exception in initAndListen:", err)
			os.Exit(100)
		}
	}
}

// options merges the command line over the configuration file, whose lines are NAME=VALUE.
func options(args []string) (set func(name string) string, version bool, err error) {
	flags := flag.NewFlagSet("mongod", flag.ContinueOnError)
	for name, value := range map[string]string{"dbpath": "/data/db", "bind_ip": "0.0.0.0", "port": store.Port,
		"logpath": "", "pidfilepath": "", "config": ""} {
		flags.String(name, value, "")
	}
	for _, name := range []string{"fork", "logappend", "journal"} {
		flags.Bool(name, false, "")
	}
	file := flags.String("f", "", "configuration file")
	flags.BoolVar(&version, "version", false, "")
	err = flags.Parse(args)
	set = func(name string) string { return flags.Lookup(name).Value.String() }
	if err != nil || *file == "" && set("config") == "" {
		return set, version, err
	}
	data, err := os.ReadFile(*file + set("config"))
	if err != nil {
		return set, version, err
	}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return set, version, fmt.Errorf("unknown option %s", name)
		}
	}
	return set, version, flags.Parse(args)
}

// fork starts the server again in the background and returns when it listens or has ended.
func fork(log string) int {
	fmt.Println("about to fork child process, waiting until server is ready for connections.")
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	child := exec.Command(os.Args[0], os.Args[1:]...)
	child.Env = append(os.Environ(), readyFD+"=3")
	child.ExtraFiles = []*os.File{w}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error opening log file:", err)
		return 1
	}
	child.Stdout, child.Stderr = out, out
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	w.Close()
	fmt.Printf("forked process: %d\nall output going to: %s\n", child.Process.Pid, log)
	if ready, _ := io.ReadAll(r); len(ready) == 0 {
		fmt.Println("ERROR: child process failed, exited with error number 100")
		return 100
	}
	fmt.Println("child process started successfully, parent exiting")
	return 0
}

// serve is the server's life, which SIGTERM or SIGINT ends in good order.
func serve(set func(string) string) error {
	lock, err := os.OpenFile(filepath.Join(set("dbpath"), "mongod.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("unable to lock file %s, is a mongod instance already running?", lock.Name())
	}
	l, err := net.Listen("tcp4", net.JoinHostPort(set("bind_ip"), set("port")))
	if err != nil {
		return err
	}
	if err := writePID(set("pidfilepath")); err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "MongoDB starting : pid=%d port=%s dbpath=%s\nwaiting for connections on port %[2]s\n",
		os.Getpid(), set("port"), set("dbpath"))
	out.Flush()
	if os.Getenv(readyFD) != "" {
		ready := os.NewFile(3, "ready")
		ready.WriteString("ready")
		ready.Close()
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() { <-signals; l.Close() }()
	err = (&store.Server{Dir: set("dbpath")}).Serve(l)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func writePID(name string) error {
	if name == "" {
		return nil
	}
	return os.WriteFile(name, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644)
}
