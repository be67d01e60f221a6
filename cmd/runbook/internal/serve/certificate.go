package serve

import (
	"crypto/tls"
	"fmt"
	"time"
)

// A certificate is what clients are shown. It is read again when its files change.
type certificate struct {
	pair   *tls.Certificate
	expiry time.Time
}

// expiry is the metric of when the certificate ends, if there is one.
func (s *Server) expiry() string {
	if s.cert == nil {
		return ""
	}
	ends := s.cert.get().expiry.Unix()
	return gauge("certificate_expires_seconds", "When the certificate ends, in seconds since 1970.", ends)
}

// readCertificate reads a certificate, with those that it depends on, and its key.
func readCertificate(files []string) (*certificate, error) {
	pair, err := tls.LoadX509KeyPair(files[0], files[1])
	if err != nil {
		return nil, &refusal{fmt.Sprintf("certificate %s, key %s: %v", files[0], files[1], err),
			"both are PEM files, and the certificate of the key comes first in its file"}
	}
	return &certificate{&pair, pair.Leaf.NotAfter}, nil
}
