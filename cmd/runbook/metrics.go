package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// A metrics file tells node_exporter's textfile collector how the last run of one runbook ended. It is the text format
// of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/), replaced whole and in one moment. The
// collector takes no series twice from a directory: the label file keeps checks of one runbook with other vars apart.
type metrics struct {
	*program
	file    string // "": nobody wants them
	runbook string
	mode    string
	started time.Time
}

// metricsEnding is what the collector reads.
const metricsEnding = ".prom"

// newMetrics refuses, before anything is done, what could not be written at the end.
func (p *program) newMetrics(f runFlags, file string) (*metrics, error) {
	m := &metrics{p, f.metrics, filepath.Base(file), trace.ModeOf(f.dryRun), p.now()}
	if m.file == "" {
		return m, nil
	}
	if !strings.HasSuffix(m.file, metricsEnding) {
		return nil, mistake("node_exporter reads files whose names end in "+metricsEnding,
			"--metrics %s: got another ending", m.file)
	}
	switch fi, err := os.Stat(filepath.Dir(m.file)); {
	case err != nil:
		return nil, mistake("make the directory that node_exporter's --collector.textfile.directory names",
			"--metrics: %w", err)
	case !fi.IsDir():
		return nil, mistake("", "--metrics %s: %s is no directory", m.file, filepath.Dir(m.file))
	}
	// A link is replaced, not followed: whoever may write in the directory does not choose what root writes.
	if fi, err := os.Lstat(m.file); err == nil && !fi.Mode().IsRegular() && fi.Mode().Type() != os.ModeSymlink {
		return nil, mistake("name a file in that directory, or beside it", "--metrics %s: it is no file", m.file)
	}
	return m, nil
}

// The outcomes of a run. One that was refused began no step.
var outcomes = [...]trace.Outcome{trace.Done, trace.Failed, trace.Interrupted, "refused"}

// write writes what became of a run; s is nil if it was refused before there was one.
func (m *metrics) write(s *session, err error) error {
	if m.file == "" {
		return nil
	}
	var counts trace.Counts
	outcome := trace.Outcome("refused")
	if s != nil {
		m.runbook = s.book.Name
		if s.watch.ended {
			outcome, counts = trace.Done, s.watch.Counts
		}
	}
	if code := exitCode(err); code != 0 && code != changesToMake && outcome == trace.Done {
		outcome = trace.Failed
	}
	if runtime.ClassOf(err) == runtime.Interrupted {
		outcome = trace.Interrupted
	}
	root, oerr := os.OpenRoot(filepath.Dir(m.file))
	if oerr != nil {
		return fmt.Errorf("metrics: %w", oerr)
	}
	defer root.Close()
	if err := replaceBelow(root, filepath.Base(m.file), []byte(m.text(outcome, counts, exitCode(err)))); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

func (m *metrics) text(outcome trace.Outcome, c trace.Counts, code int) string {
	var b strings.Builder
	add := func(name, help, more string, value any) {
		if help != "" {
			fmt.Fprintf(&b, "# HELP runbook_%s %s\n# TYPE runbook_%s gauge\n", name, help, name)
		}
		fmt.Fprintf(&b, "runbook_%s{runbook=%s,file=%s,mode=%s%s} %v\n",
			name, labelled(m.runbook), labelled(filepath.Base(m.file)), labelled(m.mode), more, value)
	}
	now := m.now()
	add("run_timestamp_seconds", "When the last run ended, since 1970.", "", now.Unix())
	add("run_duration_seconds", "How long it took.", "", now.Sub(m.started).Seconds())
	add("run_exit_code", "Its exit code: see runbook help run.", "", code)
	help := "1 of how it ended, 0 of the others."
	for _, o := range outcomes {
		add("run_outcome", help, ",outcome="+labelled(string(o)), map[bool]int{true: 1}[o == outcome])
		help = ""
	}
	help = "What became of its calls of builtins; of a dry run, changed is what a run would change."
	for _, n := range []struct {
		outcome trace.Outcome
		n       int
	}{{trace.Same, c.Same}, {trace.Changed, c.Changed}, {trace.Failed, c.Failed}, {trace.Skipped, c.Skipped}} {
		add("run_ops", help, ",outcome="+labelled(string(n.outcome)), n.n)
		help = ""
	}
	if m.mode == trace.DryRun && outcome == trace.Done {
		add("changes_pending", "How many changes a run would make.", "", c.Changed)
	}
	return b.String()
}

// labelled is the value of a label.
func labelled(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(strings.ToValidUTF8(text, "\ufffd")) + `"`
}
