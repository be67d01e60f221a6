package repodata

import "strings"

// An object is one whose members are read one by one, so that it may be longer than any window.
type object struct {
	what string // a member
	// reads the value of the member at x.key, maybe more than once; nil if done reads it, however long it is
	read  func()
	done  func() error // is called for each member once
	files bool         // read refuses what is there twice
	seen  set          // keys
	n     int          // members
}

func (x *scanner) object(o *object) {
	if x.b[x.i] != '{' {
		x.expected("'{'")
		return
	}
	x.depth++
	for x.i++; x.nextMember(o); {
		o.n++
		if err := o.done(); err != nil {
			x.err = err
		}
	}
	x.depth--
}

// nextMember reads up to a member's value, or with it if o.read is there. It reports whether there is a
// member; if not, it is behind o.
func (x *scanner) nextMember(o *object) bool {
	for x.gap(); x.err == nil; {
		if x.b[x.i] == '}' {
			x.i++
			return false
		}
		start, depth, keys := x.i, x.depth, len(x.keys)
		if x.readMember(o); x.err == nil && x.i-start > maxRecord { // a large window may hold one
			x.refuse(start, "got more than %d bytes in %s", maxRecord, o.what)
		}
		if x.err != errShort {
			break
		}
		x.err, x.i, x.depth, x.keys = nil, start, depth, x.keys[:keys]
		x.more(maxRecord, o.what)
	}
	return x.err == nil
}

func (x *scanner) readMember(o *object) {
	if o.n > 0 {
		if x.b[x.i] != ',' {
			x.fail(x.i, "got %s, want a comma or '}'", x.glimpse(x.i))
			return
		}
		x.i++
		x.space()
	}
	x.at = x.i
	x.key = x.keyText()
	x.quoted = x.view(x.at, x.i)
	x.colon()
	switch {
	case x.err != nil:
		return
	case o.read != nil:
		o.read()
	case x.i >= x.n:
		x.fail(x.n, "got the end, want a value")
	default: // done may move the window
		x.key, x.quoted = strings.Clone(x.key), strings.Clone(x.quoted)
	}
	switch {
	case x.err != nil:
	case o.n >= maxMembers:
		x.fail(x.at, "got more than %d members of an object", maxMembers)
	case !o.files && !x.trusted && !o.seen.add(x.key):
		x.fail(x.at, "got the key %.60q twice", x.key)
	}
}
