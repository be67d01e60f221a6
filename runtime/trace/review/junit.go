package review

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"runbook/runtime/trace"
)

// The form of JUnit's XML that Jenkins, GitLab and others read: a step is a suite, an op is a case.

type suite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Time     string     `xml:"time,attr"`
	Began    string     `xml:"timestamp,attr"`
	Host     string     `xml:"hostname,attr"`
	Cases    []testCase `xml:"testcase"`

	took time.Duration
	step string
}

type testCase struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	Time    string   `xml:"time,attr"`
	Skipped *problem `xml:"skipped"`
	Error   *problem `xml:"error"`
	Failure *problem `xml:"failure"`
	Output  string   `xml:"system-out,omitempty"`
}

type problem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// A junit writes suites as their steps end.
type junit struct {
	rep  *Report
	w    *bufio.Writer
	enc  *xml.Encoder
	open []*suite // each within the one before
}

func (r *Report) junit(w io.Writer) error {
	j := &junit{rep: r, w: bufio.NewWriter(w)}
	j.enc = xml.NewEncoder(j.w)
	j.enc.Indent("  ", "  ")
	tests, failed, skipped := 0, 0, 0
	for _, s := range r.Steps {
		tests, failed = tests+s.Ops, failed+s.Failed
		if s.Skipped {
			tests, skipped = tests+1, skipped+1
		}
	}
	var name strings.Builder
	if err := xml.EscapeText(&name, []byte(trace.Quote(r.Run.Runbook))); err != nil {
		return err
	}
	fmt.Fprintf(j.w, "%s<testsuites name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"%d\" skipped=\"%d\" time=\"%s\">\n",
		xml.Header, name.String(), tests, failed, r.cutOff, skipped, inSeconds(r.Took()))
	if err := cmp.Or(r.acts(j.act), j.close(0)); err != nil {
		return err
	}
	fmt.Fprintln(j.w, "</testsuites>")
	return j.w.Flush()
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func (j *junit) act(a trace.Act) error {
	switch e := a.Event; {
	case e.Kind == trace.Step && e.State == trace.Ended:
		return j.close(len(j.open) - 1)
	case e.Kind == trace.Step:
		s := j.begin(e)
		if e.State != trace.LeftOut {
			return nil
		}
		s.Skipped = 1
		s.Cases = append(s.Cases, testCase{Name: s.Name, Class: j.class(e.Step), Time: inSeconds(0),
			Skipped: &problem{Message: trace.Quote(e.Why)}})
		return j.close(len(j.open) - 1)
	case e.Kind == trace.Op:
		s := j.in(e)
		s.Cases = append(s.Cases, j.testCase(a, s))
	}
	return nil
}

func (j *junit) begin(e trace.Event) *suite {
	s := &suite{Name: trace.Quote(e.Step + prefixed(": ", e.Title)), Host: trace.Quote(j.rep.Run.Host.Hostname),
		Began: e.Time.UTC().Format("2006-01-02T15:04:05"), step: e.Step}
	j.open = append(j.open, s)
	return s
}

// in returns the suite of an op.
func (j *junit) in(e trace.Event) *suite {
	for i := len(j.open) - 1; i >= 0; i-- {
		if j.open[i].step == e.Step {
			return j.open[i]
		}
	}
	return j.begin(trace.Event{Step: e.Step, Time: e.Time})
}

func (j *junit) class(step string) string { return trace.Quote(j.rep.Run.Runbook + "." + step) }

func (j *junit) testCase(a trace.Act, s *suite) testCase {
	note := noteOf(a.Event)
	c := testCase{Name: note.Text, Class: j.class(a.Event.Step)}
	told := trace.Tell(a.Event, a.Effects, j.rep.Run.User.Name)
	var out []string
	for _, t := range told.Changes {
		out = append(out, strings.TrimSpace(t.What+prefixed(" ", t.From)+prefixed(" -> ", t.To)))
		for _, l := range t.Lines {
			out = append(out, l.Text)
		}
	}
	for _, e := range told.Effects {
		out = append(out, strings.TrimSpace("does "+e.Does+prefixed("  ", e.More)))
	}
	switch r := a.Result; {
	case r == nil:
		s.Errors++
		c.Error = &problem{Message: "the trace does not show how it ended"}
	case r.Outcome == trace.Failed:
		s.Failures++
		text := append(lines(r.Error), lines(prefixed("hint: ", r.Hint))...)
		c.Failure = &problem{trace.Quote(firstLine(r.Error)), strings.Join(append(text, trace.Quote(a.Event.Pos)), "\n")}
	}
	if a.Result != nil {
		word, _ := j.rep.outcome(a.Result.Outcome)
		out = append([]string{word}, out...)
		for _, text := range a.Result.Assumed {
			out = append(out, "assumed: "+trace.Quote(text))
		}
		s.took += a.Result.Elapsed
		c.Time = inSeconds(a.Result.Elapsed)
	}
	c.Output = strings.Join(out, "\n")
	return c
}

// close writes suites until only some are open.
func (j *junit) close(left int) error {
	for len(j.open) > max(left, 0) {
		s := j.open[len(j.open)-1]
		j.open = j.open[:len(j.open)-1]
		s.Tests, s.Time = len(s.Cases), inSeconds(s.took)
		if err := cmp.Or(j.enc.Encode(s), j.enc.Flush()); err != nil {
			return err
		}
		if err := j.w.WriteByte('\n'); err != nil {
			return err
		}
	}
	return nil
}
