package media

import (
	"bytes"
	"fmt"

	"github.com/google/rpmpack"
)

const mongoVersion = "2.6.8"

// rpms returns the five packages of MongoDB, named as in the manual. note goes into their descriptions.
func rpms(mongod []byte, note string) (tree, error) {
	dir := func(name string) rpmpack.RPMFile {
		return rpmpack.RPMFile{Name: name, Mode: 0o40755, Owner: "mongod", Group: "mongod"}
	}
	file := func(name, content string) rpmpack.RPMFile {
		return rpmpack.RPMFile{Name: name, Body: []byte(content), Mode: 0o100755}
	}
	conf := rpmpack.RPMFile{Name: "/etc/mongod.conf", Body: []byte(text("mongod.conf")), Mode: 0o100644,
		Type: rpmpack.ConfigFile | rpmpack.NoReplaceFile}
	packages := []struct {
		name     string
		requires []string
		files    []rpmpack.RPMFile
	}{
		{name: "mongodb-org", requires: []string{"mongodb-org-server", "mongodb-org-shell", "mongodb-org-mongos", "mongodb-org-tools"}},
		{name: "mongodb-org-server", files: []rpmpack.RPMFile{
			file("/usr/bin/mongod", string(mongod)), file("/etc/init.d/mongod", text("mongod.init")), conf, dir("/var/lib/mongo"), dir("/var/log/mongodb")}},
		{name: "mongodb-org-shell", files: []rpmpack.RPMFile{file("/usr/bin/mongo", text("mongo"))}},
		{name: "mongodb-org-mongos", files: []rpmpack.RPMFile{file("/usr/bin/mongos", text("mongo"))}},
		{name: "mongodb-org-tools", files: []rpmpack.RPMFile{file("/usr/bin/mongoexport", text("mongoexport"))}},
	}
	all := tree{}
	for _, p := range packages {
		data, err := rpm(p.name, mongoVersion, note, p.requires, p.files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all[p.name+"-"+mongoVersion+"-1.x86_64.rpm"] = node{data: data, mode: 0o644}
	}
	return all, nil
}

// Newer returns a package of MongoDB in a version that no manual names; it has no files.
func Newer(name string) ([]byte, error) { return rpm(name, "2.6.9", "", nil, nil) }

func rpm(name, version, note string, requires []string, content []rpmpack.RPMFile) ([]byte, error) {
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: name, Version: version, Release: "1", Arch: "x86_64", Summary: name + " (stand-in)",
		Description: note + "A stand-in for tests.", Licence: "none", BuildTime: released(), BuildHost: "builder", Compressor: "gzip:1"})
	if err != nil {
		return nil, err
	}
	for _, q := range requires {
		if err := r.Requires.Set(q + " = " + mongoVersion); err != nil {
			return nil, err
		}
	}
	for _, f := range content {
		f.MTime = uint32(released().Unix())
		if f.Owner == "" {
			f.Owner, f.Group = "root", "root"
		}
		r.AddFile(f)
	}
	if name == "mongodb-org-server" {
		r.AddPrein(text("mongod.pre"))
		r.AddPostin(text("mongod.post"))
		r.AddPreun(text("mongod.preun"))
	}
	var b bytes.Buffer
	err = r.Write(&b)
	return b.Bytes(), err
}
