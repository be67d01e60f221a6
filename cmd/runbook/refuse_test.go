package main

import (
	"fmt"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

func TestExplore(t *testing.T) {
	dir := expandedMedia(t)
	for _, c := range []struct {
		name, script string
		args         []string
	}{
		{"airgpa", "true", []string{"--var", "airgpa=true"}},
		{"iface", "true", []string{"--var", "interface=eth7"}},
		{"memory", "true", []string{"--var", "min_memory_gb=4096"}},
		{"disk", "true", []string{"--var", "min_free_gb=4096"}},
		{"full0", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 100000)) /fill", []string{"--var", "min_free_gb=0"}},
		{"full1", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 1000000)) /fill", []string{"--var", "min_free_gb=0"}},
		{"full5", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 5000000)) /fill", []string{"--var", "min_free_gb=0"}},
		{"full10", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 10000000)) /fill", []string{"--var", "min_free_gb=0"}},
		{"full15", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 15000000)) /fill", []string{"--var", "min_free_gb=0"}},
		{"full20", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 20000000)) /fill", []string{"--var", "min_free_gb=0"}},
		{"full25", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 25000000)) /fill", []string{"--var", "min_free_gb=0"}},
		{"full30", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 30000000)) /fill", []string{"--var", "min_free_gb=0"}},
		{"full40", "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 40000000)) /fill", []string{"--var", "min_free_gb=0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, dir)
			defer s.Kill()
			s.Must("cp -a /installer /m")
			if c.script == "nopw" {
				args := append([]string{"/usr/local/bin/runbook", "run", "install.star"}, alone[:len(alone)-6]...)
				r := s.Exec(lab.Cmd{Argv: append(args, c.args...)})
				fmt.Println("=====", c.name, r.Code, r.Err)
				return
			}
			s.Must(c.script + " ; true")
			args := append([]string{"/usr/local/bin/runbook", "run", "install.star"}, alone...)
			r := s.Exec(lab.Cmd{Argv: append(append(args, "--var", "installer_path=/m"), c.args...)})
			fmt.Println("=====", c.name, r.Code, "\n"+r.Err)
			if c.name[:2] == "fu" {
				s.Must("rm /fill")
				r := s.Exec(lab.Cmd{Argv: append(append(args, "--var", "installer_path=/m"), c.args...)})
				fmt.Println("===== then", c.name, r.Code, "\n"+r.Err)
				r = s.Exec(lab.Cmd{Argv: append(append(args, "--var", "installer_path=/m", "--quiet"), c.args...)})
				fmt.Println("===== again", c.name, r.Code, "\n"+r.Out+r.Err)
				fmt.Println(s.Must("find / -xdev \\( -name '.runbook-*' -o -name '*.part' -o -name '*.new' -o -name '*-incomplete' \\) ! -name .runbook-mirror"))
			}
		})
	}
}
