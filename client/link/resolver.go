package link

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
)

// resolvConf is what Go's resolver reads, again whenever it changed.
const resolvConf = "/etc/resolv.conf"

// Bounds of what is read of it. Resolvers use three name servers.
const (
	maxResolvConf  = 64 << 10
	maxNameServers = 3
)

// nameServers remembers the name servers of a system. The link may read
// /etc/resolv.conf, but not one that took its place by a rename (Landlock knows
// files, not names). Go's resolver would then ask this very computer, where
// nobody listens: instead the servers from before are asked. If they are out of
// reach, because the network is another one, the relay is still found by the
// address that it had (see dialer). It is safe for concurrent use.
type nameServers struct {
	path string
	port string
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu      sync.Mutex
	servers []string // with port
	turn    int
}

// newResolver returns what looks names up; nil, for the usual one, on systems
// that take no files away from a process.
func newResolver() *net.Resolver {
	if runtime.GOOS != "linux" {
		return nil
	}
	n := &nameServers{path: resolvConf, port: "53", dial: new(net.Dialer).DialContext}
	n.readable()
	return &net.Resolver{PreferGo: true, Dial: n.connect}
}

// connect is a net.Resolver's Dial: address is the server that it would ask.
func (n *nameServers) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if !n.readable() {
		address = n.remembered(address)
	}
	return n.dial(ctx, network, address)
}

// readable reports whether the resolver can read its file, and remembers what is
// in it then.
func (n *nameServers) readable() bool {
	f, err := os.Open(n.path)
	if err != nil {
		return !errors.Is(err, fs.ErrPermission)
	}
	defer f.Close()
	servers := readNameServers(f, n.port)
	n.mu.Lock()
	n.servers = servers
	n.mu.Unlock()
	return true
}

// remembered returns one of the servers in turn; instead if none is known.
func (n *nameServers) remembered(instead string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.servers) == 0 {
		return instead
	}
	n.turn++
	return n.servers[n.turn%len(n.servers)]
}

// readNameServers reads the name servers of a resolv.conf(5).
func readNameServers(r io.Reader, port string) (servers []string) {
	lines := bufio.NewScanner(io.LimitReader(r, maxResolvConf))
	for lines.Scan() && len(servers) < maxNameServers {
		f := strings.Fields(lines.Text())
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		address, _, _ := strings.Cut(f[1], "%") // the zone of an address stays in what is dialled
		if net.ParseIP(address) != nil {
			servers = append(servers, net.JoinHostPort(f[1], port))
		}
	}
	return servers
}
