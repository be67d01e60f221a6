package main

import (
	"context"
	"testing"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// media are the least that install.star takes for the media of an air gap.
func smallMedia() (files []builtins.MachineFile) {
	for _, part := range []string{"", "-server", "-shell", "-tools", "-mongos"} {
		files = append(files, builtins.MachineFile{Name: "/installer/mongodb-org" + part + "-2.6.8-1.x86_64.rpm", Mode: 0o644, Opaque: true})
	}
	suite := "/installer/anaconda-suite/"
	return append(files,
		builtins.MachineFile{Name: suite + "miniconda/Miniconda2-latest-Linux-x86_64.sh", Mode: 0o755, Text: "#!/bin/sh\n"},
		builtins.MachineFile{Name: suite + "pkgs/noarch/repodata.json", Mode: 0o644, Text: "{}"},
		builtins.MachineFile{Name: suite + "pkgs/linux-64/repodata.json", Mode: 0o644, Text: "{}"})
}

// setPort is what the vendor's command leaves behind.
func setPort(argv []string) (*host.Said, error) {
	made := host.Entry{Name: "/etc/anaconda-server/config.yaml", Meta: host.Meta{Mode: 0o640}, Content: host.Bytes([]byte("port: 8080\n"))}
	return &host.Said{Makes: []host.Entry{made}}, nil
}

// The whole installation runs on a machine that is data, both ways, and a second run has nothing to do.
func TestSimulatedInstall(t *testing.T) {
	t.Parallel()
	for _, vars := range []map[string]string{{"airgap": "true"}, {}, {"port80": "true", "rules_restored": "true"}} {
		p := newProgram()
		book, err := p.rt.Load(runtime.Library{Shipped: p.shipped}, "install.star", runtime.Inputs{Flags: vars})
		if err != nil {
			t.Fatal(err)
		}
		const pkgs = "https://repo.continuum.io/pkgs/"
		const config = "/home/anaconda-server/miniconda2/bin/anaconda-server-config"
		m := builtins.Machine{OS: "centos 6.5", Files: smallMedia(), Commands: map[string]builtins.Answer{config: setPort},
			Web: map[string]string{pkgs + "free/noarch/repodata.json": "{}", pkgs + "pro/noarch/repodata.json": "{}"}}
		sim, err := m.Simulate()
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			events, err := sim.Run(context.Background(), book, runtime.Options{})
			if err != nil {
				t.Fatalf("run %d with %v: %v (%s)", n+1, vars, err, runtime.HintOf(err))
			}
			for _, e := range events {
				if n == 1 && e.Kind == trace.Op && len(e.Changes) > 0 {
					t.Errorf("run %d with %v: %s %s: %v", n+1, vars, e.Op, e.Target, e.Changes)
				}
			}
		}
	}
}
