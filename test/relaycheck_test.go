package test

import (
	"context"
	"database/sql"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awnumar/memguard"
	"mellium.im/xmpp/jid"

	"sotto/internal/doctor"
	"sotto/internal/relaycheck"
	"sotto/test/server"
)

// The people of these tests. They are no contacts of each other.
var (
	prober   = server.Person{Name: "probe", Display: "Probe", Password: "Correct-Probe-Battery"}
	stranger = server.Person{Name: "stranger", Display: "Stranger", Password: "Correct-Stranger-Battery"}
)

// hardened starts a server with a configuration of docs/relays.
func hardened(t *testing.T, start func(context.Context, string, server.Hardened) (*server.Server, error), h server.Hardened) *server.Server {
	t.Helper()
	h.Docs, h.People = filepath.Join("..", "docs", "relays"), []server.Person{prober, stranger}
	s, err := start(t.Context(), t.TempDir(), h)
	if err != nil {
		missing(t, err)
	}
	stops(t, s)
	exercised(t, s.Name+" "+s.Version)
	return s
}

// checked runs a check against a domain of a server. Every name leads to it.
func checked(t *testing.T, s *server.Server, c relaycheck.Config, domain string) relaycheck.Result {
	t.Helper()
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	account := func(p server.Person) *relaycheck.Account {
		a, err := jid.Parse(p.Name + "@" + domain)
		if err != nil {
			t.Fatal(err)
		}
		return &relaycheck.Account{Address: a, Password: memguard.NewEnclave([]byte(p.Password))}
	}
	c.CA, c.As, c.And, c.Patience = ca, account(prober), account(stranger), 5
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Addr)
		}
	}
	r := relaycheck.Run(t.Context(), c)
	if testing.Verbose() {
		var b strings.Builder
		_ = r.Page(&b, 100, false)
		t.Log("\n" + b.String())
	}
	return r
}

// blamed are the checks that are weak or bad, such as "tls.older bad". How fast a
// server is on a machine that runs other tests says nothing about it.
func blamed(r relaycheck.Result) (all []string) {
	for _, c := range r.Checks {
		if c.Group != "speed" && (c.Verdict == doctor.Weak || c.Verdict == doctor.Bad) {
			all = append(all, c.ID+" "+string(c.Verdict))
		}
	}
	return all
}

// want fails where other things are blamed than should be.
func want(t *testing.T, r relaycheck.Result, code int, ids ...string) {
	t.Helper()
	if got := blamed(r); !slices.Equal(got, ids) || r.Code() != code {
		var b strings.Builder
		_ = r.Page(&b, 100, false)
		t.Errorf("exit code %d with %q, want %d with %q\n%s", r.Code(), got, code, ids, b.String())
	}
}

// unbound is what neither server can do at the version that Debian has: binding a
// login to TLS 1.3.
const unbound = "login.binding weak"

// The relay in sotto passes; its certificate is one for a day, and said to be so.
func TestRelayCheckEmbedded(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	for _, p := range []server.Person{prober, stranger} {
		if err := s.AddAlone(t.Context(), s.Domain, p); err != nil {
			t.Fatal(err)
		}
	}
	want(t, checked(t, s, relaycheck.Config{Domain: s.Domain}, s.Domain), 0, "tls.certificate weak")
	// It was not told for how long to keep messages, and says so.
	want(t, checked(t, s, relaycheck.Config{Domain: s.Domain, Quick: true, Retention: month}, s.Domain), 1, "tls.certificate weak", "archive.retention bad")
}

// The configurations of docs/relays pass as they are.
func TestRelayCheckHardened(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(context.Context, string, server.Hardened) (*server.Server, error){
		"Prosody": server.StartHardenedProsody, "ejabberd": server.StartHardenedEjabberd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hardened(t, start, server.Hardened{})
			want(t, checked(t, s, relaycheck.Config{Domain: s.Domain, Retention: month}, s.Domain), 0, unbound)
			aged(t, name, s)
			want(t, checked(t, s, relaycheck.Config{Domain: s.Domain, Quick: true, Retention: month}, s.Domain), 1, unbound, "archive.retention bad")
			s.Stop() // whatever it had yet to write
			if name == "Prosody" {
				leftInFiles(t, filepath.Join(s.Dir, "data"))
			} else {
				leftInDatabase(t, filepath.Join(s.Dir, "db", "ejabberd.sqlite"))
			}
		})
	}
}

