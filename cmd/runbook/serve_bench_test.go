package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/client"
)

// BenchmarkServe measures serve beside nginx: the same directory, the same client, round about. times-nginx is the median
// of the rounds; above 1 it is faster.
func BenchmarkServe(b *testing.B) {
	wrk := client.Tool(b, "wrk", "wrk")
	dir := b.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // nginx's workers are nobody
		b.Fatal(err)
	}
	servedTree(b, dir, map[string]int{"small": 10 << 10, "large": 30 << 20})
	own, peer := serving(b, dir), nginx(b, dir)
	for name, c := range map[string]struct{ file, clients, what string }{
		"10KB": {"small", "64", "Requests/sec"}, "30MB": {"large", "8", "Transfer/sec"},
	} {
		b.Run(name, func(b *testing.B) {
			var ratios []float64
			measure := func(url string) float64 {
				out, err := exec.Command(wrk, "-t2", "-c"+c.clients, "-d3s", url+"/acc/noarch/"+c.file+"-1-0.conda").CombinedOutput()
				if err != nil || bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
					b.Fatalf("wrk: %v\n%s", err, out)
				}
				return number(b, string(out), c.what)
			}
			for b.Loop() {
				for range 5 {
					theirs := measure(peer)
					ours := measure(own)
					b.Logf("%s: nginx %.0f, serve %.0f", c.what, theirs, ours)
					ratios = append(ratios, ours/theirs)
				}
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "times-nginx")
		})
	}
}

// number reads what wrk says of something, in requests or bytes.
func number(b *testing.B, out, what string) float64 {
	m := regexp.MustCompile(what + `:\s+([0-9.]+)([KMG]?)`).FindStringSubmatch(out)
	if m == nil {
		b.Fatalf("wrk does not say %s:\n%s", what, out)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n * map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[m[2]]
}

// servedTree makes an account with packages of these sizes.
func servedTree(t testing.TB, dir string, sizes map[string]int) {
	t.Helper()
	noarch := dir + "/acc/noarch"
	err := os.MkdirAll(noarch, 0o755)
	if err == nil {
		err = os.WriteFile(noarch+"/repodata.json", []byte(`{"packages":{}}`), 0o644)
	}
	for name, size := range sizes {
		if err == nil {
			err = os.WriteFile(noarch+"/"+name+"-1-0.conda", bytes.Repeat([]byte("0123456789abcdef"), size/16), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// nginx serves a directory as it does where it is tuned for files, until the test ends.
func nginx(b *testing.B, dir string) (url string) {
	program := client.Tool(b, "nginx", "nginx-light")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	prefix := b.TempDir()
	text := fmt.Sprintf("daemon off; pid %s/pid; error_log stderr; worker_processes auto; events { worker_connections 2048; }\n"+
		"http { access_log off; sendfile on; keepalive_requests 100000000; default_type application/octet-stream;\n"+
		"server { listen %s; root %s; } }\n", prefix, address, dir)
	if err := os.WriteFile(prefix+"/nginx.conf", []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	var complaints bytes.Buffer
	c := exec.Command(program, "-p", prefix, "-c", prefix+"/nginx.conf")
	c.Stderr = &complaints
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Process.Signal(os.Interrupt); c.Wait() })
	url = "http://" + address
	for range 100 {
		if a, err := http.Get(url + "/acc/noarch/repodata.json"); err == nil {
			a.Body.Close()
			if a.StatusCode != http.StatusOK {
				b.Fatalf("nginx says %s", a.Status)
			}
			return url
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatalf("nginx does not answer: %s", complaints.Bytes())
	return ""
}

// A thousand connections that wait, each of which has had a package and an index, cost less than 50 MB in all.
func TestServeIdle(t *testing.T) {
	dir := t.TempDir()
	servedTree(t, dir, map[string]int{"small": 10 << 10})
	url, pid := serverProcess(t, dir)
	for range 1000 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		for _, path := range []string{"/acc/noarch/small-1-0.conda", "/acc/noarch/repodata.json", "/healthz"} {
			io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
			a, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || a.StatusCode != http.StatusOK {
				t.Fatal(a, err)
			}
			if _, err := io.Copy(io.Discard, a.Body); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	told, _ := io.ReadAll(a.Body)
	if m := regexp.MustCompile(`serve_connections (\d+)`).FindSubmatch(told); m == nil || len(m[1]) < 4 {
		t.Errorf("the server has fewer than 1000 connections: %s", m)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if most, err := strconv.Atoi(string(m[1])); err != nil || most > 50_000 {
		t.Errorf("got %s kB at most for 1000 connections, want less than 50 MB", m[1])
	}
	t.Logf("%s kB at most", m[1])
}
