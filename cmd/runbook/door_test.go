package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Packages that reach out of the program themselves: the two doors, the program
// around them, and the tools of the tests.
var beyondTheDoor = []string{"runtime/host/...", "runtime/fetch/...", "cmd/runbook", testTools}

// harmless says, of packages of the standard library that can reach the machine
// or the network, what others may use of them: types, constants, errors and pure
// functions. What comes from a host, such as an *os.Root, may be used.
var harmless = map[string]*regexp.Regexp{
	"os":            regexp.MustCompile(`^(Root|File|O_[A-Z]+|File(Mode|Info)|Mode[A-Z]\w+|DirEntry|(Path|Link|Syscall)Error|NewSyscallError|Err[A-Z]\w+|Is(Exist|NotExist|Permission))$`),
	"net":           regexp.MustCompile(`^((Op|DNS|Addr|Parse)?Error|UnknownNetworkError|ErrClosed|IP(Net|Mask)?|Parse(IP|CIDR|MAC)|(Split|Join)HostPort)$`),
	"syscall":       regexp.MustCompile(`^(E[A-Z0-9]+|Errno|Stat_t|O_NOFOLLOW)$`),
	"path/filepath": regexp.MustCompile(`^(Base|Clean|Dir|Ext|From|Is(Abs|Local)|Join|Localize|Match|Rel|Split|SplitList|(To|From)Slash|Skip(All|Dir)|ErrBadPattern)$`),
	"crypto/tls":    regexp.MustCompile(`^(Config|Certificate|Version[A-Z0-9]+)$`),
}

// closed are packages of the standard library that only doors import.
var closed = []string{"os/exec", "os/user", "os/signal", "io/ioutil", "plugin", "log/syslog", "net/http", "net/rpc", "net/smtp", "net/textproto", "testing"}

// pastTheDoor returns what a file uses that reaches the machine or the network
// past runtime/host and runtime/fetch.
func pastTheDoor(f *ast.File) (found []string) {
	names := map[string]string{} // of imports
	for _, spec := range f.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		switch {
		case slices.Contains(closed, imported) || imported == "C":
			found = append(found, imported)
		case harmless[imported] == nil:
		case name == ".":
			found = append(found, imported+" as .")
		default:
			names[name] = imported
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		id, ok := sel.X.(*ast.Ident)
		if !ok || names[id.Name] == "" {
			return true
		}
		if imported := names[id.Name]; !harmless[imported].MatchString(sel.Sel.Name) {
			found = append(found, imported+"."+sel.Sel.Name)
		}
		return true
	})
	return found
}

// Nothing reaches the machine or the network but through a host.
func TestDoorIsShut(t *testing.T) {
	for _, s := range sources(t, token.NewFileSet()) {
		if s.test || matchesAny(beyondTheDoor, s.dir) {
			continue
		}
		for _, what := range pastTheDoor(s.ast) {
			t.Errorf("%s: %s is past the door: use the host", s, what)
		}
	}
}

func TestPastTheDoor(t *testing.T) {
	for _, c := range []struct{ imports, code, want string }{
		{`"os"`, `os.WriteFile("/etc/x", nil, 0o644)`, "os.WriteFile"},
		{`o "os"`, `o.Remove("/etc/x")`, "os.Remove"},
		{`. "os"`, `Remove("/etc/x")`, "os as ."},
		{`"os"`, `f := os.Getenv; _ = f("HOME")`, "os.Getenv"},
		{`"os"`, `os.OpenRoot("/")`, "os.OpenRoot"},
		{`"os"`, `os.NewFile(3, "")`, "os.NewFile"},
		{`"os"`, `_ = os.Args; os.Stdout.Write(nil)`, "os.Args os.Stdout"},
		{`"net"`, `net.Dial("tcp", "127.0.0.1:80")`, "net.Dial"},
		{`"net"`, `_ = net.Dialer{}`, "net.Dialer"},
		{`"net"`, `net.Listen("tcp", ":80")`, "net.Listen"},
		{`"net"`, `net.LookupHost("a")`, "net.LookupHost"},
		{`"net"`, `net.DefaultResolver.LookupHost(nil, "a")`, "net.DefaultResolver"},
		{`"net"`, `net.Interfaces()`, "net.Interfaces"},
		{`"syscall"`, `syscall.Open("/", 0, 0)`, "syscall.Open"},
		{`"syscall"`, `syscall.Exec("/bin/sh", nil, nil)`, "syscall.Exec"},
		{`"path/filepath"`, `filepath.WalkDir("/", nil)`, "path/filepath.WalkDir"},
		{`"path/filepath"`, `filepath.EvalSymlinks("/x")`, "path/filepath.EvalSymlinks"},
		{`"crypto/tls"`, `tls.Dial("tcp", "h:443", nil)`, "crypto/tls.Dial"},
		{`"os/exec"`, `exec.Command("true").Run()`, "os/exec"},
		{`_ "C"`, ``, "C"},
		{`"os/user"`, `user.Current()`, "os/user"},

		{`"os"`, `var r *os.Root; r.OpenFile("x", os.O_CREATE|os.O_EXCL, 0o600)`, ""},
		{`"os"`, `var e *os.LinkError; _ = e`, ""},
		{`"syscall"`, `_ = syscall.ENOSPC; _ = syscall.Stat_t{}`, ""},
		{`"net"`, `_ = net.ParseIP("::1"); var e *net.OpError; _ = e`, ""},
		{`"path/filepath"`, `filepath.IsLocal("x")`, ""},
		{`"io/fs"`, `fs.ReadFile(nil, "x")`, ""},
	} {
		text := fmt.Sprintf("package p\nimport %s\nfunc f() {\n%s\n}\n", c.imports, c.code)
		f, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := strings.Join(pastTheDoor(f), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.code, got, c.want)
		}
	}
}
