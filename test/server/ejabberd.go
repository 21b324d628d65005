package server

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"

	_ "github.com/ncruces/go-sqlite3/driver" // ejabberd's database is laid out before its first start
)

// ejabberdConfig: everything in SQLite, because the archive cannot be used on
// Mnesia; commands from loopback make the accounts.
var ejabberdConfig = template.Must(template.New("ejabberd").Parse(`
hosts: ["{{.Domain}}"]
loglevel: info
certfiles: ["{{.Dir}}/server.pem"]
ca_file: "{{.Dir}}/ca.pem"
acme: { auto: false }
auth_method: [sql]
auth_password_format: scram
auth_scram_hash: sha256
default_db: sql
sql_type: sqlite
sql_database: "{{.Dir}}/db/ejabberd.sqlite"
new_sql_schema: true
acl:
  local: { user_regexp: "" }
  admin: { user: "sotto@{{.Domain}}" }
access_rules:
  local: { allow: local }
  configure: { allow: admin }
  c2s: { allow: all }
api_permissions:
  "loopback":
    from: [mod_http_api]
    who: [{ access: [{ allow: [{ ip: "127.0.0.0/8" }] }] }]
    what: ["register", "add_rosteritem", "status"]
listen:
  - { port: {{.Client}}, ip: "127.0.0.1", module: ejabberd_c2s, starttls: true, starttls_required: true, access: c2s }
  - port: {{.HTTP}}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers: { /ws: ejabberd_http_ws, /api: mod_http_api }
  - port: {{.HTTPS}}
    ip: "127.0.0.1"
    module: ejabberd_http
    tls: true
    request_handlers: { /ws: ejabberd_http_ws, /upload: mod_http_upload, /.well-known/host-meta: mod_host_meta, /.well-known/host-meta.json: mod_host_meta }
shaper_rules: { max_user_sessions: 10, max_user_offline_messages: 5000 }
modules:
  mod_adhoc: {}
  mod_admin_extra: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_configure: {}
  mod_disco: {}
  mod_host_meta: { websocket_url: "wss://localhost:{{.HTTPS}}/ws" }
  mod_http_api: {}
  mod_http_upload: { put_url: "https://localhost:{{.HTTPS}}/upload", docroot: "{{.Dir}}/upload", max_size: 10000000, access: local }
  mod_last: {}
  mod_mam: { default: always, request_activates_archiving: false, assume_mam_usage: true }
  mod_muc:
    hosts: ["rooms.{{.Domain}}"]
    access_create: local
    access_mam: all
    default_room_options: { allow_subscription: false }
  mod_offline: {}
  mod_ping: {}
  mod_private: {}
  mod_privacy: {}
  mod_pubsub:
    access_createnode: local
    ignore_pep_from_offline: false
    last_item_cache: false
    max_items_node: 1000
    plugins: [flat, pep]
  mod_register: { ip_access: none, access: all }
  mod_roster: { versioning: true }
  mod_stream_mgmt: { resend_on_timeout: if_offline }
  mod_vcard: {}
  mod_version: {}
`))

// StartEjabberd starts ejabberd in dir, which must exist and be empty. It runs
// without Erlang's distribution: no node name, no port mapper to clean up, and
// none of the users and folders that Debian's wrapper insists on.
func StartEjabberd(ctx context.Context, dir string) (*Server, error) {
	erl, err := exec.LookPath("erl")
	if err != nil {
		return nil, fmt.Errorf("erlang: %w", ErrMissing)
	}
	schemas, _ := filepath.Glob("/usr/lib/*/ejabberd-*/priv/sql/lite.new.sql")
	if len(schemas) == 0 {
		return nil, fmt.Errorf("ejabberd: %w", ErrMissing)
	}
	// …/lib/ejabberd-23.01/priv/sql/lite.new.sql lies four folders below …/lib.
	libraries := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(schemas[0]))))
	drivers, _ := filepath.Glob("/usr/lib/erlang/lib/p1_sqlite3-*")
	if len(drivers) == 0 {
		return nil, fmt.Errorf("erlang-p1-sqlite3: %w", ErrMissing)
	}
	port, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Name:      "ejabberd",
		Domain:    "ejabberd.localhost",
		Client:    port[0],
		PlainURL:  fmt.Sprintf("ws://localhost:%d/ws", port[1]),
		WebSocket: fmt.Sprintf("wss://localhost:%d/ws", port[2]),
		Addr:      fmt.Sprintf("127.0.0.1:%d", port[2]),
		Dir:       dir,
		log:       filepath.Join(dir, "log", "ejabberd.log"),
	}
	if err := s.certify("localhost", "127.0.0.1", s.Domain); err != nil {
		return nil, err
	}
	for _, name := range []string{"db", "log", "mnesia"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	if err := layOut(ctx, filepath.Join(dir, "db", "ejabberd.sqlite"), schemas[0]); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "ejabberd.yml")
	var text bytes.Buffer
	if err := ejabberdConfig.Execute(&text, map[string]any{
		"Dir": dir, "Domain": s.Domain, "Client": port[0], "HTTP": port[1], "HTTPS": port[2],
	}); err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, text.Bytes(), 0o600); err != nil {
		return nil, err
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(erl, "-noinput", "+sbwt", "none", "+S", "2:2",
			"-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(dir, "mnesia")), "-s", "ejabberd")
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8",
			"ERL_LIBS=" + libraries, "ERL_CRASH_DUMP_BYTES=0",
			"EJABBERD_CONFIG_PATH=" + config,
			"EJABBERD_LOG_PATH=" + s.log,
			"EJABBERD_PID_PATH=" + filepath.Join(dir, "ejabberd.pid"),
		}
		return cmd
	}
	api := fmt.Sprintf("http://127.0.0.1:%d/api/", port[1])
	s.add = func(ctx context.Context, domain, group string, people []Person) error {
		for _, p := range people {
			if _, err := call(ctx, api+"register", map[string]string{"user": p.Name, "host": domain, "password": p.Password}); err != nil {
				return err
			}
			for _, other := range people {
				if other.Name == p.Name {
					continue
				}
				if _, err := call(ctx, api+"add_rosteritem", map[string]string{
					"localuser": p.Name, "localhost": domain, "user": other.Name, "host": domain,
					"nick": other.Display, "group": group, "subs": "both",
				}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	if s.Version, err = ejabberdVersion(ctx, api); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// layOut makes ejabberd's database from the schema that comes with it.
func layOut(ctx context.Context, file, schema string) error {
	statements, err := os.ReadFile(schema)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", "file:"+file)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, string(statements)); err != nil {
		return fmt.Errorf("laying out ejabberd's database: %w", err)
	}
	return db.Close()
}

// ejabberdVersion asks for "The node … is started. ejabberd 23.01 is running".
func ejabberdVersion(ctx context.Context, api string) (string, error) {
	answer, err := call(ctx, api+"status", map[string]string{})
	if err != nil {
		return "", err
	}
	_, rest, ok := bytes.Cut(answer, []byte("ejabberd "))
	if !ok {
		return "", fmt.Errorf("no version in ejabberd's status: %s", answer)
	}
	version, _, _ := bytes.Cut(rest, []byte(" "))
	return string(version), nil
}

// call runs one of ejabberd's commands over its HTTP interface.
func call(ctx context.Context, url string, arguments any) ([]byte, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status + ": " + string(answer))
	}
	return answer, nil
}
