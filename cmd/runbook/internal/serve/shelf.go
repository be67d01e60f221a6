package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"runbook/builtins/mirrored"
	"runbook/builtins/mirrored/catalog"
)

// A shelf holds the catalogs of accounts for the pages. One is read when somebody asks for it, and again when an index
// has changed; until that is done the one before serves. One account is read at a time, which bounds memory.
type shelf struct {
	root     *os.Root
	tags     *tags
	now      func() time.Time
	complain func(error)
	ending   context.Context
	stays    func(parts ...string) bool
	reading  chan struct{} // full while an account is read
	work     sync.WaitGroup

	mu       sync.Mutex
	accounts map[string]*shelved
}

// shelved is what is known of one account.
type shelved struct {
	next    time.Time // when to look whether it has changed
	seen    string    // of the indexes that were read last, well or not
	done    chan struct{}
	current *lent // may be nil
	err     error // of the last reading
}

// A lent catalog is closed when nobody has it any more and there is another.
type lent struct {
	*catalog.Catalog
	users sync.WaitGroup
}

func newShelf(s *Server) *shelf {
	return &shelf{root: s.dir, tags: s.tags, now: s.opts.Now, complain: s.opts.Complain, ending: s.ending,
		stays: s.stays, reading: make(chan struct{}, 1), accounts: map[string]*shelved{}}
}

// errReading says that an account is being read for the first time.
var errReading = errors.New("its index is being read")

// patience is how long a request waits for a catalog that is being read: a small one is there at once.
const patience = 5 * time.Millisecond

// take lends the catalog of an account, to be given back. An error is errReading or says what is wrong with an index.
// It waits for one until enough is closed.
func (s *shelf) take(account string, enough <-chan struct{}) (c *catalog.Catalog, back func(), err error) {
	a, done := s.look(account)
	if c, back, err = s.lend(a); c == nil && done != nil {
		select {
		case <-done:
		case <-enough:
		}
		c, back, err = s.lend(a)
	}
	return c, back, err
}

func (s *shelf) lend(a *shelved) (*catalog.Catalog, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.current == nil {
		if a.err != nil {
			return nil, nil, a.err
		}
		return nil, nil, errReading
	}
	a.current.users.Add(1)
	return a.current.Catalog, a.current.users.Done, nil
}

// look finds an account and begins to read it if that must be. done ends when the reading does; nil: none is under way.
func (s *shelf) look(account string) (a *shelved, done chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a = s.accounts[account]
	if a == nil {
		a = &shelved{}
		s.accounts[account] = a
	}
	now := s.now()
	if a.done != nil || now.Before(a.next) || s.ending.Err() != nil {
		return a, a.done
	}
	a.next = now.Add(lookAgain)
	subdirs, seen := s.subdirs(account)
	if seen == a.seen {
		return a, nil
	}
	a.seen, a.done = seen, make(chan struct{})
	s.work.Add(1)
	go s.read(a, account, subdirs)
	return a, a.done
}

// subdirs returns the subdirs of an account that have an index, and what tells these from what they were.
func (s *shelf) subdirs(account string) (names []string, seen string) {
	f, _, err := open(s.root, account)
	if err != nil {
		return nil, ""
	}
	defer f.Close()
	all, _ := f.Readdirnames(-1) // what cannot be read is not shown
	slices.Sort(all)
	for _, name := range all {
		fi, err := s.root.Stat(path.Join(account, name, mirrored.IndexFile))
		if err == nil && fi.Mode().IsRegular() && !hidden(name) && s.stays(account, name, mirrored.IndexFile) {
			names = append(names, name)
			seen += name + " " + identity(fi) + "\n"
		}
	}
	return names, seen
}

// read makes the catalog of an account.
func (s *shelf) read(a *shelved, account string, subdirs []string) {
	defer s.work.Done()
	s.reading <- struct{}{}
	collect(true)
	c, err := s.open(account, subdirs)
	collect(false)
	<-s.reading
	s.mu.Lock()
	before := a.current
	if a.err = err; err == nil {
		a.current = &lent{Catalog: c}
	}
	close(a.done)
	a.done = nil
	s.mu.Unlock()
	switch {
	case err != nil && s.ending.Err() == nil:
		s.complain(fmt.Errorf("page of %s: %w", account, err))
	case err == nil:
		before.close() // nobody else can get it now
	}
}

// close closes a catalog, if there is one, when it is given back.
func (l *lent) close() {
	if l != nil {
		l.users.Wait()
		l.Close()
	}
}

func (s *shelf) open(account string, subdirs []string) (*catalog.Catalog, error) {
	var all []catalog.Subdir
	for _, name := range subdirs {
		f, _, err := open(s.root, path.Join(account, name, mirrored.IndexFile))
		if err != nil {
			closeAll(all)
			return nil, err
		}
		noted, _ := s.tags.known(account, name)
		all = append(all, catalog.Subdir{Name: name, Index: f, Noted: noted})
	}
	return catalog.Read(s.ending, all)
}

func closeAll(all []catalog.Subdir) {
	for _, s := range all {
		s.Index.Close()
	}
}

// close waits for what is being read, which the server's end cuts short, and closes all.
func (s *shelf) close() {
	s.work.Wait()
	s.mu.Lock()
	all := s.accounts
	s.accounts = nil
	s.mu.Unlock()
	for _, a := range all {
		a.current.close()
	}
}

// firstLine is what a page says of an error.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
