package link

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sotto/client/wire"
)

// TestFilesFromNearby has somebody's link lead to what listens on this computer, or
// only to this wire.
func TestFilesFromNearby(t *testing.T) {
	refused := wire.Ended{ID: 1, Outcome: wire.Rejected, Words: "leads to this computer"}
	asked := wire.Ended{ID: 1, Outcome: wire.Broke, Words: "certificate"} // as far as its certificate, which is nobody's
	for _, x := range []struct {
		relay, file string
		want        wire.Ended
	}{
		{"192.0.2.1", "127.0.0.1", refused},
		{"192.0.2.1", "127.9.9.9", refused},
		{"192.0.2.1", "::1", refused},
		{"192.0.2.1", "::ffff:127.0.0.1", refused},
		{"192.0.2.1", "0.0.0.0", refused},
		{"192.0.2.1", "169.254.169.254", refused},
		{"192.0.2.1", "::ffff:169.254.169.254", refused},
		{"192.0.2.1", "fe80::1", refused},
		{"", "127.0.0.1", refused}, // where the relay is was not found out yet
		{"127.0.0.1", "169.254.169.254", refused},
		{"192.0.2.1", "10.1.2.3", asked}, // hospitals have their servers there
		{"192.0.2.1", "192.0.2.7", asked},
		{"127.0.0.1", "127.0.0.1", asked},
		{"fe80::2", "fe80::1", asked},
	} {
		t.Run(x.relay+" and "+x.file, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.Config.ErrorLog = quiet()
			s.StartTLS()
			defer s.Close()
			cfg := Config{Backoff: hour, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				ip := net.ParseIP(x.file)
				if strings.HasPrefix(address, "relay.") {
					if ip = net.ParseIP(x.relay); ip == nil {
						return nil, &net.DNSError{Err: "no such host", Name: address}
					}
				}
				c, err := (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
				return addrConn{c, ip}, err
			}}
			d := attach(t, start(t, cfg), true)
			d.login("wss://relay.example/ws")
			d.phase(wire.Offline)
			_, end := d.download(wire.Get{ID: 1, URL: "https://files.example/x", Limit: 100}, nil)
			if end.Outcome != x.want.Outcome || !strings.Contains(end.Words, x.want.Words) {
				t.Errorf("download: %+v", end)
			}
			_, end = d.upload(wire.Put{ID: 2, URL: "https://files.example/x", Size: 10}, make([]byte, 10))
			if end.Outcome != x.want.Outcome || !strings.Contains(end.Words, x.want.Words) {
				t.Errorf("upload: %+v", end)
			}
		})
	}
}
