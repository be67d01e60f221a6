// Package deb reads Debian packages and dpkg's list of what is installed, without dpkg: the members of a file that
// may exist only in a dry run, names of files, and the order of versions.
//
// Two things to know. [Read] decompresses the whole package, as names and types of files stand all over it, but keeps
// no content. And what maintainer scripts do can only be guessed: [Package.Scripts] is for what a dry run believes,
// never for what a real run asserts.
//
// Control files and versions are read with pault.ag/go/debian, which comes from here only. The archive around them is
// read here, since a dry run believes what it returns: sizes, names and orders that do not fit are refused, and
// memory is allocated by what has arrived rather than by what a header claims.
//
// The builtin apt calls it. The formats are described in deb(5), deb-control(5) and deb-version(7), and in dpkg's own
// manual of its database.
package deb

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pault.ag/go/debian/control"
	"pault.ag/go/debian/version"

	"runbook/builtins/internal/compress"
)

// A Package is what a .deb file says of itself.
type Package struct {
	Name, Version, Arch string
	Files               []File
	Conffiles           map[string]string // MD5 digests, in hex, of the files that belong to whoever runs the machine
	Scripts             []string          // texts of preinst and postinst, as far as it has them
	Sysusers            []string          // texts of what it puts into /usr/lib/sysusers.d
}

// A File is one file that a package installs.
type File struct {
	Name         string      // absolute and clean
	Mode         fs.FileMode // type, permissions and special bits
	Owner, Group string      // names, or numbers where there is no name
	Size         int64       // bytes
	ModTime      time.Time
	Target       string // of a symbolic link
}

const (
	magic      = "!<arch>\n"
	headerSize = 60
	maxMember  = 16 << 20 // bytes of a control file, a script, or a text of sysusers.d
)

var (
	plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	plainArch = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
)

