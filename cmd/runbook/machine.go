package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/user"
	"strings"

	"golang.org/x/sys/unix"

	"runbook/runtime/trace"
)

// info describes a run for the first line of its trace, but for the digest of the program.
func info(mode, ticket string, previous string) trace.RunInfo {
	return trace.RunInfo{
		Mode: mode, Ticket: ticket, Previous: previous,
		Binary: trace.Binary{Version: version()},
		Host:   machine(),
		User:   trace.Person{Name: userName(), SudoUser: os.Getenv("SUDO_USER")},
	}
}

// machine describes the machine; fields that cannot be found out are empty.
func machine() trace.Machine {
	m := trace.Machine{OS: prettyName(), Boot: firstLine("/proc/sys/kernel/random/boot_id")}
	m.Hostname, _ = os.Hostname()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel, m.Machine = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
	}
	return m
}

// prettyName is the name of the system in os-release(5).
func prettyName() string {
	text, _ := os.ReadFile("/etc/os-release")
	for line := range strings.SplitSeq(string(text), "\n") {
		if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}

func firstLine(name string) string {
	text, _ := os.ReadFile(name)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// programDigest is the digest of the program that runs, even if its file is replaced.
func programDigest() string {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, f, make([]byte, 256<<10)); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
