package runtime_test

import (
	"strings"
	"testing"
	"time"

	"runbook/runtime"
)

// Whatever a file computes, loading it ends soon, with an error and without the
// memory of the machine.
func TestLimits(t *testing.T) {
	const large, deep, long = "value is larger than 64 MiB", "value is nested too deep", "the script ran too long without an end"
	longest := 30 * time.Second
	memory := "the script needs more than 256 MiB of memory"
	if testing.Short() { // perhaps under the race detector, which takes its time to fill them
		memory, longest = "the script ", 3*time.Minute
	}
	for src, want := range map[string]string{
		"x = []\nx.append(x)\nvar('v', x)":                                                                deep,
		"x = []\nx.append(x)\nvar('v', 'a', choices=x)":                                                   deep,
		"x = {}\nx['x'] = x\nstr(x)":                                                                      deep,
		"list(range(1000000000000))":                                                                      "got a range of 1000000000000 elements, want at most 4194304",
		"7 in range(1000000000000)":                                                                       "got a range of 1000000000000 elements",
		"all(range(1, 1000000000000))":                                                                    "got a range of 999999999999 elements",
		"[].extend(range(1000000000000))":                                                                 "got a range of 1000000000000 elements",
		"set([1]).union(range(1000000000000))":                                                            "got a range of 1000000000000 elements",
		"sorted([range(1000000000000)], key=list)":                                                        "got a range of 1000000000000 elements",
		"list(('a' * 16000000).elems())":                                                                  "got a string.elems of 16000000 elements",
		"'a' * 1000000000":                                                                                "got a string of more than 16777216 elements",
		"1000000000000000000000 * b'a'":                                                                   "got a bytes of more than 16777216 elements",
		"100000000 * [0]":                                                                                 "got a list of more than 4194304 elements",
		"x = [(0,)]\ndef f(): x[0] *= 100000000\nf()":                                                     "got a tuple of more than 4194304 elements",
		"def f():\n x = 3\n for i in range(40): x = x * x\nf()":                                           "got a number of more than 65536 bits",
		"def f():\n x = [3]\n for i in range(40): x[0] *= x[0]\nf()":                                      "got a number of more than 65536 bits",
		"def f():\n x = 1\n for i in range(300): x = x << 500\n str(x)\nf()":                              "got a number of more than 65536 bits",
		"def f():\n x = 1\n for i in range(300): x = x << 500\n '%d'%x\nf()":                              "got a number of more than 65536 bits",
		"int('9' * 5000000)":                                                                              "got a number of 5000000 digits",
		"float('9' * 5000000)":                                                                            "got a number of 5000000 digits",
		"def f():\n x = 'a'\n for i in range(60): x = '%s%s' % (x, x)\nf()":                               large,
		"def f():\n x = 'a'\n for i in range(60): x = x.replace('', x)\nf()":                              "replace: got a text of",
		"def f():\n x = 'a'\n for i in range(60): x = x.join([x] * 99)\nf()":                              "join: ",
		"def f():\n x = 'a'\n for i in range(60): x = '{0}{0}'.format(x)\nf()":                            "format: got a text of",
		"def f():\n x = 'a'\n for i in range(60): x += x\nf()":                                            "got a text of 16 MiB to be added, want at most 8",
		"[str(i) * 100000 for i in range(1000000000000)]":                                                 memory,
		"def f():\n x = 0\n for i in range(60): x = [x, x]\n return x\ny=f()":                             "global y: " + large,
		"def f():\n x = 0\n for i in range(60): x = [x, x]\n str(x)\nf()":                                 "str: " + large,
		"def f():\n x = 0\n for i in range(60): x = (x, x)\n '%s' % x\nf()":                               large,
		"def f():\n x = 0\n for i in range(60): x = (x, x)\n {x: 1}\nf()":                                 large,
		"def f():\n x = 0\n for i in range(60): x = (x, x)\n fail(x)\nf()":                                "fail: " + large,
		"def f():\n x = 0\n for i in range(7): x = [x] * 1000\n x == x\nf()":                              large,
		"def f():\n x = 0\n for i in range(9999): x = [x]\n return x\ny=f()":                              "global y: " + deep,
		"def f():\n x = 0\n for i in range(9999): x = (x,)\n set([x])\nf()":                               "set: " + deep,
		"def f():\n x = 0\n for i in range(9999): x = (x,)\n {x: 1}\nf()":                                 deep,
		"def g(x): return lambda: x\ndef f():\n x = 0\n for i in range(9999): x = g(x)\n return x\ny=f()": "global y: " + deep,
		"def f():\n for i in range(1000000000000): pass\nf()":                                             long,
		"def f():\n x = [0] * 4000000\n for i in range(1000000): sorted(x)\nf()":                          long,
		"x = " + strings.Repeat("[", 5000):                                                                "nesting",
		"# " + strings.Repeat("x", 1<<18):                                                                 "got 257 KiB, want at most 256",
	} {
		began := time.Now()
		_, err := load(src, runtime.Inputs{})
		if len(src) > 100 {
			src = src[:100] + "..."
		}
		if err == nil || !strings.Contains(err.Error(), want) || runtime.ClassOf(err) != runtime.Mistake {
			t.Errorf("%q:\n got %.200v\nwant %s", src, err, want)
		}
		if took := time.Since(began); took > longest {
			t.Errorf("%q: took %v", src, took)
		}
	}
}

// What the limits are made of changes nothing for what is below them.
func TestBelowLimits(t *testing.T) {
	for _, expr := range []string{
		`"ab" * 3 == "ababab"`, `3 * [1, 2] == [1, 2, 1, 2, 1, 2]`, `[0] * -1 == []`, `(1,) * 2 == (1, 1)`, `b"a" * 2 == b"aa"`,
		`300 * 1024 * 1024 * 1024 == 322122547200`, `-3 * 4 == -12`, `2.5 * 2 == 5.0`, `"" * 1000000000000 == ""`,
		`"%s is %d" % ("x", 5) == "x is 5"`, `7 % 4 == 3`, `"{}-{b}".format(1, b=2) == "1-2"`, `{"a": 1}["a"] == 1`,
		`sorted(["bb", "a"], key=len) == ["a", "bb"]`, `max([1, 3, 2], key=lambda x: -x) == 1`, `",".join(["a", "b"]) == "a,b"`,
		`dict(a=1, **{"b": 2}) == {"a": 1, "b": 2}`, `[f(c=3, *[1, 2]) for f in [lambda a, b, c: a + b + c]] == [6]`,
		`len(list(range(100000))) == 100000`, `str([1, {"a": (2,)}]) == '[1, {"a": (2,)}]'`, `"a-b".replace("-", "+") == "a+b"`,
		`int("ff", 16) == 255`, `int("9" * 1000) > 0`, `[x for x in range(1000000000000)[:3]] == [0, 1, 2]`,
	} {
		if _, err := load("if_not = fail if not ("+expr+") else str\nif_not('wrong')", runtime.Inputs{}); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
	src := "def f():\n x = [2]\n x[0] *= 3\n y = 'a'\n y *= 2\n z = 'n %d'\n z %= 5\n if (x, y, z) != ([6], 'aa', 'n 5'): fail(x, y, z)\nf()"
	if _, err := load(src, runtime.Inputs{}); err != nil {
		t.Error(err)
	}
}
