package conda

import "strings"

// Noarch is the subdir of packages for any platform.
const Noarch = "noarch"

// IsSubdir reports whether s may be a subdir's name (CEP 26): noarch, or platform-architecture.
func IsSubdir(s string) bool {
	platform, arch, ok := strings.Cut(s, "-")
	bad := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_') }
	return s == Noarch || ok && platform != "" && arch != "" && len(s) < 64 && !strings.ContainsFunc(platform+arch, bad)
}
