package builtins

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var yumBuiltin = &runtime.Builtin{
	Name: "yum",
	Args: []runtime.Arg{
		param("packages", "list of string", "", "names, absolute names of .rpm files, patterns of such, or URLs"),
		param("state", "string", `"present"`, `"present" or "absent"`),
	},
	Summary: "install RPM packages that are missing or older, in one transaction, or remove them",
	Detail: []string{
		"It calls yum, or dnf where yum is gone. If all packages are files no repository is reached.",
		"A pattern takes the .rpm files that match, and is an error if there are none. A newer package that is installed is left alone.",
		"A dry run reads the files themselves: what they install, which services they bring, which accounts their scripts make.",
	},
	Example: `yum(["nginx", "git"])`,
	New:     newYum,
}

// yumOp is packages that must be there, or must not.
type yumOp struct {
	words  []string
	absent bool

	packages []rpmPackage // by Check
}

// The ways to name a package.
var (
	rpmName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+~^-]*$`)
	httpURL = regexp.MustCompile(`^(https?|ftp)://[^\s]+\.rpm$`)
	anyGlob = regexp.MustCompile(`[*?\[]`)
)

func newYum(c *runtime.Call) (runtime.Op, string, error) {
	op := &yumOp{}
	state := "present"
	if err := c.Unpack("packages", &op.words, "state", &state); err != nil {
		return nil, "", err
	}
	if state != "present" && state != "absent" {
		return nil, "", fmt.Errorf("argument \"state\": got %q, want present or absent", state)
	}
	op.absent = state == "absent"
	if len(op.words) == 0 {
		return nil, "", errors.New("argument \"packages\": got none, want at least one")
	}
	titles := make([]string, len(op.words))
	for i, w := range op.words {
		w = strings.TrimPrefix(w, "file://")
		op.words[i] = w
		if err := checkPackage(w); err != nil {
			return nil, "", fmt.Errorf("argument \"packages\": %w", err)
		}
		titles[i] = strings.TrimSuffix(path.Base(w), ".rpm")
	}
	return op, shorten(titles), nil
}

// checkPackage refuses what is none of the ways to name a package.
func checkPackage(w string) error {
	switch {
	case path.IsAbs(w) || httpURL.MatchString(w):
		return nil
	case anyGlob.MatchString(w):
		return runtime.Hint(fmt.Errorf("got %q, a pattern of names", w), "what it matches differs between repositories: list the names, or write the absolute pattern of files")
	case strings.HasSuffix(w, ".rpm"):
		return runtime.Hint(fmt.Errorf("got relative path %q, want an absolute one", w), "begin it with /")
	case !rpmName.MatchString(w):
		return fmt.Errorf("got %q, want a name, an absolute path or a URL that ends in .rpm", w)
	}
	return nil
}

func (op *yumOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *yumOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
	var err error
	if op.packages, err = findPackages(ctx, h, op.words); err != nil {
		return nil, err
	}
	var todo []host.Change
	for _, p := range op.packages {
		have, err := known(ctx, h, fact(rpmKind, p.name))
		switch {
		case err != nil:
			return nil, err
		case op.absent && have != "":
			todo = append(todo, want(p.name, have, ""))
		case !op.absent && !p.metBy(have):
			todo = append(todo, want(p.name, have, p.version))
		}
	}
	if len(todo) > 0 && !op.absent {
		err = needRoom(ctx, h)
	}
	return todo, err
}

// yumRoom is what the databases of rpm and of its front ends take up, roughly.
const yumRoom = 16 << 20

// needRoom refuses a disk so full that dnf damages its own history, which no
// later run can mend. Where df cannot tell, yum has to.
func needRoom(ctx context.Context, h host.Reader) error {
	free, err := h.Fact(ctx, fact(host.DiskFree, "/var/lib/rpm"))
	bytes, _, _ := strings.Cut(free, " ")
	n, nerr := strconv.ParseInt(bytes, 10, 64)
	if err != nil || nerr != nil || n >= yumRoom {
		return nil
	}
	return runtime.Hint(fmt.Errorf("%d MB free for /var/lib/rpm, want %d", n>>20, yumRoom>>20), "make room first: a full disk can damage the database of packages")
}

func (op *yumOp) apply0(ctx context.Context, h host.Host, todo []host.Change) error {
	var missing []rpmPackage
	for _, p := range op.packages {
		if wants(todo, p.name) {
			missing = append(missing, p)
		}
	}
	cmd := removal(missing)
	if !op.absent {
		var err error
		if cmd, err = installation(ctx, h, missing); err != nil {
			return err
		}
	}
	cmd.Argv = slices.Insert(cmd.Argv, 0, packageManager(h))
	cmd.Critical = true
	res, err := h.Exec(ctx, cmd)
	if err != nil {
		return runtime.Hint(err, yumAdvice(res, err))
	}
	// Both programs exit with 0 when a package is installed but its script failed.
	if line := scriptletFailure.Find(append(res.Stdout, res.Stderr...)); line != nil {
		return runtime.Hint(fmt.Errorf("installed, but not set up: %s", line), "find out why, then remove the package with state=\"absent\" and run again")
	}
	return nil
}

// What yum, dnf and rpm print about the scripts of packages; see the
// documentation of rpm on scriptlets.
var scriptletFailure = regexp.MustCompile(`(?m)^.*(Error in (PRE|POST|TRIGGER)\w* scriptlet|scriptlet failed).*$`)

func packageManager(h host.Reader) string {
	if program(h, "yum") == "" && program(h, "dnf") != "" {
		return "dnf"
	}
	return "yum"
}

// yumAdvice says what people do about the usual failures.
func yumAdvice(res host.Result, err error) string {
	out := string(res.Stdout) + string(res.Stderr) + err.Error()
	for _, known := range [][2]string{
		{"nothing provides", "name the packages that it needs, too, or one pattern that takes all of them"},
		{"equires:", "name the packages that it needs, too, or one pattern that takes all of them"},
		{"no enabled repo", "no repository is set up here: name files"},
		{"Unable to find a match", "no repository has it: see the spelling and yum repolist"},
		{"No package", "no repository has it: see the spelling and yum repolist"},
		{"superuser", "start runbook as root"},
		{"be root", "start runbook as root"},
		{"GPG", "import the key that signed it: rpm --import FILE"},
		{"conflicts with", "remove the other package first: yum(..., state=\"absent\")"},
		{"digest", "the file is damaged: fetch it again"},
		{"Could not open", "the file is damaged or not an RPM: fetch it again"},
		{"executable file not found", "this machine has no yum and no dnf; on Debian and Ubuntu use apt()"},
	} {
		if strings.Contains(out, known[0]) {
			return known[1]
		}
	}
	return "see what it printed; nothing was changed unless it says so"
}
