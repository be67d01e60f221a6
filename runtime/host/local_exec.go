package host

import (
	"context"
	"fmt"
	"path"
	"strings"
)

// Exec forgets all facts and asks the machine again for those that c sets. An
// error has the result with it, if the command ran.
func (l *Local) Exec(ctx context.Context, c Cmd) (Result, error) {
	res, err := l.run(ctx, c.Process, c.Critical)
	l.forget()
	if c.Critical {
		ctx = context.WithoutCancel(ctx) // it was seen through, so is what it left
	}
	if err == nil && !c.Succeeded(res) {
		err = fmt.Errorf("exit status %d%s", res.Code, lastWords(c.Process, res))
	}
	if err == nil {
		err = l.assertCmd(ctx, c)
	}
	if err != nil {
		return res, fmt.Errorf("%s: %w", title(c.Process), err)
	}
	return res, nil
}

// title is what people call a command: the program and what it was told to do.
func title(p Process) string {
	if len(p.Argv) == 0 {
		return ""
	}
	program := path.Base(p.hide(p.Argv[0]))
	for _, w := range p.Argv[1:] {
		if w = p.hide(w); !strings.HasPrefix(w, "-") {
			return program + " " + cut(w, 40)
		}
	}
	return program
}

func (p Process) hide(text string) string {
	if p.Hide == nil {
		return text
	}
	return p.Hide(text)
}

func cut(s string, n int) string {
	if line, _, more := strings.Cut(s, "\n"); more {
		s = line + "..."
	}
	if r := []rune(s); len(r) > n {
		s = string(r[:n]) + "..."
	}
	return s
}

// lastWords returns the last lines a process wrote to its standard error or,
// if it was silent there, its standard output.
func lastWords(p Process, res Result) string {
	text := strings.TrimSpace(p.hide(string(res.Stderr)))
	if text == "" {
		text = strings.TrimSpace(p.hide(string(res.Stdout)))
	}
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	text = strings.Join(lines[max(0, len(lines)-3):], "\n")
	return ": " + text[max(0, len(text)-600):]
}
