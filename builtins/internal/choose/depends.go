package choose

import (
	"math/bits"
	"strings"

	"runbook/builtins/internal/conda"
)

// A closure adds what chosen records depend on. It looks at the machines that could use the channels, one for each
// subdir of a platform: such a machine sees its subdir and noarch. (Where there is only noarch, that is the
// machine.)
//
// What a platform's own records need, and what that needs, must be there for it. A chosen noarch record brings
// along what it needs for each machine, as far as the machine's channels have it; only where none has, something is
// missing. A noarch record that needs __win, __osx, __linux or __unix is for such machines alone.
//
// All records that a dependency matches are added, or those of its newest versions. Nothing is solved: a record stays
// even if what it needs contradicts what the others need. Of a dependency, name, version, build, build number and
// subdir count; its channel, digests, licence and features do not, so rather more is kept than less. A dependency
// under a condition is added where there is one and not missed where there is none. Of one that cannot be read the
// name counts.
type closure struct {
	*groups
	latest   int
	machines []string
	sees     []uint32 // by subdir, which machines see it
	usable   []uint32 // by record, which machines can use it

	reached []demand // by record
	pending []demand // by spec, what was not followed up yet
	done    []demand
	missing []uint32 // by spec, for which machines nothing that was chosen matches
	hidden  []reason // by spec, why something that matches was not
	bad     map[uint32]error
	queue   []uint32
	fits    []bool // by slot, of the spec at hand
}

// A demand is made by machines: in the low half, those for which something is wanted; in the high half, those
// for which it must be there.
type demand uint64

// mostMachines are followed up at once. Conda knows about twenty.
const mostMachines = 32

func wanted(machines uint32) demand { return demand(machines) }

func required(machines uint32) demand { return demand(machines) | demand(machines)<<mostMachines }

func (d demand) machines() uint32 { return uint32(d) | d.required() }

func (d demand) required() uint32 { return uint32(d >> mostMachines) }

// addDepends adds to what g keeps, and returns warnings.
func addDepends(g *groups, latest int) []string {
	var platforms []string
	for _, s := range g.subdirs {
		if s != conda.Noarch {
			platforms = append(platforms, s)
		}
	}
	if len(platforms) == 0 {
		platforms = []string{conda.Noarch}
	}
	m := missing{}
	for len(platforms) > 0 {
		n := min(len(platforms), mostMachines)
		c := newClosure(g, latest, platforms[:n])
		c.run()
		c.report(m)
		platforms = platforms[n:]
	}
	return m.warnings()
}

func newClosure(g *groups, latest int, machines []string) *closure {
	records, specs := len(g.stem), g.specs.len()
	c := &closure{
		groups: g, latest: latest, machines: machines, sees: make([]uint32, len(g.subdirs)),
		usable: make([]uint32, records), reached: make([]demand, records),
		pending: make([]demand, specs), done: make([]demand, specs), missing: make([]uint32, specs), hidden: make([]reason, specs),
		bad: map[uint32]error{},
	}
	all := uint32(1)<<len(machines) - 1
	for i, s := range g.subdirs {
		if s == conda.Noarch {
			c.sees[i] = all
		}
		for m, machine := range machines {
			if s == machine {
				c.sees[i] = 1 << m
			}
		}
	}
	c.findUsable()
	return c
}

// findUsable lets virtual packages say which machines a record of conda.Noarch is for.
func (c *closure) findUsable() {
	virtual := make([]uint32, c.specs.len())
	for i := range virtual {
		virtual[i] = c.withVirtual(c.specs.text(uint32(i)))
	}
	for r, p := range c.place {
		c.usable[r] = c.sees[p.subdir()]
		if c.subdirs[p.subdir()] != conda.Noarch {
			continue
		}
		for _, s := range part(c.needs, c.ends, r) {
			c.usable[r] &= virtual[s]
		}
	}
}

