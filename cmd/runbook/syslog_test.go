package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"runbook/runtime"
)

// A log that nobody reads does not hold a run up.
func TestSyslogStandsStill(t *testing.T) {
	dir, err := os.MkdirTemp("", "log") // the name of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "log")
	log, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	full, err := net.Dial("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	full.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for n := 0; ; n++ {
		if _, err := full.Write([]byte("x")); err != nil {
			break
		}
		if n > 1_000_000 {
			t.Fatal("the log takes all that is written")
		}
	}
	s := &session{program: &program{syslog: socket, now: time.Now}, loaded: loaded{book: &runtime.Runbook{Name: "a.star"}}}
	began := time.Now()
	s.logHead("/t.jsonl", "00")
	if d := time.Since(began); d < 100*time.Millisecond || d > 5*time.Second {
		t.Errorf("took %s, want about a second", d)
	}
}
