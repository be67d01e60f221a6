// Package host is the only door between a runbook and a machine.
//
// A [Reader] answers questions. A [Host] also changes things. Two hosts exist:
// [Local] is the machine itself; [Overlay] reads through to another Reader and
// keeps every change to itself, so that a dry run takes the same path as a
// real one and later steps see what earlier steps did. A [Snapshot] stands for a
// machine that is elsewhere: it answers what that answered to a [Recorder].
//
// An effect is declared as data. Local does it, asks again and compares;
// Overlay believes it.
//
// Names are absolute, slash-separated and clean ("/etc/motd").
package host

import (
	"context"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Reader observes a machine.
type Reader interface {
	// Lstat describes name without following a final symbolic link.
	// The error wraps fs.ErrNotExist if there is no such file.
	Lstat(name string) (Meta, error)
	// LstatAll describes many files of one directory, each as Lstat would, at less cost.
	LstatAll(dir string, names []string) []Seen
	// Content returns what name, followed through links, holds now. It stays
	// valid in an overlay whatever happens to name later.
	Content(name string) (Content, error)
	Readlink(name string) (string, error)
	// Resolve returns the name without links of what name leads to, be it there or not; the directories on the way must
	// be. A final link counts only if follow says so. As for all methods, root follows only links that nobody but
	// root can have put there.
	Resolve(name string, follow bool) (string, error)
	// ReadDir returns the names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// Program returns the file that a process executes whose first word is name, which is absolute or has no slash. The
	// error wraps exec.ErrNotFound if there is none.
	Program(name string) (string, error)
	// Fact returns what is known of f, asking its kind's probe only if nothing is.
	Fact(ctx context.Context, f Fact) (string, error)
	// Query runs a command that only reads. A non-zero exit status is not an error.
	// The error wraps exec.ErrNotFound if there is no such program.
	Query(ctx context.Context, p Process) (Result, error)
	// Get reads from the network. The caller closes the body. Unlike the other
	// methods it may be called by many goroutines at once, while one uses those.
	Get(ctx context.Context, r Request) (*Response, error)
}

// A Host is a Reader that can also be changed.
type Host interface {
	Reader
	// WriteFile replaces name atomically; its directory must exist.
	// An existing directory is never replaced, a link is, not what it leads to.
	// Where m names no owner, root keeps that of the file it replaces.
	WriteFile(name string, c Content, m Meta) error
	// WriteTree makes what m lists below dir, which must exist; fill does it.
	WriteTree(ctx context.Context, dir string, m Entries, fill func(context.Context, *Root) error) error
	// Mkdir makes one directory; its parent must exist and name must not.
	Mkdir(name string, m Meta) error
	// Symlink makes name, which must not exist, a link to target.
	Symlink(target, name string, o Owner) error
	// SetMeta sets permission bits and, where m names one, the owner.
	SetMeta(name string, m Meta) error
	// Chown gives name and all below it to o; files is how many differ from that.
	// Symbolic links are changed, not followed. Files below name that have other names elsewhere keep their owner.
	Chown(name string, o Owner, files int) error
	// Move renames src to dst, which must not exist, with all below it.
	Move(src, dst string) error
	// Remove deletes name and, if it is a directory, all below it; files is how
	// many there are. Removing what is not there succeeds.
	Remove(name string, files int) error
	// Exec runs a command that changes the machine.
	// If it succeeds, c.Sets and c.Makes hold from then on.
	Exec(ctx context.Context, c Cmd) (Result, error)
}

// A Process is a program, what it gets and who runs it.
type Process struct {
	Argv  []string // Argv[0] is looked up in the usual places if it has no slash
	Stdin []byte
	Env   map[string]string // added to PATH HOME USER LOGNAME SHELL LANG and proxies
	Dir   string            // working directory; the home of User, or /, if empty
	User  string            // account that runs it; whoever runs now if empty
	// Asker is what of a runbook asks with this Query: query or unless; "" if a builtin does by itself.
	Asker string
	// Confined has it read only, where the kernel can; see Result.Loose.
	Confined bool
	// Output, if not nil, gets what the process prints while it runs.
	Output io.Writer
	// Hide, if not nil, takes out of words and output what errors must not tell.
	// It comes before anything is cut, since half a secret is not recognised.
	Hide func(text string) string
}

// A Cmd is a command that changes the machine, and how.
type Cmd struct {
	Process
	OK       []int          // exit statuses that mean success; 0 if empty
	Already  *regexp.Regexp // a failure whose output matches counts as success
	Critical bool           // a package manager: never killed, only waited for

	Sets         map[Fact]string  // hold afterwards; a real host asserts them
	Makes        []Entry          // will exist, by absolute name; a real host asserts their types, but for ModeIrregular
	Touches      []string         // trees changed in unknowable ways
	Gives        map[string]Owner // trees whose files get another owner or group, as far as one is named
	TouchesFacts []Fact           // facts changed in unknowable ways
	Assumes      map[Fact]string  // believed by an overlay, never asserted
	Answers      []Process        // questions of unless= that succeed afterwards; believed of a simulated machine only
	Follows      map[Fact]string  // what an overlay concludes from Sets: not a guess, so it is not listed as assumed
	Brings       bool             // may bring programs and mount things
	MayMake      bool             // may also make directories that cannot be listed beforehand
	Settle       time.Duration    // how long Sets may take to hold; a real host asks again until then
	Hopeless     []string         // values of facts in Sets that no waiting will change
	Edits        []string         // files that its program replaces, by way of others beside them
	Unbound      string           // why it cannot be confined: it changes what no path stands for; "" if it can
	Within       *Bounds          // what it is held to, where the kernel can; nil: nothing

	Detail map[string]any // more for the trace
}

// Result is what a command left behind.
type Result struct {
	Code           int
	Stdout, Stderr []byte
	Unknown        bool   // nothing ran: an overlay believed the command
	Loose          string // why it could do more than it was to, though Confined or held to Bounds
}

// Succeeded reports whether r is a success of c.
func (c Cmd) Succeeded(r Result) bool {
	if r.Code == 0 && len(c.OK) == 0 || slices.Contains(c.OK, r.Code) {
		return true
	}
	return c.Already != nil && (c.Already.Match(r.Stdout) || c.Already.Match(r.Stderr))
}

// A Request asks for what an http or https URL holds.
type Request struct {
	URL    string
	Offset int64  // first byte wanted
	ETag   string // what holds the bytes before Offset; needed if Offset > 0
	Since  string // Modified of what the caller has; asks, as ETag does without an Offset, for 304 if it still is that
	Head   bool   // only look: the body stays empty
	Fresh  bool   // past the caches on the way
	Once   bool   // one try: who asks does so again
	Asker  string // wait_for, if a script asks; "" if a builtin does by itself
	// Bearer is a token that, like a user in URL, goes to URL's own origin only:
	// no redirect to another one takes it along. There may be one of the two.
	Bearer string
	CA     string // PEM certificates of authorities to trust besides the system's
	Proxy  string // URL of a proxy to ask, whatever the environment says; its password is never shown
}

// A Response is what a server answered to a Request.
type Response struct {
	Status   int   // 200, 206, 304, 404, ...
	Offset   int64 // of the first byte of Body; 0 if the server began anew
	Size     int64 // of the whole, -1 if unknown
	ETag     string
	Modified string // Last-Modified as it was sent
	Type     string // media type in lower case, without parameters: "text/html"
	Body     io.ReadCloser
}

// A Change is one line of a diff: what is there, what should be.
type Change struct {
	What string `json:"what"`
	From string `json:"from"`
	To   string `json:"to"`
}

// InTheRun is what a Change says where only a real run could know.
const InTheRun = "known only in the run"

// A Fact names something a host knows that is not a file, such as
// {RPM, "nginx"}. Its value is "" when the thing is absent.
type Fact struct {
	Kind *Kind
	Name string
}

func (f Fact) String() string { return f.Kind.Name + ":" + f.Name }

// A Kind is a kind of fact together with the one way to find it out, so that
// a host can ask again after a command without knowing how.
type Kind struct {
	Name string
	// Probe finds the value of the fact called name, "" if it is absent.
	// It asks only r, which may be an overlay.
	Probe func(ctx context.Context, r Reader, name string) (string, error)
}

// Present matches any value that is not "".
const Present = "present"

// Holds reports whether have is what want asks for.
func Holds(want, have string) bool { return want == have || want == Present && have != "" }

// SortedFacts returns the facts of a set in the order of their names.
func SortedFacts(set map[Fact]string) []Fact {
	return slices.SortedFunc(maps.Keys(set), func(a, b Fact) int { return strings.Compare(a.String(), b.String()) })
}

// Grace is how long a process group may take to end after SIGTERM.
const Grace = 5 * time.Second
