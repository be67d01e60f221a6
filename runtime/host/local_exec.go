package host

import (
	"bytes"
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
		err = fmt.Errorf("exit status %d%s", res.Code, lastWords(res))
	}
	if err == nil {
		err = l.assertCmd(ctx, c)
	}
	if err != nil {
		return res, fmt.Errorf("%s: %w", title(c.Argv), err)
	}
	return res, nil
}

// title is what people call a command: the program and what it was told to do.
func title(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	for _, w := range argv[1:] {
		if !strings.HasPrefix(w, "-") {
			return path.Base(argv[0]) + " " + cut(w, 40)
		}
	}
	return path.Base(argv[0])
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
func lastWords(res Result) string {
	text := bytes.TrimSpace(res.Stderr)
	if len(text) == 0 {
		text = bytes.TrimSpace(res.Stdout)
	}
	if len(text) == 0 {
		return ""
	}
	lines := bytes.Split(text, []byte("\n"))
	text = bytes.Join(lines[max(0, len(lines)-3):], []byte("\n"))
	return ": " + string(text[max(0, len(text)-600):])
}
