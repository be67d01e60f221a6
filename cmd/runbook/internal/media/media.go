// Package media builds the air-gap media that the Anaconda Repository manual of 2016 installs from, small enough for
// a test: the component archives with their .md5 and .list files, or the tree of the full archive already expanded.
//
// Two things to know: names, layouts and formats are the manual's and the packages are real packages (RPM, conda),
// but the programs in them are stand-ins of ours that behave as the vendor's do where an installation can tell; and
// what is built from the same sources is the same byte for byte.
// The tests below cmd/runbook call it, and the command mkmedia; it calls lab/cache.
package media

import (
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Options of media. The zero value is the five component archives.
type Options struct {
	Full bool // the full archive too
}

// Media is what Build made.
type Media struct {
	Dir      string   // where the archives lie
	Archives []string // absolute paths of the .tar files, in the manual's order; beside each lie a .md5 and a .list
}

// Names of the archives, from the manual's table.
const (
	Full      = "anaconda-full-2016-07-11.tar"       // below scratch/anaconda-full-2016-08-06/
	Linux64   = "linux-64-2016-08-03.tar"            // below linux-64-2016-08-03/
	Cluster   = "cluster-2016-08-03.tar"             // below scratch/cluster/
	R         = "linux-64-R-Packages-2016-08-03.tar" // below linux-64-R-Packages/
	Miniconda = "miniconda-64bit-2016-08-03.tar"     // below ./
	Notebook  = "notebook-2016-08-04.tar"            // below scratch/notebook/
)

// Build writes the archives into dir, which it makes if need be.
func Build(dir string, o Options) (*Media, error) {
	parts, err := makeParts()
	if err != nil {
		return nil, err
	}
	archives := []struct {
		name, top string
		content   tree
	}{
		{Linux64, "linux-64-2016-08-03", parts.linux64()},
		{Cluster, "scratch/cluster", parts.cluster.below("anaconda-cluster/pkgs")},
		{R, "linux-64-R-Packages", parts.r.sub("linux-64")},
		{Miniconda, ".", parts.installers("4.1.11", "x86_64")},
		{Notebook, "scratch/notebook", parts.notebook()},
	}
	if o.Full {
		archives = slices.Insert(archives, 0, struct {
			name, top string
			content   tree
		}{Full, "scratch/anaconda-full-2016-08-06", parts.full()})
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	m := &Media{Dir: dir}
	for _, a := range archives {
		file := filepath.Join(dir, a.name)
		if err := writeArchive(file, a.top, a.content); err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		m.Archives = append(m.Archives, file)
	}
	return m, nil
}

// Expanded writes into dir what the manual shows at $INSTALLER_PATH when the full archive is expanded or the pen
// drive mounted.
func Expanded(dir string) error {
	parts, err := makeParts()
	if err != nil {
		return err
	}
	return parts.full().write(dir)
}

// parts is what the media are put together from. The channels hold a directory for each subdir.
type parts struct {
	mongod                    []byte
	suite, cluster, r, wakari tree
	rpms                      tree
	python2, python3          []byte // installers
}

func makeParts() (*parts, error) {
	bin, err := compile()
	if err != nil {
		return nil, err
	}
	p := &parts{mongod: bin.mongod, python2: installer("Miniconda2", "2.7.12", bin.conda),
		python3: installer("Miniconda3", "3.5.2", bin.conda)}
	if p.rpms, err = rpms(bin.mongod, ""); err != nil {
		return nil, err
	}
	if p.suite, err = channel(suitePackages(bin.repository)); err != nil {
		return nil, err
	}
	if p.cluster, err = channel(clusterPackages()); err != nil {
		return nil, err
	}
	if p.r, err = channel(rPackages()); err != nil {
		return nil, err
	}
	p.wakari, err = channel(wakariPackages())
	return p, err
}

// full is the tree of the full archive.
func (p *parts) full() tree {
	return merge(p.rpms, p.suite.below("anaconda-suite/pkgs"), p.cluster.below("anaconda-cluster/pkgs"),
		p.r.below("R/pkgs"),
		p.wakari.below("wakari/pkgs"), enterpriseNotebooks().below("wakari"),
		p.installers("4.1.11", "x86_64", "x86").below("anaconda-suite/miniconda"),
		p.installers("latest", "x86_64", "x86").below("anaconda-suite/miniconda"))
}

// linux64 is what installs the repository, for one platform. Its one installer is not where the full archive has it.
func (p *parts) linux64() tree {
	all := merge(p.rpms, p.suite.sub("linux-64").below("anaconda-suite/pkgs/linux-64"),
		p.suite.sub("noarch").below("anaconda-suite/pkgs/noarch"))
	all["miniconda/Miniconda-latest-Linux-x86_64.sh"] = node{data: p.python2, mode: 0o755}
	return all
}

// notebook brings database packages of its own build under the same names, which must not replace those of linux64.
func (p *parts) notebook() tree {
	others, err := rpms(p.mongod, "Built for the notebook server. ")
	if err != nil {
		panic(err) // rpms made the same packages before
	}
	return merge(others, p.wakari.below("anaconda-notebook/pkgs"), enterpriseNotebooks().below("anaconda-notebook"))
}

// writeArchive writes an archive and, beside it, its digest as md5sum does and its names as tar -t does.
func writeArchive(file, top string, content tree) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := md5.New()
	names, err := content.tar(io.MultiWriter(f, sum), top)
	if err != nil {
		return err
	}
	stem := strings.TrimSuffix(file, ".tar")
	line := fmt.Sprintf("%x  %s\n", sum.Sum(nil), filepath.Base(file))
	if err := os.WriteFile(stem+".md5", []byte(line), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(stem+".list", []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return f.Close()
}

// A tree is files by slash-separated relative path. Directories are those that the paths imply.
type tree map[string]node

type node struct {
	data []byte
	mode fs.FileMode // permissions
	link string      // of a symbolic link
}

func merge(trees ...tree) tree {
	all := tree{}
	for _, t := range trees {
		maps.Copy(all, t)
	}
	return all
}

func (t tree) below(dir string) tree {
	moved := tree{}
	for name, n := range t {
		moved[path.Join(dir, name)] = n
	}
	return moved
}

func (t tree) sub(dir string) tree {
	part := tree{}
	for name, n := range t {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			part[rest] = n
		}
	}
	return part
}

func (t tree) write(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		n, file := t[name], filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, n.data, n.mode); err != nil {
			return err
		}
	}
	return nil
}
