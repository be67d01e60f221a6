package rpm

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Pairs in ascending order, or equal where sign is 0.
var versions = []struct {
	a, b string
	sign int
}{
	{"1.0", "1.0", 0}, {"1.0", "2.0", -1}, {"2.0.1", "2.0.1a", -1}, {"5.5p1", "5.5p2", -1}, {"5.5p1", "5.5p10", -1},
	{"10xyz", "10.1xyz", -1}, {"xyz10", "xyz10.1", -1}, {"xyz.4", "8", -1}, {"xyz.4", "2", -1}, {"5.5p2", "5.6p1", -1},
	{"6.0", "6.0.rc1", -1}, {"10a2", "10b2", -1}, {"1.0a", "1.0aa", -1}, {"10.0001", "10.1", 0}, {"10.0001", "10.0039", -1},
	{"4.999.9", "5.0", -1}, {"20101121", "20101122", -1}, {"2_0", "2.0", 0}, {"a", "a.", 0}, {"a+", "a_", 0}, {"+a", "_a", 0},
	{"1.0~rc1", "1.0", -1}, {"1.0~rc1", "1.0~rc2", -1}, {"1.0~rc1~git123", "1.0~rc1", -1}, {"1.0~", "1.0", -1},
	{"1.0", "1.0^", -1}, {"1.0^git1", "1.01", -1}, {"1.0^git1", "1.0^git2", -1}, {"1.0^20160101", "1.0.1", -1},
	{"1.0~rc1", "1.0^git1~pre", -1}, {"1.0^git1~pre", "1.0^git1", -1}, {"", "1", -1}, {"", "~", 1}, {"", "^", -1}, {"a", "1", -1},
	{"99999999999999999999998", "99999999999999999999999", -1}, {"1.1.α", "1.1.β", 0}, {"", "", 0}, {"2.6.8", "2.6.12", -1},
}

func TestCompareVersions(t *testing.T) {
	for _, c := range versions {
		if got := compareVersions(c.a, c.b); got != c.sign {
			t.Errorf("%q, %q: got %d, want %d", c.a, c.b, got, c.sign)
		}
		if got := compareVersions(c.b, c.a); got != -c.sign {
			t.Errorf("%q, %q: got %d, want %d", c.b, c.a, got, -c.sign)
		}
	}
}

func TestCompareVersionsAsRPM(t *testing.T) {
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("NOT TESTED: there is no rpm here")
	}
	var lua strings.Builder
	for _, c := range versions {
		fmt.Fprintf(&lua, "local ok, sign = pcall(rpm.vercmp, '%s', '%s'); print((ok and sign or 'invalid') .. ' ')\n", c.a, c.b)
	}
	out, err := exec.Command("rpm", "--eval", "%{lua:"+lua.String()+"}").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Fields(string(out))
	if len(theirs) != len(versions) {
		t.Fatalf("got %q", out)
	}
	compared := 0
	for i, c := range versions {
		if theirs[i] == "invalid" {
			continue // as a version of a package, which this rpm checks
		}
		compared++
		if got := fmt.Sprint(compareVersions(c.a, c.b)); got != theirs[i] {
			t.Errorf("%q, %q: got %s, rpm says %s", c.a, c.b, got, theirs[i])
		}
	}
	if compared < 25 {
		t.Errorf("rpm compared %d of %d pairs: %q", compared, len(versions), theirs)
	}
}

func TestCompareEVR(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"2.6.8-1", "2.6.8-1", 0}, {"0:2.6.8-1", "2.6.8-1", 0}, {":1-1", "1-1", 0}, {"1:1-1", "2-1", 1}, {"2.6.8", "2.6.8-1", 0}, {"2.6.8-1", "2.6.8-1.el6", -1},
		{"2.6.9-1", "2.6.8-99", 1}, {"10:1", "9:1", 1},
	} {
		if got := CompareEVR(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestParseFilename(t *testing.T) {
	for in, want := range map[string]string{
		"mongodb-org-tools-2.6.8-1.x86_64.rpm": "mongodb-org-tools 2.6.8 1 x86_64 true",
		"/mnt/a/b-1-2.el6.noarch.rpm":          "b 1 2.el6 noarch true",
		"x-1.0-1.src.rpm":                      "x 1.0 1 src true",
		"a-1.x86_64.rpm":                       "    false",
		"a.rpm":                                "    false",
		"-1-1.i386.rpm":                        " 1 1 i386 false",
		"mongodb-org-2.6.8-1.x86_64.deb":       "    false",
	} {
		n, v, r, a, ok := ParseFilename(in)
		if got := fmt.Sprintf("%s %s %s %s %v", n, v, r, a, ok); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

// Comparing either way round says the same.
func FuzzCompareVersions(f *testing.F) {
	for _, c := range versions {
		f.Add(c.a, c.b)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if x, y := compareVersions(a, b), compareVersions(b, a); x != -y || compareVersions(a, a) != 0 || x < -1 || x > 1 {
			t.Errorf("%q, %q: got %d and %d", a, b, x, y)
		}
		CompareEVR(a, b)
		ParseFilename(a)
	})
}

func TestLabels(t *testing.T) {
	for in, want := range map[string]string{
		"nginx-1.20": "[{nginx 1.20}]", "nginx-1:1.20-14.el9.x86_64": "[{nginx 1:1.20-14.el9} {nginx-1:1.20 14.el9}]", "nginx": "[]",
		"mongodb-org": "[]", "mongodb-org-2.6.8": "[{mongodb-org 2.6.8}]", "-1": "[]", "a-": "[]", "java-1.8.0-openjdk": "[{java 1.8.0-openjdk}]",
	} {
		if got := fmt.Sprint(Labels(in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{"nginx-1:1.20-1": "nginx-1.20-1", "nginx": "nginx", "a-1-2": "a-1-2"} {
		if got := WithoutEpoch(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestRuns(t *testing.T) {
	for in, want := range map[string]bool{
		"x86_64 x86_64": true, "x86_64 i686": true, "i386 x86_64": false, "i386 i686": true, "aarch64 x86_64": false, "aarch64 noarch": true,
		" ppc": true, "x86_64 aarch64": false, "ppc64le ppc64le": true, "aarch64 i686": false, "arm armv7hl": true, "x86_64 x86_64_v3": true,
	} {
		machine, arch, _ := strings.Cut(in, " ")
		if got := Runs(machine, arch); got != want {
			t.Errorf("%s: got %v", in, got)
		}
	}
}
