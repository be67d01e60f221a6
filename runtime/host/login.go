package host

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A login is the account that a process runs as.
type login struct {
	name, home, shell string
	cred              *syscall.Credential // nil: whoever runs now
}

// login finds the account called user, or of whoever runs if it is empty.
func (l *Local) login(user string) (login, error) {
	if user == "" {
		return l.ourselves()
	}
	ctx := context.Background()
	who := login{name: user}
	uid, err := numberOf(ctx, l, User, user)
	if err != nil {
		return who, err
	}
	if who.home, err = l.Fact(ctx, Fact{Home, user}); err != nil {
		return who, err
	}
	if who.shell, err = l.Fact(ctx, Fact{Shell, user}); err != nil {
		return who, err
	}
	if uid == os.Geteuid() {
		return who, nil
	}
	if os.Geteuid() != 0 {
		return who, notRoot(user)
	}
	who.cred, err = l.credential(ctx, user, uid)
	return who, err
}

// notRoot says why a command cannot run as user.
func notRoot(user string) error {
	return hinted{fmt.Errorf("run as %s: only root may act for others", user), "start runbook as root, or as " + user}
}

// ourselves reads the passwd file only: asking a directory service would
// itself need a process.
func (l *Local) ourselves() (login, error) {
	uid := strconv.Itoa(os.Geteuid())
	who := login{name: uid}
	lines, err := Lines(l, "/etc/passwd")
	for _, line := range lines {
		if f := strings.Split(line, ":"); len(f) > 6 && f[2] == uid {
			return login{name: f[0], home: f[5], shell: f[6]}, err
		}
	}
	return who, err
}

func (l *Local) credential(ctx context.Context, user string, uid int) (*syscall.Credential, error) {
	primary, err := l.Fact(ctx, Fact{Primary, user})
	if err != nil {
		return nil, err
	}
	gid, err := numberOf(ctx, l, Group, primary)
	if err != nil {
		return nil, err
	}
	if gid < 0 {
		return nil, fmt.Errorf("run as %s: it has no entry in the passwd database", user)
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{uint32(gid)}}
	names, err := l.Fact(ctx, Fact{Groups, user})
	for g := range strings.SplitSeq(names, ",") {
		if n, err := numberOf(ctx, l, Group, g); err == nil && n >= 0 && n != gid {
			c.Groups = append(c.Groups, uint32(n))
		}
	}
	return c, err
}

// environ is all that a process gets: nothing of the caller's but the proxies.
// The language is fixed, for what programs print is compared.
func (l *Local) environ(who login, more map[string]string) []string {
	env := map[string]string{
		"PATH": l.searchPath(), "HOME": cmp.Or(who.home, "/"), "USER": who.name, "LOGNAME": who.name,
		"SHELL": cmp.Or(who.shell, "/bin/sh"), "LANG": "C.UTF-8",
	}
	for _, k := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		for _, k := range []string{k, strings.ToUpper(k)} {
			if v, ok := os.LookupEnv(k); ok {
				env[k] = v
			}
		}
	}
	maps.Copy(env, more)
	list := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}
