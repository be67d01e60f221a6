package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkWeb mirrors from a server of the loopback, verified and durable, beside what people fetch many files with,
// which does neither.
//
//	go test ./builtins/internal/mirror -run - -bench Web -benchtime 5x
func BenchmarkWeb(b *testing.B) {
	for name, make := range benchSets {
		for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
			for _, connections := range []int{16, 64} {
				b.Run(fmt.Sprintf("%s/%v/%d", name, latency, connections), func(b *testing.B) {
					benchWeb(b, make(b), latency, connections)
				})
			}
		}
	}
}

func benchWeb(b *testing.B, s *set, latency time.Duration, connections int) {
	url := server(b, s.dir, latency)
	ours := newPlace(b)
	race(b, racer{
		prepare: ours.fresh,
		do:      mirroring(b, job{Channel: url, Dest: ours.in("tree"), Connections: connections}),
		check:   func() { s.complete(b, ours.in("tree/acc", benchSubdir)) },
		clear:   ours.empty,
	}, downloaders(b, s, url)...)
}

// downloaders are peers with 16 connections.
func downloaders(b *testing.B, s *set, url string) (all []racer) {
	for _, p := range []struct{ name, needs, script string }{
		{"curl", "curl", `curl -sSfZ --parallel-max 16 -K "$3/curl" --output-dir "$1"`},
		{"rclone", "rclone", `rclone copy --config "" --transfers 16 --checkers 16 --http-url "$2/linux-64/" --http-no-head --no-traverse --files-from-raw "$3/names" :http: "$1"`},
		{"aria2c", "aria2c", `aria2c -q -j16 --file-allocation=none --auto-file-renaming=false -i "$3/urls" -d "$1"`},
	} {
		to := newPlace(b)
		all = append(all, racer{
			name: p.name, needs: p.needs, prepare: to.fresh, clear: to.empty,
			do:    shell(b, p.script, to.in(), url, s.lists(b, url)),
			check: func() { s.complete(b, to.in()) },
		})
	}
	return all
}

// lists makes a directory with what the peers read: what to fetch.
func (s *set) lists(b *testing.B, url string) string {
	b.Helper()
	dir := b.TempDir()
	var names, urls, curl []byte
	for _, n := range s.names {
		at := url + "/" + benchSubdir + "/" + n
		names = fmt.Appendln(names, n)
		urls = fmt.Appendln(urls, at)
		curl = fmt.Appendf(curl, "url = %q\nremote-name\n", at)
	}
	for name, text := range map[string][]byte{"names": names, "urls": urls, "curl": curl} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}
