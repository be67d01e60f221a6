package archive

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"
)

// A row of the table of archives that must be refused.
type row struct {
	name  string
	data  []byte
	strip int
	want  string // in the error
}

// hostile are archives that leave the destination, that two readers understand
// differently, or that are damaged.
func hostile(t testing.TB) []row {
	return append(append(names(), shapes(t)...), links(t)...)
}

// names are written raw, because a writer may clean them.
func names() (rows []row) {
	for _, c := range []struct{ what, name, want string }{
		{"absolute", "/tmp/moo", "absolute"},
		{"two slashes", "//tmp/moo", "absolute"},
		{"climbs", "../moo", "leaves"},
		{"climbs later", "tmp/../../moo", "leaves"},
		{"climbs and returns", "a/../b", "leaves"},
		{"two dots", "..", "leaves"},
		{"dot and two dots", "./../x", "leaves"},
		{"two dots at the end", "a/..", "leaves"},
		{"empty", "", "no name"},
		{"a dot as a file", ".", "name of a directory"},
		{"a file with a slash", "a/", ""}, // taken for a directory by old rules, or refused
		{"backslash", `a\b`, "backslash"},
		{"backslashes that climb", `..\..\b`, "backslash"},
		{"newline", "a\nb", "control"},
		{"escape", "a\x1b[2Jb", "control"},
		{"delete", "a\x7f", "control"},
		{"C1 control", "a\u009bb", "control"},
		{"invalid UTF-8", "a\xffb", "UTF-8"},
		{"right to left", "a\u202egpj", "invisible"},
		{"zero width", "a\u200bb", "invisible"},
		{"byte order mark", "\ufeffa", "invisible"},
		{"kept prefix", "a/" + tmpPrefix + "0011", "unfinished"},
	} {
		if c.want != "" {
			rows = append(rows, row{"name: " + c.what, []byte(rawOf('0', c.name, "x") + end), 0, c.want})
		}
	}
	long := strings.Repeat("a/", 300) + "f"
	return append(rows,
		row{"name: deep", []byte(rawOf('L', "././@LongLink", long+"\x00") + rawOf('0', "x", "") + end), 0, "deep"},
		row{"name: long component", []byte(rawOf('L', "././@LongLink", strings.Repeat("a", 256)+"\x00") + rawOf('0', "x", "") + end), 0, "component of 256"},
		row{"name: long", []byte(rawOf('L', "././@LongLink", strings.Repeat("ab/", 1500)+"\x00") + rawOf('0', "x", "") + end), 0, "name of 4500"},
		row{"name: pax with NUL", []byte(pax('x', "path=ok\x00/../x") + rawOf('0', "x", "") + end), 0, "header"},
		row{"name: climbs in what is stripped", []byte(rawOf('0', "../x/y", "") + end), 2, "leaves"},
	)
}