func (c *closure) withVirtual(spec string) (machines uint32) {
	if !strings.HasPrefix(spec, "__") {
		return ^uint32(0)
	}
	name := nameIn(spec)
	for m, machine := range c.machines {
		platform, _, _ := strings.Cut(machine, "-")
		fits := true
		switch name {
		case "__win", "__osx", "__linux":
			fits = name == "__"+platform
		case "__unix":
			fits = platform != "win"
		}
		if fits || machine == conda.Noarch {
			machines |= 1 << m
		}
	}
	return machines
}

// run follows up demands until there are none.
func (c *closure) run() {
	for r := range c.stem {
		if !c.kept.has(uint32(r)) {
			continue
		}
		demand := required(c.usable[r])
		if s := c.subdirs[c.place[r].subdir()]; s == conda.Noarch && c.machines[0] != conda.Noarch {
			demand = wanted(c.usable[r])
		}
		c.reach(uint32(r), demand)
	}
	for len(c.queue) > 0 {
		last := len(c.queue) - 1
		spec := c.queue[last]
		c.queue = c.queue[:last]
		d := c.pending[spec]
		c.pending[spec] = 0
		c.done[spec] |= d
		c.follow(spec, d)
	}
}

// reach keeps a record, for whom it is new, and asks for what it needs.
func (c *closure) reach(record uint32, d demand) {
	d &^= c.reached[record]
	if d == 0 {
		return
	}
	c.reached[record] |= d
	c.kept.add(record)
	for _, s := range part(c.needs, c.ends, int(record)) {
		more := d &^ (c.done[s] | c.pending[s])
		if more != 0 && c.pending[s] == 0 {
			c.queue = append(c.queue, s)
		}
		c.pending[s] |= more
	}
}

// follow reaches what matches a dependency.
func (c *closure) follow(id uint32, d demand) {
	text := c.specs.text(id)
	spec, err := conda.ParseSpec(text)
	if err != nil {
		c.bad[id] = err
		if spec, err = conda.ParseSpec(nameIn(text)); err != nil {
			return
		}
	}
	if spec.Virtual() || spec.Features() || spec.Name() == "" {
		return
	}
	unmet := d.machines()
	if name, _, ok := c.names.find(spec.Name()); ok {
		unmet = c.match(id, int(name), spec, d)
	}
	if !spec.Optional() {
		c.missing[id] |= unmet
	}
}

// nameIn takes the name from the front of a spec.
func nameIn(spec string) string { return spec[:strings.IndexAny(spec+" ", " =<>!~[;(,|")] }

// match returns for which machines there is nothing.
func (c *closure) match(id uint32, name int, spec *conda.Spec, d demand) (unmet uint32) {
	c.fits = c.fits[:0]
	for _, v := range part(c.versionIDs, c.versionEnds, name) {
		c.fits = append(c.fits, spec.MatchVersion(&c.parsed[v]))
	}
	unmet = d.machines()
	var seen [mostMachines]newest
	ranks := part(c.ranks, c.versionEnds, name)
	for _, r := range part(c.records, c.recordEnds, name) {
		machines := c.usable[r] & d.machines()
		if machines == 0 || !c.fits[c.slot[r]] || !spec.MatchBuild(c.builds.text(c.build[r]), int64(c.number[r])) ||
			!spec.MatchSubdir(c.subdirs[c.place[r].subdir()]) {
			continue
		}
		if why := c.why[r] &^ forgiven; why != 0 {
			c.hidden[id] |= why
			continue
		}
		unmet &^= machines
		if c.latest > 0 {
			machines = c.among(&seen, ranks[c.slot[r]], machines)
		}
		c.reach(r, d&required(machines))
	}
	return unmet
}

// among takes away the machines that have enough newer versions.
func (c *closure) among(seen *[mostMachines]newest, rank uint32, machines uint32) uint32 {
	for rest := machines; rest != 0; rest &= rest - 1 {
		if m := bits.TrailingZeros32(rest); !seen[m].within(rank, c.latest) {
			machines &^= 1 << m
		}
	}
	return machines
}
