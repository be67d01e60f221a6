package archive

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"runbook/runtime/host"
)

// verbose is a line of what tar -tv prints: mode, owner, size, time, name and,
// for links, their target.
var verbose = regexp.MustCompile(`^([-dlh])[-rwxsStT]{9}\S*\s+\S+/\S+\s+(\d+)\s+` +
	`(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?)\s+(.+)$`)

// Predict takes what tar -t or tar -tv printed about an archive and returns
// what List would, as far as that tells: without -v, sizes are -1 and times are
// zero, and a name is a directory's if it ends with a slash or others lie below
// it. Contents are unknown. The same names are refused. Times are taken for UTC.
func Predict(text []byte, strip int) (*Listing, error) {
	l := &Listing{index: map[string]int{}, links: map[string][]string{}, target: map[string]string{}}
	members, err := l.parse(string(text), strip)
	if err != nil {
		return nil, err
	}
	above := map[string]bool{}
	for _, m := range members {
		for p := path.Dir(m.Name); p != "." && !above[p]; p = path.Dir(p) {
			above[p] = true
		}
	}
	for _, m := range members {
		if above[m.Name] && m.Mode.IsRegular() && m.Size < 0 {
			m.Meta = host.Meta{Mode: fs.ModeDir | 0o755}
		}
		if err := l.add(m, true); err != nil {
			return nil, err
		}
	}
	if len(l.Entries) == 0 {
		return nil, fmt.Errorf("nothing is left of %d members after stripping %d components", l.Members, strip)
	}
	for i := range l.Entries {
		if e := &l.Entries[i]; e.Mode.IsRegular() {
			e.Content = host.Unknown(e.Name)
		}
	}
	return l, nil
}

// parse returns the members that are left after stripping.
func (l *Listing) parse(text string, strip int) (members []member, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		l.Members++
		m, err := parseLine(line, strip)
		if err != nil {
			return nil, err
		}
		if m.Name != "" {
			members = append(members, m)
		}
	}
	return members, nil
}

func parseLine(line string, strip int) (m member, err error) {
	hdr := tar.Header{Typeflag: tar.TypeReg, Name: line, Size: -1, Mode: 0o644}
	if f := verbose.FindStringSubmatch(line); f != nil {
		hdr.Name = f[4]
		if hdr.Size, err = strconv.ParseInt(f[2], 10, 64); err != nil {
			return m, err
		}
		if hdr.ModTime, err = time.Parse(time.DateTime[:len(f[3])], f[3]); err != nil {
			return m, err
		}
		setKind(&hdr, f[1])
	}
	if hdr.Typeflag == tar.TypeReg && strings.HasSuffix(hdr.Name, "/") {
		hdr.Typeflag, hdr.Mode = tar.TypeDir, 0o755
	}
	return convert(&hdr, strip)
}

func setKind(hdr *tar.Header, kind string) {
	switch kind {
	case "d":
		hdr.Typeflag, hdr.Mode = tar.TypeDir, 0o755
	case "l":
		hdr.Typeflag, hdr.Size = tar.TypeSymlink, 0
		hdr.Name, hdr.Linkname, _ = strings.Cut(hdr.Name, " -> ")
	case "h":
		hdr.Typeflag, hdr.Size = tar.TypeLink, 0
		hdr.Name, hdr.Linkname, _ = strings.Cut(hdr.Name, " link to ")
	}
}
