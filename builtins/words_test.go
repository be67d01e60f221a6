package builtins

import (
	"slices"
	"strings"
	"testing"

	"runbook/runtime"
)

// A command in one string is words: what only a shell would do is refused, unless it is quoted.
func TestSplitWords(t *testing.T) {
	for command, want := range map[string][]string{
		`a "b c" 'd e' f\ g`:                     {"a", "b c", "d e", "f g"},
		`sh -c 'a | b && c > d; e $F'`:           {"sh", "-c", "a | b && c > d; e $F"},
		`sh -c "echo $X ` + "`id`" + `"`:         {"sh", "-c", "echo $X `id`"},
		`find / \( -name a \* \) -exec rm {} \;`: {"find", "/", "(", "-name", "a", "*", ")", "-exec", "rm", "{}", ";"},
		`a=b --c=~/d e~f "~" -x[1]`:              {"a=b", "--c=~/d", "e~f", "~", "-x[1]"},
		"  a b\n":                                {"a", "b"},
	} {
		if have, err := SplitWords(command); err != nil || !slices.Equal(have, want) {
			t.Errorf("%s: got %q, %v, want %q", command, have, err, want)
		}
	}
	for command, sign := range map[string]string{
		"a | b": "|", "a|b": "|", "a || b": "|", "a > b": ">", "a 2>&1": ">", "a < b": "<", "a && b": "&", "a &": "&", "a; b": ";",
		"a $HOME": "$", "a ${B}": "$", "a $(b)": "$", "a `b`": "`", "rm /x*": "*", "ls ?": "?", "(a)": "(", "ls ~": "~", "ls ~/x": "~",
		"a\nb": "end of line", `a "b" | c`: "|", `a \\| b`: "|", `a 'b'$C`: "$", "curl http://h/?a=b": "?",
	} {
		_, err := SplitWords(command)
		if err == nil || !strings.Contains(err.Error(), "unquoted "+sign+" ") || !strings.Contains(runtime.HintOf(err), `["sh", "-c", "`) {
			t.Errorf("%s: got %v (hint: %s)", command, err, runtime.HintOf(err))
		}
	}
	if _, err := SplitWords(`a "b`); err == nil || !strings.Contains(err.Error(), "balanced quotes") {
		t.Errorf("got %v", err)
	}
}

// The same holds wherever a runbook gives a command, in a dry run and a real one; secrets are no signs.
func TestShellTexts(t *testing.T) {
	m := newMachine(t, nil)
	m.fails(`run("echo a | cat")`, "no shell runs it, so an unquoted | would mean nothing")
	m.fails(`run("true", unless="true || false")`, `for a shell write ["sh", "-c", "true || false"]`)
	m.fails(`query("echo $HOME")`, "unquoted $")
	m.fails(`run("touch", "/tmp/x")`, "got 2 arguments without a name, want at most 1")
	m.fails(`run("touch", "/tmp/x")`, "name the others: creates=, unless=")
	m.fails(`query("touch", "/tmp/x")`, "got 2 arguments without a name")
	m.secrets = map[string]string{"pw": "a|b c"}
	m.twice(`run("echo " + pw)`)
	m.fails(`run("echo " + pw + " | cat")`, "unquoted |")
}

// A pattern is nobody's name; a file that is called so can be removed.
func TestPatternsOfRemove(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/a1": "", "/srv/odd[1]": ""})
	m.fails(`remove("/srv/a*")`, `got pattern "/srv/a*", want one name`)
	m.fails(`remove("/srv/a?")`, `for name in glob("/srv/a?")`)
	m.fails(`remove("/srv/a[12]")`, "got pattern")
	m.thrice("for name in glob('/srv/a*') + glob('/srv/odd*'): remove(name)")
	m.again("remove('/srv/a1')")
}

// After a change that a dry run predicts, a question that fails on the machine as it is takes its assume=.
func TestQueryAfterPredictedChange(t *testing.T) {
	m := newMachine(t, map[string]string{"/usr/bin/ask": `test -e $R/srv/done && echo yes || exit 7`})
	body := `run(["touch", "` + m.root + `/srv/done"], creates = "/srv/done")
if query(["ask"], assume = "yes").stdout.strip() != "yes": fail("no")
run(["true"])`
	dry, _ := m.twice(body)
	if g := guesses(dry); !slices.Contains(g, "the answer of ask") {
		t.Errorf("got %q", g)
	}
	m.must(m.local().Remove("/srv/done", 1))
	m.failsDry("write('/srv/x', '')\nquery(['ask'])", "only so because nothing is changed yet, state what a dry run may assume")
	m.fails("query(['ask'], assume = 'yes')", "exit status 7") // nothing is predicted: the answer is what it is
	dry, err := m.dry("write('/srv/x', '')\nif query(['echo', 'now'], assume = 'then').stdout != 'now\\n': fail('it answers')\nrun(['true'])")
	if err != nil || !slices.Contains(guesses(dry), "the answer of echo now") {
		t.Errorf("got %v, %v", guesses(dry), err)
	}
	if _, err := m.dry("write('/srv/x', '')\nrun(['true'], unless = ['no-such-program'])"); err != nil {
		t.Error(err)
	}
}
