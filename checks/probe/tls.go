package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
)

// tlsConfig is how a certificate is judged. The error is one of this host, not of the server.
func tlsConfig(v checks.TLS, host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: v.ServerName, MinVersion: tls.VersionTLS12, InsecureSkipVerify: v.SkipVerify} //nolint:gosec // asked for by name
	if c.ServerName == "" {
		c.ServerName = host
	}
	if v.CA != "" {
		pem, err := os.ReadFile(v.CA)
		if err != nil {
			return nil, fmt.Errorf("read the certificates to trust: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no PEM certificate in it", v.CA)
		}
	}
	return c, nil
}

// untrusted says in words why a certificate was not taken; empty if that is not the matter.
func untrusted(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "the certificate is signed by an unknown authority"
	case errors.As(err, &name):
		return "the certificate is not for " + name.Host
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return "the certificate is valid from " + invalid.Cert.NotBefore.Format(time.DateOnly) + " to " + invalid.Cert.NotAfter.Format(time.DateOnly)
	case errors.As(err, &invalid):
		return "the certificate is invalid: " + invalid.Error()
	}
	return ""
}

// expiring says that the server's certificate will not be valid for long enough, or nothing.
func expiring(v checks.TLS, state *tls.ConnectionState, now time.Time) string {
	if v.Remaining <= 0 || state == nil || len(state.PeerCertificates) == 0 {
		return ""
	}
	if end := state.PeerCertificates[0].NotAfter; end.Before(now.Add(v.Remaining)) {
		return "the certificate expires on " + end.UTC().Format(time.DateOnly)
	}
	return ""
}
