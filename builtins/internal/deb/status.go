package deb

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// An Entry is what dpkg's list says of one package: /var/lib/dpkg/status.
type Entry struct {
	Name, Arch, Version string
	Want                string            // install, hold, deinstall, purge or unknown
	Flag                string            // ok or reinstreq
	State               string            // installed, half-configured, config-files, ...
	Conffiles           map[string]string // MD5 digests, in hex, by name, of how the package brought them
}

// There reports whether the package is on the machine, if only in part.
func (e *Entry) There() bool {
	return e != nil && e.State != "not-installed" && e.State != "config-files"
}

// Complete reports whether the package is installed and set up. Triggers that are pending do not count against it.
func (e *Entry) Complete() bool {
	done := strings.Fields("installed triggers-pending triggers-awaited")
	return e != nil && e.Flag == "ok" && slices.Contains(done, e.State)
}

// Conffile returns the MD5 digest, in hex, of a configuration file as the package brought it; "" if it did not.
func (e *Entry) Conffile(name string) string {
	if e == nil {
		return ""
	}
	return e.Conffiles[name]
}

// Find returns the entry of a package, called NAME or NAME:ARCH, in dpkg's list; nil if there is none. Without an
// architecture it is the entry for the machine's own or for all; any, if the list does not say what that is.
func Find(status []byte, name string) (*Entry, error) {
	name, arch, qualified := strings.Cut(name, ":")
	all, err := entries(status, name)
	if err != nil {
		return nil, err
	}
	if !qualified {
		arch = Native(status)
	}
	var best *Entry
	for _, e := range all {
		fits := arch == "" || e.Arch == arch || e.Arch == "all"
		if fits && (best == nil || e.There() && !best.There()) {
			best = e
		}
	}
	return best, nil
}

// Native returns the architecture of the machine, which is that of dpkg; "" if the list does not say.
func Native(status []byte) string {
	all, err := entries(status, "dpkg")
	if err != nil || len(all) == 0 {
		return ""
	}
	return all[0].Arch
}

// entries returns the paragraphs about a package.
func entries(status []byte, name string) (all []*Entry, err error) {
	key := []byte("Package: " + name + "\n")
	for rest := status; ; {
		i := bytes.Index(rest, key)
		if i < 0 {
			return all, nil
		}
		from, to := paragraphAt(rest, i)
		if i == 0 || rest[i-1] == '\n' {
			e, err := entry(rest[from:to])
			if err != nil {
				return nil, fmt.Errorf("package %s: %w", name, err)
			}
			all = append(all, e)
		}
		rest = rest[to:]
	}
}

// paragraphAt returns where the paragraph around text[i] begins and ends.
func paragraphAt(text []byte, i int) (from, to int) {
	from = bytes.LastIndex(text[:i], []byte("\n\n"))
	if from = max(from, 0); from > 0 {
		from += 2
	}
	to = len(text)
	if j := bytes.Index(text[i:], []byte("\n\n")); j >= 0 {
		to = i + j + 1
	}
	return from, to
}

func entry(text []byte) (*Entry, error) {
	fields, err := paragraph(text)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(fields["Status"])
	if len(words) != 3 {
		return nil, fmt.Errorf("got the status %q, want three words", fields["Status"])
	}
	e := &Entry{
		Name: fields["Package"], Arch: fields["Architecture"], Version: fields["Version"],
		Want: words[0], Flag: words[1], State: words[2], Conffiles: map[string]string{},
	}
	for line := range strings.Lines(fields["Conffiles"]) {
		words := strings.Fields(line) // NAME MD5, and obsolete for one that the package has no more
		if len(words) == 2 {
			e.Conffiles[words[0]] = words[1]
		}
	}
	return e, nil
}

// Diversions returns the files that dpkg puts elsewhere, and the package that may have each under its own name; ":" if
// none may. The text is /var/lib/dpkg/diversions: three lines for each.
func Diversions(text string) map[string]string {
	all := map[string]string{}
	lines := strings.Split(text, "\n")
	for ; len(lines) >= 3; lines = lines[3:] {
		all[lines[0]] = lines[2]
	}
	return all
}