// So does the cluster, at either node: what is uploaded goes to the node that
// gave the slot, and comes from any.
func TestRelayCheckCluster(t *testing.T) {
	t.Parallel()
	c, err := server.StartCluster(t.Context(), t.TempDir(), server.Hardened{Docs: filepath.Join("..", "docs", "relays"), People: []server.Person{prober, stranger}})
	if err != nil {
		missing(t, err)
	}
	stops(t, c)
	exercised(t, "ejabberd "+c.Nodes[0].Version+", two nodes")
	for i, s := range c.Nodes {
		slots := 0
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			to := s.Addr
			for n := range c.Nodes {
				if strings.HasPrefix(addr, fmt.Sprintf("node%d.", n+1)) {
					if slots++; n != i {
						t.Errorf("node %d has given a slot of node %d", i+1, n+1)
					}
					to = c.Nodes[n].Addr
				}
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}
		want(t, checked(t, s, relaycheck.Config{Domain: c.Domain, Dial: dial}, c.Domain), 0, unbound)
		if slots == 0 {
			t.Errorf("nothing was uploaded to node %d", i+1)
		}
	}
	// And messages expire.
	archived := func() int {
		n, err := c.Archived(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if archived() == 0 {
		t.Fatal("nothing is in the archives")
	}
	if err := c.Age(t.Context(), month+3*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	compared := func() []string {
		return blamed(checked(t, c.Nodes[0], relaycheck.Config{Domain: c.Domain, Quick: true, Retention: month}, c.Domain))
	}
	if got := compared(); !slices.Equal(got, []string{unbound, "archive.retention bad"}) {
		t.Errorf("with messages of more than a month: %q", got)
	}
	if err := c.Expire(t.Context(), 30); err != nil {
		t.Fatal(err)
	}
	if got := compared(); !slices.Equal(got, []string{unbound}) {
		t.Errorf("with none: %q", got)
	}
	for _, days := range []int{30, 0} {
		for late := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			before := archived()
			if err := c.Expire(t.Context(), days); err != nil {
				t.Fatal(err)
			}
			n, want := archived(), before*min(days, 1)
			if n > want && time.Now().Before(late) {
				continue // one more was stored meanwhile
			}
			if n != want {
				t.Errorf("expired after %d days, %d of %d messages are left", days, n, before)
			}
			break
		}
	}
}

// month is how long relays may keep messages in these tests.
const month = 30 * 24 * time.Hour

// aged makes a message in the archive older than a month, as if
// nothing had ever been deleted there.
func aged(t *testing.T, name string, s *server.Server) {
	t.Helper()
	file, change := filepath.Join(s.Dir, "data", "archive.sqlite"), `UPDATE prosodyarchive SET "when" = "when" - ? WHERE sort_id = (SELECT max(sort_id) FROM prosodyarchive WHERE user = 'probe' AND store = 'archive')`
	back := (month + 3*24*time.Hour).Seconds()
	if name == "ejabberd" {
		file, change = filepath.Join(s.Dir, "db", "ejabberd.sqlite"), `UPDATE archive SET timestamp = timestamp - ? WHERE id = (SELECT max(id) FROM archive WHERE username = 'probe')`
		back *= 1e6
	}
	db, err := sql.Open("sqlite3", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := db.ExecContext(t.Context(), change, int64(back))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%d messages are older now: %v", n, err)
	}
}

// leftInFiles looks for what a check should have removed from Prosody. What it
// says that it leaves, messages and a file, has to be there, or the search is wrong.
func leftInFiles(t *testing.T, data string) {
	t.Helper()
	kept := false
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), "relaycheck-") {
			return err
		}
		switch rest, _ := filepath.Rel(data, path); {
		case strings.Contains(rest, "archive.sqlite"), strings.Contains(rest, "offline"), strings.Contains(rest, "upload"):
			kept = true
		default:
			t.Errorf("it left something in %s:\n%.300s", rest, b)
		}
		return nil
	})
	if err != nil || !kept {
		t.Errorf("the search found not even what is left: %v", err)
	}
}

