//go:build amd64 || arm64

package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"sotto/internal/harden"
)

// TestReplacedResolvConf looks a name up in a process that is confined as the
// link is, after the file with the name servers was replaced.
func TestReplacedResolvConf(t *testing.T) {
	if path := os.Getenv("LINK_TEST_RESOLV_CONF"); path != "" {
		confinedLookup(path, os.Getenv("LINK_TEST_RESOLVER"))
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "resolv.conf")
	host, port, err := net.SplitHostPort(startResolver(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("# ours\nnameserver "+host+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestReplacedResolvConf$")
	cmd.Env = append(os.Environ(), "LINK_TEST_RESOLV_CONF="+path, "LINK_TEST_RESOLVER="+port)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	say := func() string {
		if !lines.Scan() {
			t.Fatalf("the child has ended: %v", lines.Err())
		}
		return lines.Text()
	}
	if got := say(); got != "confined" {
		t.Fatal(got)
	}
	next := filepath.Join(dir, "next")
	if err := os.WriteFile(next, []byte("nameserver 192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in)
	if got := say(); got != "[127.0.0.2]" {
		t.Errorf("looked up: %s", got)
	}
}

// confinedLookup is the child. It says what it found on a line of its own.
func confinedLookup(path, port string) {
	n := &nameServers{path: path, port: port, dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if !strings.HasSuffix(address, ":"+port) {
			return nil, errors.New("asks " + address)
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	readable := n.readable()
	if err := harden.Early(); err != nil {
		fmt.Println(err)
		return
	}
	layers, err := harden.Link(path)
	if err != nil || layers.Landlock == 0 || !readable || !n.readable() {
		fmt.Println("not confined as it should be:", layers, err)
		return
	}
	fmt.Println("confined")
	bufio.NewReader(os.Stdin).ReadString('\n')
	if _, err := os.Open(path); !errors.Is(err, fs.ErrPermission) {
		fmt.Println("the new file can be read:", err)
		return
	}
	r := &net.Resolver{PreferGo: true, Dial: n.connect}
	found, err := r.LookupHost(context.Background(), "relay.test")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found)
}

func TestReadNameServers(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil,
		"nameserver 192.0.2.1\nnameserver\t2001:db8::1 \n;nameserver 192.0.2.9\n": {"192.0.2.1:53", "[2001:db8::1]:53"},
		"nameserver fe80::1%eth0\nsearch nameserver 192.0.2.9\n":                  {"[fe80::1%eth0]:53"},
		"nameserver elsewhere.test\nnameserver\n":                                 nil,
		strings.Repeat("nameserver 192.0.2.1\n", 9):                               {"192.0.2.1:53", "192.0.2.1:53", "192.0.2.1:53"},
		strings.Repeat("x", 100<<10) + "\nnameserver 192.0.2.1\n":                 nil,
	} {
		if got := readNameServers(strings.NewReader(text), "53"); !slices.Equal(got, want) {
			t.Errorf("%.40q: %q", text, got)
		}
	}
}

// Where nothing is remembered, or there is no such file, the resolver decides.
func TestResolverDecides(t *testing.T) {
	n := &nameServers{path: filepath.Join(t.TempDir(), "none"), port: "53"}
	if !n.readable() {
		t.Error("a file that is not there counts as kept away")
	}
	if got := n.remembered("192.0.2.7:53"); got != "192.0.2.7:53" {
		t.Errorf("asks %s", got)
	}
}

// startResolver answers questions for the address of relay.test.
func startResolver(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			k, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:k]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals = true, nil
			if q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60},
					Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 2}}}}
			}
			if a, err := m.Pack(); err == nil {
				conn.WriteTo(a, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}
