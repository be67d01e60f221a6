package fetchtest_test

import (
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"runbook/runtime/fetch/fetchtest"
	"runbook/runtime/host"
)

// statuses asks for each path in turn.
func statuses(t *testing.T, s *fetchtest.Server, paths ...string) (all []int) {
	t.Helper()
	c := s.Client(t)
	c.Tries, c.Stall = 1, time.Minute
	for _, p := range paths {
		resp, err := c.Get(t.Context(), host.Request{URL: s.URL + p})
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		all = append(all, resp.Status)
	}
	return all
}

func TestFiles(t *testing.T) {
	s := fetchtest.New(t, fstest.MapFS{"main/noarch/a.conda": {Data: []byte("a")}, "b": {Data: []byte("b")}})
	s.Set("/b", nil)
	s.Set("c", []byte("c"))
	if got := statuses(t, s, "/main/noarch/a.conda", "/main/noarch", "/b", "/c", "/d", "/../c"); !slices.Equal(got, []int{200, 404, 404, 200, 404, 404}) {
		t.Errorf("got %v", got)
	}
	tags := map[string]bool{}
	for range 2 {
		resp, err := s.Client(t).Get(t.Context(), host.Request{URL: s.URL + "/c"})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		tags[resp.ETag] = true
		s.Set("c", []byte("d"))
	}
	if len(tags) != 2 {
		t.Errorf("got tags %v of two versions", tags)
	}
}

func TestFaults(t *testing.T) {
	s := fetchtest.New(t, fstest.MapFS{"x/a.json": {Data: []byte("a")}, "x/b.json": {}, "y/a.json": {}, "c": {}})
	s.Fault("*.json", fetchtest.Status(500), 1)
	s.Fault("x/*.json", fetchtest.Status(403), 1)
	s.Fault("/x/a.json", fetchtest.Status(401), 1)
	s.Fault("c", fetchtest.Status(404), fetchtest.Forever)
	got := statuses(t, s, "/x/a.json", "/x/b.json", "/x/a.json", "/x/a.json", "/x/a.json", "/x/b.json", "/x/b.json", "/y/a.json", "/y/a.json", "/c", "/c", "/c")
	if want := []int{500, 500, 403, 401, 200, 403, 200, 500, 200, 404, 404, 404}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s.Count("a.json") != 6 || s.Count("x/*") != 7 || s.Count("*") != 12 || s.Requests()[2].Behaviour != "status 403" {
		t.Errorf("got %+v", s.Requests())
	}
	s.Heal()
	if got := statuses(t, s, "/c"); got[0] != 200 {
		t.Errorf("healed: got %v", got)
	}
	s.Forget()
	if len(s.Requests()) != 0 {
		t.Error("nothing forgotten")
	}
}

func TestNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range fetchtest.All() {
		if b.Name == "" || seen[b.Name] {
			t.Errorf("%q: none, or twice", b.Name)
		}
		seen[b.Name] = true
	}
	if len(seen) < 48 {
		t.Errorf("only %d", len(seen))
	}
}

func TestGuard(t *testing.T) {
	s := fetchtest.New(t, nil)
	s.Guard("s3cr3t")
	addr := strings.TrimPrefix(s.URL, "http://")
	c := s.Client(t)
	for _, r := range []host.Request{
		{URL: s.URL + "/t/s3cr3t/x"}, {URL: s.URL + "/?a=s3cr3t"}, {URL: "http://u:s3cr3t@" + addr}, {URL: "http://u:x@" + addr}, {URL: s.URL, Bearer: "x"},
		{URL: s.URL + "/%733cr3t"}, {URL: s.URL, ETag: `"s3cr3t"`}, {URL: s.URL},
	} {
		resp, err := c.Get(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if n := len(s.Leaks()); n != 7 {
		t.Errorf("got %d leaks of %+v", n, s.Requests())
	}
}

func TestMost(t *testing.T) {
	s := fetchtest.New(t, fstest.MapFS{"a": {}})
	s.Fault("a", fetchtest.After(100*time.Millisecond), fetchtest.Forever)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { statuses(t, s, "/a") })
	}
	wg.Wait()
	if most := s.Most(); most < 2 || most > 8 {
		t.Errorf("got %d at once", most)
	}
}
