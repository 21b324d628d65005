package server

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// prosodyConfig: SHA-256 must stand before the first account is made, or only
// SCRAM-SHA-1 is offered; archives go to SQLite as they would in a hospital.
var prosodyConfig = template.Must(template.New("prosody").Parse(`
run_as_root = true
pidfile = "{{.Dir}}/prosody.pid"
data_path = "{{.Dir}}/data"
certificates = "{{.Dir}}"
interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
c2s_ports = { {{.Client}} }
s2s_ports = { }
http_ports = { {{.HTTP}} }
http_interfaces = { "127.0.0.1" }
https_ports = { {{.HTTPS}} }
https_interfaces = { "127.0.0.1" }
https_ssl = { certificate = "{{.Dir}}/server.crt"; key = "{{.Dir}}/server.key" }
ssl = { certificate = "{{.Dir}}/server.crt"; key = "{{.Dir}}/server.key" }
log = { info = "{{.Dir}}/prosody.log" }
modules_enabled = {
  "roster"; "saslauth"; "tls"; "disco"; "private"; "vcard4"; "vcard_legacy"; "version"; "time"; "ping";
  "pep"; "mam"; "carbons"; "csi_simple"; "smacks"; "blocklist"; "bookmarks"; "limits";
  "websocket"; "http_errors"; "offline"; "register"; "adhoc"; "admin_adhoc";
}
admins = { "sotto@{{.Domain}}" }
modules_disabled = { "s2s"; "dialback" }
consider_websocket_secure = true
http_default_host = "{{.Domain}}"
c2s_require_encryption = true
allow_registration = false
authentication = "internal_hashed"
password_hash = "SHA-256"
storage = { archive = "sql"; default = "internal" }
sql = { driver = "SQLite3", database = "{{.Dir}}/archive.sqlite" }
max_archive_query_results = 250
default_archive_policy = true
smacks_hibernation_time = 600
limits = { c2s = { rate = "100mb/s", burst = "10s" } }

VirtualHost "{{.Domain}}"

VirtualHost "partner.{{.Domain}}"

VirtualHost "plain.{{.Domain}}"
  disable_sasl_mechanisms = { "SCRAM-SHA-256"; "SCRAM-SHA-256-PLUS"; "SCRAM-SHA-1"; "SCRAM-SHA-1-PLUS"; "DIGEST-MD5"; "OAUTHBEARER"; "EXTERNAL" }

VirtualHost "bare.{{.Domain}}"
  modules_disabled = { "pep"; "vcard4"; "vcard_legacy"; "bookmarks"; "s2s"; "dialback" }

Component "rooms.{{.Domain}}" "muc"
  name = "Rooms"
  modules_enabled = { "muc_mam" }
  restrict_room_creation = "local"

Component "upload.{{.Domain}}" "http_file_share"
  http_host = "{{.Domain}}"
  http_external_url = "https://localhost:{{.HTTPS}}/"
  http_file_share_size_limit = 10 * 1000 * 1000
`))

// prosodyVersion is a line of what "prosodyctl about" prints.
var prosodyVersion = regexp.MustCompile(`(?m)^Prosody (\d\S*)`)

// StartProsody starts Prosody in dir, which must exist and be empty.
func StartProsody(ctx context.Context, dir string) (*Server, error) {
	binary, err := exec.LookPath("prosody")
	if err != nil {
		return nil, fmt.Errorf("prosody: %w", ErrMissing)
	}
	ctl, err := exec.LookPath("prosodyctl")
	if err != nil {
		return nil, fmt.Errorf("prosodyctl: %w", ErrMissing)
	}
	port, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Name:      "Prosody",
		Domain:    "localhost",
		OnlyPlain: "plain.localhost",
		NoPEP:     "bare.localhost",
		Partner:   "partner.localhost",
		Client:    port[0],
		PlainURL:  fmt.Sprintf("ws://localhost:%d/xmpp-websocket", port[1]),
		WebSocket: fmt.Sprintf("wss://localhost:%d/xmpp-websocket", port[2]),
		Addr:      fmt.Sprintf("127.0.0.1:%d", port[2]),
		Dir:       dir,
		log:       filepath.Join(dir, "prosody.log"),
	}
	if err := s.certify(s.Domain, "127.0.0.1", s.OnlyPlain, s.NoPEP, s.Partner); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prosody.cfg.lua")
	var text bytes.Buffer
	if err := prosodyConfig.Execute(&text, map[string]any{
		"Dir": dir, "Domain": s.Domain, "Client": port[0], "HTTP": port[1], "HTTPS": port[2],
	}); err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, text.Bytes(), 0o600); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	s.command = func() *exec.Cmd { return exec.Command(binary, "-F", "--config", config) }
	s.add = func(ctx context.Context, domain, group string, people []Person) error {
		for _, p := range people {
			if _, err := output(ctx, ctl, "--config", config, "register", p.Name, domain, p.Password); err != nil {
				return err
			}
			if err := writeProsodyRoster(s, domain, group, p, people); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.Start(ctx); err != nil {
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

// writeProsodyRoster writes one person's contact list where Prosody looks for
// it when that person comes online: its module for groups would read its own
// file only once, when the server starts.
func writeProsodyRoster(s *Server, domain, group string, owner Person, people []Person) error {
	var roster strings.Builder
	roster.WriteString("return {\n\t[false] = { version = 1 };\n")
	for _, p := range people {
		if p.Name != owner.Name {
			fmt.Fprintf(&roster, "\t[%q] = { name = %q; subscription = \"both\"; groups = { [%q] = true } };\n",
				p.Name+"@"+domain, p.Display, group)
		}
	}
	roster.WriteString("}\n")
	folder := filepath.Join(s.Dir, "data", prosodyEncode(domain), "roster")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, prosodyEncode(owner.Name)+".dat"), []byte(roster.String()), 0o600)
}

// prosodyEncode writes a name as Prosody does in its file names: what is not a
// letter or a digit becomes %xx.
func prosodyEncode(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
