package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An editor speaks with a real runbook lsp.
type editor struct {
	t     testing.TB
	dir   string
	in    io.WriteCloser
	cmd   *exec.Cmd
	said  bytes.Buffer // standard error
	next  int
	heard chan message
	kept  []message // heard, and not asked for yet
}

type message struct {
	ID     any
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
}

func startEditor(t testing.TB, dir string) *editor {
	t.Helper()
	e := &editor{t: t, dir: dir, cmd: exec.Command("runbook", "lsp"), heard: make(chan message, 1000)}
	e.cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, ".cache"))
	e.cmd.Dir, e.cmd.Stderr = dir, &e.said
	in, err := e.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.cmd.StdoutPipe()
	if err == nil {
		err = e.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	e.in = in
	t.Cleanup(func() { in.Close(); e.cmd.Process.Kill(); e.cmd.Wait() })
	go e.listen(out)
	return e
}

// listen takes nothing but the protocol from standard output.
func (e *editor) listen(out io.Reader) {
	defer close(e.heard)
	r := bufio.NewReader(out)
	for {
		head, err := r.ReadString('\n')
		if err != nil {
			return
		}
		length, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "Content-Length:")))
		if blank, _ := r.ReadString('\n'); err != nil || blank != "\r\n" {
			e.heard <- message{Method: "no protocol: " + head}
			return
		}
		text := make([]byte, length)
		var m message
		if _, err := io.ReadFull(r, text); err != nil || json.Unmarshal(text, &m) != nil {
			e.heard <- message{Method: "no message: " + string(text)}
			return
		}
		e.heard <- m
	}
}

func framed(text string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(text), text) }

func (e *editor) write(text string) {
	if _, err := io.WriteString(e.in, text); err != nil {
		e.t.Fatalf("%v; it said %s", err, e.said.String())
	}
}

// until returns the first message that is the one looked for.
func (e *editor) until(what string, is func(message) bool) message {
	e.t.Helper()
	for i, m := range e.kept {
		if is(m) {
			e.kept = append(e.kept[:i:i], e.kept[i+1:]...)
			return m
		}
	}
	timeout := time.After(20 * time.Second)
	for {
		select {
		case m, ok := <-e.heard:
			if !ok {
				e.t.Fatalf("no %s: it ended and said %q", what, e.said.String())
			}
			if is(m) {
				return m
			}
			e.kept = append(e.kept, m)
		case <-timeout:
			e.t.Fatalf("no %s; kept: %v", what, e.kept)
		}
	}
}

func (e *editor) notify(method string, params any) {
	e.write(framed(asJSON(e.t, map[string]any{"jsonrpc": "2.0", "method": method, "params": params})))
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (e *editor) request(method string, params any) string {
	e.next++
	return framed(asJSON(e.t, map[string]any{"jsonrpc": "2.0", "id": e.next, "method": method, "params": params}))
}

func (e *editor) answer(id any) message {
	e.t.Helper()
	return e.until(fmt.Sprint("answer to ", id), func(m message) bool { return m.Method == "" && fmt.Sprint(m.ID) == fmt.Sprint(id) })
}

// ask returns the result of a request as one line.
func (e *editor) ask(method string, params any) string {
	e.t.Helper()
	e.write(e.request(method, params))
	m := e.answer(e.next)
	if m.Error != nil {
		return fmt.Sprintf("error %d: %s", m.Error.Code, m.Error.Message)
	}
	return string(m.Result)
}

func (e *editor) uri(name string) string {
	return (&url.URL{Scheme: "file", Path: filepath.Join(e.dir, name)}).String()
}

func (e *editor) open(name, text string) {
	e.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{
		"uri": e.uri(name), "languageId": "starlark", "version": 1, "text": text,
	}})
}

// at are the params about the place of a text where it has a |, in place of which the text is opened without it.
func (e *editor) at(name, text string) map[string]any {
	e.t.Helper()
	before, after, ok := strings.Cut(text, "|")
	if !ok {
		e.t.Fatalf("no | in %s", text)
	}
	e.open(name, before+after)
	line := before[strings.LastIndex(before, "\n")+1:]
	return map[string]any{"textDocument": map[string]any{"uri": e.uri(name)},
		"position": map[string]any{"line": strings.Count(before, "\n"), "character": len([]rune(line))}}
}

// labels are those of the completions at the | of a text, those first that come first.
func (e *editor) labels(name, text string) string {
	e.t.Helper()
	var list struct {
		Items []struct {
			Label    string
			SortText string
			TextEdit struct{ NewText string }
		}
	}
	if err := json.Unmarshal([]byte(e.ask("textDocument/completion", e.at(name, text))), &list); err != nil {
		e.t.Fatal(err)
	}
	var first, other []string
	for _, i := range list.Items {
		if i.SortText < "2" {
			first = append(first, i.TextEdit.NewText)
		} else {
			other = append(other, i.TextEdit.NewText)
		}
	}
	return "," + strings.Join(append(first, other...), ",") + ","
}

// diagnostics waits for those of a version of a text, and returns them as lines.
func (e *editor) diagnostics(name string, version int) string {
	e.t.Helper()
	var p struct {
		URI         string
		Version     int
		Diagnostics []struct {
			Range struct {
				Start, End struct{ Line, Character int }
			}
			Severity int
			Code     string
			Message  string
		}
	}
	e.until("diagnostics of "+name, func(m message) bool {
		p.Version = 0
		return m.Method == "textDocument/publishDiagnostics" && json.Unmarshal(m.Params, &p) == nil && p.URI == e.uri(name) && p.Version == version
	})
	var lines []string
	for _, d := range p.Diagnostics {
		lines = append(lines, fmt.Sprintf("%d:%d-%d:%d %d %s: %s", d.Range.Start.Line, d.Range.Start.Character, d.Range.End.Line, d.Range.End.Character,
			d.Severity, d.Code, d.Message))
	}
	return strings.Join(lines, "\n")
}

// initialize begins a conversation.
func (e *editor) initialize(encodings ...string) string {
	e.t.Helper()
	return e.ask("initialize", map[string]any{"processId": nil, "rootUri": nil,
		"capabilities": map[string]any{"general": map[string]any{"positionEncodings": encodings}}})
}

// ends waits for the end of the process.
func (e *editor) ends(code int) {
	e.t.Helper()
	e.in.Close()
	for range e.heard {
	}
	e.cmd.Wait()
	if have := e.cmd.ProcessState.ExitCode(); have != code {
		e.t.Errorf("got exit code %d, want %d; it said %q", have, code, e.said.String())
	}
}

// change sends another version of an open text: pieces of it, or all.
func (e *editor) change(name string, version int, changes ...map[string]any) {
	e.notify("textDocument/didChange", map[string]any{
		"textDocument": map[string]any{"uri": e.uri(name), "version": version}, "contentChanges": changes,
	})
}

// piece is a change of what lies between two places of one line.
func piece(line, from, to int, text string) map[string]any {
	return map[string]any{"text": text, "range": map[string]any{
		"start": map[string]any{"line": line, "character": from}, "end": map[string]any{"line": line, "character": to},
	}}
}

func (e *editor) want(what, have string, wanted ...string) {
	e.t.Helper()
	for _, w := range wanted {
		without, not := strings.CutPrefix(w, "!")
		if strings.Contains(have, without) == not {
			e.t.Errorf("%s: got %s\nwant %s", what, have, w)
		}
	}
}
