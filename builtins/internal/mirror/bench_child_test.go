package mirror

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"runbook/builtins/internal/choose"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
)

// Engine and server of the benchmarks are separate processes: this test program again, with this test as its only
// one and a job in its environment.
const jobVariable = "RUNBOOK_BENCH_JOB"

// A job is what such a process is to do.
type job struct {
	Serve       string        // a directory: serve it over HTTP until standard input ends
	Latency     time.Duration // of each answer
	Channel     string        // mirror it
	Dest        string
	Connections int
	License     []string // to leave out
	NoBzip2     bool
	Profile     string // file for a profile of the processor
}

// An outcome is what a mirroring process tells.
type outcome struct {
	Changes int
	Plan    time.Duration
	Apply   time.Duration
	PeakKB  int // of resident memory
	Report  Report
}

func TestBenchJob(t *testing.T) {
	text, ok := os.LookupEnv(jobVariable)
	if !ok {
		t.Skip("only as another process of the benchmarks")
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatal(err)
	}
	if j.Serve != "" {
		j.serve(t)
		return
	}
	o, err := j.mirror(t.Context())
	if err != nil {
		t.Fatal(advised(err))
	}
	if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
		t.Fatal(err)
	}
}

func (j job) mirror(ctx context.Context) (o outcome, err error) {
	l := host.NewLocal("/")
	l.Net = fetch.New().Get
	m := &Mirror{Config: choose.Config{Channels: []string{j.Channel}, LicenseBlacklist: j.License}, Dest: j.Dest,
		Account: "acc", Connections: j.Connections, NoBzip2: j.NoBzip2}
	start := time.Now()
	p, err := m.Plan(ctx, l)
	o.Plan = time.Since(start)
	if err != nil {
		return o, err
	}
	if o.Changes = len(p.Changes()); o.Changes > 0 {
		err = p.Apply(ctx, l)
		o.Apply = time.Since(start) - o.Plan
	}
	o.Report, o.PeakKB = p.Report, peak()
	return o, err
}

// peak returns the most memory that this process has held. getrusage(2) would tell that of the parent, if it is more.
func peak() (kb int) {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ = strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return kb
}

func (j job) serve(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	files := http.FileServer(http.Dir(j.Serve))
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(j.Latency)
		files.ServeHTTP(w, r)
	})
	go http.Serve(l, h)
	fmt.Println("http://" + l.Addr().String())
	io.Copy(io.Discard, os.Stdin)
}

// start begins a job.
func (j job) start(b *testing.B) *exec.Cmd {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	text, err := json.Marshal(j)
	if err != nil {
		b.Fatal(err)
	}
	c := exec.Command(self, "-test.run=^TestBenchJob$", "-test.timeout=0")
	if j.Profile != "" {
		c.Args = append(c.Args, "-test.cpuprofile="+j.Profile)
	}
	c.Env = append(os.Environ(), "GOGC=50", jobVariable+"="+string(text)) // as the program sets it
	c.Stderr = os.Stderr
	return c
}

// run does a job to its end.
func (j job) run(b *testing.B) (o outcome) {
	b.Helper()
	out, err := j.start(b).Output()
	if err == nil {
		err = json.NewDecoder(strings.NewReader(string(out))).Decode(&o)
	}
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return o
}

// server starts a server of dir and returns its address.
func server(b *testing.B, dir string, latency time.Duration) string {
	b.Helper()
	c := job{Serve: dir, Latency: latency}.start(b)
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out)
		c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}
