package lsp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/a-h/templ/lsp/protocol"

	"runbook/runtime"
)

// pause is how long nobody must have typed before texts are checked.
const pause = 20 * time.Millisecond

// watch checks the open texts whenever they have changed.
func (s *server) watch(ctx context.Context) {
	published := map[string]*document{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-s.kick:
			case <-time.After(pause):
				waiting = false
			}
		}
		s.checkAll(ctx, published)
	}
}

// checkAll checks all open texts, since each may load another; first what has changed.
func (s *server) checkAll(ctx context.Context, published map[string]*document) {
	s.mu.Lock()
	docs := maps.Clone(s.docs)
	s.mu.Unlock()
	var edited, others []string
	for _, uri := range slices.Sorted(maps.Keys(docs)) {
		if published[uri] == docs[uri] {
			others = append(others, uri)
		} else {
			edited = append(edited, uri)
		}
	}
	for _, uri := range append(edited, others...) {
		if ctx.Err() != nil || len(s.kick) > 0 { // somebody goes on typing
			return
		}
		found := s.check(uri, docs[uri])
		if now, err := s.document(uri); err == nil && now == docs[uri] {
			published[uri] = now
			_ = s.publish(uri, now.version, found) // a client that is gone is noticed where it is read
		}
	}
}

func (s *server) publish(uri string, version uint32, found []protocol.Diagnostic) error {
	if found == nil {
		found = []protocol.Diagnostic{} // which takes those away that were there
	}
	return s.conn.Notify(context.Background(), "textDocument/publishDiagnostics",
		protocol.PublishDiagnosticsParams{URI: protocol.DocumentURI(uri), Version: version, Diagnostics: found})
}

// check returns what is wrong with a text. What is wrong in another file is shown where that is loaded.
func (s *server) check(uri string, d *document) (found []protocol.Diagnostic) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(s.Log, "runbook lsp: %s: internal error: %v\n", uri, p)
		}
	}()
	sh, err := s.shelf(uri)
	if err != nil {
		return []protocol.Diagnostic{{Severity: protocol.DiagnosticSeverityError, Source: "runbook", Message: err.Error()}}
	}
	defer sh.Close()
	all := sh.rt.Diagnose(sh.Library, sh.Name)
	if sh.Name == siteName {
		all = append(all, s.heldAgainst(sh)...)
	}
	for _, f := range all {
		if sh.tests() && (f.Rule == "no-step" || f.Rule == "unused-function") {
			continue
		}
		at := d.span(0, 0)
		switch {
		case f.File == sh.Name && f.Start.Line > 0:
			from := d.at(f.Start.Line, f.Start.Column)
			at = d.span(from, max(d.at(f.End.Line, f.End.Column), from))
		case f.File != sh.Name:
			at = d.loadOf(f.File)
			f.Message = fmt.Sprintf("%s:%d:%d: %s", f.File, f.Start.Line, f.Start.Column, f.Message)
		}
		if f.Cure != "" {
			f.Message += " (" + f.Cure + ")"
		}
		severity := protocol.DiagnosticSeverityError
		if f.Severity == runtime.Doubtful {
			severity = protocol.DiagnosticSeverityWarning
		}
		found = append(found, protocol.Diagnostic{
			Range: at, Severity: severity, Code: f.Rule, Source: "runbook", Message: f.Message,
		})
	}
	return found
}

// heldAgainst returns what the runbooks beside a site's file find wrong with it, each place once.
func (s *server) heldAgainst(sh *shelf) (all []runtime.Diagnostic) {
	lib := sh.Library
	lib.Site = &runtime.Site{Name: sh.Name, Dir: sh.Top}
	for _, n := range sh.books() {
		for _, f := range s.Runtime.Diagnose(lib, n) {
			again := slices.ContainsFunc(all, func(o runtime.Diagnostic) bool { return o.Start == f.Start })
			if f.File == sh.Name && !again {
				all = append(all, f)
			}
		}
	}
	return all
}

// loadOf returns where a text loads a file; its beginning if it does not itself.
func (d *document) loadOf(file string) protocol.Range {
	for _, l := range d.outline.loads {
		if l.text() == file {
			return d.span(l.from, l.to)
		}
	}
	return d.span(0, 0)
}
