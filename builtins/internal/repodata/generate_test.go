package repodata

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// generate writes an index like that of conda-forge: sorted keys, one fifth .tar.bz2, most dependencies short.
func generate(w io.Writer, records int, indent bool) error {
	b := bufio.NewWriterSize(w, 1<<16)
	g := &generator{b: b, nl: "\n", colon: ": "}
	if !indent {
		g = &generator{b: b, colon: ":"}
	}
	g.open(0, "")
	g.line(1, `"info":`, "{")
	g.line(2, `"subdir":`, `"linux-64"`)
	g.close(1, ",")
	g.section("packages", tarBz2, records/5)
	g.section("packages.conda", conda, records-records/5)
	g.line(1, `"removed":`, "[],")
	g.line(1, `"repodata_version":`, "1")
	g.close(0, "\n")
	return b.Flush()
}

type generator struct {
	b         *bufio.Writer
	nl, colon string
}

func (g *generator) indent(n int) {
	if g.b.WriteString(g.nl); g.nl != "" {
		g.b.WriteString(strings.Repeat("  ", n))
	}
}

func (g *generator) open(n int, key string) { g.b.WriteString(key + "{") }

func (g *generator) close(n int, tail string) {
	g.indent(n)
	g.b.WriteString("}" + tail)
}

func (g *generator) line(n int, key, value string) {
	g.indent(n)
	g.b.WriteString(strings.TrimSuffix(key, ":"))
	if key != "" {
		g.b.WriteString(g.colon)
	}
	g.b.WriteString(value)
}

func (g *generator) section(key, ext string, records int) {
	g.line(1, `"`+key+`":`, "{")
	names := make([]string, records)
	for i := range names {
		word := []string{"lib", "r-", "python-", "perl-", "rust-", "_c", "google-cloud-"}[i%7]
		names[i] = fmt.Sprintf("%spkg%05d-%d.%d.%d-py3%dh%07x_%d", word, i/40, i%3, i/11%30, i%13, 6+i%8, i*2654435761&0xfffffff, i%4)
	}
	slices.Sort(names)
	for i, name := range names {
		tail := ","
		if i == records-1 {
			tail = ""
		}
		g.record(name, ext, i, tail)
	}
	g.close(1, ",")
}

func (g *generator) record(stem, ext string, i int, tail string) {
	sum := sha256.Sum256([]byte(stem))
	hash := hex.EncodeToString(sum[:])
	at := strings.LastIndexByte(stem, '-')
	dash := strings.LastIndexByte(stem[:at], '-')
	licenses := []string{"MIT", "BSD-3-Clause", "GPL-3.0-or-later", "Apache-2.0", "BSD-3-Clause", "MIT", "LGPL-2.1-only", "Apache-2.0"}
	deps := []string{"__glibc >=2.17,<3.0.a0", "libgcc >=13", "libstdcxx >=13", "python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311", "numpy >=1.19,<3",
		"libopenblas >=0.3.21,<1.0a0", "typing_extensions", "requests >=2.28", "zlib >=1.2.13,<2.0a0"}
	g.line(2, `"`+stem+ext+`":`, "{")
	g.line(3, `"build":`, `"`+stem[at+1:]+`",`)
	g.line(3, `"build_number":`, fmt.Sprint(i%9)+",")
	g.line(3, `"depends":`, "[")
	for k, d := range deps[:1+i%10] {
		g.line(4, "", `"`+d+`"`+strings.Repeat(",", min(1, i%10-k)))
	}
	g.indent(3)
	g.b.WriteString("],")
	g.line(3, `"license":`, `"`+licenses[i%8]+`",`)
	g.line(3, `"license_family":`, `"`+strings.SplitN(licenses[i%8], "-", 2)[0]+`",`)
	g.line(3, `"md5":`, `"`+hash[:32]+`",`)
	g.line(3, `"name":`, `"`+stem[:dash]+`",`)
	g.line(3, `"sha256":`, `"`+hash+`",`)
	g.line(3, `"size":`, fmt.Sprint(1000+i*7)+",")
	g.line(3, `"subdir":`, `"linux-64",`)
	g.line(3, `"timestamp":`, fmt.Sprint(1600000000000+int64(i)*1000)+",")
	g.line(3, `"version":`, `"`+stem[dash+1:at]+`"`)
	g.close(2, tail)
}

// generated returns the name of a file with a generated index.
func generated(tb testing.TB, records int, indent bool) string {
	name := filepath.Join(tb.TempDir(), "repodata.json")
	f, err := os.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if err := generate(f, records, indent); err != nil {
		tb.Fatal(err)
	}
	return name
}
