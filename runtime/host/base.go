package host

import (
	"os"
	"strconv"
)

// A Base is what a dry run is made over.
type Base interface {
	Reader
	// Self is who acts.
	Self() Owner
	// Usable reports whether a constructor made it.
	Usable() bool
	// Tell has each command that Query runs, and its exit status, told to asked, whose error becomes Query's.
	Tell(asked func(p Process, code int) error)
}

var _ Base = (*Local)(nil)

// Usable reports whether l was made by NewLocal.
func (l *Local) Usable() bool { return l != nil && l.facts != nil }

// Self owns what this process makes: its effective user and group.
func (l *Local) Self() Owner {
	o, err := l.owner(os.Geteuid(), os.Getegid())
	if err != nil {
		return Owner{strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())}
	}
	return o
}

// Tell is Base's.
func (l *Local) Tell(asked func(Process, int) error) { l.Asked = asked }
