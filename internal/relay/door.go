package relay

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// door is a listener that bounds how many connections there are of people who
// have not logged in yet: of all and of each network address. Whoever is too
// many is hung up on before anything is read. Loopback addresses are bounded as
// all are, but not each: there may be a proxy, behind which is everybody.
type door struct {
	net.Listener
	all, each int
	exempt    func(host string) bool

	mu    sync.Mutex
	total int
	from  map[string]int // by network address
}

func newDoor(ln net.Listener, l Limits) *door {
	return &door{Listener: ln, all: l.Unauthenticated + maxTransfers, each: l.UnauthenticatedEach, from: map[string]int{},
		exempt: func(host string) bool { ip := net.ParseIP(host); return ip == nil || ip.IsLoopback() }}
}

// Accept returns the next connection that is not one too many.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guest{Conn: c, door: d, host: host(c.RemoteAddr().String())}
		if d.enter(g.host) {
			return g, nil
		}
		c.Close()
	}
}

func (d *door) enter(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total >= d.all || d.from[host] >= d.each && !d.exempt(host) {
		return false
	}
	d.total++
	d.from[host]++
	return true
}

func (d *door) leave(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.from[host]--; d.from[host] <= 0 {
		delete(d.from, host)
	}
}

// guest is a connection that counts until it is known or closed.
type guest struct {
	net.Conn
	door *door
	host string
	once sync.Once
}

// known says that the person behind g has logged in. g may be nil.
func (g *guest) known() {
	if g != nil {
		g.once.Do(func() { g.door.leave(g.host) })
	}
}

// Close closes the connection.
func (g *guest) Close() error {
	g.known()
	return g.Conn.Close()
}

type guestKey struct{}

// introduce makes the guest of a connection known to requests.
func introduce(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, guestKey{}, c)
}

// guestOf returns the connection of a request, or nil if it came by no door.
func guestOf(q *http.Request) *guest {
	g, _ := q.Context().Value(guestKey{}).(*guest)
	return g
}
