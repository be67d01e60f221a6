package deb

import (
	"path"
	"strings"

	"pault.ag/go/debian/version"
)

// Compare compares two versions as deb-version(7) says and returns -1, 0 or 1. Of texts that are no versions it
// compares the bytes.
func Compare(a, b string) int {
	x, errX := version.Parse(a)
	y, errY := version.Parse(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return min(max(version.Compare(x, y), -1), 1)
}

// CheckVersion returns an error if text is no version.
func CheckVersion(text string) error {
	_, err := version.Parse(text)
	return err
}

// ParseFilename takes NAME_VERSION_ARCH.deb apart, with or without directories before it. The colon of an epoch may be
// written as %3a.
func ParseFilename(file string) (name, ver, arch string, ok bool) {
	s, ok := strings.CutSuffix(path.Base(file), ".deb")
	words := strings.Split(s, "_")
	if !ok || len(words) != 3 {
		return "", "", "", false
	}
	name, arch = words[0], words[2]
	ver = strings.NewReplacer("%3a", ":", "%3A", ":").Replace(words[1])
	if !plainName.MatchString(name) || !plainArch.MatchString(arch) || CheckVersion(ver) != nil {
		return "", "", "", false
	}
	return name, ver, arch, true
}
