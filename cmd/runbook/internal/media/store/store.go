// Package store is the database of the stand-ins: collections of JSON documents by identifier, kept in one file per
// database, and the protocol in which clients ask for them: a line of JSON each way over TCP.
//
// Two things to know: it takes the place of MongoDB on test media and speaks nothing of MongoDB's own protocol; and a
// write is on disk before its reply. The stand-in mongod serves it, the stand-ins of the repository's commands are
// its clients.
package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Port is MongoDB's: what the manual's commands expect to find open.
const Port = "27017"

// A Request is one line to the server. Op is "find" (of ID, or of all when it is ""), "insert", or "put", which
// replaces.
type Request struct {
	Op, DB, Collection, ID string
	Doc                    json.RawMessage `json:",omitempty"`
}

// A Reply is the server's line: what find found, by identifier, or why not.
type Reply struct {
	Docs  map[string]json.RawMessage `json:",omitempty"`
	Error string                     `json:",omitempty"`
}

// Ask sends one request to the server at address (host:port). A refusal of the server is an error.
func Ask(address string, q Request) (map[string]json.RawMessage, error) {
	conn, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		return nil, fmt.Errorf("could not connect to database: %w", err)
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return nil, err
	}
	var r Reply
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return nil, err
	}
	if r.Error != "" {
		return nil, errors.New(r.Error)
	}
	return r.Docs, nil
}

// A Server keeps databases as JSON files in a directory.
type Server struct {
	Dir string
	mu  sync.Mutex
}

// Serve answers on l until l is closed.
func (s *Server) Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go s.talk(conn)
	}
}

func (s *Server) talk(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if json.NewEncoder(conn).Encode(s.answer(lines.Bytes())) != nil {
			return
		}
	}
}

type database map[string]map[string]json.RawMessage // by collection, by identifier

func (s *Server) answer(line []byte) Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	var q Request
	if err := json.Unmarshal(line, &q); err != nil {
		return Reply{Error: "bad request: " + err.Error()}
	}
	if q.DB == "" || filepath.Base(q.DB) != q.DB {
		return Reply{Error: fmt.Sprintf("invalid db name: %q", q.DB)}
	}
	db, err := s.load(q.DB)
	if err == nil {
		return s.do(q, db)
	}
	return Reply{Error: err.Error()}
}

func (s *Server) do(q Request, db database) Reply {
	have, exists := db[q.Collection][q.ID]
	switch {
	case q.Op == "find" && q.ID == "":
		return Reply{Docs: db[q.Collection]}
	case q.Op == "find" && exists:
		return Reply{Docs: map[string]json.RawMessage{q.ID: have}}
	case q.Op == "find":
		return Reply{}
	case q.Op == "insert" && exists:
		return Reply{Error: fmt.Sprintf("E11000 duplicate key error index: %s.%s.$_id_ dup key: %q", q.DB, q.Collection,
			q.ID)}
	case q.Op != "insert" && q.Op != "put":
		return Reply{Error: "no such command: " + q.Op}
	}
	if db[q.Collection] == nil {
		db[q.Collection] = map[string]json.RawMessage{}
	}
	db[q.Collection][q.ID] = q.Doc
	if err := s.save(q.DB, db); err != nil {
		return Reply{Error: err.Error()}
	}
	return Reply{}
}

func (s *Server) load(name string) (database, error) {
	data, err := os.ReadFile(filepath.Join(s.Dir, name+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return database{}, nil
	}
	db := database{}
	if err == nil {
		err = json.Unmarshal(data, &db)
	}
	return db, err
}

func (s *Server) save(name string, db database) error {
	data, err := json.MarshalIndent(db, "", " ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.Dir, name+".json")
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
