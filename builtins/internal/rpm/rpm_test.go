package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/rpmpack"
)

const mongoPre = `if ! /usr/bin/id -g mongod &>/dev/null; then
    /usr/sbin/groupadd -r mongod
fi
if ! /usr/bin/id mongod &>/dev/null; then
    /usr/sbin/useradd -M -r -g mongod -d /var/lib/mongo -s /bin/false \
        -c "MongoDB database server" mongod > /dev/null 2>&1
fi
`

// server makes a package with everything that is of interest.
func server(t testing.TB) []byte {
	t.Helper()
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "mongodb-org-server", Version: "2.6.8", Release: "1", Epoch: 2, Arch: "x86_64", OS: "linux",
		Summary: "s", Licence: "AGPL", Compressor: "gzip", Provides: rpmpack.Relations{{Name: "user(journal)"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []rpmpack.RPMFile{
		{Name: "/usr/bin/mongod", Body: []byte("#!/bin/sh\n"), Mode: 0o100755},
		{Name: "/usr/bin/link", Body: []byte("mongod"), Mode: 0o120777},
		{Name: "/usr/bin/su", Body: []byte("x"), Mode: 0o104755},
		{Name: "/var/lib/mongo", Mode: 0o040755, Owner: "mongod", Group: "mongod"},
		{Name: "/var/log/mongod.log", Mode: 0o100644, Type: rpmpack.GhostFile},
		{Name: "/etc/rc.d/init.d/mongod", Body: []byte("x"), Mode: 0o100755},
		{Name: "/usr/lib/systemd/system/mongod.service", Body: []byte("x"), Mode: 0o100644},
		{Name: "/usr/lib/systemd/system/mongod.service.d/a.conf", Body: []byte("x"), Mode: 0o100644},
	} {
		if f.Owner == "" {
			f.Owner, f.Group = "root", "root"
		}
		f.MTime = 1420070400
		r.AddFile(f)
	}
	r.AddPrein(mongoPre)
	r.AddPostin("if [ $1 = 1 ]; then\n  /sbin/chkconfig --add mongod\nfi\n")
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRead(t *testing.T) {
	p, err := Read(bytes.NewReader(server(t)))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s %s %s %v", p.Name, p.EVR(), p.Arch,
		p.Source); got != "mongodb-org-server 2:2.6.8-1 x86_64 false" {
		t.Errorf("got %s", got)
	}
	files := map[string]File{}
	for _, f := range p.Files {
		files[f.Name] = f
	}
	when := time.Unix(1420070400, 0)
	for _, want := range []File{
		{"/usr/bin/mongod", 0o755, "root", "root", 10, when, "", false},
		{"/usr/bin/link", fs.ModeSymlink | 0o777, "root", "root", 6, when, "mongod", false},
		{"/usr/bin/su", fs.ModeSetuid | 0o755, "root", "root", 1, when, "", false},
		{"/var/lib/mongo", fs.ModeDir | 0o755, "mongod", "mongod", 4096, when, "", false},
		{"/var/log/mongod.log", 0o644, "root", "root", 0, when, "", true},
	} {
		if got := files[want.Name]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	for _, c := range []struct {
		what string
		got  []string
		want string
	}{
		{"units", p.Units(), "mongod.service"}, {"init scripts", p.InitScripts(), "mongod"}, {"users", p.Users(), "journal mongod"},
		{"groups", p.Groups(), "mongod"},
	} {
		if got := strings.Join(c.got, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

func TestReadsNoPayload(t *testing.T) {
	data := server(t)
	r := bytes.NewReader(data)
	if _, err := Read(r); err != nil {
		t.Fatal(err)
	}
	rest := data[len(data)-r.Len():]
	if !bytes.HasPrefix(rest, []byte("\x1f\x8b")) {
		t.Errorf("behind the headers: got %x, want the magic of gzip", rest[:4])
	}
}

// The parser agrees with rpm.
func TestAsRPM(t *testing.T) {
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("NOT TESTED: there is no rpm here")
	}
	name := filepath.Join(t.TempDir(), "a.rpm")
	if err := os.WriteFile(name, server(t), 0o644); err != nil {
		t.Fatal(err)
	}
	const format = `%{NAME} %{EPOCH}:%{VERSION}-%{RELEASE} %{ARCH}\n[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILESIZES} %{FILEMTIMES} %{FILELINKTOS} %{FILEFLAGS}\n]`
	want, err := exec.Command("rpm", "-qp", "--nosignature", "--qf", format, name).Output()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read(bytes.NewReader(server(t)))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s\n", p.Name, p.EVR(), p.Arch)
	for _, f := range p.Files {
		flags := 0
		if f.Ghost {
			flags = 64
		}
		got += fmt.Sprintf("%s %o %s %s %d %d %s %d\n", f.Name, stMode(f.Mode), f.Owner, f.Group, f.Size, f.ModTime.Unix(),
			f.Target, flags)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// stMode is the reverse of fileMode.
func stMode(m fs.FileMode) (n int64) {
	for _, kind := range []int64{0o100000, 0o040000, 0o120000} {
		for bits := range int64(0o10000) {
			if fileMode(kind|bits) == m {
				return kind | bits
			}
		}
	}
	return -1
}

func TestReadRefuses(t *testing.T) {
	good := server(t)
	patch := func(off int, with string) []byte {
		b := bytes.Clone(good)
		copy(b[off:], with)
		return b
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":            {nil, "ends early"},
		"a page of errors": {[]byte(strings.Repeat("<html>Not Found</html>", 10)), "no RPM"},
		"format 9":         {patch(4, "\x09"), "version 9"},
		"cut in lead":      {good[:50], "ends early"},
		"cut in signature": {good[:120], "ends early"},
		"cut in header":    {good[:1000], "ends early"},
		"no signature":     {patch(96, "xxxx"), "magic"},
		"huge index":       {patch(96+8, "\xff\xff\xff\xff"), "at most"},
		"huge store":       {patch(96+12, "\x7f\xff\xff\xff"), "at most"},
		"claims too much":  {patch(96+12, "\x03\xff\xff\xff")[:2000], "ends early"},
		"relative file":    {bytes.Replace(good, []byte("/usr/bin/\x00"), []byte("../../et/\x00"), 1), "absolute"},
		"climbing file":    {bytes.Replace(good, []byte("\x00mongod\x00"), []byte("\x00../../\x00"), -1), "absolute"},
	} {
		if _, err := Read(bytes.NewReader(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := Read(bytes.NewReader(good[:1000])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want an unexpected end", err)
	}
}

// small makes headers of chosen tags, for what rpmpack would not write.
func small(tags map[uint32]any) []byte {
	var index, store bytes.Buffer
	for tag, v := range tags {
		kind, count := uint32(typeString), 1
		at := store.Len()
		switch v := v.(type) {
		case string:
			store.WriteString(v + "\x00")
		case []string:
			kind, count = typeStringArray, len(v)
			store.WriteString(strings.Join(v, "\x00") + "\x00")
		case []uint32:
			kind, count = typeInt32, len(v)
			for _, n := range v {
				binary.Write(&store, binary.BigEndian, n)
			}
		}
		binary.Write(&index, binary.BigEndian, []uint32{tag, kind, uint32(at), uint32(count)})
	}
	lead := make([]byte, leadSize)
	copy(lead, "\xed\xab\xee\xdb\x03")
	intro := func(entries, size int) string {
		return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("\x8e\xad\xe8\x01\x00\x00\x00\x00"), uint32(entries)), uint32(size)))
	}
	return []byte(string(lead) + intro(0, 0) + intro(len(tags), store.Len()) + index.String() + store.String())
}

func TestHeaders(t *testing.T) {
	nvr := func(more map[uint32]any) []byte {
		tags := map[uint32]any{tagName: "a", tagVersion: "1", tagRelease: "2"}
		for k, v := range more {
			tags[k] = v
		}
		return small(tags)
	}
	p, err := Read(bytes.NewReader(nvr(map[uint32]any{tagOldFilenames: []string{"/etc/a", "/etc/init.d/b"}})))
	if err != nil || len(p.Files) != 2 || !slices.Equal(p.InitScripts(), []string{"b"}) || p.EVR() != "1-2" {
		t.Errorf("names of rpm 3: got %+v, %v", p, err)
	}
	for name, c := range map[string]struct {
		more map[uint32]any
		want string
	}{
		"fewer sizes":        {map[uint32]any{tagOldFilenames: []string{"/a", "/b"}, tagFileSizes: []uint32{1}}, "1 values for 2 files"},
		"fewer owners":       {map[uint32]any{tagOldFilenames: []string{"/a", "/b"}, tagFileOwners: []string{"r"}}, "1 values for 2 files"},
		"no directories":     {map[uint32]any{tagBasenames: []string{"a"}, tagDirnames: []string{"/"}}, "0 directories of 1"},
		"another directory":  {map[uint32]any{tagBasenames: []string{"a"}, tagDirnames: []string{"/"}, tagDirIndexes: []uint32{1}}, "directory 1 of 1"},
		"numbers as text":    {map[uint32]any{tagProvides: []uint32{1}}, "want text"},
		"text as numbers":    {map[uint32]any{tagEpoch: "1"}, "want integers"},
		"a name with slash":  {map[uint32]any{tagName: "../a"}, "got name"},
		"an empty version":   {map[uint32]any{tagVersion: ""}, "got name"},
		"a file not cleaned": {map[uint32]any{tagOldFilenames: []string{"/a//b"}}, "clean"},
	} {
		if _, err := Read(bytes.NewReader(nvr(c.more))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(server(f))
	f.Add(small(map[uint32]any{tagName: "a", tagVersion: "1", tagRelease: "2", tagOldFilenames: []string{"/x"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		p.Users()
		p.Groups()
		for _, file := range p.Files {
			if !p.Source && !filepath.IsAbs(file.Name) {
				t.Errorf("accepted %q", file.Name)
			}
		}
	})
}

// The digests of a header are those that rpm keeps.
func TestDigests(t *testing.T) {
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("NOT TESTED: there is no rpm here")
	}
	data := server(t)
	p, err := Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.rpm")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("rpm", "-qp", "--qf", "%{SHA256HEADER}", file).Output()
	if err != nil || string(out) != p.SHA256 || len(p.SHA1) != 40 {
		t.Errorf("got %s and %s, rpm says %s, %v", p.SHA256, p.SHA1, out, err)
	}
}