func shapes(t testing.TB) []row {
	good := pack(t, file("a", "x"))
	body := string(good[:len(good)-2*block])
	rows := []row{
		{"empty", nil, 0, "ends early"},
		{"no tar", []byte(strings.Repeat("no tar at all ", 100)), 0, "none of tar"},
		{"short", []byte("hello"), 0, "ends early"},
		{"no end", []byte(body), 0, "ends early"},
		{"half an end", []byte(body + end[:block]), 0, "ends early"},
		{"cut in the end", good[:len(good)-100], 0, "ends early"},
		{"cut in a header", good[:300], 0, "ends early"},
		{"cut in data", []byte(rawOf('0', "a", strings.Repeat("x", 5000)))[:2000], 0, "ends early"},
		{"cut in padding", []byte(rawOf('0', "a", "x"))[:600], 0, "ends early"},
		{"an empty block between members", []byte(body + end[:block] + rawOf('0', "b", "") + end), 0, "none of tar"},
		{"members behind the end", []byte(body + end + rawOf('0', "b", "") + end), 0, "behind the end"},
		{"a byte behind the end", []byte(body + end + "\x00x"), 0, "behind the end"},
		{"wrong checksum", []byte(strings.Replace(body, "0000644", "0000645", 1) + end), 0, "none of tar"},
		{"negative size", []byte(raw('0', "a", "", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "") + end), 0, "none of tar"},
		{"size of 2^62", []byte(raw('0', "a", "", "\x80\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00", "") + end), 0, "member \"a\""},
		{"pax size of -1", []byte(pax('x', "size=-1") + rawOf('0', "a", "") + end), 0, "header"},
		{"global header", []byte(pax('g', "path=../../g") + rawOf('0', "c", "") + end), 0, "global"},
		{"global header before another", []byte(pax('g', "comment=x") + pax('x', "mtime=1") + rawOf('0', "c", "") + end), 0, "global"},
		{"pax twice", []byte(pax('x', "path=a") + pax('x', "path=b") + rawOf('0', "c", "") + end), 0, "more than one"},
		{"pax before a long name", []byte(pax('x', "size=2048") + rawOf('L', "././@LongLink", "long\x00") + rawOf('0', "c", "") + end), 0, "more than one"},
		{"a long name before pax", []byte(rawOf('L', "././@LongLink", "long\x00") + pax('x', "path=b") + rawOf('0', "c", "") + end), 0, "more than one"},
		{"long name twice", []byte(rawOf('L', "././@LongLink", "one\x00") + rawOf('L', "././@LongLink", "two\x00") + rawOf('0', "c", "") + end), 0, "more than one"},
		{"pax key twice", []byte(pax('x', "path=a", "path=b") + rawOf('0', "c", "") + end), 0, "twice"},
		{"pax damaged", []byte(rawOf('x', "pax", "99 path=a\n") + rawOf('0', "c", "") + end), 0, "header"},
		{"sparse in pax", []byte(pax('x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9") + rawOf('0', "c", "0\n") + end), 0, ""},
		{"sparse in pax 0.1", []byte(pax('x', "GNU.sparse.size=9", "GNU.sparse.numblocks=1", "GNU.sparse.map=0,1") + rawOf('0', "c", "x") + end), 0, "sparse"},
		{"a file twice", pack(t, file("a", "1"), file("a", "2")), 0, "twice"},
		{"a file, spelled otherwise", pack(t, file("d/a", "1"), file("./d//a", "2")), 0, "twice"},
		{"a file, then a directory", pack(t, file("a", "1"), dir("a/")), 0, "twice"},
		{"a directory, then a file", pack(t, dir("a/"), file("a", "1")), 0, "twice"},
		{"a directory, then a link", pack(t, dir("a/"), file("a/x", ""), sym("a", "b")), 0, "twice"},
		{"a file below a file", pack(t, file("a", "1"), file("a/b", "2")), 0, "no directory"},
		{"below it, then a file", pack(t, file("a/b", "2"), file("a", "1")), 0, "twice"},
		{"twice after stripping", pack(t, file("x/a", "1"), file("y/a", "2")), 1, "twice"},
	}
	for kind, what := range map[byte]string{tar.TypeChar: "character device", tar.TypeBlock: "block device", tar.TypeFifo: "pipe"} {
		rows = append(rows, row{what, pack(t, typed(kind, "a")), 0, "type"})
	}
	for _, kind := range "7DMNVZS" {
		rows = append(rows, row{fmt.Sprintf("type %c", kind), []byte(rawOf(byte(kind), "a", "") + end), 0, ""})
	}
	return rows
}

func links(t testing.TB) []row {
	withData := rawOf('0', "a", "x") + raw('1', "b", "a", "00000001000\x00", strings.Repeat("x", block)) + end
	return []row{
		{"link: absolute", pack(t, sym("a", "/etc/passwd")), 0, "relative"},
		{"link: climbs", pack(t, sym("a", "../x")), 0, "leaves"},
		{"link: climbs from below", pack(t, sym("d/a", "../../x")), 0, "leaves"},
		{"link: climbs after stripping", pack(t, sym("d/a", "../x")), 1, "leaves"},
		{"link: descends and climbs", pack(t, sym("cur", "."), sym("par", "cur/..")), 0, "climbs after"},
		{"link: empty target", []byte(raw('2', "a", "", "00000000000\x00", "") + end), 0, "target of 0"},
		{"link: control in target", pack(t, sym("a", "b\nc")), 0, "control"},
		{"link: backslash in target", pack(t, sym("a", `b\c`)), 0, "backslash"},
		{"link: slash at its end", []byte(raw('2', "tmp/", "x", "00000000000\x00", "") + end), 0, "directory"},
		{"link: with data", []byte(raw('2', "a", "b", "00000000001\x00", "") + end), 0, "carries"},
		{"link: then a file of its name", pack(t, sym("moo", "x"), file("moo", "1")), 0, "twice"},
		{"link: then a file through it", pack(t, sym("tmp", "x"), file("tmp/moo", "1")), 0, "no directory"},
		{"link: through a chain", pack(t, sym("cur", "."), sym("cur/par", ".."), file("par/moo", "1")), 0, "no directory"},
		{"link: then a directory", pack(t, sym("a", "b"), dir("a/")), 0, "twice"},
		{"hard: absolute", pack(t, hard("a", "/etc/passwd")), 0, "absolute"},
		{"hard: climbs", pack(t, hard("a", "../x")), 0, "leaves"},
		{"hard: to nothing", pack(t, hard("a", "b")), 0, "earlier file"},
		{"hard: to a later file", pack(t, hard("a", "b"), file("b", "")), 0, "earlier file"},
		{"hard: to itself", pack(t, hard("a", "a")), 0, "earlier file"},
		{"hard: to a link", pack(t, sym("s", "x"), hard("a", "s")), 0, "earlier file"},
		{"hard: to a directory", pack(t, dir("d/"), hard("a", "d")), 0, "earlier file"},
		{"hard: to what is stripped", pack(t, file("f", ""), hard("d/a", "f")), 1, "stripping"},
		{"hard: with data", []byte(withData), 0, "carries"},
		{"hard: then again", pack(t, file("f", ""), hard("a", "f"), hard("a", "f")), 0, "twice"},
		{"hard: over a directory", pack(t, file("f", ""), dir("d/"), hard("d", "f")), 0, "twice"},
	}
}