// leftInDatabase does so for ejabberd.
func leftInDatabase(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []struct {
		count string
		left  bool
	}{
		{"archive WHERE xml LIKE '%relaycheck-%'", true},
		{"pubsub_node WHERE node LIKE 'urn:sotto:%'", false},
		{"muc_room WHERE name LIKE 'relaycheck-%'", false},
		{"rosterusers WHERE jid LIKE 'relaycheck-%'", false},
		{"privacy_list_data WHERE value LIKE 'stranger@%'", false},
	} {
		n := 0
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+q.count).Scan(&n); err != nil || (n > 0) != q.left {
			t.Errorf("%d left in %s: %v", n, q.count, err)
		}
	}
}

// plant is a misconfiguration, on a host of its own.
type plant struct {
	name string
	edit func(string) string // of the part of the configuration that is the host's
	code int
	want []string
}

// swap replaces texts, each once, and fails where one is not there.
func swap(pairs ...string) func(string) string {
	return func(s string) string {
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(s, pairs[i]) {
				panic(fmt.Sprintf("%q is not in the configuration", pairs[i]))
			}
			s = strings.Replace(s, pairs[i], pairs[i+1], 1)
		}
		return s
	}
}

// option adds an option to Prosody's host.
func option(lines string) func(string) string {
	return func(s string) string {
		host, rest, _ := strings.Cut(s, "\n")
		return host + "\n  " + lines + "\n" + rest
	}
}

// without disables modules of Prosody's host.
func without(modules ...string) func(string) string {
	return option(`modules_disabled = { "s2s"; "dialback"; "` + strings.Join(modules, `"; "`) + `" }`)
}

// cut removes all of a text from one mark up to the next, or to the end.
func cut(from, to string) func(string) string {
	return func(s string) string {
		before, rest, ok := strings.Cut(s, from)
		if !ok {
			panic(fmt.Sprintf("%q is not in the configuration", from))
		}
		if to == "" {
			return before
		}
		_, after, ok := strings.Cut(rest, to)
		if !ok {
			panic(fmt.Sprintf("%q is not in the configuration", to))
		}
		return before + to + after
	}
}

const scramOff = `disable_sasl_mechanisms = { "SCRAM-SHA-256"; "SCRAM-SHA-256-PLUS"; "SCRAM-SHA-1"; "OAUTHBEARER" }`

var prosodyPlants = []plant{
	{"no-archive", without("mam"), 1, []string{unbound, "features.archive bad"}},
	{"archive-off", option("default_archive_policy = false"), 1, []string{unbound, "archive.always bad"}},
	{"no-pep", option(`modules_disabled = { "s2s"; "dialback"; "pep"; "bookmarks"; "vcard4"; "vcard_legacy" }; modules_enabled = { "vcard" }`), 1, []string{unbound, "features.pep bad"}},
	{"plain-only", option(scramOff), 1, []string{"login.mechanisms bad"}},
	{"plain-too", option("disable_sasl_mechanisms = { }"), 0, []string{"login.plain weak", unbound}},
	{"registration", option(`allow_registration = true; modules_enabled = { "register_ibr" }`), 1, []string{unbound, "login.registration bad"}},
	{"resumption", option("smacks_hibernation_time = 30"), 0, []string{unbound, "session.kept weak"}},
	{"lost", option(`modules_enabled = { "lose_sessions" }; lose_sessions = "all"`), 1, []string{unbound, "session.cut bad"}},
	{"losing", option(`modules_enabled = { "lose_sessions" }; lose_sessions = "every other"`), 0, []string{unbound, "session.cut weak"}},
	{"unlucky", option(`modules_enabled = { "lose_sessions" }; lose_sessions = "first"`), 0, []string{unbound}},
	{"no-sm", without("smacks"), 0, []string{unbound, "features.resumption weak"}},
	{"no-upload", cut(`Component "upload.`, ""), 0, []string{unbound, "features.upload weak"}},
	{"small-upload", swap("64 * 1024 * 1024", "1024 * 1024"), 0, []string{unbound, "upload.limit weak"}},
	{"plain-upload", swap(`http_external_url = "https://`, `http_external_url = "http://`), 1, []string{unbound, "upload.transfer bad"}},
	{"anonymous", swap("public_jids = true", "public_jids = false"), 0, []string{unbound, "rooms.defaults weak"}},
	{"fleeting", swap("muc_room_default_persistent = true", "muc_room_allow_persistent = false"), 1, []string{unbound, "rooms.private bad"}},
	{"room-archive", swap(`modules_enabled = { "muc_mam" }`, ""), 0, []string{unbound, "rooms.archive weak"}},
	{"leak-contacts", option(`modules_enabled = { "leak_contacts" }`), 1, []string{unbound, "secrecy.contacts bad"}},
	{"leak-archive", option(`modules_enabled = { "leak_archive" }`), 1, []string{unbound, "secrecy.archive bad"}},
	{"leak-nodes", option(`modules_enabled = { "leak_nodes" }`), 1, []string{unbound, "secrecy.private bad"}},
	{"leak-rooms", swap(`"muc_mam" }`, `"muc_mam"; "leak_rooms" }`), 1, []string{unbound, "secrecy.room bad", "secrecy.history bad", "secrecy.members bad"}},
}

