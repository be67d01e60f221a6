package host

import (
	"cmp"
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
	sockets, err := listeningSockets(r)
	inodes := map[string]bool{}
	for _, s := range sockets {
		if s.port == port {
			inodes["socket:["+s.inode+"]"] = true
		}
	}
	if len(inodes) == 0 || err != nil {
		return "", err
	}
	return holder(r, inodes), nil
}

// A socket is one that is listened on.
type socket struct {
	port  uint64
	inode string
}

func listeningSockets(r Reader) (all []socket, err error) {
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		lines, err := Lines(r, file)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			// sl, local address:port, remote, state, queues, timer, retransmits, uid, timeout, inode
			f := strings.Fields(l)
			if len(f) < 10 || f[3] != listening {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
				all = append(all, socket{port, f[9]})
			}
		}
	}
	return all, nil
}

// listeners returns the ports that something listens on, each once.
func listeners(r Reader) (ports []string, err error) {
	sockets, err := listeningSockets(r)
	slices.SortFunc(sockets, func(a, b socket) int { return cmp.Compare(a.port, b.port) })
	for _, s := range sockets {
		ports = append(ports, strconv.FormatUint(s.port, 10))
	}
	return slices.Compact(ports), err
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
