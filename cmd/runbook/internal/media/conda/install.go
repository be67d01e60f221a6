package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// install is `conda install`. It asks before it acts, unless -y; without a terminal to ask on it refuses at once.
func install(prefix string, args []string) error {
	set, specs, err := options(args, map[string]string{"-y": "yes", "--yes": "yes", "-q": "quiet", "--quiet": "quiet", "-c": "channel", "--channel": "channel",
		"--offline": "offline", "--override-channels": "override", "-p": "prefix", "--prefix": "prefix", "--dry-run": "dry-run"}, " channel prefix ")
	if err != nil {
		return err
	}
	if p := set["prefix"]; p != nil {
		prefix = p[0]
	}
	if len(specs) == 0 {
		return usageError("too few arguments, must supply command line package specs or --file")
	}
	if set["override"] != nil && set["channel"] == nil {
		return usageError("--override-channels requires -c/--channel")
	}
	installed, err := readMeta(prefix)
	if err != nil {
		return err
	}
	plan, err := makePlan(prefix, specs, set, installed)
	if err != nil || len(plan) == 0 {
		return err
	}
	if set["dry-run"] != nil {
		return nil
	}
	if set["yes"] == nil {
		if err := proceed(); err != nil {
			return err
		}
	}
	return carryOut(prefix, specs, plan, installed)
}

// makePlan solves and says what will be done. An empty plan means that all is there.
func makePlan(prefix string, specs []string, set map[string][]string, installed map[string]*record) ([]*record, error) {
	urls, err := channels(prefix, set["channel"], set["override"] != nil)
	if err != nil {
		return nil, err
	}
	fmt.Println("Fetching package metadata ......")
	available, err := index(urls, set["offline"] != nil)
	if err != nil {
		return nil, err
	}
	fmt.Println("Solving package specifications: ..........")
	plan, err := solve(specs, available, installed)
	if err != nil {
		return nil, err
	}
	if len(plan) == 0 {
		fmt.Printf("\n# All requested packages already installed.\n# packages in environment at %s:\n#\n", prefix)
		return nil, nil
	}
	fmt.Printf("\nPackage plan for installation in environment %s:\n\n", prefix)
	fmt.Print("The following NEW packages will be INSTALLED:\n\n")
	for _, r := range plan {
		fmt.Printf("    %-17s %s-%s\n", r.Name+":", r.Version, r.Build)
	}
	fmt.Println()
	return plan, nil
}

func proceed() error {
	fmt.Print("Proceed ([y]/n)? ")
	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return errors.New("\nEOFError: EOF when reading a line: no terminal to ask on (--yes answers)")
	}
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return fmt.Errorf("\nEOFError: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "" && a != "y" && a != "yes" {
		return errors.New("Exiting")
	}
	return nil
}

// carryOut fetches everything before it links anything, and writes a package's record in conda-meta last.
func carryOut(prefix string, specs []string, plan []*record, installed map[string]*record) error {
	for _, r := range plan {
		if err := extract(prefix, r); err != nil {
			return err
		}
	}
	var changes []string
	for _, r := range plan {
		if old := installed[r.Name]; old != nil {
			if err := unlink(prefix, old); err != nil {
				return err
			}
			changes = append(changes, "-"+old.dist())
		}
		if err := link(prefix, r); err != nil {
			return err
		}
		changes = append(changes, "+"+r.dist())
	}
	h, err := os.OpenFile(filepath.Join(prefix, "conda-meta/history"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(h, "==> %s <==\n# cmd: conda install\n%s\n# install specs: %q\n",
		time.Now().Format(time.DateTime), strings.Join(changes, "\n"), specs)
	return errors.Join(err, h.Close())
}

// list is `conda list`: all packages, or those whose name contains the argument.
func list(prefix string, args []string) error {
	set, pattern, err := options(args,
		map[string]string{"--json": "json", "-e": "export", "--export": "export", "-p": "prefix", "--prefix": "prefix"},
		" prefix ")
	if err != nil {
		return err
	}
	if p := set["prefix"]; p != nil {
		prefix = p[0]
	}
	installed, err := readMeta(prefix)
	if err != nil {
		return err
	}
	var dists []string
	lines := []string{"# packages in environment at " + prefix + ":\n#"}
	for _, name := range slices.Sorted(maps.Keys(installed)) {
		r := installed[name]
		if len(pattern) > 0 && !strings.Contains(name, pattern[0]) {
			continue
		}
		dists = append(dists, r.dist())
		if set["export"] != nil {
			lines = append(lines, r.Name+"="+r.Version+"="+r.Build)
		} else {
			lines = append(lines, fmt.Sprintf("%-25s %-15s %15s", r.Name, r.Version, r.Build))
		}
	}
	if set["json"] != nil {
		return json.NewEncoder(os.Stdout).Encode(dists)
	}
	fmt.Println(strings.Join(lines, "\n"))
	return nil
}
