package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"time"

	"runbook/runtime/trace"
)

// The form of JUnit's XML that Jenkins, GitLab and others read.

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes what became of tests.
func writeJUnit(name string, files []testedFile) error {
	var all junitSuites
	total := time.Duration(0)
	for _, f := range files {
		s := junitSuite{Name: f.name, Tests: len(f.results), Time: seconds(f.time)}
		if f.err != nil {
			s.Tests, s.Errors = s.Tests+1, 1
			s.Cases = append(s.Cases, junitCase{Name: "load", Class: f.name, Time: "0.000",
				Error: &junitProblem{firstOf(f.err), printed(f.err.Error())}})
		}
		for _, r := range f.results {
			c := junitCase{Name: r.name, Class: f.name, Time: seconds(r.time), Output: printed(strings.Join(r.printed, "\n"))}
			if r.err != nil {
				s.Failures++
				c.Failure = &junitProblem{firstOf(r.err), printed(r.text)}
			}
			s.Cases = append(s.Cases, c)
		}
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		all.Suites, total = append(all.Suites, s), total+f.time
	}
	all.Time = seconds(total)
	text, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(name, append([]byte(xml.Header), append(text, '\n')...), 0o644)
	}
	if err != nil {
		return mistake("", "--junit: %w", err)
	}
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// firstOf is the first line of an error.
func firstOf(err error) string {
	return trace.Quote(firstLineOf(err.Error()))
}

// printed is a text of several lines that holds nothing but what can be seen.
func printed(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, trace.Quote(line))
	}
	return strings.Join(lines, "\n")
}
