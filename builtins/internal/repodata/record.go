package repodata

import "strconv"

// record reads a record into f, whose Depends is used again.
func (x *scanner) record(f *Fields) {
	*f = Fields{Size: -1, Depends: f.Depends[:0]}
	for c := x.object(); x.next(&c); {
		switch c.key {
		case "name":
			f.Name = x.text(c.key)
		case "version":
			f.Version = x.text(c.key)
		case "build":
			f.Build = x.text(c.key)
		case "md5":
			f.MD5 = x.digest(c.key, 32)
		case "sha256":
			f.SHA256 = x.digest(c.key, 64)
		case "size":
			f.Size = x.size()
		case "depends":
			f.Depends = x.list(f.Depends, c.key)
		case "subdir":
			f.Subdir = x.textIfAny()
		case "license":
			f.License = x.textIfAny()
		case "license_family":
			f.LicenseFamily = x.textIfAny()
		default:
			x.value()
		}
	}
}

// text reads a string or null.
func (x *scanner) text(key string) string {
	switch x.peek() {
	case '"':
		return x.str()
	case 'n':
		x.value()
	default:
		x.fail("%s: got %s, want a string", key, x.glimpse())
	}
	return ""
}

// textIfAny reads a value; what is no string counts as missing, because people
// write what they like where nothing depends on it.
func (x *scanner) textIfAny() string {
	if x.peek() == '"' {
		return x.str()
	}
	x.value()
	return ""
}

// digest reads a hex digest of n digits; null and "" count as missing.
func (x *scanner) digest(key string, n int) string {
	s := x.text(key)
	if s == "" {
		return ""
	}
	upper := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
		case c >= 'A' && c <= 'F':
			upper = true
		default:
			n = -1
		}
	}
	if len(s) != n {
		x.fail("%s: got %.70q, want hex digits", key, s)
	}
	if upper {
		return lower(s)
	}
	return s
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'F' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// size reads a number of bytes or null.
func (x *scanner) size() int64 {
	raw := x.value()
	if raw == "null" || x.err != nil {
		return -1
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil || n < 0 || n > maxSize || raw == "-0" {
		x.fail("size: got %.40s, want a whole number of bytes up to %d", raw, int64(maxSize))
	}
	return n
}

// list appends an array of strings to l; null is empty.
func (x *scanner) list(l []string, key string) []string {
	if x.peek() == 'n' {
		x.value()
		return l
	}
	for c := x.array(); x.next(&c); {
		if x.peek() != '"' {
			x.fail("%s: got %s, want strings", key, x.glimpse())
			break
		}
		l = append(l, x.str())
	}
	return l
}