// Read reads a .deb file.
func Read(r io.Reader) (*Package, error) {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, short(err)
	}
	if string(head) != magic {
		return nil, fmt.Errorf("is no Debian package: it begins with %q, want %q", head, magic)
	}
	p := &Package{Conffiles: map[string]string{}}
	wants := []func(name string, r io.Reader) (bool, error){p.readFormat, p.readControl, p.readData}
	for len(wants) > 0 {
		name, size, err := nextMember(r)
		if err != nil {
			return nil, err
		}
		body := &io.LimitedReader{R: r, N: size}
		done, err := wants[0](name, body)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case done:
			wants = wants[1:]
		case !strings.HasPrefix(name, "_"): // deb(5): for others to put in
			return nil, fmt.Errorf("got the member %q, want debian-binary, control.tar and data.tar, in this order", name)
		}
		left := body.N + size%2
		if n, err := io.Copy(io.Discard, io.LimitReader(r, left)); err != nil || n < body.N {
			return nil, short(errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
	return p, nil
}

// short returns err; if it says that the file ended, in words that say so.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file ends early: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// nextMember reads the header of a member of an ar archive.
func nextMember(r io.Reader) (name string, size int64, err error) {
	h := make([]byte, headerSize)
	if _, err := io.ReadFull(r, h); err != nil {
		return "", 0, short(err)
	}
	if string(h[58:]) != "`\n" {
		return "", 0, fmt.Errorf("got %q at the end of a member's header, want %q", h[58:], "`\n")
	}
	name = strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/")
	size, err = strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 {
		return "", 0, fmt.Errorf("member %q: got the size %q", name, h[48:58])
	}
	return name, size, nil
}

func (p *Package) readFormat(name string, r io.Reader) (bool, error) {
	if name != "debian-binary" {
		return false, nil
	}
	text, err := readText(r)
	if err == nil && !strings.HasPrefix(text, "2.") {
		err = fmt.Errorf("got version %q of the format, want 2", strings.TrimSpace(text))
	}
	return true, err
}

func (p *Package) readControl(name string, r io.Reader) (bool, error) {
	if name != "control.tar" && !strings.HasPrefix(name, "control.tar.") {
		return false, nil
	}
	texts := map[string]string{}
	err := walk(name, r, func(h *tar.Header, r io.Reader) (err error) {
		if n := path.Clean(h.Name); h.Typeflag == tar.TypeReg && !strings.Contains(n, "/") {
			texts[n], err = readText(r)
		}
		return err
	})
	if err != nil {
		return true, err
	}
	for _, s := range []string{"preinst", "postinst"} {
		if texts[s] != "" {
			p.Scripts = append(p.Scripts, texts[s])
		}
	}
	for line := range strings.Lines(texts["conffiles"]) {
		// "remove-on-upgrade /etc/x" names a file that goes.
		if name := strings.TrimSpace(line); path.IsAbs(name) {
			p.Conffiles[name] = ""
		}
	}
	return true, p.takeControl(texts["control"])
}

// takeControl takes the fields of a control file that are of interest.
func (p *Package) takeControl(text string) error {
	fields, err := paragraph([]byte(text))
	if err != nil {
		return err
	}
	p.Name, p.Version, p.Arch = fields["Package"], fields["Version"], fields["Architecture"]
	if !plainName.MatchString(p.Name) || !plainArch.MatchString(p.Arch) {
		return fmt.Errorf("got package %q of architecture %q", p.Name, p.Arch)
	}
	if _, err := version.Parse(p.Version); err != nil {
		return fmt.Errorf("got version %q: %w", p.Version, err)
	}
	return nil
}

// paragraph reads the first paragraph of a control file.
func paragraph(text []byte) (map[string]string, error) {
	r, err := control.NewParagraphReader(bytes.NewReader(text), nil)
	if err != nil {
		return nil, err
	}
	p, err := r.Next()
	if err == io.EOF {
		return nil, errors.New("got no fields")
	}
	if err != nil {
		return nil, err
	}
	return p.Values, nil
}

func (p *Package) readData(name string, r io.Reader) (bool, error) {
	if name != "data.tar" && !strings.HasPrefix(name, "data.tar.") {
		return false, nil
	}
	return true, walk(name, r, p.addFile)
}

func (p *Package) addFile(h *tar.Header, r io.Reader) error {
	clean := path.Join("/", h.Name)
	if slices.Contains(strings.Split(h.Name, "/"), "..") || strings.ContainsRune(h.Name, 0) {
		return fmt.Errorf("file %q: want a name below the root", h.Name)
	}
	if clean == "/" {
		return nil
	}
	f := File{
		Name: clean, Mode: h.FileInfo().Mode(), Size: h.Size, ModTime: h.ModTime, Target: h.Linkname,
		Owner: h.Uname, Group: h.Gname,
	}
	if f.Owner == "" {
		f.Owner = strconv.Itoa(h.Uid)
	}
	if f.Group == "" {
		f.Group = strconv.Itoa(h.Gid)
	}
	if h.Typeflag == tar.TypeLink {
		f.Target = ""
		i := slices.IndexFunc(p.Files, func(g File) bool { return g.Name == path.Join("/", h.Linkname) })
		if i < 0 {
			return fmt.Errorf("file %q: a hard link to %q, which does not come before it", h.Name, h.Linkname)
		}
		f.Size, f.Mode = p.Files[i].Size, p.Files[i].Mode
	}
	p.Files = append(p.Files, f)
	return p.keep(f, r)
}

// keep reads the content of those files of which it is of interest.
func (p *Package) keep(f File, r io.Reader) error {
	dir := path.Dir(f.Name)
	if _, ok := p.Conffiles[f.Name]; ok && f.Mode.IsRegular() {
		h := md5.New()
		_, err := io.Copy(h, r)
		p.Conffiles[f.Name] = hex.EncodeToString(h.Sum(nil))
		return err
	}
	if f.Mode.IsRegular() && (dir == "/usr/lib/sysusers.d" || dir == "/lib/sysusers.d") {
		text, err := readText(r)
		p.Sysusers = append(p.Sysusers, text)
		return err
	}
	return nil
}

// walk calls fn for each member of a tar archive, and reads to its end.
func walk(name string, r io.Reader, fn func(h *tar.Header, r io.Reader) error) error {
	c, err := compress.NewReader(r, name)
	if err != nil {
		return err
	}
	defer c.Close()
	t := tar.NewReader(c)
	for {
		h, err := t.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, c)
			return err
		}
		if err != nil {
			return short(err)
		}
		if err := fn(h, t); err != nil {
			return short(err)
		}
	}
}

func readText(r io.Reader) (string, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, maxMember+1))
	if err == nil && n > maxMember {
		err = fmt.Errorf("got more than %d bytes", maxMember)
	}
	return b.String(), err
}

// Units returns the systemd services that the package installs: "nginx.service".
func (p *Package) Units() []string {
	return p.below(func(dir, base string) bool {
		return (dir == "/usr/lib/systemd/system" || dir == "/lib/systemd/system" || dir == "/etc/systemd/system") &&
			strings.HasSuffix(base, ".service") && !strings.HasSuffix(base, "@.service")
	})
}

// InitScripts returns the names of the init scripts that the package installs.
func (p *Package) InitScripts() []string {
	return p.below(func(dir, base string) bool { return dir == "/etc/init.d" && base != "README" && base != "skeleton" })
}

// below returns the base names of the files that match, sorted.
func (p *Package) below(match func(dir, base string) bool) (names []string) {
	for _, f := range p.Files {
		if dir, base := path.Split(f.Name); !f.Mode.IsDir() && match(path.Clean(dir), base) {
			names = append(names, base)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
