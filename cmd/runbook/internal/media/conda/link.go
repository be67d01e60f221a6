package main

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A meta is the record of a linked package: PREFIX/conda-meta/NAME-VERSION-BUILD.json.
type meta struct {
	record
	Files   []string `json:"files"`
	Channel string   `json:"channel"`
	FN      string   `json:"fn"`
	URL     string   `json:"url"`
}

// readMeta reads the records of what is linked in a prefix, by name.
func readMeta(prefix string) (map[string]*record, error) {
	names, err := filepath.Glob(filepath.Join(prefix, "conda-meta/*.json"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("CondaEnvironmentNotFoundError: Could not find environment: %s", prefix)
	}
	all := map[string]*record{}
	for _, name := range names {
		var m meta
		data, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(data, &m)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		m.file = strings.TrimSuffix(filepath.Base(name), ".json") + ".tar.bz2"
		all[m.Name] = &m.record
	}
	return all, nil
}

// extract fetches and checks a package and unpacks it below PREFIX/pkgs.
func extract(prefix string, r *record) error {
	dir := filepath.Join(prefix, "pkgs", r.dist())
	if _, err := os.Stat(filepath.Join(dir, "info/index.json")); err == nil {
		return nil
	}
	data, err := fetch(r.base + "/" + r.file)
	if err != nil {
		return fmt.Errorf("CondaRuntimeError: Runtime error: Could not fetch %s/%s: %w", r.base, r.file, err)
	}
	if sum := md5.Sum(data); r.MD5 != "" && hex.EncodeToString(sum[:]) != r.MD5 {
		return fmt.Errorf("CondaRuntimeError: Runtime error: MD5 sums mismatch for download: %s/%s (%x != %s)", r.base,
			r.file, sum, r.MD5)
	}
	if err := os.RemoveAll(dir + ".new"); err != nil {
		return err
	}
	if err := os.MkdirAll(dir+".new", 0o755); err != nil {
		return err
	}
	if err := unpack(dir+".new", data); err != nil {
		return fmt.Errorf("%s: %w", r.file, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(dir+".new", dir)
}

// unpack goes through an os.Root, so that no member leaves dir.
func unpack(dir string, data []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for t := tar.NewReader(bzip2.NewReader(bytes.NewReader(data))); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil && h.Typeflag == tar.TypeDir {
			continue
		}
		if err == nil {
			err = root.MkdirAll(filepath.Dir(filepath.Clean(h.Name)), 0o755)
		}
		if err == nil {
			err = member(root, h, t)
		}
		if err != nil {
			return err
		}
	}
}

func member(root *os.Root, h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeSymlink {
		return root.Symlink(h.Linkname, h.Name)
	}
	f, err := root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, h.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// link links an extracted package's files into the prefix, and writes the prefix into those that info/has_prefix lists.
func link(prefix string, r *record) error {
	dir := filepath.Join(prefix, "pkgs", r.dist())
	list, err := os.ReadFile(filepath.Join(dir, "info/files"))
	if err != nil {
		return err
	}
	placeholders, err := hasPrefix(dir)
	if err != nil {
		return err
	}
	files := strings.Fields(string(list))
	for _, name := range files {
		if err := linkFile(filepath.Join(dir, name), filepath.Join(prefix, name), placeholders[name], prefix); err != nil {
			return err
		}
	}
	m := meta{record: *r, Files: files, Channel: r.base + "/", FN: r.file, URL: r.base + "/" + r.file}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(prefix, "conda-meta", r.dist()+".json"), append(data, '\n'), 0o644)
}

// linkFile makes a hard link, or a copy with the placeholder replaced. What stands in the way of the name gives way.
func linkFile(source, target, placeholder, prefix string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if placeholder == "" {
		return os.Link(source, target)
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return os.WriteFile(target, bytes.ReplaceAll(data, []byte(placeholder), []byte(prefix)), info.Mode().Perm())
}

// hasPrefix reads info/has_prefix, whose lines are "PLACEHOLDER text FILE".
func hasPrefix(dir string) (map[string]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "info/has_prefix"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	all := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[1] == "text" {
			all[f[2]] = f[0]
		}
	}
	return all, err
}

func unlink(prefix string, r *record) error {
	name := filepath.Join(prefix, "conda-meta", r.dist()+".json")
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var m meta
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, f := range m.Files {
		if err := os.Remove(filepath.Join(prefix, f)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Remove(name)
}
