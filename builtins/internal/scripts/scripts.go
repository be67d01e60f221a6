// Package scripts guesses what the scripts of a package do to a machine: which accounts they make, and which services
// they start.
//
// Two things to know. Scripts are read, never run, and not parsed as a shell would: what is built in a variable or in a
// loop is not found. And a guess is for what a dry run believes, never for what a real run asserts.
//
// Packages rpm and deb call it, and the builtin apt.
package scripts

import (
	"regexp"
	"slices"
	"strings"
)

// Users guesses which accounts scripts make: those that they pass to useradd, adduser or systemd-sysusers.
func Users(scripts []string) (names []string) {
	for _, s := range scripts {
		for _, argv := range commands(s) {
			adds := argv[0] == "adduser" && (slices.Contains(argv, "--system") || !slices.Contains(argv, "--group"))
			if argv[0] == "useradd" || adds {
				names = append(names, account(argv)...)
			}
		}
		names = append(names, sysusers(s, "u")...)
	}
	return tidy(names)
}

func tidy(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// IsName reports whether name can be that of an account.
func IsName(name string) bool { return plainName.MatchString(name) }

// Account guesses the group, the home and the shell that scripts give to a user, "" where they leave them to useradd.
func Account(scripts []string, user string) (group, home, shell string) {
	for _, s := range scripts {
		for _, argv := range commands(s) {
			adds := argv[0] == "useradd" || argv[0] == "adduser"
			if adds && slices.Equal(account(argv), []string{user}) {
				return groupOf(argv), option(argv, "d", "home-dir") + option(argv, "", "home"), option(argv, "s", "shell")
			}
		}
	}
	return "", "", ""
}

// groupOf returns the first group that useradd or adduser is told of.
func groupOf(argv []string) string {
	group := option(argv, "g", "gid") + option(argv, "", "ingroup")
	alone := argv[0] == "adduser" && slices.Contains(argv, "--system") && !slices.Contains(argv, "--group")
	if group == "" && alone {
		return "nogroup" // adduser(8)
	}
	return group
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

// Groups guesses which groups scripts make, from groupadd and addgroup in the same way. The group that useradd makes
// for a user is not among them.
func Groups(scripts []string) (names []string) {
	for _, s := range scripts {
		for _, argv := range commands(s) {
			alone := argv[0] == "adduser" && slices.Contains(argv, "--group")
			if argv[0] == "groupadd" || argv[0] == "addgroup" || alone {
				names = append(names, account(argv)...)
			}
		}
		names = append(names, sysusers(s, "g")...)
	}
	return tidy(names)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]*$`)

// valued are the options of useradd and groupadd that take a value: the next word
// if none is attached.
const valued = "bcdefgkKGpsuZRP"

// account returns the name among the arguments of a command that makes an account or a group: the last word that is
// neither an option nor the value of one. What puts a user into a group, adduser USER GROUP, makes nothing.
func account(argv []string) []string {
	debian := argv[0] == "adduser" || argv[0] == "addgroup"
	var found []string
	for i := 1; i < len(argv); i++ {
		a := argv[i]
		switch {
		case strings.HasPrefix(a, "--"):
			if !strings.Contains(a, "=") && longValued(a, debian) {
				i++
			}
		case strings.HasPrefix(a, "-"):
			if strings.ContainsRune(valued, rune(a[len(a)-1])) {
				i++
			}
		case strings.HasSuffix(a, ">") || strings.HasSuffix(a, "<"):
			i++ // the file of a redirection
		case debian && len(found) > 0:
			return nil
		case plainName.MatchString(a):
			found = []string{a}
		}
	}
	return found
}

// longValued reports whether an option takes the next word as its value.
func longValued(opt string, debian bool) bool {
	if debian {
		return slices.Contains(strings.Fields("--home --home-dir --shell --uid --gid --ingroup --gecos --comment "+
			"--firstuid --lastuid --firstgid --lastgid --conf"), opt)
	}
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

// Starts reports whether scripts start a service, or restart it, as Debian's packages do.
func Starts(scripts []string, service string) bool {
	for _, s := range scripts {
		for _, argv := range commands(s) {
			starter := slices.Contains(strings.Fields("invoke-rc.d deb-systemd-invoke service systemctl"), argv[0])
			// What comes in a variable, $_dh_action, may be any verb.
			verb := slices.ContainsFunc(argv, func(w string) bool {
				return w == "start" || strings.HasSuffix(w, "restart") || strings.HasPrefix(w, "$")
			})
			if starter && verb && (slices.Contains(argv, service) || slices.Contains(argv, service+".service")) {
				return true
			}
		}
	}
	return false
}