// faults are modules for Prosody that give away what people have: contacts, as one
// for a directory of colleagues might, the rest as one that lets admins look; and
// one that knows broken sessions no more, as behind a proxy that leads elsewhere.
var faults = map[string]string{
	"mod_lose_sessions.lua": `
local st = require "util.stanza";
local lose, asked = module:get_option_string("lose_sessions"), 0;
module:hook("stanza/urn:xmpp:sm:3:resume", function (event)
	asked = asked + 1;
	if lose == "all" or lose == "first" and asked == 1 or lose == "every other" and asked % 2 == 1 then
		event.origin.send(st.stanza("failed", { xmlns = "urn:xmpp:sm:3" }):tag("item-not-found", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }));
		return true;
	end
end, 1000);
`,
	"mod_leak_contacts.lua": `
local st = require "util.stanza";
local load = require "core.rostermanager".load_roster;
local split = require "util.jid".split;
module:hook("iq-get/bare/jabber:iq:roster:query", function (event)
	local stanza = event.stanza;
	if not stanza.attr.to then return; end
	local reply = st.reply(stanza):tag("query", { xmlns = "jabber:iq:roster" });
	for contact in pairs(load(split(stanza.attr.to), module.host)) do
		if contact then reply:tag("item", { jid = contact; subscription = "none" }):up(); end
	end
	event.origin.send(reply);
	return true;
end, 1000);
`,
	"mod_leak_archive.lua": `
local split = require "util.jid".split;
module:hook("iq-set/bare/urn:xmpp:mam:2:query", function (event)
	local origin = setmetatable({ username = split(event.stanza.attr.to) }, { __index = event.origin });
	event.stanza.attr.to = nil;
	return module:fire_event("iq-set/self/urn:xmpp:mam:2:query", { origin = origin; stanza = event.stanza });
end, 1000);
`,
	"mod_leak_nodes.lua": `
module:hook("iq/bare/http://jabber.org/protocol/pubsub:pubsub", function (event)
	if event.stanza.attr.to then event.stanza.attr.from = event.stanza.attr.to; end
end, 1000);
`,
	"mod_leak_rooms.lua": `
local bare = require "util.jid".bare;
local rooms = module:depends "muc";
local function admit(room, who)
	if room and not room:get_affiliation(who) then room:set_affiliation(true, bare(who), "member"); end
end
module:hook("muc-occupant-pre-join", function (event)
	if not event.is_new_room then admit(event.room, event.stanza.attr.from); end
end, 1000);
module:hook("iq-set/bare/urn:xmpp:mam:2:query", function (event)
	admit(rooms.get_room_from_jid(event.stanza.attr.to), event.stanza.attr.from);
end, 1000);
`,
}

