package rpm

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Units returns the systemd services that the package installs: "mongod.service".
func (p *Package) Units() []string {
	return p.below(func(dir, base string) bool {
		return (dir == "/usr/lib/systemd/system" || dir == "/lib/systemd/system" || dir == "/etc/systemd/system") &&
			strings.HasSuffix(base, ".service")
	})
}

// InitScripts returns the names of the init scripts that the package installs.
func (p *Package) InitScripts() []string {
	return p.below(func(dir, base string) bool {
		return (dir == "/etc/init.d" || dir == "/etc/rc.d/init.d") && base != "functions" && base != "README"
	})
}

// below returns the base names of the installed files that match, sorted.
func (p *Package) below(match func(dir, base string) bool) (names []string) {
	for _, f := range p.Files {
		if dir, base := path.Split(f.Name); !f.Ghost && !f.Mode.IsDir() && match(path.Clean(dir), base) {
			names = append(names, base)
		}
	}
	return tidy(names)
}

func tidy(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// Users guesses which accounts the package makes when it is installed: those that
// its scriptlets pass to useradd or to systemd-sysusers, and those that it
// provides as user(NAME).
func (p *Package) Users() []string {
	names := p.provided("user(")
	for _, s := range p.Scripts {
		for _, argv := range commands(s) {
			if argv[0] == "useradd" || argv[0] == "adduser" {
				names = append(names, account(argv[1:])...)
			}
		}
		names = append(names, sysusers(s, "u")...)
	}
	return tidy(names)
}

// Account guesses the group, the home and the shell that scriptlets give to a user, "" where they leave them
// to useradd.
func (p *Package) Account(user string) (group, home, shell string) {
	for _, s := range p.Scripts {
		for _, argv := range commands(s) {
			if argv[0] == "useradd" && slices.Equal(account(argv[1:]), []string{user}) {
				return option(argv, "g", "gid"), option(argv, "d", "home-dir"), option(argv, "s", "shell")
			}
		}
	}
	return "", "", ""
}

// option returns the value of an option of useradd. The short one may end several letters, and its value may
// follow it without a blank.
func option(argv []string, short, long string) string {
	for i, a := range argv {
		name, value, attached := strings.Cut(a, "=")
		letters, isShort := strings.CutPrefix(a, "-")
		at := strings.IndexAny(letters, valued)
		switch {
		case name == "--"+long && attached:
			return value
		case a == "--"+long && i+1 < len(argv):
			return argv[i+1]
		case !isShort || strings.HasPrefix(letters, "-") || at < 0 || letters[at:at+1] != short:
		case at+1 < len(letters):
			return letters[at+1:]
		case i+1 < len(argv):
			return argv[i+1]
		}
	}
	return ""
}

// Groups guesses which groups the package makes, from groupadd in the same way.
// The group that useradd makes for a user is not among them.
func (p *Package) Groups() []string {
	names := p.provided("group(")
	for _, s := range p.Scripts {
		for _, argv := range commands(s) {
			if argv[0] == "groupadd" || argv[0] == "addgroup" {
				names = append(names, account(argv[1:])...)
			}
		}
		names = append(names, sysusers(s, "g")...)
	}
	return tidy(names)
}

// provided returns the names that are provided as PREFIX NAME ")".
func (p *Package) provided(prefix string) (names []string) {
	for _, s := range p.Provides {
		rest, ok := strings.CutPrefix(s, prefix)
		if name, closed := strings.CutSuffix(rest, ")"); ok && closed && plainName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]*$`)

// valued are the options of useradd and groupadd that take a value: the next word
// if none is attached.
const valued = "bcdefgkKGpsuZRP"

// account returns the name among the arguments of useradd or groupadd: the last
// word that is neither an option nor the value of one.
func account(args []string) []string {
	var found []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case strings.HasPrefix(a, "--"):
			if !strings.Contains(a, "=") && longValued(a) {
				i++
			}
		case strings.HasPrefix(a, "-"):
			if strings.ContainsRune(valued, rune(a[len(a)-1])) {
				i++
			}
		case strings.HasSuffix(a, ">") || strings.HasSuffix(a, "<"):
			i++ // the file of a redirection
		case plainName.MatchString(a):
			found = []string{a}
		}
	}
	return found
}

func longValued(opt string) bool {
	switch opt {
	case "--system", "--create-home", "--no-create-home", "--no-log-init", "--non-unique", "--user-group",
		"--no-user-group", "--force":
		return false
	}
	return true
}

// sysuser is a line of sysusers.d(5).
var sysuser = regexp.MustCompile(`(?m)^\s*([ug])!?\s+"?([A-Za-z_][A-Za-z0-9_.-]*)"?(?:\s|$)`)

// sysusers returns the names that a script pipes into systemd-sysusers.
func sysusers(script, kind string) (names []string) {
	if !strings.Contains(script, "sysusers") {
		return nil
	}
	for _, m := range sysuser.FindAllStringSubmatch(script, -1) {
		if m[1] == kind {
			names = append(names, m[2])
		}
	}
	return names
}
