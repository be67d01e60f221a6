package media

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// installers are those of both Pythons for every platform: NAME-VERSION-SYSTEM-ARCH. Python 2's is Miniconda2 and, of
// the latest, Miniconda too.
func (p *parts) installers(version string, architectures ...string) tree {
	linux := map[string][]byte{"Miniconda2": p.python2, "Miniconda3": p.python3}
	if version == "latest" {
		linux["Miniconda"] = p.python2
	}
	all := tree{}
	for name, script := range linux {
		for _, arch := range architectures {
			stem := name + "-" + version
			for _, file := range []string{stem + "-Linux-" + arch + ".sh", stem + "-MacOSX-" + arch + ".sh",
				stem + "-Windows-" + arch + ".exe"} {
				all[file] = plain("a stand-in for " + file + "\n")
			}
			if arch == "x86_64" {
				all[stem+"-Linux-x86_64.sh"] = node{data: script, mode: 0o755}
			} else {
				delete(all, stem+"-MacOSX-"+arch+".sh") // there was none for 32 bits
			}
		}
	}
	return all
}

// installer is a shell script with an archive of the prefix behind it.
func installer(name, python string, conda []byte) []byte {
	archive := prefixArchive(python, conda)
	script := text("miniconda.sh", "NAME="+name, "VERSION=4.1.11", "PREFIX="+strings.ToLower(name),
		fmt.Sprintf("MD5=%x", md5.Sum(archive)))
	script = strings.ReplaceAll(script, "@LINES@", fmt.Sprint(strings.Count(script, "\n")+1))
	return append([]byte(script), archive...)
}

// prefixArchive is what a fresh prefix holds, as a compressed tar.
func prefixArchive(python string, conda []byte) []byte {
	build := "py" + strings.ReplaceAll(python[:3], ".", "") + "_0"
	site := "lib/python" + python[:3] + "/site-packages/"
	content := tree{
		"bin/conda":          {data: conda, mode: 0o755},
		"bin/python":         {data: []byte(text("python", "VERSION="+python)), mode: 0o755},
		"bin/activate":       plain("# sourced: puts the prefix in front of PATH\nPATH=${CONDA_PREFIX:-" + "$HOME/miniconda2}/bin:$PATH\n"),
		site + "README":      plain("third-party modules\n"),
		"pkgs/urls":          plain(""),
		"LICENSE.txt":        plain("A stand-in for tests.\n"),
		"conda-meta/history": plain("==> 2016-06-28 12:00:00 <==\n+conda-4.1.11-" + build + "\n+python-" + python + "-0\n"),
	}
	for _, m := range []struct{ name, version, build, file string }{{"conda", "4.1.11", build, "bin/conda"},
		{"python", python, "0", "bin/python"}} {
		data, err := json.MarshalIndent(map[string]any{"name": m.name, "version": m.version, "build": m.build, "build_number": 0, "depends": []string{},
			"files": []string{m.file}, "channel": "https://repo.continuum.io/pkgs/free/linux-64/"}, "", "  ")
		if err != nil {
			panic(err) // strings only
		}
		content["conda-meta/"+m.name+"-"+m.version+"-"+m.build+".json"] = node{data: append(data, '\n'), mode: 0o644}
	}
	return content.gzipped()
}

// gzipped packs the tree, owned by root: whoever unpacks it owns it.
func (t tree) gzipped() []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		panic(err) // a constant level
	}
	tw := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(t)) {
		h := header(name, tar.TypeReg, int64(t[name].mode), len(t[name].data))
		h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "root", "root"
		tw.WriteHeader(h) // into memory
		tw.Write(t[name].data)
	}
	tw.Close()
	z.Close()
	return b.Bytes()
}
