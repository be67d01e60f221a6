package main

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// statements are what compose makes functions of. They are about two variables, x and y.
var statements = strings.Split(strings.TrimSpace(`
x = y
y = x
x = [x, y]
x = [x]
x = (y, x)
x = {y: x}
x = {"a": x, "b": y}
x = x + x
x += x
x = x + y
x *= 9
x = 3 * x
x = x * y
x = x << 500
x = x // 3
x = str(x)
x = repr(y)
x = "%s %s" % (x, x)
x = "%d" % x
x = "{}{}".format(x, y)
x = "a".join([str(y)] * 99)
x = str(x).replace("a", str(y))
x = str(x).split("1")
x = list(str(x).elems())
x = json.encode(x)
x = json.decode(str(x))
x = json.indent(json.encode(x), indent=str(y))
x = yaml.encode(x)
x = yaml.decode(str(x))
x = int(str(x))
x = len(x)
x = sorted([x, y], key=str)
x = list(range(1000000))
x = range(1000000000000)
x = set([1, y])
x = x | x
x = dict(a=x)
x = x[0]
x = x.get("a")
x = x == y
x = y in x
x = max(x)
x = any(x)
x = hash(str(x))
x = [i for i in x]
x = {i: x for i in y}
x = lambda: x
x = x()
x = "a" * 1000
x = 1
x = []
x = "["
x.append(x)
x.append(y)
x.extend(x)
x.update(a=x)
y = [x for i in range(100)]
print(x)
fail(x)
log(str(x))
mkdir("/srv/" + str(y))
write("/srv/f", str(x))
line("/srv/f", str(y))
x = read("/srv/f")
x = exists("/" + str(x))
copy("/srv/f", "/srv/g")
symlink("/srv/l", str(x))
remove("/srv/f")
move("/srv/f", "/srv/g")
x = glob("/srv/*")
require(x == y, str(x))
x = run(["true", str(x)])
x = x.stdout
x = query(["true"], assume=x)
if x:
for i in range(9):
for i in range(100000):
for i in x:
def g():
else:
return x
`), "\n")

// compose makes a runbook of picks: a function that runs while loading, and one that is a step.
func compose(picks []byte) string {
	var b strings.Builder
	indent := 0
	begin := func(head string) {
		b.WriteString(head + "\n    x, y = 1, [\"a\"]\n")
		indent = 1
	}
	begin("def early():")
	for i, p := range picks {
		if i == len(picks)/2 {
			begin("def s():")
		}
		s := statements[int(p)%len(statements)]
		b.WriteString(strings.Repeat("    ", indent) + s + "\n")
		switch {
		case strings.HasSuffix(s, ":") && indent < 6:
			indent++
			b.WriteString(strings.Repeat("    ", indent) + "pass\n")
		case p > 200 && indent > 1:
			indent--
		}
	}
	if len(picks) < 2 {
		begin("def s():")
	}
	return b.String() + "v = var(\"v\", early())\nstep(s, title=str(v))\n"
}

// FuzzRunbook shows, checks and documents whole runbooks and predicts a run of them on an empty machine: no crash, no
// hang, no more memory than scripts may have.
func FuzzRunbook(f *testing.F) {
	p := newProgram()
	for _, name := range p.shippedNames() {
		text, err := fs.ReadFile(p.shipped, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), []byte(nil))
	}
	for i := range statements {
		f.Add("", []byte{byte(i), byte(i + 1), byte(i), byte(i + 7), byte(i), byte(i + 3)})
	}
	f.Fuzz(func(t *testing.T, text string, picks []byte) {
		if len(picks) > 0 {
			text = compose(picks[:min(len(picks), 200)])
		}
		began := cpuTime()
		rt := runtime.New(builtins.All()...)
		giveUp := func(err error) { panic(fmt.Sprintf("cannot be stopped: %v\n%s", err, text)) }
		rt.GiveUp = giveUp
		lib := runtime.Library{Dir: fstest.MapFS{"t.star": {Data: []byte(text)}}, Shipped: p.shipped}
		rt.Diagnose(lib, "t.star")
		book, err := rt.Load(lib, "t.star", runtime.Inputs{})
		if err == nil {
			if err := showText(io.Discard, book, 80); err != nil {
				t.Error(err)
			}
			if text := (manual{book: book}).markdown(); !strings.HasPrefix(text, "# ") {
				t.Errorf("got a manual that begins with %.40q", text)
			}
			machine := host.NewLocal(t.TempDir())
			machine.Path = "/nonexistent"
			sink := trace.NewTerminal(io.Discard, trace.Options{Verbose: true})
			err = runtime.Predicted(machine, runtime.Options{Mute: true, GiveUp: giveUp, Sink: sink}).Do(t.Context(), book)
		}
		if err != nil && strings.Contains(err.Error(), "internal error") {
			t.Errorf("%v\n%s", err, text)
		}
		if took := cpuTime() - began; took > 15*time.Second { // three programs' worth
			t.Errorf("took %v\n%s", took, text)
		}
	})
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
