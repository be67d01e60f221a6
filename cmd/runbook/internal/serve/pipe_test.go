package serve

import (
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pipe(t testing.TB, name string) {
	t.Helper()
	if err := unix.Mkfifo(name, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What is no file is not served, and nobody waits for who might write to it.
func TestPipe(t *testing.T) {
	dir := channel(t)
	pipe(t, dir+"/free/linux-64/c-1-0.conda")
	pipe(t, dir+"/free/a-pipe")
	pipe(t, dir+"/a-pipe")
	s := start(t, Options{Dir: dir}, 0)
	client := &http.Client{Timeout: 5 * time.Second}
	if have := ask(t, client, "GET", s.url+"/free/linux-64/c-1-0.conda"); have.code != 404 {
		t.Errorf("got %d", have.code)
	}
}
