package store

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
)

func TestServer(t *testing.T) {
	dir := t.TempDir()
	address := serve(t, dir)
	steps := []struct {
		q         Request
		want, err string
	}{
		{q: Request{Op: "find", Collection: "users"}, want: "null"},
		{q: Request{Op: "insert", Collection: "users", ID: "u", Doc: json.RawMessage(`{"a":1}`)}, want: "null"},
		{q: Request{Op: "insert", Collection: "users", ID: "u", Doc: json.RawMessage(`{}`)}, err: "E11000 duplicate key"},
		{q: Request{Op: "put", Collection: "users", ID: "v", Doc: json.RawMessage(`{}`)}, want: "null"},
		{q: Request{Op: "put", Collection: "users", ID: "v", Doc: json.RawMessage(`{"b":2}`)}, want: "null"},
		{q: Request{Op: "find", Collection: "users"}, want: `{"u":{"a":1},"v":{"b":2}}`},
		{q: Request{Op: "find", Collection: "users", ID: "w"}, want: "null"},
		{q: Request{Op: "drop", Collection: "users"}, err: "no such command: drop"},
	}
	for _, s := range steps {
		s.q.DB = "db"
		check(t, address, s.q, s.want, s.err)
	}
	check(t, address, Request{Op: "find", DB: "../db"}, "", "invalid db name")
	check(t, serve(t, dir), Request{Op: "find", DB: "db", Collection: "users", ID: "v"}, `{"v":{"b":2}}`, "") // another server, the same files
}

func serve(t *testing.T, dir string) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go (&Server{Dir: dir}).Serve(l)
	return l.Addr().String()
}

func check(t *testing.T, address string, q Request, want, wantErr string) {
	t.Helper()
	docs, err := Ask(address, q)
	if wantErr != "" {
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%+v: got error %v, want %q", q, err, wantErr)
		}
		return
	}
	var got strings.Builder
	json.NewEncoder(&got).Encode(docs) // compact, sorted
	if err != nil || strings.TrimSpace(got.String()) != want {
		t.Errorf("%+v: got %s, %v, want %s", q, got.String(), err, want)
	}
}
