package choose

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"runbook/builtins/internal/repodata"
)

// A Selector chooses records. Many goroutines may call it, each for other subdirs; only Decide stands between all
// calls of Note and the first of Keeps.
type Selector struct {
	config Config

	mu     sync.Mutex
	filter *filter
	notes  *notes // nil if each record can be judged alone
}

// NewSelector prepares the choice that c describes, which must pass [Config.Check] but for Channels.
func NewSelector(c Config) (*Selector, error) {
	if err := c.checkFilters(); err != nil {
		return nil, err
	}
	f, err := newFilter(c)
	s := &Selector{config: c, filter: f}
	if s.NeedsAll() {
		s.notes = newNotes(c.WithDepends)
	}
	return s, err
}

// NeedsAll reports whether every record of every subdir must be noted, and Decide be called, before Keeps is.
func (s *Selector) NeedsAll() bool {
	return s.config.Latest > 0 || s.config.Formats == PreferConda || s.config.WithDepends
}

// See takes a record into account. The source is its channel's place in Config.Channels. Records that an earlier
// channel of the same account shadows must not be noted. Without NeedsAll it does nothing.
func (s *Selector) See(subdir string, source int, r *repodata.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes != nil {
		s.notes.add(subdir, source, r, s.filter.judge(subdir, source, r))
	}
}

// Decide decides, once all records are noted. It returns warnings, such as dependencies that nothing satisfies: the
// first twenty one by one, sorted. What comes after it changes nothing any more.
func (s *Selector) Decide() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes == nil {
		return nil
	}
	return s.notes.settle(s.config)
}

// Keeps reports whether r is chosen. With NeedsAll, what was not noted is not.
func (s *Selector) Keeps(subdir string, source int, r *repodata.Record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes != nil {
		return s.notes.keeps(subdir, source, r)
	}
	return s.filter.judge(subdir, source, r) == 0
}

// Undated returns how many records passed newer_than because they have no time. It counts calls of Note or, if these
// are not needed, of Keeps.
func (s *Selector) Undated() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filter.undated
}

// Unused describes the words of filters that matched nothing, sorted.
func (s *Selector) Unused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filter.unused()
}

// rules is the version of what these packages make of a configuration. Whoever changes a choice raises it.
const rules = "choose 1"

// Fingerprint digests all that decides besides the indexes: where it and they are the same, so is the choice. The
// order of words makes no difference.
func (s *Selector) Fingerprint() string {
	c := s.config
	parts := []any{rules, sorted(c.PkgList), sorted(c.Whitelist), sorted(c.Blacklist), sorted(c.LicenseBlacklist),
		sorted(c.PythonVersions), c.Latest, s.filter.newerThan, c.Formats, c.WithDepends}
	if c.Formats == "" {
		parts[8] = All
	}
	if c.WithDepends { // those of noarch depend on which subdirs there are
		parts = append(parts, sorted(c.Platforms))
	}
	if s.filter.hasChannel() {
		parts = append(parts, c.Channels)
	}
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// sorted is a list as it matters: sorted, each word once.
func sorted(words []string) []string {
	list := []string{}
	for _, w := range words {
		list = append(list, strings.TrimSpace(w))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (f *filter) hasChannel() bool {
	for _, s := range []*specs{f.list, f.black, f.white} {
		for _, list := range s.named {
			if slices.ContainsFunc(list, (*entry).hasChannel) {
				return true
			}
		}
		if slices.ContainsFunc(s.patterns, (*entry).hasChannel) {
			return true
		}
	}
	return false
}

func (e *entry) hasChannel() bool { return e.spec.HasChannel() }
