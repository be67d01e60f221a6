package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"runbook/runtime/trace"
)

// How texts stand on a page of so many columns: those of the terminal, or usualColumns.

const (
	usualColumns  = 80
	fewestColumns = 40 // of a page: a narrower terminal folds it
	mostColumns   = 120
)

// columnsOf returns how wide a page is on a file.
func columnsOf(f *os.File) int {
	if n := terminalColumns(f); n > 0 {
		return min(max(n, fewestColumns), mostColumns)
	}
	return usualColumns
}

// terminalColumns returns how wide a terminal is; 0 if f is none or does not say.
func terminalColumns(f *os.File) int {
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}

// paragraphs returns text with its lines broken anew for width columns. What is indented, an item of a list, a row or a
// heading keeps a line of its own.
func paragraphs(text string, width int) string {
	var out []string
	open := false // the last line may be gone on with
	for _, line := range strings.Split(strings.ReplaceAll(text, "\t", "    "), "\n") {
		blank, own := strings.TrimSpace(line) == "", ownLine.MatchString(line)
		if open && !blank && !own {
			out[len(out)-1] += " " + line
			continue
		}
		out, open = append(out, line), !blank && (!own || listItem.MatchString(line))
	}
	var b strings.Builder
	for i, line := range out {
		b.WriteString(strings.Join(trace.Wrap(line, width, hangOf(line)), "\n"))
		if i < len(out)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

var (
	ownLine  = regexp.MustCompile(`^([ |#<]|[-*] |[0-9]+[.)] )`)
	listItem = regexp.MustCompile(`^[-*] |^[0-9]+[.)] `)
	columned = regexp.MustCompile(`^ +\S.*?  +`)
)

// hangOf returns where a line goes on when it is broken: an item below its text, an indented line below what stands in
// its second column.
func hangOf(line string) int {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	switch {
	case listItem.MatchString(line):
		return len(listItem.FindString(line))
	case indent == 0:
		return 0
	}
	if n := utf8.RuneCountInString(columned.FindString(line)); n > 0 && n <= usualColumns/2 {
		return n
	}
	return indent + 4
}

const (
	fewestForProse = 32 // columns: where less are left, the last cells of a table stand below their rows
	belowRow       = 6  // indent of these
)

// table writes rows in columns below a title; nothing if there are none. The last column is prose, and is broken where
// the page ends. A cell that is much wider than others goes over its edge.
func table(w io.Writer, title string, rows [][]string, width int) error {
	if len(rows) == 0 {
		return nil
	}
	last, widest := len(rows[0])-1, width*5/16
	wide := make([]int, last)
	for _, r := range rows {
		for i := range r {
			r[i] = trace.Quote(r[i])
		}
		for i, c := range r[:last] {
			if n := utf8.RuneCountInString(c); n <= widest {
				wide[i] = max(wide[i], n)
			}
		}
	}
	at := 2 // where the last column begins
	for _, n := range wide {
		if n > 0 {
			at += n + 2
		}
	}
	var b strings.Builder
	b.WriteString(title)
	for _, r := range rows {
		for _, line := range rowLines(r, wide, at, width) {
			b.WriteString(line + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rowLines returns the lines of a row whose last cell is to begin at a column.
func rowLines(row []string, wide []int, at, width int) []string {
	head, prose := " ", row[len(row)-1]
	for i, c := range row[:len(row)-1] {
		if c != "" || wide[i] > 0 {
			head += " " + c + strings.Repeat(" ", max(0, wide[i]-utf8.RuneCountInString(c))) + " "
		}
	}
	short := strings.TrimRight(head, " ")
	switch {
	case prose == "":
		return trace.Wrap(short, width, belowRow)
	case utf8.RuneCountInString(head) < at && width-at >= fewestForProse, utf8.RuneCountInString(head+" "+prose) <= width:
		return trace.Wrap(head+" "+prose, width, at)
	}
	return append(trace.Wrap(short, width, belowRow), trace.Wrap(strings.Repeat(" ", belowRow)+prose, width, belowRow)...)
}
