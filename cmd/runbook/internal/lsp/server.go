// Package lsp is a server of the Language Server Protocol for runbooks.
//
// Two things to know: what is said of a text comes from its tokens, so that one that does not parse, as somebody is
// typing it, is helped too, while what is wrong with it comes from runtime.Diagnose; and requests are answered in their
// order, one at a time, while diagnostics are made beside them.
//
// Package cmd/runbook calls Serve and gives it the files. It reads what lies beside the texts, and runs nothing.
package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/a-h/templ/lsp/jsonrpc2"
	"github.com/a-h/templ/lsp/protocol"

	"runbook/runtime"
)

// Options are what the server needs of the program that it is in.
type Options struct {
	Runtime *runtime.Runtime
	Tests   *runtime.Runtime // of files of tests, which can call more
	// Open returns where a file is checked in, as the runbooks see it that load it.
	Open func(file string) (Book, error)
	// Format returns the text of a file in the usual layout.
	Format func(file string, text []byte) ([]byte, error)
	// Describe returns the document of a builtin as Markdown, Signature how it is called.
	Describe  func(*runtime.Builtin) string
	Signature func(*runtime.Builtin) string
	// Shipped returns a file on the disk that holds a shipped one, which is in the program itself.
	Shipped func(name string) (file string, err error)
	Version string
	Log     io.Writer // gets what nobody expects
}

// A Book is a library, and a file in it.
type Book struct {
	runtime.Library
	Top   string // the directory of Library.Dir, absolute; "" if there is none
	Name  string
	Close func()
}

// ErrNoShutdown says that the client went away without saying so.
var ErrNoShutdown = errors.New("the client ended without shutdown")

// Serve answers a client until it says exit, or its messages end.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{Options: o, docs: map[string]*document{}, kick: make(chan struct{}, 1), exit: make(chan struct{}, 1)}
	locked := &lockedWriter{w: out}
	s.conn = jsonrpc2.NewConn(newStream(in, locked))
	var checks sync.WaitGroup
	checks.Go(func() { s.watch(ctx) })
	s.conn.Go(ctx, s.handler())
	select {
	case <-s.conn.Done():
	case <-s.exit:
	}
	cancel()
	checks.Wait()
	switch err := s.conn.Err(); {
	case s.state.Load() == ended:
		return nil
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	return ErrNoShutdown
}

// A lockedWriter writes messages one after the other: jsonrpc2 locks its own only.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// What a client has said so far.
const (
	fresh = iota
	ready
	ended // it said shutdown
)

type server struct {
	Options
	conn  jsonrpc2.Conn
	kick  chan struct{} // texts have changed
	exit  chan struct{}
	state atomic.Int32 // of the conversation

	mu   sync.Mutex
	utf8 bool                 // agreed with the client
	docs map[string]*document // by URI; replaced, never changed
}

// A method answers a request with a result; that of a notification is dropped.
type method func(s *server, ctx context.Context, params json.RawMessage) (any, error)

// as makes a method of a function that takes the params of one.
func as[P any](f func(s *server, p P) (any, error)) method {
	return func(s *server, _ context.Context, params json.RawMessage) (any, error) {
		var p P
		if err := json.Unmarshal(params, &p); err != nil {
			return nil, jsonrpc2.NewError(jsonrpc2.InvalidParams, err.Error())
		}
		return f(s, p)
	}
}

var methods = map[string]method{
	"initialize":                       as((*server).initialize),
	"initialized":                      ignored,
	"shutdown":                         shutdown,
	"exit":                             exit,
	"textDocument/didOpen":             as((*server).didOpen),
	"textDocument/didChange":           as((*server).didChange),
	"textDocument/didClose":            as((*server).didClose),
	"textDocument/didSave":             changed,
	"workspace/didChangeWatchedFiles":  changed,
	"workspace/didChangeConfiguration": ignored,
	"textDocument/completion":          as((*server).completion),
	"textDocument/hover":               as((*server).hover),
	"textDocument/signatureHelp":       as((*server).signatureHelp),
	"textDocument/definition":          as((*server).definition),
	"textDocument/documentSymbol":      as((*server).documentSymbol),
	"textDocument/formatting":          as((*server).formatting),
}

// handler cancels requests as soon as that is read, and answers them in their order.
func (s *server) handler() jsonrpc2.Handler {
	queue, cancel := jsonrpc2.CancelHandler(jsonrpc2.AsyncHandler(s.answer))
	return func(ctx context.Context, reply jsonrpc2.Replier, req jsonrpc2.Request) error {
		if req.Method() != "$/cancelRequest" {
			return queue(ctx, reply, req)
		}
		var p struct{ ID jsonrpc2.ID }
		if json.Unmarshal(req.Params(), &p) == nil {
			cancel(p.ID)
		}
		return reply(ctx, nil, nil)
	}
}

var errCancelled = jsonrpc2.NewError(-32800, "the request was cancelled")

func (s *server) answer(ctx context.Context, reply jsonrpc2.Replier, req jsonrpc2.Request) error {
	result, err := s.call(ctx, req)
	return reply(ctx, result, err)
}

