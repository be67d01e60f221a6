package host

import (
	"cmp"
	"regexp"
	"strings"
)

// The lines that programs draw over and over, such as conda's, curl's and dnf's.
var progressBar = regexp.MustCompile(`\d%\s*[|\[(]|[|\])]\s*\d+%|\d%.*[#=█━]{5}|[#=█━]{5}.*\d%`)

// Where a program says what it died of, as those in Python do: "PackagesNotFoundError: ...".
var errorLine = regexp.MustCompile(`^\s*[A-Za-z0-9_.]*(Error|Exception):`)

// What LastWords returns of a text at most, in lines and in characters.
const (
	usualLines = 3
	errorLines = 12
	mostWords  = 600
)

// LastWords returns why a process failed, by what it wrote to its standard error or, if it was
// silent there, its standard output: from the last line on that begins with an error, or the last
// lines. It begins with a colon, and is "" if there is nothing.
func (r Result) LastWords() string {
	errs, out := wordsOf(string(r.Stderr)), wordsOf(string(r.Stdout))
	text := cmp.Or(fromError(errs), fromError(out), lastLines(errs), lastLines(out))
	if text == "" {
		return ""
	}
	return ": " + text
}

// lastWords is LastWords without what p hides.
func lastWords(p Process, r Result) string {
	return Result{Stdout: []byte(p.hide(string(r.Stdout))), Stderr: []byte(p.hide(string(r.Stderr)))}.LastWords()
}

// wordsOf returns the lines of a text as a terminal would show them in the end, without progress
// bars and empty ones.
func wordsOf(text string) (lines []string) {
	for line := range strings.Lines(strings.ToValidUTF8(text, "\uFFFD")) {
		line = strings.TrimRight(line, " \t\r\n")
		line = line[strings.LastIndexByte(line, '\r')+1:]
		if strings.TrimSpace(line) != "" && !progressBar.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// fromError returns the lines from the last error on. A long text ends with dots.
func fromError(lines []string) string {
	for i := len(lines) - 1; i >= 0; i-- {
		if !errorLine.MatchString(lines[i]) {
			continue
		}
		text := []rune(strings.TrimSpace(strings.Join(lines[i:min(len(lines), i+errorLines)], "\n")))
		if len(text) > mostWords || len(lines) > i+errorLines {
			return string(text[:min(len(text), mostWords)]) + "..."
		}
		return string(text)
	}
	return ""
}

// lastLines returns the last few lines. A long text begins in the middle.
func lastLines(lines []string) string {
	text := []rune(strings.TrimSpace(strings.Join(lines[max(0, len(lines)-usualLines):], "\n")))
	return string(text[max(0, len(text)-mostWords):])
}
