package conda

import (
	"strings"
	"testing"
)

// A package is "name version build", then as far as given the build number, and key=value words.
func packageOf(t *testing.T, text string) *Package {
	words := strings.Fields(text)
	p := &Package{Name: words[0], Version: VersionOf(words[1])}
	if len(words) > 2 {
		p.Build = words[2]
		for i := range p.Build { // "py27_3"
			if n := p.Build[i:]; allDigits(n) {
				for _, c := range n {
					p.BuildNumber = p.BuildNumber*10 + int64(c-'0')
				}
				break
			}
		}
	}
	for _, w := range words[min(3, len(words)):] {
		key, value, ok := strings.Cut(w, "=")
		field := map[string]*string{"channel": &p.Channel, "subdir": &p.Subdir, "fn": &p.File, "md5": &p.MD5, "sha256": &p.SHA256, "license": &p.License, "family": &p.LicenseFamily}[key]
		if !ok || field == nil {
			t.Fatalf("%s: got %s", text, w)
		}
		*field = strings.ReplaceAll(value, "~", " ")
	}
	return p
}

// Packages before the bar match, those after it do not; they are separated by commas.
func TestMatch(t *testing.T) {
	for spec, packages := range map[string]string{
		// names
		"numpy": "numpy 1 0, NumPy 2.0rc1 py27_1 | numpy-base 1 0, num 1 0", "NumPy": "numpy 1 0, NUMPY 1 0 | numpyx 1 0",
		"*": "a 1 0, b 2 0 |", "py*": "python 3 0, PyTorch 1 0 | numpy 1 0", "*py*": "numpy 1 0, pypy 1 0 | perl 5 0", "lib*-dev*": "libx-dev 1 0, libx-devel 1 0 | libx 1 0",
		"^(a|b)$": "a 1 0, b 1 0, B 1 0 | c 1 0, ab 1 0", "r-Base": "r-base 1 0 |", "_libgcc_mutex": "_libgcc_mutex 0.1 main |", "__glibc >=2.17": "__glibc 2.20 0 | __glibc 2.12 0",
		// versions after a space are exact, by rank
		"x 1.2": "x 1.2 0, x 1.2.0 0, x 0!1.2 0, x 1_2 0 | x 1.2.1 0, x 1.2a 0, x 1.2+1 0, x 1!1.2 0", "x ==1.2": "x 1.2 0, x 1.2.0 0 | x 1.2.3 0", "x == 1.2": "x 1.2 0 | x 1.3 0", "x==1.2": "x 1.2 0 | x 1.2.3 0",
		"x 1.2*": "x 1.2 0, x 1.2.3 0, x 1.2a 0, x 1.2.dev1 0 | x 1.20 0, x 1.1 0, x 1 0", "x 1.2.*": "x 1.2 0, x 1.2.3 0, x 1.2rc1 0 | x 1.20 0, x 1.3 0", "x =1.2": "x 1.2.3 0 | x 1.20 0", "x=1.2": "x 1.2 0, x 1.2.9 0 | x 1.20 0, x 1.1 0", "x=1.2.*": "x 1.2.9 0 | x 1.3 0",
		"x ==1.2.*": "x 1.2.9 0, x 1.2 0 | x 1.3 0", "jpeg 8*": "jpeg 8d 2, jpeg 8 0, jpeg 8.1 0 | jpeg 9a 0, jpeg 80 0", "openssl 1.0.2*": "openssl 1.0.2h 0, openssl 1.0.2 0 | openssl 1.0.1t 0", "x 1.0rc*": "x 1.0rc1 0, x 1.0rc 0 | x 1.0 0, x 1.0b1 0",
		"x *": "x 1 0, x 9 9 |", "x=*": "x 1 0 |", "x =": "x 1 0 |", "x=": "x 1 0 |", "x 1*": "x 1.9 0, x 1a 0 | x 10 0, x 2 0", "erlang R15B01": "erlang R15B01 0, erlang r15b01 0 | erlang R15B02 0", "x 1.*.3": "x 1.2.3 0, x 1.20.3 0 | x 1.2.4 0, x 1.3 0",
		// relations
		"x >1.2": "x 1.2.1 0, x 1.2post 0, x 2 0 | x 1.2 0, x 1.2.0 0, x 1.2rc1 0", "x >=1.2": "x 1.2 0, x 1.10 0 | x 1.2a 0, x 1.1 0", "x <1.2": "x 1.2rc1 0, x 1.1.9 0 | x 1.2 0", "x <=1.2": "x 1.2.0 0, x 1 0 | x 1.2.1 0", "x !=1.2": "x 1.2.1 0, x 1 0 | x 1.2 0, x 1.2.0 0", "x>=1.2": "x 1.2 0 | x 1 0", "x<2": "x 1 0 | x 2 0", "x!=1": "x 2 0 | x 1 0",
		"x >=2.*": "x 2.0 0, x 3 0 | x 1.9 0, x 2.0a1 0", "x >2.10*": "x 2.10 0, x 2.11 0 | x 2.9 0", "x !=1.2.*": "x 1.3 0, x 1.20 0 | x 1.2 0, x 1.2.3 0, x 1.2a 0", "x <2.0a0": "x 1.9 0, x 2.0dev1 0 | x 2.0a0 0, x 2.0 0",
		"x ~=1.2.3": "x 1.2.3 0, x 1.2.9 0 | x 1.2.2 0, x 1.3 0, x 2 0", "x ~=1.2": "x 1.2 0, x 1.9 0 | x 1.1 0, x 2.0 0", "x~=1.2": "x 1.3 0 | x 2 0",
		"x >=1.8": "x 1!0.5 0, x 1.8post1 0 | x 1.8.dev3 0", "x >=1.0+cuda": "x 1.0+cuda 0, x 1.1 0, x 1.0 0 | x 1.0+cpu 0", "x =1.0+cu": "x 1.0+cuda 0, x 1.0+cu.1 0 | x 1.0+cpu 0, x 1.0 0",
		// joined
		"x >=1.2,<2": "x 1.2 0, x 1.9 0 | x 2 0, x 1.1 0", "x >=1.2,<2|3.*": "x 1.5 0, x 3.1 0 | x 2.5 0, x 4 0, x 1 0", "x >=1.2, <2": "x 1.5 0 | x 2 0", "x >= 1.2 , < 2": "x 1.5 0 | x 2 0, x 1 0", "python 2.7|>=3.5": "python 2.7 0, python 3.9 0 | python 3.4 0, python 2.7.1 0", "python =2.7|>=3.5": "python 2.7.1 0 | python 3.4 0",
		"x (>=1,<2)|(>=3,<4)": "x 1.5 0, x 3.5 0 | x 2.5 0, x 4 0", "x (1.2|1.3),!=1.3.0": "x 1.2 0 | x 1.3 0", "x 1|2,3": "x 1 0 | x 2 0, x 3 0", "x >=1,!=1.2,!=1.3.*,<2": "x 1.1 0 | x 1.2 0, x 1.3.4 0", `x ^1\.[23](\.4)?$`: "x 1.2 0, x 1.3.4 0 | x 1.4 0", `x ^1\.(2|3)$|5`: "x 1.2 0, x 5 0 | x 1.5 0",
		// builds
		"x 1.2 py27_0": "x 1.2 py27_0, x 1.2.0 py27_0 | x 1.2 py27_1, x 1.2 PY27_0, x 1.3 py27_0", "x 1.2.* *_cpython": "x 1.2.3 h1_0_cpython | x 1.2.3 h1_0_pypy, x 1.3 a_cpython", "x=1.2=py27_0": "x 1.2 py27_0 | x 1.2.1 py27_0, x 1.2 py34_0", "x==1.2=py*": "x 1.2 py34_0 | x 1.2 np_0", "x 1.2=py27_0": "x 1.2 py27_0 | x 1.2 0",
		"x =1.2 py*": "x 1.2 py27_0 | x 1.2.1 py27_0", "x=1.2.*=py*": "x 1.2.1 py27_0 | x 1.3 py27_0", "x * main": "x 5 main | x 5 other", "_x * *": "_x 1 a |", "blas 1.1 openblas": "blas 1.1 openblas | blas 1.1 mkl", "x >=1.0 , < 2.0 py34_0": "x 1.5 py34_0 | x 1.5 py27_0, x 2 py34_0", "x >=1.0 , < 2.0 =py34_0": "x 1.5 py34_0 | x 1.5 py27_0", "pytorch 2.6.0 cpu_mkl*104": "pytorch 2.6.0 cpu_mkl_py310_h1_104 | pytorch 2.6.0 cpu_mkl_105", "x 1 ^py(27|34)_.*$": "x 1 py27_0, x 1 py34_5 | x 1 py35_0", "x 1 ^(?:a|b)$": "x 1 a | x 1 c",
		// brackets
		"x[version='>=1']": "x 1 0, x 2 0 | x 0.9 0", "x[version=1.2]": "x 1.2.0 0 | x 1.2.1 0", `x[version=">=1,<2", build=*cuda*]`: "x 1.5 py_cuda_0 | x 1.5 py_0, x 2 cuda", "x[build=py27_0]": "x 1 py27_0 | x 1 py34_0", "x[build_string='^py.*$']": "x 1 py34_0 | x 1 np_0", "x[build_number='>0']": "x 1 py27_1 | x 1 py27_0", "x[build_number=2]": "x 1 a_2 | x 1 a_1", "x[build_number='>=1,<3']": "x 1 a_2 | x 1 a_3, x 1 a_0", "x[build_number=*]": "x 1 a_2 |",
		"x 1.2[version=1.3]": "x 1.3 0 | x 1.2 0", "x 1.2 a[build=b]": "x 1.2 b | x 1.2 a", "x[md5=AB01]": "x 1 0 md5=ab01 | x 1 0 md5=ab02, x 1 0", "*[sha256=ff]": "y 1 0 sha256=ff | y 1 0 sha256=fe", "x[fn=x-1-0.conda]": "x 1 0 fn=x-1-0.conda | x 1 0 fn=x-1-0.tar.bz2", "*[license=gpl*]": "a 1 0 license=GPL~v2, b 1 0 license=gpl | c 1 0 license=LGPL, d 1 0", "*[license='BSD 3-Clause']": "a 1 0 license=bsd~3-clause | b 1 0 license=BSD", "x[license_family='^(GPL|LGPL)$']": "x 1 0 family=GPL, x 1 0 family=lgpl | x 1 0 family=AGPL", "x[subdir=linux-64]": "x 1 0 subdir=linux-64 | x 1 0 subdir=noarch", "x[subdir=win-*]": "x 1 0 subdir=win-32 | x 1 0 subdir=linux-64",
		"x [version=2]": "x 2 0 | x 3 0", "x[name=y]": "x 1 0 | y 1 0", `x ^1\.[23]$`: "x 1.2 0 | x 1.4 0", "x[extras=[a,b],version=2]": "x 2 0 | x 3 0", `x[when="y >=3,<4"]`: "x 1 0 |", "x[track_features='mkl']": "x 1 0 |", "x[flags=[a=b]]": "x 1 0 |",
		// channels
		"conda-forge::x": "x 1 0 channel=https://conda.anaconda.org/conda-forge, x 1 0 channel=conda-forge/ | x 1 0 channel=https://h/main, x 1 0 channel=/m/my-conda-forge, x 1 0", "pkgs/main::x 1.2": "x 1.2 0 channel=https://repo.anaconda.com/pkgs/main | x 1.3 0 channel=/pkgs/main, x 1.2 0 channel=/main", "main/linux-64::x": "x 1 0 channel=/pkgs/main subdir=linux-64 | x 1 0 channel=/pkgs/main subdir=osx-64", "main/noarch::x>=2": "x 2 0 channel=main subdir=noarch | x 2 0 channel=main", "*/win-64::x": "x 1 0 channel=y subdir=win-64 | x 1 0 channel=y", "https://h:8080/t/c::x": "x 1 0 channel=https://h:8080/t/c | x 1 0 channel=/t/c", "main:ns:x": "x 1 0 channel=main | x 1 0 channel=other", "ns:x": "x 1 0 channel=any |", "x[channel=main]": "x 1 0 channel=/main | x 1 0", "conda-forge/label/dev::x": "x 1 0 channel=https://h/conda-forge/label/dev | x 1 0 channel=https://h/conda-forge", "conda-*::x": "x 1 0 channel=/a/conda-x | x 1 0 channel=/a/x",
		// files, comments, conditions
		"x-1.2-py27_0.tar.bz2": "x 1.2 py27_0 fn=x-1.2-py27_0.tar.bz2 | x 1.2 py27_0 fn=x-1.2-py27_0.conda", "https://h/c/linux-64/x-1-0.conda": "x 1 0 fn=x-1-0.conda | x 1 0 fn=x-2-0.conda", "x-*-py27_*.conda": "x 1 0 fn=x-9-py27_3.conda | x 1 0 fn=x-9-py34_3.conda",
		"x >=1 # why": "x 1 0 | x 0 0", "x >=1 if y": "x 1 0 | x 0 0", "x >=1; if python <3": "x 1 0 | x 0 0", "x >=1 (optional)": "x 1 0 | x 0 0", "x (target=blah,optional)": "x 1 0 |", "mkl@": "anything 1 0 |", "  x  >=1  ": "x 1 0 | x 0 0",
	} {
		s, err := ParseSpec(spec)
		if err != nil {
			t.Error(err)
			continue
		}
		yes, no, _ := strings.Cut(packages, "|")
		for want, list := range map[bool]string{true: yes, false: no} {
			for text := range strings.SplitSeq(list, ",") {
				if strings.TrimSpace(text) != "" && s.Match(packageOf(t, text)) != want {
					t.Errorf("%s: %s: got %v", spec, text, !want)
				}
			}
		}
	}
}

