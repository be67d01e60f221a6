package media

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"runbook/cmd/runbook/internal/lab/cache"
)

//go:embed files
var files embed.FS

// sources is what the programs are compiled from, so that a change of it compiles them again.
//
//go:embed conda mongod repository store flat
var sources embed.FS

// programs are the stand-ins, compiled: static ELF files for this machine's architecture.
type programs struct{ conda, mongod, repository []byte }

// compile compiles the stand-ins, once for all tests until their sources change. It needs the go command and
// a current directory inside this module.
func compile() (p programs, err error) {
	all, err := texts(sources)
	if err != nil {
		return p, err
	}
	dir, err := cache.Dir("programs-"+cache.Key(append(all, runtime.Version())...), func(dir string) error {
		const here = "runbook/cmd/runbook/internal/media/"
		c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir+"/", here+"conda",
			here+"mongod", here+"repository")
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w: %s", err, out)
		}
		return nil
	})
	for name, data := range map[string]*[]byte{"conda": &p.conda, "mongod": &p.mongod, "repository": &p.repository} {
		if err == nil {
			*data, err = os.ReadFile(filepath.Join(dir, name))
		}
	}
	return p, err
}

// texts returns the contents of all files, in order of their names.
func texts(fsys fs.FS) (all []string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		all = append(all, name, string(data))
		return err
	})
	return all, err
}
