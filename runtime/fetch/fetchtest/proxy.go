package fetchtest

import (
	"io"
	"net"
	"net/http"
	"sync"
)

// forward is what a proxy does for http.
func (x *exchange) forward() {
	out := x.r.Clone(x.r.Context())
	out.RequestURI = ""
	out.Header.Del("Proxy-Authorization")
	via := &http.Transport{DialContext: dial, DisableCompression: true, DisableKeepAlives: true}
	resp, err := via.RoundTrip(out)
	if err != nil {
		x.w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		x.w.Header()[name] = values
	}
	x.w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(x.w, resp.Body); err != nil {
		x.abort()
	}
}

// tunnel is what a proxy does for https.
func (x *exchange) tunnel() {
	there, err := dial(x.r.Context(), "tcp", x.r.Host)
	if err != nil {
		x.w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.abort()
	}
	defer here.Close()
	io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { splice(there, here) })
	both.Go(func() { splice(here, there) })
	both.Wait()
}

// splice ends both when one ends.
func splice(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
	from.Close()
}
