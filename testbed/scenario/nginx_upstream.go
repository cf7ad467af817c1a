package scenario

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// nginxUpstream: nginx speaks TLS to an application over connections that it
// keeps. A new release of the application closes each after its answer.
func nginxUpstream() Scenario {
	return Scenario{
		Name:   "nginx-upstream",
		Title:  "nginx makes a TLS connection to its upstream for every request",
		Server: "nginx", Language: C, Kind: Churn, Source: Debian, Split: Report,
		Normal: "two workers serve files and pass three requests of four on, over TLS connections that are kept",
		Fault:  "the upstream's new release answers with Connection: close: a connection and a handshake for every request",
		// https://github.com/nginx/nginx/blob/release-1.22.1/src/http/ngx_http_upstream.c:
		// ngx_http_upstream_connect and _ssl_init_connection, both static,
		// call these. Missing keepalive to upstreams is one of
		// https://blog.nginx.org/blog/avoiding-top-10-nginx-configuration-mistakes.
		Truth:    []string{"ngx_event_connect_peer", "ngx_ssl_create_connection", "ngx_ssl_handshake"},
		Patterns: []string{"connection_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			app, err := startUpstream()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartNginxWith(ctx, server.NginxConfig{
				HTTP: fmt.Sprintf("upstream app { server %s; keepalive 16; }", app.addr),
				// Sessions are not reused where several instances do not
				// share their tickets' key.
				Server: fmt.Sprintf(`location /api/ {
					proxy_pass https://app;
					proxy_http_version 1.1;
					proxy_set_header Connection "";
					proxy_ssl_verify on;
					proxy_ssl_name app.test;
					proxy_ssl_trusted_certificate %s;
					proxy_ssl_session_reuse off;
				}`, app.certificate),
			})
			if err != nil {
				app.stop()
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 150, func(r *mathrand.Rand) (*http.Request, error) {
					path := fmt.Sprintf("/%d.bin", r.IntN(server.NginxFiles+1)) // one is missing
					if r.IntN(4) != 0 {
						path = fmt.Sprintf("/api/orders/%d", r.IntN(1000))
					}
					return http.NewRequest(http.MethodGet, "http://"+s.Addr+path, nil)
				}),
				Fault: func(context.Context) (func(), error) {
					app.http.SetKeepAlivesEnabled(false)
					return func() { app.http.SetKeepAlivesEnabled(true) }, nil
				},
				Stop: app.stop,
			}, nil
		},
	}
}

// upstream is an application behind nginx.
type upstream struct {
	http *http.Server
	addr string
	// certificate is a file.
	certificate string
}

func (u *upstream) stop() {
	u.http.Close()
	os.Remove(u.certificate)
}

func startUpstream() (*upstream, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app.test"}, DNSNames: []string{"app.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	// nginx reads it as root.
	file, err := os.CreateTemp("", "perfscope-upstream-*.pem")
	if err != nil {
		return nil, err
	}
	err = pem.Encode(file, &pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(file.Name())
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Remove(file.Name())
		return nil, err
	}
	u := &upstream{addr: listener.Addr().String(), certificate: file.Name()}
	u.http = &http.Server{
		Handler:   http.HandlerFunc(answerOrder),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}},
		ErrorLog:  log.New(io.Discard, "", 0), // connections that nginx closes
	}
	go func() { _ = u.http.ServeTLS(listener, "", "") }() // ends with stop
	return u, nil
}

// answerOrder takes a few milliseconds for an order; one in a hundred is
// unknown.
func answerOrder(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/api/orders/")
	if strings.HasSuffix(id, "77") {
		http.Error(w, "no such order", http.StatusNotFound)
		return
	}
	time.Sleep(2 * time.Millisecond)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":%q,"lines":[%s]}`, id, strings.Repeat(`{"item":"book","price":12},`, 100)+"null")
}
