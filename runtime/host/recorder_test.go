package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A machine, its recorder and its snapshot answer the same, errors included; the snapshot does after the machine is gone.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\n",
		"d/f": "text", "d/empty": "", "d/binary": "\xff\x00\x01", "d/private": "for me", "d/odd \"name\"\n": "x"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755),
			os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Chmod(dir+"/d/private", 0o600), os.Symlink("f", dir+"/d/link"), os.Symlink("none", dir+"/d/dangling"),
		os.Symlink("loop", dir+"/d/loop"), os.Mkdir(dir+"/d/dir", 0o2755))
	if err != nil {
		t.Fatal(err)
	}
	local := func() *Local {
		l := NewLocal(dir)
		l.Path = os.Getenv("PATH")
		return l
	}
	names := strings.Split("/ /d /d/f /d/f/below /d/empty /d/binary /d/link /d/dangling /d/loop /d/loop/x /d/dir /d/none "+
		"/d/none/below /none /none/at/all", " ")
	names = append(names, "/d/odd \"name\"\n")
	want := answers(t, local(), names)
	r := NewRecorder(local(), []string{"/srv/made"})
	for range 2 { // from the machine, then from what is kept
		compareAnswers(t, "recorder", want, answers(t, r, names))
	}
	if text, err := ReadFile(r, "/d/private"); err != nil || string(text) != "for me" {
		t.Errorf("got %q, %v", text, err)
	}
	file := written(t, r)
	again := NewRecorder(local(), []string{"/srv/made"})
	answers(t, again, names)
	answers(t, again, names)
	ReadFile(again, "/d/private")
	if !bytes.Equal(file, written(t, again)) {
		t.Errorf("two snapshots of one machine differ:\n%s\n%s", file, written(t, again))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file, []byte("for me")) {
		t.Error("the snapshot holds what is private")
	}
	shelf := &Shelf{}
	for range 2 { // parsed, then from the shelf
		s, plate, err := shelf.ReadSnapshot(bytes.NewReader(file))
		if err != nil || string(plate.About) != `"about"` || !slices.Equal(s.Made, []string{"/srv/made"}) {
			t.Fatal(err, plate)
		}
		compareAnswers(t, "snapshot", want, answers(t, s, names))
		_, err = s.Content("/d/private")
		if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "it is private") {
			t.Errorf("got %v", err)
		}
		checkUnasked(t, s)
	}
}

