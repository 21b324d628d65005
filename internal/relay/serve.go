package relay

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"sotto/client/stanza"
)

// Handler serves the WebSocket at /ws, files at /upload, and at /.well-known where to find it (XEP-0156).
func (r *Relay) Handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /ws", r.accept)
	m.HandleFunc("GET /upload/{id}/{name}", r.file)
	m.HandleFunc("PUT /upload/{id}/{name}", r.file)
	m.HandleFunc("GET /.well-known/host-meta", r.hostMeta)
	m.HandleFunc("GET /.well-known/host-meta.json", r.hostMetaJSON)
	return m
}

// ErrPlain is returned when passwords and addresses would cross a network unprotected.
var ErrPlain = errors.New("without TLS the relay listens on a loopback address only: give it a certificate, or put it behind a proxy on this machine")

// Serve answers connections on ln until ctx ends or the relay is closed, and
// closes ln. Without TLS ln has to be reachable from this machine only.
func (r *Relay) Serve(ctx context.Context, ln net.Listener) error {
	if !isLoopback(ln.Addr()) {
		ln.Close()
		return ErrPlain
	}
	return r.serve(ctx, newDoor(ln, r.cfg.Limits))
}

// ServeTLS does what Serve does, with TLS 1.3 and the given certificates.
func (r *Relay) ServeTLS(ctx context.Context, ln net.Listener, cfg *tls.Config) error {
	cfg = cfg.Clone()
	cfg.MinVersion = tls.VersionTLS13
	cfg.NextProtos = []string{"http/1.1"} // WebSockets are negotiated in HTTP/1.1
	return r.serve(ctx, tls.NewListener(newDoor(ln, r.cfg.Limits), cfg))
}

func (r *Relay) serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           r.Handler(),
		ConnContext:       introduce,
		ReadHeaderTimeout: r.cfg.Limits.LoginTime,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-ctx.Done():
		case <-r.ctx.Done():
		case <-done:
		}
		srv.Close() // not the WebSockets, which Close says goodbye to
	}()
	err := srv.Serve(ln)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the relay: %w", err)
}

// url is where the WebSocket is, as the client that asks can reach it.
func (r *Relay) url(q *http.Request) string {
	if r.cfg.URL != "" {
		return r.cfg.URL
	}
	scheme := "ws"
	if q.TLS != nil {
		scheme = "wss"
	}
	return scheme + "://" + q.Host + "/ws"
}

// base is where files are, as the client that asks can reach them: beside the
// WebSocket. It is empty where that cannot be told.
func (r *Relay) base(q *http.Request) string {
	u, err := url.Parse(r.url(q))
	if err != nil || u.Host == "" || len(u.Host) > 255 || u.User != nil {
		return ""
	}
	scheme := "http"
	if u.Scheme == "wss" {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: u.Host}).String()
}

const relWebSocket = "urn:xmpp:alt-connections:websocket"

func (r *Relay) hostMeta(w http.ResponseWriter, q *http.Request) {
	link := stanza.New(nsXRD, "XRD", stanza.New(nsXRD, "Link").With("rel", relWebSocket).With("href", r.url(q)))
	w.Header().Set("Content-Type", "application/xrd+xml")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Write(append([]byte("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"), link.Bytes()...))
}

func (r *Relay) hostMetaJSON(w http.ResponseWriter, q *http.Request) {
	type link struct {
		Rel  string `json:"rel"`
		Href string `json:"href"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	json.NewEncoder(w).Encode(map[string][]link{"links": {{relWebSocket, r.url(q)}}})
}
