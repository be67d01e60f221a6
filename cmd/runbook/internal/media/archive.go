package media

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dsnet/compress/bzip2"
)

// released is the time of everything on the media.
func released() time.Time { return time.Date(2016, 8, 3, 12, 0, 0, 0, time.UTC) }

// tar writes the tree below top, directories first, and returns the members' names. The owner is the build machine's,
// as on media that nobody packed with tests in mind: a machine that installs has no such user.
func (t tree) tar(w io.Writer, top string) (names []string, err error) {
	tw := tar.NewWriter(w)
	prefix := top + "/"
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		for _, dir := range append(parents(top+"/"+name), "") {
			if dir == "" || made[dir] {
				continue
			}
			made[dir] = true
			names = append(names, dir)
			if err := tw.WriteHeader(header(dir, tar.TypeDir, 0o755, 0)); err != nil {
				return nil, err
			}
		}
		n := t[name]
		names = append(names, prefix+name)
		if err := tw.WriteHeader(header(prefix+name, tar.TypeReg, int64(n.mode), len(n.data))); err != nil {
			return nil, err
		}
		if _, err := tw.Write(n.data); err != nil {
			return nil, err
		}
	}
	return names, tw.Close()
}

// parents lists the directories of name that have to be made, outermost first, each with its final slash.
func parents(name string) []string {
	var dirs []string
	for i, c := range name {
		if c == '/' {
			dirs = append(dirs, name[:i+1])
		}
	}
	return dirs
}

func header(name string, kind byte, mode int64, size int) *tar.Header {
	return &tar.Header{Name: name, Typeflag: kind, Mode: mode, Size: int64(size), ModTime: released(), Uid: 5001,
		Gid: 5001, Uname: "builder", Gname: "builder", Format: tar.FormatGNU}
}

// bzipped packs the tree as a conda package does: files without directories, in the order given first and then by name.
func (t tree) bzipped(first ...string) ([]byte, error) {
	var plain bytes.Buffer
	tw := tar.NewWriter(&plain)
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(t)), func(name string) bool { return slices.Contains(first, name) })
	for _, name := range append(slices.Clone(first), rest...) {
		n := t[name]
		h := header(name, tar.TypeReg, int64(n.mode), len(n.data))
		if n.link != "" {
			h = header(name, tar.TypeSymlink, 0o777, 0)
			h.Linkname = n.link
		}
		if err := tw.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := tw.Write(n.data); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return bzip(plain.Bytes())
}

// bzip compresses at level 1, which is the fastest to build and to read.
func bzip(data []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := bzip2.NewWriter(&packed, &bzip2.WriterConfig{Level: bzip2.BestSpeed})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close() // writes the end
	return packed.Bytes(), err
}

// text is a file of the stand-ins with NAME=VALUE pairs put in for @NAME@.
func text(name string, pairs ...string) string {
	data, err := files.ReadFile(path.Join("files", name))
	if err != nil {
		panic(err) // embedded: the name is wrong
	}
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		data = bytes.ReplaceAll(data, []byte("@"+key+"@"), []byte(value))
	}
	return string(data)
}