// checkUnasked asks what the machine was not asked: it is unknown, and absent only where that is certain.
func checkUnasked(t *testing.T, s *Snapshot) {
	t.Helper()
	for what, err := range map[string]error{
		"lstat":   second(s.Lstat("/d/dir/unasked/below")),
		"readdir": second(s.ReadDir("/unlisted/x/y")),
		"query":   second(s.Query(t.Context(), Process{Argv: []string{"/bin/unasked"}})),
		"get":     second(s.Get(t.Context(), Request{URL: "http://127.0.0.1:1/"})),
		"port":    second(s.Fact(t.Context(), Fact{Port, "22"})),
	} {
		if known := what == "lstat" || what == "readdir"; known != errors.Is(err, fs.ErrNotExist) || !known && !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	o := NewOverlay(s, s.Self())
	kind := &Kind{"kind", func(ctx context.Context, r Reader, _ string) (string, error) {
		_, err := r.Query(ctx, Process{Argv: []string{"/bin/unasked"}})
		return "", err
	}}
	if v, err := o.Fact(t.Context(), Fact{kind, "x"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("a fact that the snapshot cannot tell is %q, %v: want it unknown, not absent", v, err)
	}
}

func second[T any](_ T, err error) error { return err }

// answers asks everything about names.
func answers(t *testing.T, r Reader, names []string) (all []string) {
	t.Helper()
	tell := func(name, what string, v any, err error) {
		all = append(all, fmt.Sprintf("%s %s: %+v, %v", what, name, v, err))
	}
	for _, n := range names {
		m, err := r.Lstat(n)
		if m.Mode.IsDir() { // their times are left out
			m.ModTime = m.ModTime.Truncate(1 << 62)
			m = Meta{Mode: m.Mode, Owner: m.Owner, Size: m.Size}
		}
		tell(n, "lstat", fmt.Sprint(m.Mode, m.Owner, m.Size, m.ModTime.UnixNano()), err)
		target, err := r.Readlink(n)
		tell(n, "readlink", target, err)
		for _, follow := range []bool{true, false} {
			real, err := r.Resolve(n, follow)
			tell(n, "resolve", real, err)
		}
		list, err := r.ReadDir(n)
		tell(n, "readdir", list, err)
		text, err := ReadFile(r, n)
		tell(n, "read", string(text), err)
	}
	for _, s := range r.LstatAll("/d", []string{"f", "none", "link"}) {
		tell("/d", "lstatall", fmt.Sprint(s.Mode, s.Owner, s.Size, s.Ino, s.Dev, s.Links, s.Changed.UnixNano()), s.Err)
	}
	for _, s := range r.LstatAll("/none", []string{"f"}) {
		tell("/none", "lstatall", s.Mode, s.Err)
	}
	sum, err := SHA256(t.Context(), r, "/d/binary")
	tell("/d/binary", "sha256", sum, err)
	for _, argv := range []string{"sh -c echo;exit", "no-such-program-at-all x"} {
		res, err := r.Query(t.Context(), Process{Argv: strings.SplitN(argv, " ", 3)})
		tell(argv, "query", fmt.Sprint(res.Code, string(res.Stdout)), err)
	}
	for _, f := range []Fact{{User, "root"}, {Home, "root"}, {Group, "none"}} {
		v, err := r.Fact(t.Context(), f)
		tell(f.String(), "fact", v, err)
	}
	return all
}

func compareAnswers(t *testing.T, who string, want, have []string) {
	t.Helper()
	for i := range want {
		if want[i] != have[i] {
			t.Errorf("%s: got %s\nwant %s", who, have[i], want[i])
		}
	}
}

func written(t *testing.T, r *Recorder) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, "about"); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Pieces that are read in any order, and more than once, are those of the file.
func TestParts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	file := make([]byte, 200)
	for i := range file {
		file[i] = byte(i)
	}
	for range 500 {
		c, read := &contentAnswer{}, make([]bool, len(file))
		total := int64(0)
		for range 1 + random.IntN(12) {
			from := random.IntN(len(file))
			to := from + random.IntN(len(file)-from)
			total += c.add(int64(from), file[from:to])
			for i := from; i < to; i++ {
				read[i] = true
			}
		}
		f := &recordedFile{s: newSnapshot(), c: c}
		kept := int64(0)
		for i, want := range read {
			f.at = int64(i)
			b := make([]byte, 1)
			n, err := f.Read(b)
			if want != (n == 1 && err == nil && b[0] == file[i]) {
				t.Fatalf("byte %d: got %d, %v, %v, want %t", i, n, b, err, want)
			}
			if want {
				kept++
			}
		}
		for i := 1; i < len(c.Parts); i++ {
			if c.Parts[i-1].end() >= c.Parts[i].At {
				t.Fatalf("parts meet: %v", c.Parts)
			}
		}
		if kept != total {
			t.Fatalf("got %d bytes added, want %d", total, kept)
		}
	}
}

// No file makes the reader of snapshots fail otherwise than with an error.
func FuzzReadSnapshot(f *testing.F) {
	head := `{"snapshot":1,"about":{},"identity":{"account":{"User":"root","Group":"root"},"made":null}}` + "\n"
	f.Add([]byte(head + `{"file":"/f","mode":"-rw-r--r--","content":{"parts":[{"text":"x"}],"end":1,"seek":-1}}` + "\n" + `{"end":1}` + "\n"))
	f.Add([]byte(head + `{"query":["a"],"out":{"base64":"AAA="},"stdin":"!"}` + "\n" + `{"fact":"port:1","is":"x"}` + "\n" + `{"get":"http://localhost/"}`))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, file []byte) {
		s, _, err := new(Shelf).ReadSnapshot(bytes.NewReader(file))
		if err != nil {
			return
		}
		for name := range s.files {
			s.Lstat(name)
			s.LstatAll("/", []string{name})
			s.Program(name)
			if c, err := s.Content(name); err == nil {
				if g, err := c.Reader(); err == nil {
					g.Seek(0, io.SeekEnd)
					g.Seek(0, io.SeekStart)
					io.Copy(io.Discard, io.LimitReader(g, 1000))
				}
			}
		}
	})
}
