package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"runbook/runtime/trace"
)

var (
	metricHeader = regexp.MustCompile(`^# (HELP|TYPE) (runbook_[a-z_]+) (.+)$`)
	metricSample = regexp.MustCompile(`^(runbook_[a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*",?)*)\} (\S+)$`)
)

// series reads the text format of Prometheus strictly: help, type and all samples of a metric together, no series twice.
func series(text string) (map[string]float64, error) {
	found, headers := map[string]float64{}, map[string]int{}
	if !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("%q does not end in a line feed", text)
	}
	now := ""
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if m := metricHeader.FindStringSubmatch(line); m != nil {
			headers[m[2]]++
			wanted := map[string]int{"HELP": 1, "TYPE": 2}[m[1]]
			if headers[m[2]] != wanted || m[1] == "TYPE" && (m[3] != "gauge" || now != m[2]) {
				return nil, fmt.Errorf("%s is not at its place", line)
			}
			now = m[2]
			continue
		}
		m := metricSample.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("%q is no sample", line)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		key := m[1] + "{" + m[2] + "}"
		if _, twice := found[key]; err != nil || twice || m[1] != now || headers[now] != 2 {
			return nil, fmt.Errorf("%s: twice, or not below its header: %v", line, err)
		}
		found[key] = value
	}
	return found, nil
}

// promtool asks the judge of Prometheus, where it is installed.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	t.Run("promtool", func(t *testing.T) {
		tool, err := exec.LookPath("promtool")
		if err != nil {
			t.Skip("NOT TESTED HERE: no promtool, of Debian's package prometheus, which is too large to install for this")
		}
		c := exec.Command(tool, args...)
		c.Stdin = strings.NewReader(input)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s\n%s", strings.Join(args, " "), err, out, input)
		}
	})
}

// Each outcome in each mode is text that Prometheus takes, with one outcome that is 1; odd names do not break it.
func TestMetricsText(t *testing.T) {
	for _, mode := range []string{trace.ModeOf(false), trace.DryRun} {
		for _, outcome := range outcomes {
			m := metrics{newProgram(), "/x/a\"\\\n\xff.prom", "ö\"b\\\n.star", mode, time.Now()}
			text := m.text(outcome, trace.Counts{Same: 3, Changed: 7}, 1)
			have, err := series(text)
			if err != nil {
				t.Fatal(err)
			}
			promtool(t, text, "check", "metrics")
			ones, pending := 0.0, false
			for key, value := range have {
				if strings.HasPrefix(key, "runbook_run_outcome{") {
					ones += value
				}
				pending = pending || strings.HasPrefix(key, "runbook_changes_pending{") && value == 7
			}
			if want := mode == trace.DryRun && outcome == trace.Done; ones != 1 || pending != want {
				t.Errorf("%s, %s: %v outcomes, pending %t\n%s", mode, outcome, ones, pending, text)
			}
		}
	}
}

// Checks that end at the same moment, also of one runbook with other vars, and two that share a file, all leave whole
// files, which have no series in common.
func TestMetricsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, filepath.Join(dir, "m.star"), "dir = var(\"dir\", type = \"path\")\nstep(lambda: mkdir(dir), name = \"m\", title = \"M\")\n")
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			name := filepath.Join(dir, string("abc"[n%3])+metricsEnding)
			c := exec.Command(binary(t), "run", filepath.Join(dir, "m.star"), "--state", filepath.Join(dir, "state"),
				"--var", "dir="+name+".d", "--dry-run", "--metrics", name)
			if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), "metrics:") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	all := map[string]string{}
	for _, name := range []string{"a.prom", "b.prom", "c.prom"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		have, err := series(string(text))
		if err != nil || len(have) == 0 {
			t.Fatalf("%s: %d series, %v", name, len(have), err)
		}
		for key := range have {
			if other := all[key]; other != "" {
				t.Errorf("%s and %s have %s", name, other, key)
			}
			all[key] = name
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*runbook-part"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, %v is left", err, left)
	}
}

// The alerts of the README are rules, of metrics that there are.
func TestMetricsAlerts(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, found := strings.Cut(string(readme), "\n    - alert: ")
	rules, _, _ = strings.Cut("    - alert: "+rules, "\n\n##")
	m := metrics{newProgram(), "/x/m.prom", "m.star", trace.DryRun, time.Now()}
	have, err := series(m.text(trace.Done, trace.Counts{}, 0))
	if err != nil || !found {
		t.Fatal(found, err)
	}
	names := map[string]bool{}
	for key := range have {
		name, _, _ := strings.Cut(key, "{")
		names[name] = true
	}
	told := regexp.MustCompile(`runbook_[a-z_]+`).FindAllString(rules, -1)
	for _, name := range told {
		if !names[name] {
			t.Errorf("%s is none of %s", name, slices.Sorted(maps.Keys(names)))
		}
	}
	if len(told) == 0 {
		t.Error("the alerts name no metric")
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	lay(t, file, "groups:\n- name: runbook\n  rules:\n"+rules+"\n")
	promtool(t, "", "check", "rules", file)
}
