package rpm

import (
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/scripts"
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
	slices.Sort(names)
	return slices.Compact(names)
}

// Users guesses which accounts the package makes when it is installed: those that its scriptlets make, and those that
// it provides as user(NAME).
func (p *Package) Users() []string {
	names := append(p.provided("user("), scripts.Users(p.Scripts)...)
	slices.Sort(names)
	return slices.Compact(names)
}

// Groups guesses which groups the package makes, in the same way. The group that useradd makes for a user is not
// among them.
func (p *Package) Groups() []string {
	names := append(p.provided("group("), scripts.Groups(p.Scripts)...)
	slices.Sort(names)
	return slices.Compact(names)
}

// Account guesses the group, the home and the shell that scriptlets give to a user, "" where they leave them
// to useradd.
func (p *Package) Account(user string) (group, home, shell string) {
	return scripts.Account(p.Scripts, user)
}

// provided returns the names that are provided as PREFIX NAME ")".
func (p *Package) provided(prefix string) (names []string) {
	for _, s := range p.Provides {
		rest, ok := strings.CutPrefix(s, prefix)
		if name, closed := strings.CutSuffix(rest, ")"); ok && closed && scripts.IsName(name) {
			names = append(names, name)
		}
	}
	return names
}
