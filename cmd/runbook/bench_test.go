package main

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/cmd/runbook/internal/media"
)

// BenchmarkCommands times whole processes on the largest shipped runbook. times-help is how many starts of the
// program itself one takes.
func BenchmarkCommands(b *testing.B) {
	program, book := binary(b), "../../runbooks/install.star"
	start := func(args ...string) {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			b.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	for _, args := range [][]string{{"show", book}, {"check", book}, {"fmt", "--check", book}, {"doc", book}} {
		b.Run(args[0], func(b *testing.B) {
			var own, peer time.Duration
			for b.Loop() {
				t := time.Now()
				start(args...)
				own += time.Since(t)
				b.StopTimer()
				t = time.Now()
				start("help")
				peer += time.Since(t)
				b.StartTimer()
			}
			b.ReportMetric(float64(own)/float64(peer), "times-help")
		})
	}
}

// BenchmarkDryRun plans the installation from media of 2,000 packages. times-md5sum is how many readings of their
// channel by md5sum it takes.
func BenchmarkDryRun(b *testing.B) {
	dir := b.TempDir()
	if err := media.Expanded(dir); err != nil {
		b.Fatal(err)
	}
	addPackages(b, dir+"/anaconda-suite/pkgs/linux-64", 2000)
	s := newSiteOf(b, dir, lab.Options{})
	dry := append([]string{"/usr/local/bin/runbook", "run", "install.star", "--dry-run", "--var", "interface=lo"}, all...)
	var own, peer time.Duration
	for b.Loop() {
		t := time.Now()
		if r := s.Exec(lab.Cmd{Argv: dry}); r.Code != 0 {
			b.Fatalf("exit %d\n%s%s", r.Code, r.Out, r.Err)
		}
		own += time.Since(t)
		b.StopTimer()
		t = time.Now()
		s.Must("md5sum /installer/anaconda-suite/pkgs/linux-64/*")
		peer += time.Since(t)
		b.StartTimer()
	}
	b.ReportMetric(float64(own)/float64(peer), "times-md5sum")
}

// addPackages puts n files of 20 KB into a subdir, and into its index.
func addPackages(b *testing.B, dir string, n int) {
	b.Helper()
	var index map[string]any
	data, err := os.ReadFile(dir + "/repodata.json")
	if err == nil {
		err = json.Unmarshal(data, &index)
	}
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		name := fmt.Sprintf("more%d", i)
		data := bytes.Repeat([]byte(name+"\n"), 20_000/(len(name)+1))
		index["packages"].(map[string]any)[name+"-1.0-0.tar.bz2"] = map[string]any{"name": name, "version": "1.0", "build": "0", "build_number": 0,
			"depends": []string{}, "license": "BSD", "subdir": filepath.Base(dir), "size": len(data), "md5": fmt.Sprintf("%x", md5.Sum(data))}
		if err := os.WriteFile(dir+"/"+name+"-1.0-0.tar.bz2", data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if data, err = json.Marshal(index); err == nil {
		err = os.WriteFile(dir+"/repodata.json", data, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
}
