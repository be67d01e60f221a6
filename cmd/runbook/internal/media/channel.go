package media

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A condaPackage becomes a .tar.bz2 and a record of its subdir's index.
type condaPackage struct {
	subdir, name, version, build string
	license                      string // "" is BSD
	depends                      []string
	content                      tree // files that hold placeholder get the prefix instead, when linked
	sha256                       bool // the index has a SHA-256 too, as some of 2016 began to have
}

// placeholder stands for the prefix in files of packages, as conda-build writes it.
const placeholder = "/opt/anaconda1anaconda2anaconda3"

// channel is a directory for each subdir of the packages, and noarch, with the packages, repodata.json and
// repodata.json.bz2.
func channel(packages []condaPackage) (tree, error) {
	all, index := tree{}, map[string]map[string]any{"noarch": {}}
	for _, p := range packages {
		file, data, record, err := p.pack()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		if index[p.subdir] == nil {
			index[p.subdir] = map[string]any{}
		}
		index[p.subdir][file] = record
		all[p.subdir+"/"+file] = node{data: data, mode: 0o644}
	}
	for subdir := range index {
		data, err := json.MarshalIndent(map[string]any{"info": map[string]any{"subdir": subdir},
			"packages": index[subdir]}, "", "  ")
		if err != nil {
			return nil, err
		}
		packed, err := bzip(data)
		if err != nil {
			return nil, err
		}
		all[subdir+"/repodata.json"] = node{data: data, mode: 0o644}
		all[subdir+"/repodata.json.bz2"] = node{data: packed, mode: 0o644}
	}
	return all, nil
}

// pack makes the package: info/index.json, info/files and info/has_prefix, then its content.
func (p condaPackage) pack() (file string, data []byte, record map[string]any, err error) {
	record = map[string]any{"name": p.name, "version": p.version, "build": p.build, "build_number": 0, "depends": append([]string{}, p.depends...),
		"license": p.license, "subdir": p.subdir, "arch": nil, "platform": nil}
	if p.license == "" {
		record["license"] = "BSD"
	}
	if system, arch, ok := strings.Cut(p.subdir, "-"); ok {
		record["platform"], record["arch"] = system, map[string]string{"64": "x86_64", "32": "x86"}[arch]
	}
	index, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return "", nil, nil, err
	}
	all := maps.Clone(p.content)
	var prefixed strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.content)) {
		if len(p.content[name].data) < 1<<16 && strings.Contains(string(p.content[name].data), placeholder) {
			fmt.Fprintf(&prefixed, "%s text %s\n", placeholder, name)
		}
	}
	all["info/index.json"] = node{data: index, mode: 0o644}
	all["info/files"] = node{data: []byte(strings.Join(slices.Sorted(maps.Keys(p.content)), "\n") + "\n"), mode: 0o644}
	all["info/has_prefix"] = node{data: []byte(prefixed.String()), mode: 0o644}
	if data, err = all.bzipped("info/index.json", "info/files", "info/has_prefix"); err != nil {
		return "", nil, nil, err
	}
	record["size"], record["md5"] = len(data), fmt.Sprintf("%x", md5.Sum(data))
	if p.sha256 {
		record["sha256"] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return p.name + "-" + p.version + "-" + p.build + ".tar.bz2", data, record, nil
}
