package host

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Port is a TCP port by its number: the name of the process that listens on
// it, "?" where that cannot be known, "" if nothing listens. See proc_net_tcp(5).
var Port = &Kind{"port", listener}

// listening is the state of a socket in /proc/net/tcp (TCP_LISTEN in
// include/net/tcp_states.h).
const listening = "0A"

func listener(_ context.Context, r Reader, name string) (string, error) {
	port, err := strconv.ParseUint(name, 10, 16)
	if err != nil {
		return "", fmt.Errorf("port %q: want a number from 0 to 65535", name)
	}
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		lines, err := Lines(r, file)
		if err != nil {
			return "", err
		}
		for _, l := range lines {
			// sl, local address:port, remote, state, queues, timer, retransmits, uid, timeout, inode
			f := strings.Fields(l)
			if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return "", nil
	}
	return holder(r, inodes), nil
}

// holder returns the name of the first process that has one of the sockets
// open. What may not be looked at, or has ended meanwhile, is passed over.
func holder(r Reader, sockets map[string]bool) string {
	pids, _ := r.ReadDir("/proc")
	for _, pid := range pids {
		if strings.Trim(pid, "0123456789") != "" || !holds(r, pid, sockets) {
			continue
		}
		if comm, err := Lines(r, path.Join("/proc", pid, "comm")); err == nil && len(comm) > 0 {
			return comm[0]
		}
	}
	return "?"
}

func holds(r Reader, pid string, sockets map[string]bool) bool {
	dir := path.Join("/proc", pid, "fd")
	fds, _ := r.ReadDir(dir)
	return slices.ContainsFunc(fds, func(fd string) bool {
		target, err := r.Readlink(path.Join(dir, fd))
		return err == nil && sockets[target]
	})
}