// TestRelayCheckProsody has each planted misconfiguration found, alone. Archives
// are in files here: twenty hosts would lay out a database each.
func TestRelayCheckProsody(t *testing.T) {
	t.Parallel()
	plugins := t.TempDir()
	for name, code := range faults {
		if err := os.WriteFile(filepath.Join(plugins, name), []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := planted(t, server.StartHardenedProsody, prosodyPlants, func(text string) string {
		text = swap(`archive = "sql"; muc_log = "sql"; `, "")(text)
		_, part, _ := strings.Cut(text, "\nVirtualHost ")
		all := fmt.Sprintf("plugin_paths = { %q }\n", plugins) + text
		for _, p := range prosodyPlants {
			all += "\n" + p.edit("VirtualHost "+strings.ReplaceAll(part, "hospital.example", p.name+".example"))
		}
		return all
	})
	tryPlants(t, s, prosodyPlants)
}

var ejabberdPlants = []plant{
	{"no-archive", cut("  mod_mam:", "  mod_muc:"), 1, []string{unbound, "features.archive bad", "rooms.archive weak"}}, // one module for both
	{"archive-off", swap("default: always", "default: never"), 1, []string{unbound, "archive.always bad"}},
	{"no-pep", cut("  mod_pubsub:", "  mod_register:"), 1, []string{unbound, "features.pep bad"}},
	{"registration", swap("mod_register: { access: none }", "mod_register: { access: all }"), 1, []string{unbound, "login.registration bad"}},
	{"resumption", swap("resume_timeout: 600", "resume_timeout: 60"), 0, []string{unbound, "session.kept weak"}},
	{"no-upload", cut("  mod_http_upload:", "  mod_last:"), 0, []string{unbound, "features.upload weak"}},
	{"anonymous", swap("anonymous: false", "anonymous: true"), 0, []string{unbound, "rooms.defaults weak"}},
	{"no-rooms", swap("access_create: local", "access_create: none"), 1, []string{unbound, "rooms.private bad"}},
	{"no-carbons", cut("  mod_carboncopy:", "  mod_client_state:"), 0, []string{unbound, "features.carbons weak"}},
	{"guests", func(s string) string { return "auth_method: [sql, anonymous]\nanonymous_protocol: sasl_anon\n" + s }, 1, []string{"login.anonymous bad", unbound}},
	{"plain-too", func(s string) string { return "disable_sasl_mechanisms: []\n" + s }, 0, []string{"login.plain weak", unbound}},
	{"plain-only", func(s string) string {
		return `disable_sasl_mechanisms: ["DIGEST-MD5", "X-OAUTH2", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]` + "\n" + s
	}, 1, []string{"login.mechanisms bad"}},
}

// TestRelayCheckEjabberd is TestRelayCheckProsody for the other server.
func TestRelayCheckEjabberd(t *testing.T) {
	t.Parallel()
	s := planted(t, server.StartHardenedEjabberd, ejabberdPlants, func(text string) string {
		_, part, _ := strings.Cut(text, "\nmodules:\n")
		_, database, _ := strings.Cut(text, "\nsql_database: ")
		database, _, _ = strings.Cut(database, "\n")
		var hosts []string
		all := text + "\nhost_config:\n"
		for _, p := range ejabberdPlants {
			hosts = append(hosts, fmt.Sprintf("%q", p.name+".example"))
			all += "  " + p.name + ".example:\n    sql_database: " + strings.Replace(database, "/ejabberd.sqlite", "/"+p.name+".example.sqlite", 1) + "\n    " +
				strings.ReplaceAll(strings.TrimSpace(p.edit("modules:\n"+part)), "\n", "\n    ") + "\n"
		}
		return swap(`hosts: ["hospital.example"]`, `hosts: ["hospital.example", `+strings.Join(hosts, ", ")+"]")(all)
	})
	tryPlants(t, s, ejabberdPlants)
}

// planted starts a server with the hardened configuration and all plants.
func planted(t *testing.T, start func(context.Context, string, server.Hardened) (*server.Server, error), plants []plant, edit func(string) string) *server.Server {
	t.Helper()
	hosts := []string{"hospital.example"}
	for _, p := range plants {
		hosts = append(hosts, p.name+".example")
	}
	return hardened(t, start, server.Hardened{Hosts: hosts, Names: hosts, Plant: edit})
}

func tryPlants(t *testing.T, s *server.Server, plants []plant) {
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			domain := p.name + ".example"
			want(t, checked(t, s, relaycheck.Config{Domain: domain, Quick: true}, domain), p.code, p.want...)
		})
	}
}

