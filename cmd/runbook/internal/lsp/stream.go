package lsp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/a-h/templ/lsp/jsonrpc2"
)

// Limits of what a client may send.
const (
	maxMessage = 16 << 20
	maxHeader  = 4 << 10
)

// A stream reads and writes messages with their headers. That of jsonrpc2 makes room for whatever length a header
// claims, and ends at a message that is no JSON.
type stream struct {
	in  *bufio.Reader
	out io.Writer
}

func newStream(in io.Reader, out io.Writer) *stream {
	return &stream{bufio.NewReaderSize(in, maxHeader), out}
}

// Read implements jsonrpc2.Stream. To a text that is no message it sends an error, and reads on. After a wrong header
// it returns an error, because nobody knows where the next message begins.
func (s *stream) Read(context.Context) (jsonrpc2.Message, int64, error) {
	for {
		text, err := s.text()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.refuse(jsonrpc2.ParseError, err.Error())
			}
			return nil, 0, err
		}
		msg, err := jsonrpc2.DecodeMessage(text)
		if err == nil && json.Valid(text) {
			return msg, int64(len(text)), nil
		}
		code, message := jsonrpc2.InvalidRequest, "got JSON that is no message, want one with a method"
		if !json.Valid(text) {
			code, message = jsonrpc2.ParseError, "got a message that is no JSON"
		}
		s.refuse(code, message)
	}
}

// text reads the next message as it is.
func (s *stream) text() ([]byte, error) {
	length, lines := -1, 0
	for {
		line, err := s.in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull) || lines > 50:
			return nil, errors.New("header: got one that is too long")
		case errors.Is(err, io.EOF) && lines+len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		lines++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			return nil, fmt.Errorf("header: got %q, want Content-Length: BYTES", name)
		}
		if !strings.EqualFold(strings.TrimSpace(name), "Content-Length") {
			continue
		}
		if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > maxMessage {
			return nil, fmt.Errorf("header: got Content-Length %q, want 0 to %d", strings.TrimSpace(value), maxMessage)
		}
	}
	if length < 0 {
		return nil, errors.New("header: got none with Content-Length")
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(s.in, text); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return text, nil
}

// refuse answers what has no readable id. Requests are answered by other goroutines: a message is one write.
func (s *stream) refuse(code jsonrpc2.Code, message string) {
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": nil, "error": jsonrpc2.NewError(code, message)})
	if err == nil {
		_, _ = s.send(text) // who does not read gets no answer
	}
}

// Write implements jsonrpc2.Stream.
func (s *stream) Write(_ context.Context, msg jsonrpc2.Message) (int64, error) {
	text, err := json.Marshal(msg)
	if err != nil {
		return 0, err
	}
	return s.send(text)
}

func (s *stream) send(text []byte) (int64, error) {
	n, err := fmt.Fprintf(s.out, "Content-Length: %d\r\n\r\n%s", len(text), text)
	return int64(n), err
}

// Close implements jsonrpc2.Stream: both ends belong to the caller.
func (s *stream) Close() error { return nil }