// call calls the method of a request. A panic is an error of this request alone.
func (s *server) call(ctx context.Context, req jsonrpc2.Request) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(s.Log, "runbook lsp: %s: internal error: %v\n", req.Method(), p)
			result, err = nil, jsonrpc2.NewError(jsonrpc2.InternalError, fmt.Sprint(p))
		}
	}()
	m, known := methods[req.Method()]
	_, asks := req.(*jsonrpc2.Call)
	switch {
	case ctx.Err() != nil:
		return nil, errCancelled
	case req.Method() == "exit":
	case s.state.Load() == fresh && req.Method() != "initialize":
		return nil, jsonrpc2.NewError(jsonrpc2.ServerNotInitialized, "the first request must be initialize")
	case s.state.Load() == ended || s.state.Load() == ready && req.Method() == "initialize":
		return nil, jsonrpc2.NewError(jsonrpc2.InvalidRequest, req.Method()+" comes too late")
	case !known && asks:
		return nil, jsonrpc2.NewError(jsonrpc2.MethodNotFound, fmt.Sprintf("no method %q", req.Method()))
	case !known:
		return nil, nil
	}
	result, err = m(s, ctx, req.Params())
	if ctx.Err() != nil {
		return nil, errCancelled
	}
	return result, err
}

func ignored(*server, context.Context, json.RawMessage) (any, error) { return nil, nil }

func shutdown(s *server, _ context.Context, _ json.RawMessage) (any, error) {
	s.state.Store(ended)
	return nil, nil
}

func exit(s *server, _ context.Context, _ json.RawMessage) (any, error) {
	select {
	case s.exit <- struct{}{}:
	default: // it was said before
	}
	return nil, nil
}

// changed looks at all texts again: another file may have changed.
func changed(s *server, _ context.Context, _ json.RawMessage) (any, error) {
	s.texts(nil)
	return nil, nil
}

// What the protocol has since and the library's types lack.
type (
	clientParams struct {
		Capabilities struct {
			General struct {
				PositionEncodings []string `json:"positionEncodings"`
			} `json:"general"`
		} `json:"capabilities"`
	}
	serverCapabilities struct {
		protocol.ServerCapabilities
		PositionEncoding string `json:"positionEncoding"`
	}
	initializeResult struct {
		Capabilities serverCapabilities   `json:"capabilities"`
		ServerInfo   *protocol.ServerInfo `json:"serverInfo"`
	}
)

func (s *server) initialize(p clientParams) (any, error) {
	s.state.Store(ready)
	c := serverCapabilities{PositionEncoding: "utf-16", ServerCapabilities: protocol.ServerCapabilities{
		TextDocumentSync: protocol.TextDocumentSyncOptions{
			OpenClose: true, Change: protocol.TextDocumentSyncKindIncremental, Save: &protocol.SaveOptions{},
		},
		CompletionProvider:         &protocol.CompletionOptions{TriggerCharacters: []string{".", "\"", "'", "("}},
		SignatureHelpProvider:      &protocol.SignatureHelpOptions{TriggerCharacters: []string{"(", ","}},
		HoverProvider:              true,
		DefinitionProvider:         true,
		DocumentSymbolProvider:     true,
		DocumentFormattingProvider: true,
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range p.Capabilities.General.PositionEncodings {
		if e == "utf-8" {
			c.PositionEncoding, s.utf8 = e, true
		}
	}
	return initializeResult{c, &protocol.ServerInfo{Name: "runbook", Version: s.Version}}, nil
}

// texts changes the open texts, and has them looked at.
func (s *server) texts(change func(docs map[string]*document)) {
	s.mu.Lock()
	if change != nil {
		change(s.docs)
	}
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default: // they will be anyway
	}
}

func (s *server) didOpen(p protocol.DidOpenTextDocumentParams) (any, error) {
	d := newDocument(p.TextDocument.Text, uint32(p.TextDocument.Version), s.utf8)
	s.texts(func(docs map[string]*document) { docs[string(p.TextDocument.URI)] = d })
	return nil, nil
}

func (s *server) didChange(p protocol.DidChangeTextDocumentParams) (any, error) {
	uri := string(p.TextDocument.URI)
	d, err := s.document(uri)
	if err != nil {
		return nil, err
	}
	d = d.edited(p.ContentChanges, uint32(p.TextDocument.Version))
	s.texts(func(docs map[string]*document) { docs[uri] = d })
	return nil, nil
}

func (s *server) didClose(p protocol.DidCloseTextDocumentParams) (any, error) {
	s.texts(func(docs map[string]*document) { delete(docs, string(p.TextDocument.URI)) })
	return nil, s.publish(string(p.TextDocument.URI), 0, nil)
}

// document returns an open text.
func (s *server) document(uri string) (*document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.docs[uri]; ok {
		return d, nil
	}
	return nil, jsonrpc2.NewError(jsonrpc2.InvalidParams, fmt.Sprintf("%q is not open", uri))
}

// formatting is nothing if the text does not parse: diagnostics say why.
func (s *server) formatting(p protocol.DocumentFormattingParams) (any, error) {
	d, err := s.document(string(p.TextDocument.URI))
	if err != nil {
		return nil, err
	}
	text, err := s.Format(fileOf(string(p.TextDocument.URI)), []byte(d.text))
	if err != nil || string(text) == d.text {
		return nil, nil
	}
	return []protocol.TextEdit{{Range: d.span(0, len(d.text)), NewText: string(text)}}, nil
}
