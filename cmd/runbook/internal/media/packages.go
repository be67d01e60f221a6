package media

import (
	"fmt"
	"strings"
)

// static is where the repository's server has the files that it gives out below /static/.
const static = "lib/python2.7/site-packages/binstar/static/"

// suitePackages are the default channel: the vendor's own packages, and a little for every platform.
func suitePackages(repository []byte) []condaPackage {
	const subdir, py = "linux-64", "py27_0"
	python := []string{"python 2.7*"}
	own := []condaPackage{
		{subdir: subdir, name: "anaconda-client", version: "1.5.1", build: py, depends: python, content: tree{
			"bin/anaconda": script("echo 'anaconda Command line client (version 1.5.1)'"), "bin/binstar": {link: "anaconda"}}},
		{subdir: subdir, name: "binstar-server", version: "2.17.2", build: py, license: "proprietary", depends: append(python, "supervisor >=3.0", "binstar-static 2.17*"), sha256: true,
			content: tree{
				"bin/anaconda-server":                               {data: repository, mode: 0o755},
				"bin/anaconda-server-config":                        forward("config"),
				"bin/anaconda-server-create-user":                   forward("create-user"),
				"bin/anaconda-server-db-setup":                      forward("db-setup"),
				"bin/binstar-server":                                forward("serve"),
				"bin/binstar-scheduler":                             script("exec sleep infinity"),
				"bin/binstar-worker":                                script("exec sleep infinity"),
				"bin/anaconda-server-install-supervisord-config.sh": {data: []byte(text("install-supervisord-config.sh")), mode: 0o755},
			}},
		{subdir: subdir, name: "binstar-static", version: "2.17.2", build: py, license: "proprietary", content: tree{
			static + "css/site.css": plain("body { font-family: sans-serif }\n"), static + "extras/README.txt": plain("Files in here are served below /static/extras/.\n")}},
		{subdir: subdir, name: "cas-mirror", version: "2.1.1", build: py, license: "proprietary", depends: append(python, "binstar-server"), content: tree{
			"bin/anaconda-server-sync-conda": forward("sync-conda")}},
		{subdir: subdir, name: "supervisor", version: "3.1.3", build: py, depends: python, content: tree{
			"bin/supervisord": {link: "/usr/bin/supervisord"}, "bin/supervisorctl": {link: "/usr/bin/supervisorctl"}}},
		{subdir: subdir, name: "supervisor", version: "3.1.2", build: py, depends: python, content: tree{"bin/pidproxy": {link: "/usr/bin/pidproxy"}}},
	}
	for _, platform := range []string{"linux-64", "linux-32", "osx-64", "win-32", "win-64"} {
		own = append(own, library(platform, "numpy", "1.11.1", "py27_0", "BSD"),
			library(platform, "numpy", "1.11.1", "py35_0", "BSD"), library(platform, "pyqt", "5.6.0", "py27_0", "GPL3"))
	}
	return own
}

func clusterPackages() (all []condaPackage) {
	for _, platform := range []string{"linux-64", "linux-32", "osx-64", "win-64"} {
		all = append(all, library(platform, "anaconda-cluster", "1.4.0", "py27_0", "proprietary"))
	}
	return append(all, library("linux-64", "salt-cluster", "2015.5.1", "py27_0", "Apache"))
}

func rPackages() []condaPackage {
	return []condaPackage{
		library("linux-64", "r-base", "3.3.1", "1", "GPL2"), library("linux-64", "r-ggplot2", "2.1.0", "r3.3.1_0", "GPL2"),
		library("osx-64", "r-base", "3.3.1", "1", "GPL2"), library("win-64", "r-base", "3.3.1", "1", "GPL2"),
	}
}

func wakariPackages() []condaPackage {
	return []condaPackage{library("linux-64", "wakari-app", "1.1.5", "py27_0", "proprietary"), library("linux-64", "nb_conda", "1.1.0", "py27_0", "BSD"),
		library("noarch", "wakari-icons", "1.0", "0", "proprietary")}
}

// enterpriseNotebooks are the installers of the notebook product, which nothing here runs.
func enterpriseNotebooks() tree {
	all := tree{}
	for _, part := range []string{"compute", "gateway", "server"} {
		all["aen-"+part+"-4.0.0-Linux-x86_64.sh"] = script("echo 'this stand-in installs nothing' >&2; exit 1")
	}
	return all
}

// library is a package with a file that says what it is.
func library(subdir, name, version, build, license string) condaPackage {
	return condaPackage{subdir: subdir, name: name, version: version, build: build, license: license,
		content: tree{"share/" + name + "/about.txt": plain(strings.Repeat(fmt.Sprintf("%s %s %s for %s\n", name, version, build, subdir), 50))}}
}

func script(line string) node { return node{data: []byte("#!/bin/sh\n" + line + "\n"), mode: 0o755} }

func forward(command string) node {
	return script(`exec ` + placeholder + `/bin/anaconda-server ` + command + ` "$@"`)
}

func plain(content string) node { return node{data: []byte(content), mode: 0o644} }