func TestWrongSpecs(t *testing.T) {
	for spec, want := range map[string]string{
		"": `spec "": got the name ""`, ">=1": `got the name ""`, "-x": `got the name "-x"`, "a/b": `got the name "a/b"`, "foo?": `got the name "foo?"`,
		"x >": `got ">", want a version`, "x >=": "want a version", "x >=1,": `got "", want a version`, "x 1|": "want a version", "x ,1": "want a version", "x <>1": `got the version ">1"`, "x =!1": "got the version", "x ===1": "got the version", "x =>1": "got the version",
		"x 1..2": `got the version "1..2"`, "x 1 2 3": `got "2 3" after the version`, "x >=1 <2": `got the build "<2"`, "x (1": "want a closing parenthesis", "x 1)": `got ")" after a version`, "x ^1": "want a regular expression from ^ to $", "x 1$": "want a regular expression", "x ^(1$": "got \"^(1$\", want a regular expression of Go", "x ~=1": "two components", "x ~=1.2.*": "without a star", "x " + strings.Repeat("(", 100): "more than 50",
		"x[version=1": "brackets that are not closed", "x[version=1]y": "not closed", "x[version='1]": "closing quote", "x[version=]": "version without a value", "x[=1]": `got the name "x["`, "x[colour=red]": `got the key "colour"`, "x[version=1,b]": `got "b" in brackets, want key=value`, "x[build_number='>a']": `got the build number ">a"`, "x[build_number=-1]": "build number", "x[build='^(']": "", "x[build='^($']": "regular expression of Go", "*[license='^(?=a)$']": "regular expression of Go", "x y z w": `got "z w" after the version`, "x[version='1 2']": "got the version",
	} {
		s, err := ParseSpec(spec)
		if want == "" {
			if err != nil || s.String() != spec {
				t.Errorf("%s: got %v, %v", spec, s, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", spec, err, want)
		}
	}
}

func TestKindsOfSpecs(t *testing.T) {
	for spec, want := range map[string]string{
		"Foo >=1": "foo", "foo": "foo any", "foo *": "foo any", "*": " any", "fo* 1": "", "__cuda >=12": "__cuda virtual", "x; if y": "x any optional", "x[when='__win']": "x any optional", "x@": " any features",
		"x[track_features=y]": "x any features", "c::x 1": "x channel", "x (optional)": "x any optional", "x[channel=*]": "x any", "x-1-0.conda": " any",
	} {
		s, err := ParseSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Name()
		for _, k := range []struct {
			word string
			is   bool
		}{{"any", s.AnyVersion()}, {"virtual", s.Virtual()}, {"optional", s.Optional()}, {"features", s.Features()}, {"channel", s.HasChannel()}} {
			if k.is {
				got += " " + k.word
			}
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", spec, got, want)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"x 1.2", "x[a=b]", "c::x>=1,<2|3=py*", "x (1|2),3 ^a$", "x[version='", "x~=1.2.*", "[[=", "a:b:c"} {
		f.Add(s)
	}
	p := Package{Name: "x", Version: VersionOf("1.2"), Build: "py27_0"}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSpec(text); err == nil {
			s.Match(&p)
		}
	})
}
