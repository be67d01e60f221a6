package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// facts are what a snapshot says of its machine besides the answers.
type facts struct {
	Time     string        `json:"time"` // RFC 3339
	Version  string        `json:"version"`
	Host     trace.Machine `json:"host"`
	User     trace.Person  `json:"user"`
	State    string        `json:"state"` // the directory of markers there
	Previous string        `json:"previous"`
	Runbooks []string      `json:"runbooks"` // that it was made for
	LeftOut  []string      `json:"left_out"` // what is not in it, and why
}

// A planned machine is one that a snapshot stands for.
type planned struct {
	snapshot *host.Snapshot
	facts
	sum   string   // of the file
	lacks []string // what the plan asked and the snapshot does not have
}

// readPlanned reads the snapshot in the file called name.
func readPlanned(shelf *host.Shelf, name string) (*planned, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, mistake("runbook facts -o FILE writes one, on the machine that is to be planned for", "snapshot: %w", err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && !fi.Mode().IsRegular() {
		return nil, mistake("name the file that runbook facts wrote", "snapshot %s: is not a regular file", name)
	}
	s, plate, err := shelf.ReadSnapshot(f)
	p := &planned{snapshot: s, sum: plate.SHA256}
	if err == nil {
		err = json.Unmarshal(plate.About, &p.facts)
	}
	if err != nil {
		return nil, mistake(cmp.Or(runtime.HintOf(err), "make it anew on its machine: runbook facts -o FILE"),
			"snapshot %s: %w", name, err)
	}
	s.Net = fetch.New().Get
	s.Lacks = func(what string) {
		if !slices.Contains(p.lacks, what) {
			p.lacks = append(p.lacks, what)
		}
	}
	return p, nil
}

// info describes a run that is planned for the machine, as info does for this one.
func (p *planned) info(mode, ticket string) trace.RunInfo {
	return trace.RunInfo{
		Mode: mode, Ticket: ticket, Previous: p.Previous, Binary: trace.Binary{Version: version()},
		Host: p.Host, User: p.User, Snapshot: &trace.Snapshot{SHA256: p.sum, Time: p.Time},
	}
}

// stateAt returns the state directory there.
func (p *planned) stateAt(flag string) string { return cmp.Or(flag, p.State) }

// tell says what the plan would have had to know.
func (p *planned) tell(w io.Writer) {
	if p == nil || len(p.lacks) == 0 {
		return
	}
	const shown = 5
	some := p.lacks[:min(shown, len(p.lacks))]
	text := fmt.Sprintf("the snapshot lacks %s that the plan asked for: %s", counted(len(p.lacks), "answer"),
		trace.Quote(strings.Join(some, ", ")))
	if len(p.lacks) > shown {
		text += ", ..."
	}
	report(w, runtime.Hint(errors.New(text),
		"make it again there for this runbook and these vars: runbook facts RUNBOOK --var ... -o FILE"))
}

// checkHosts refuses flags that do not go with planning for another machine.
func (f runFlags) checkHosts() error {
	flag := "--host"
	switch {
	case f.host == "" && f.hosts == "":
		return nil
	case f.host != "" && f.hosts != "":
		return mistake("give one of them", "--host and --hosts contradict each other")
	case f.hosts != "":
		flag = "--hosts"
	}
	if !f.dryRun {
		return mistake("a snapshot can be planned for, not changed: give --dry-run", "%s needs --dry-run", flag)
	}
	if f.follow != "" {
		return mistake("follow the plan on the machine that it was made for", "%s does not go with --follow", flag)
	}
	if f.hosts != "" && (f.metrics != "" || f.policy != "" || f.format != "text") {
		return mistake("give them with --host SNAPSHOT", "--hosts does not go with --metrics, --policy and --format")
	}
	return nil
}