// TestRelayCheckTLS plants what is wrong below the relay.
func TestRelayCheckTLS(t *testing.T) {
	t.Parallel()
	t.Run("old", func(t *testing.T) {
		t.Parallel()
		s := hardened(t, server.StartHardenedProsody, server.Hardened{Plant: swap(`protocol = "tlsv1_3"`, `protocol = "tlsv1+"; ciphers = "DEFAULT:@SECLEVEL=0"`)})
		want(t, checked(t, s, relaycheck.Config{Domain: s.Domain}, s.Domain), 1, "tls.older bad", unbound)
		// Whom nobody has signed.
		stranger, err := server.NewAuthority(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s.CAFile = stranger.File
		want(t, checked(t, s, relaycheck.Config{Relay: s.WebSocket}, s.Domain), 2, "discovery.json weak", "discovery.xml weak", "tls.older bad", "tls.certificate bad")
	})
	t.Run("old_ejabberd", func(t *testing.T) {
		t.Parallel()
		const modern = "    protocol_options: [no_sslv3, no_tlsv1, no_tlsv1_1, no_tlsv1_2]\n    request_handlers:"
		s := hardened(t, server.StartHardenedEjabberd, server.Hardened{Plant: swap(modern, "    protocol_options: [no_sslv3]\n    ciphers: \"DEFAULT:@SECLEVEL=0\"\n    request_handlers:")})
		want(t, checked(t, s, relaycheck.Config{Domain: s.Domain}, s.Domain), 1, "tls.older bad", unbound)
	})
	none := func(t *testing.T, s *server.Server) {
		want(t, checked(t, s, relaycheck.Config{Relay: s.WebSocket}, s.Domain), 2, "discovery.json weak", "discovery.xml weak", "tls.version bad")
	}
	t.Run("none_Prosody", func(t *testing.T) {
		t.Parallel()
		none(t, hardened(t, server.StartHardenedProsody, server.Hardened{Plant: swap("http_ports = { }", "", "https_ports", "http_ports")}))
	})
	t.Run("none_ejabberd", func(t *testing.T) {
		t.Parallel()
		none(t, hardened(t, server.StartHardenedEjabberd, server.Hardened{Plant: swap("    tls: true\n", "    tls: false\n")}))
	})
}

// TestRelayCheckCommand runs the command as an admin does.
func TestRelayCheckCommand(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	for _, p := range []server.Person{prober, stranger} {
		if err := s.AddAlone(t.Context(), s.Domain, p); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	passwords, report := filepath.Join(dir, "passwords"), filepath.Join(dir, "report.xml")
	if err := os.WriteFile(passwords, []byte(prober.Password+"\n"+stranger.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(code int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"relay", "check"}, args...)...)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Fatalf("exit code %d, want %d: %v\n%s", got, code, err, out)
		}
		if strings.Contains(string(out), prober.Password) || strings.Contains(string(out), stranger.Password) {
			t.Errorf("a password is shown:\n%s", out)
		}
		return string(out)
	}
	accounts := []string{"--as", s.Address(prober), "--and", s.Address(stranger), "--password-file", passwords, "--ca", s.CAFile}
	var document struct {
		Bad    int
		Checks []doctor.Check
	}
	out := run(0, append(accounts, s.WebSocket, "--json", "--junit", report)...)
	if err := json.Unmarshal([]byte(out), &document); err != nil || document.Bad != 0 || len(document.Checks) < 40 {
		t.Errorf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Failures int `xml:"failures,attr"`
		Tests    int `xml:"tests,attr"`
	}
	if err := xml.Unmarshal(b, &suites); err != nil || suites.Failures != 0 || suites.Tests != len(document.Checks) {
		t.Errorf("%v\n%s", err, b)
	}
	if out := run(0, s.WebSocket, "--domain", s.Domain, "--ca", s.CAFile); !strings.Contains(out, "needs an account: --as ADDRESS") || !strings.Contains(out, "SCRAM-SHA-256-PLUS") {
		t.Errorf("without an account:\n%s", out)
	}
	if err := os.WriteFile(passwords, []byte("wrong-password\nwrong-too\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(1, append(accounts, s.WebSocket)...); !strings.Contains(out, "does not get in") {
		t.Errorf("with a wrong password:\n%s", out)
	}
	run(2, s.WebSocket) // nobody trusts its certificate
	for _, args := range [][]string{
		{}, {"a", "b"}, {"ws://chat.example.org/ws"}, {"https://chat.example.org"}, {"alice@example.org"}, {"--nonsense", "example.org"},
		{"example.org", "--and", "a@example.org"}, {"example.org", "--as", "example.org"}, {"example.org", "--as", "a@example.com", "--password-file", passwords},
		{"example.org", "--as", "a@example.org", "--and", "a@example.org"}, {"example.org", "--as", "a@example.org", "--password-file", filepath.Join(dir, "none")},
	} {
		run(2, args...)
	}
}
