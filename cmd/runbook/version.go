package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// release and commit are "" but in a release, where the linker sets them: .ci/release says
// -ldflags "-X main.release=1.2.0 -X main.commit=0123456789ab".
var release, commit string

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print version and commit of this program, and what built it",
		Args: operands(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.out, "runbook %s, %s %s/%s, sha256 %s\n",
				version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, p.digest())
			return err
		},
	}
}

// version is the release's, the module's or "devel", and the commit it was built from where that is known, as in
// "1.2.0 commit 0123456789ab".
func version() string {
	v, from := release, commit
	if b, ok := debug.ReadBuildInfo(); ok && v == "" {
		v, from = strings.TrimSuffix(b.Main.Version, "(devel)"), committed(b.Settings)
	}
	if v == "" {
		v = "devel"
	}
	if from != "" && !strings.Contains(v, from) { // which the version between two releases has in it
		v += " commit " + from
	}
	return v
}

// committed is the commit in the settings of a build, short, and whether files were edited since; "" without git.
func committed(settings []debug.BuildSetting) (from string) {
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			from = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			from += " modified"
		}
	}
	return from
}
