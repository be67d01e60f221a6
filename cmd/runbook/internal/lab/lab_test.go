package lab

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	MaybeInit()
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	t.Parallel()
	j := New(t, Options{})
	tests := []struct {
		cmd  Cmd
		want Result
	}{
		{Cmd{Argv: []string{"id", "-u"}}, Result{Out: "0\n"}},
		{Cmd{Argv: []string{"id", "-G"}, UID: 1234, GID: 55, Groups: []uint32{77}}, Result{Out: "55 77\n"}},
		{Cmd{Argv: []string{"sh", "-c", "cat; pwd; echo $A >&2; exit 3"}, Stdin: "in\n", Dir: "/etc", Env: []string{"A=b"}}, Result{Out: "in\n/etc\n", Err: "b\n", Code: 3}},
		{Cmd{Argv: []string{"hostname"}}, Result{Out: "jail\n"}},
		{Cmd{Argv: []string{"sh", "-c", "ls /proc | grep -c '^1$'; ip -br link | wc -l"}}, Result{Out: "1\n1\n"}},
		{Cmd{Argv: []string{"sh", "-c", "echo x >/dev/null && echo ok"}, UID: 1234}, Result{Out: "ok\n"}},
		{Cmd{Argv: []string{"sleep", "9"}, Timeout: 50 * time.Millisecond}, Result{Code: -1}},
	}
	for _, tt := range tests {
		if got := j.Exec(tt.cmd); got != tt.want {
			t.Errorf("%v: got %+v, want %+v", tt.cmd.Argv, got, tt.want)
		}
	}
	if _, err := j.Start(Cmd{Argv: []string{"no-such-program"}}); err == nil {
		t.Error("a program that is not there started")
	}
}

// A daemon that keeps the standard output of the command that left it must not keep Run waiting.
func TestRunLeavesDaemon(t *testing.T) {
	t.Parallel()
	j := New(t, Options{})
	begin := time.Now()
	j.Must("setsid sleep 30 & until pgrep -x sleep; do :; done")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("waited %v for a daemon", took)
	}
	if got := j.Must("pgrep -c sleep"); got != "1\n" {
		t.Errorf("daemons: got %q, want one", got)
	}
	const boot = "cat /proc/sys/kernel/random/boot_id"
	before := j.Must("echo kept > /etc/kept; touch /run/gone; " + boot)
	j.Reboot()
	if after := j.Must(boot); after == before || len(after) != len(before) {
		t.Errorf("after a reboot: got boot %q, before %q", after, before)
	}
	if got := j.Must("pgrep -c sleep || true; cat /etc/kept; ls /run"); got != "0\nkept\nlock\n" {
		t.Errorf("after a reboot: got %q", got)
	}
}

// A killed process that nobody waits for must not look alive.
func TestOrphansAreReaped(t *testing.T) {
	t.Parallel()
	j := New(t, Options{})
	j.Must("setsid sleep 30 & echo $! > /tmp/pid; kill -9 $(cat /tmp/pid)")
	for range 100 {
		if j.Run(0, 0, "sh", "-c", "kill -0 $(cat /tmp/pid)").Code != 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a killed orphan is still there after a second")
}

func TestProcKill(t *testing.T) {
	t.Parallel()
	j := New(t, Options{})
	p, err := j.Start(Cmd{Argv: []string{"sh", "-c", "echo begun; sleep 30; echo never"}})
	if err != nil {
		t.Fatal(err)
	}
	for p.Output() == "" {
		time.Sleep(time.Millisecond)
	}
	p.Kill()
	if r := p.Wait(); r.Code != -1 || r.Out != "begun\n" {
		t.Errorf("got %+v", r)
	}
	got := ""
	for range 100 { // the kernel takes a moment to end them
		if got = j.Must("pgrep -c sleep || true"); got == "0\n" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("children of a killed command: got %q, want none", got)
}

func TestBind(t *testing.T) {
	t.Parallel()
	j, dir := New(t, Options{}), t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	j.Bind(dir, "/media/disk")
	j.Bind(file, "/usr/local/bin/tool")
	for _, name := range []string{"/media/disk/f", "/usr/local/bin/tool"} {
		if data, err := j.ReadFile(name); err != nil || string(data) != "outside" {
			t.Errorf("%s: got %q, %v", name, data, err)
		}
		if err := j.WriteFile(name, nil, 0o644); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if _, ok := j.Snapshot()["/media/disk/f"]; ok {
		t.Error("a snapshot shows what was bound")
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	j := New(t, Options{})
	before := j.Snapshot()
	if d := before.Diff(j.Snapshot()); len(d) != 0 {
		t.Errorf("nothing happened, but: %v", d)
	}
	j.Must("echo a > /srv/a; chmod 600 /srv/a; ln -s a /srv/b; rm /etc/hostname; chown 7:8 /etc/shells; mkdir /srv/d; touch /srv/d/x.pid; touch /run/y; sed -i s/root/toor/ /etc/group")
	var got []string
	for _, line := range before.Diff(j.Snapshot("/srv/d", "*.pid")) {
		got = append(got, strings.Join(strings.Fields(line)[:2], " "))
	}
	want := []string{"~ /etc/group:", "- /etc/hostname", "~ /etc/shells:", "+ /srv/a", "+ /srv/b"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	const digest = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7" // of "a\n"
	if got, want := j.Snapshot()["/srv/a"], "-rw------- 0:0 2 "+digest; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	j := New(t, Options{SizeMB: 1})
	if r := j.Run(0, 0, "sh", "-c", "head -c 2000000 /dev/zero > /srv/big"); !strings.Contains(r.Err, "No space left") {
		t.Errorf("got %+v, want no space left", r)
	}
}

// Jails do not see each other's files, and are joined by a wire only.
func TestWire(t *testing.T) {
	t.Parallel()
	a, b := New(t, Options{}), New(t, Options{})
	a.Must("touch /srv/only-a")
	if b.Run(0, 0, "test", "-e", "/srv/only-a").Code == 0 {
		t.Error("one jail's file is in another")
	}
	l, err := a.Listen("tcp4", "0.0.0.0:8080")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "from "+r.RemoteAddr) })}
	go server.Serve(l)
	defer server.Close()
	if _, err := b.DialContext(context.Background(), "tcp4", "10.77.0.1:8080"); err == nil {
		t.Error("connected without a wire")
	}
	Wire(t, a, b, "10.77.0.1/24", "10.77.0.2/24")
	if got := b.Must("curl -sS http://10.77.0.1:8080/"); !strings.HasPrefix(got, "from 10.77.0.2:") {
		t.Errorf("got %q", got)
	}
	client := http.Client{Transport: &http.Transport{DialContext: b.DialContext}}
	r, err := client.Get("http://10.77.0.1:8080/")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
}

func TestKill(t *testing.T) {
	t.Parallel()
	j := New(t, Options{})
	p, err := j.Start(Cmd{Argv: []string{"sleep", "30"}})
	if err != nil {
		t.Fatal(err)
	}
	j.Kill()
	j.Kill()
	if r := p.Wait(); r.Code != -1 {
		t.Errorf("a process of a killed jail ended with %+v", r)
	}
}

func BenchmarkJail(b *testing.B) {
	for b.Loop() {
		j := New(b, Options{})
		j.Run(0, 0, "true")
		j.Kill()
	}
}
