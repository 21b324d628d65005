package server

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Hardened is how a configuration of docs/relays is run.
type Hardened struct {
	Docs   string                   // the folder with the configurations
	People []Person                 // accounts, without contacts, on every host
	Hosts  []string                 // of the accounts; the first one is that of the configuration
	Names  []string                 // further names in the certificate
	API    bool                     // of ejabberd: with ejabberd-accounts.yml, too
	Plant  func(text string) string // changes the configuration; nil leaves it
}

// hospital is the domain in the configurations.
const hospital = "hospital.example"

// exchange replaces what a machine decides, its ports and paths, and fails where
// one of them is not in the configuration.
func exchange(text string, pairs ...string) (string, error) {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return "", fmt.Errorf("%q is not in the configuration", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text, nil
}

func (h *Hardened) read(name string, pairs ...string) (string, error) {
	b, err := os.ReadFile(filepath.Join(h.Docs, name))
	if err != nil {
		return "", err
	}
	text, err := exchange(string(b), pairs...)
	if err == nil && h.Plant != nil {
		text = h.Plant(text)
	}
	return text, err
}

func (h *Hardened) hosts() []string {
	if len(h.Hosts) == 0 {
		return []string{hospital}
	}
	return h.Hosts
}

// certify gives the server a certificate that is valid for long, as in a hospital.
func (h *Hardened) certify(s *Server) error {
	ca, err := NewAuthority(s.Dir)
	if err != nil {
		return err
	}
	s.CAFile = ca.File
	return ca.Issue(s.Dir, "server", time.Now().Add(90*24*time.Hour), append([]string{hospital}, h.Names...)...)
}

// StartHardenedProsody starts Prosody in dir with docs/relays/prosody.cfg.lua.
// Everything is at Addr, whatever the name: dial there for any address.
func StartHardenedProsody(ctx context.Context, dir string, h Hardened) (*Server, error) {
	binary, err := exec.LookPath("prosody")
	if err != nil {
		return nil, fmt.Errorf("prosody: %w", ErrMissing)
	}
	ctl, err := exec.LookPath("prosodyctl")
	if err != nil {
		return nil, fmt.Errorf("prosodyctl: %w", ErrMissing)
	}
	port, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: "Prosody", Domain: hospital, WebSocket: "wss://" + hospital + "/xmpp-websocket", Client: port[0],
		Addr: fmt.Sprintf("127.0.0.1:%d", port[1]), Dir: dir, log: filepath.Join(dir, "prosody.log")}
	if err := h.certify(s); err != nil {
		return nil, err
	}
	// It finds the key beside the certificate, under the same name.
	text, err := h.read("prosody.cfg.lua",
		`{ "*", "::" }`, `{ "127.0.0.1" }`, "{ 5222 }", fmt.Sprintf("{ %d }", port[0]), "{ 443 }", fmt.Sprintf("{ %d }", port[1]),
		"/run/prosody/", dir+"/", "/var/lib/prosody", dir+"/data", "/var/log/prosody/", dir+"/",
		"/etc/prosody/certs/hospital.example.crt", dir+"/server.crt", "/etc/prosody/certs", dir, "/etc/prosody/www", dir+"/www")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prosody.cfg.lua")
	known := filepath.Join(dir, "www", ".well-known")
	if err := errors.Join(os.WriteFile(config, []byte("run_as_root = true\n"+text), 0o600), os.Mkdir(filepath.Join(dir, "data"), 0o700), os.MkdirAll(known, 0o700)); err != nil {
		return nil, err
	}
	for _, name := range []string{"host-meta", "host-meta.json"} {
		b, err := os.ReadFile(filepath.Join(h.Docs, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(known, name), b, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, host := range h.hosts() {
		for _, p := range h.People {
			if err := writeProsodyAccount(filepath.Join(dir, "data"), host, p); err != nil {
				return nil, err
			}
		}
	}
	s.command = func() *exec.Cmd { return exec.Command(binary, "-F", "--config", config) }
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	if err := s.awake(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	about, err := output(ctx, ctl, "--config", config, "about")
	if err != nil {
		s.Stop()
		return nil, err
	}
	if version := prosodyVersion.FindStringSubmatch(about); version != nil {
		s.Version = version[1]
	}
	return s, nil
}

// awake waits until the server says anything at all to what is no TLS: Prosody
// opens its ports before it has loaded its hosts.
func (s *Server) awake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	_, _ = c.Read(make([]byte, 1)) // an answer or the end of it: both are awake
	return ctx.Err()
}

// writeProsodyAccount writes an account as Prosody keeps it, which takes a
// hundredth of the time of asking prosodyctl for each.
func writeProsodyAccount(data, host string, p Person) error {
	salt, stored, server, err := scram(p.Password)
	if err != nil {
		return err
	}
	folder := filepath.Join(data, prosodyEncode(host), "accounts")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("return {\n\tsalt = %q;\n\titeration_count = %d;\n\tstored_key = \"%x\";\n\tserver_key = \"%x\";\n}\n",
		salt, iterations, stored, server)
	return os.WriteFile(filepath.Join(folder, prosodyEncode(p.Name)+".dat"), []byte(text), 0o600)
}

const iterations = 4096

// scram makes what a server keeps of a password (RFC 5802 section 3). The salt is
// text, because one of the servers keeps it as such.
func scram(password string) (salt string, stored, server []byte, err error) {
	salt = rand.Text()
	salted, err := pbkdf2.Key(sha256.New, password, []byte(salt), iterations, sha256.Size)
	if err != nil {
		return "", nil, nil, err
	}
	sum := func(s string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(s))
		return m.Sum(nil)
	}
	key := sha256.Sum256(sum("Client Key"))
	return salt, key[:], sum("Server Key"), nil
}

// StartHardenedEjabberd starts ejabberd in dir with docs/relays/ejabberd.yml. A
// further host has its accounts in a database of its own, which Plant has to
// name: that of the first one, with the host's name instead of "ejabberd".
func StartHardenedEjabberd(ctx context.Context, dir string, h Hardened) (*Server, error) {
	erl, schema, libraries, err := findEjabberd()
	if err != nil {
		return nil, err
	}
	port, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: "ejabberd", Domain: hospital, WebSocket: "wss://" + hospital + "/ws", Client: port[0],
		Addr: fmt.Sprintf("127.0.0.1:%d", port[1]), Dir: dir, log: filepath.Join(dir, "log", "ejabberd.log")}
	if err := h.certify(s); err != nil {
		return nil, err
	}
	text, err := h.read("ejabberd.yml",
		"port: 5222", fmt.Sprintf("port: %d", port[0]), "port: 443", fmt.Sprintf("port: %d", port[1]), `ip: "::"`, `ip: "127.0.0.1"`,
		"/etc/ejabberd/hospital.example.pem", dir+"/server.pem", "/var/lib/ejabberd", dir+"/db")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "ejabberd.yml")
	if h.API {
		more, err := h.read("ejabberd-accounts.yml", "port: 5443", fmt.Sprintf("port: %d", port[2]))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "accounts.yml"), []byte(more), 0o600)
		}
		if err != nil {
			return nil, err
		}
		text += fmt.Sprintf("include_config_file: [%q]\n", filepath.Join(dir, "accounts.yml"))
		s.API = fmt.Sprintf("https://localhost:%d/api", port[2])
	}
	for _, name := range []string{"db", "log", "mnesia"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	if err = errors.Join(err, os.WriteFile(config, []byte(text), 0o600)); err != nil {
		return nil, err
	}
	for i, host := range h.hosts() {
		database := filepath.Join(dir, "db", "ejabberd.sqlite")
		if i > 0 { // ejabberd has a connection for each host, and SQLite one writer a file
			database = filepath.Join(dir, "db", host+".sqlite")
		}
		if err := layOut(ctx, database, schema); err != nil {
			return nil, err
		}
		if err := writeEjabberdAccounts(ctx, database, host, h.People); err != nil {
			return nil, err
		}
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(erl, "-noinput", "+sbwt", "none", "+S", "2:2",
			"-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(dir, "mnesia")), "-s", "ejabberd")
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8",
			"ERL_LIBS=" + libraries, "ERL_CRASH_DUMP_BYTES=0",
			"EJABBERD_CONFIG_PATH=" + config, "EJABBERD_LOG_PATH=" + s.log,
			"EJABBERD_PID_PATH=" + filepath.Join(dir, "ejabberd.pid"),
		}
		return cmd
	}
	s.Version = strings.TrimPrefix(filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(schema)))), "ejabberd-")
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	if strings.Contains(text, "tls: false") { // which a test has planted
		return s, nil
	}
	if err := s.certified(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// certified waits until the server shows its certificate: ejabberd opens its ports
// before it has loaded that.
func (s *Server) certified(ctx context.Context) error {
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: s.Domain}}
	for {
		c, err := d.DialContext(ctx, "tcp", s.Addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s shows no certificate: %w\n%s", s.Name, err, s.Log(30))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// findEjabberd returns Erlang, ejabberd's schema for SQLite and where its
// libraries are.
func findEjabberd() (erl, schema, libraries string, err error) {
	if erl, err = exec.LookPath("erl"); err != nil {
		return "", "", "", fmt.Errorf("erlang: %w", ErrMissing)
	}
	schemas, _ := filepath.Glob("/usr/lib/*/ejabberd-*/priv/sql/lite.new.sql")
	if len(schemas) == 0 {
		return "", "", "", fmt.Errorf("ejabberd: %w", ErrMissing)
	}
	if drivers, _ := filepath.Glob("/usr/lib/erlang/lib/p1_sqlite3-*"); len(drivers) == 0 {
		return "", "", "", fmt.Errorf("erlang-p1-sqlite3: %w", ErrMissing)
	}
	return erl, schemas[0], filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(schemas[0])))), nil
}

// writeEjabberdAccounts writes accounts as ejabberd keeps them: the hardened
// configuration has no interface to make them with over HTTP.
func writeEjabberdAccounts(ctx context.Context, database, host string, people []Person) error {
	db, err := sql.Open("sqlite3", "file:"+database)
	if err != nil {
		return err
	}
	defer db.Close()
	encode := base64.StdEncoding.EncodeToString
	for _, p := range people {
		salt, stored, server, err := scram(p.Password)
		if err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO users(username, server_host, password, serverkey, salt, iterationcount) VALUES (?,?,?,?,?,?)`,
			p.Name, host, "sha256:"+encode(stored), encode(server), encode([]byte(salt)), iterations); err != nil {
			return fmt.Errorf("making %s@%s: %w", p.Name, host, err)
		}
	}
	return db.Close()
}
