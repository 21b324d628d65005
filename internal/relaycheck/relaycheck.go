// Package relaycheck examines a relay for those who run it: whether sotto will
// work there, what it protects less than it could, and whether it gives to one
// person what belongs to another.
//
// It asks a relay as sotto does, through package link, and tries rather than
// believes: an archive is paged, a connection cut, a file put and fetched. What
// it makes on a relay (nodes, a room, a block) it removes again; what it cannot
// remove, a few empty messages to the own account and one small file, is named
// after it. It never makes an account.
package relaycheck

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/awnumar/memguard"
	"mellium.im/xmpp/jid"

	"sotto/client/link"
	"sotto/client/text"
	"sotto/internal/doctor"
)

// The time limits: of all, of what needs no login, and of one part after it. With
// Config.Patience they, and those of single answers, are as many times as long.
const (
	Limit        = 60 * time.Second
	outsideLimit = 20 * time.Second
	partLimit    = 12 * time.Second
	cleanLimit   = 5 * time.Second
)

// Account is somebody to log in as.
type Account struct {
	Address  jid.JID // bare
	Password *memguard.Enclave
}

// Config says what to look at.
type Config struct {
	Relay  string   // WebSocket URL; "" discovers it from Domain
	Domain string   // of the addresses it serves; "" takes that of As, or the host of Relay
	CA     []byte   // PEM, to trust instead of the system's authorities; may be nil
	As     *Account // nil: only what can be seen without a login
	And    *Account // a stranger to As; nil: whether people are kept apart is not tried
	Quick  bool     // measure nothing: neither speed nor limits

	// Patience is how many times as long as usual everything may take, for a relay
	// on a machine that does much else; 0 is once.
	Patience int

	// Retention is how long the policy lets relays keep messages; 0: not compared.
	Retention time.Duration

	// Dial makes the connections; nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Result is what was found.
type Result struct {
	doctor.Report
	Reached bool // the relay spoke XMPP
}

// Code is the exit code: 2 if the relay could not be reached, 1 if something is
// bad, else 0.
func (r Result) Code() int {
	if !r.Reached {
		return 2
	}
	return r.Report.Code()
}

// names are all checks in the order of the page.
var names = []string{
	"discovery.json", "discovery.xml",
	"tls.version", "tls.older", "tls.certificate",
	"login.websocket", "login.mechanisms", "login.plain", "login.anonymous", "login.binding", "login.before", "login.registration", "login.account",
	"features.discovery", "features.pep", "features.archive", "features.stable-ids", "features.carbons", "features.resumption",
	"features.idle", "features.ping", "features.blocking", "features.upload", "features.rooms", "features.vcard", "features.password",
	"features.occupants", "features.moderation",
	"pep.open", "pep.reopen",
	"archive.always", "archive.paging", "archive.reach", "archive.retention",
	"upload.limit", "upload.transfer",
	"session.kept", "session.cut", "session.carbons", "session.idle", "session.blocking",
	"rooms.private", "rooms.defaults", "rooms.archive",
	"speed.roundtrip", "speed.throughput",
	"limits.stanza",
	"secrecy.archive", "secrecy.contacts", "secrecy.private", "secrecy.bundles", "secrecy.room", "secrecy.history", "secrecy.members",
	"secrecy.sender", "secrecy.upload",
}

// finding is a check before it is known which one it is.
type finding struct {
	verdict                doctor.Verdict
	found, meaning, remedy string
}

func good(format string, args ...any) finding {
	return finding{verdict: doctor.Good, found: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) finding {
	return finding{verdict: doctor.Skipped, found: fmt.Sprintf(format, args...)}
}

func weak(found, meaning, remedy string) finding {
	return finding{doctor.Weak, found, meaning, remedy}
}

func bad(found, meaning, remedy string) finding { return finding{doctor.Bad, found, meaning, remedy} }

// examination is one run.
type examination struct {
	Config
	target   link.Target
	run      string // a name for what is made on the relay
	guessed  bool   // Domain is the host of Relay, for want of better
	reached  bool
	sessions int

	mu    sync.Mutex
	found map[string]finding
	clean []func(context.Context) // run last, newest first
}

func (x *examination) set(id string, f finding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.found[id] = f
}

// skipAll skips the checks that are named, or of the groups that are, and have no
// finding yet.
func (x *examination) skipAll(why string, groups ...string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range names {
		group, _, _ := strings.Cut(id, ".")
		for _, g := range groups {
			if _, there := x.found[id]; (g == group || g == id) && !there {
				x.found[id] = skip("%s", why)
			}
		}
	}
}

// later registers what removes something from the relay again.
func (x *examination) later(f func(context.Context)) { x.clean = append(x.clean, f) }

// limit is a time limit, with patience.
func (x *examination) limit(d time.Duration) time.Duration {
	return d * time.Duration(max(1, x.Patience))
}

// Run examines a relay. It takes no longer than Limit, and a few seconds more to
// remove what it made. What was not looked at by then is skipped, and says so.
func Run(ctx context.Context, c Config) Result {
	x := &examination{Config: c, found: map[string]finding{}, run: "relaycheck-" + strings.ToLower(rand.Text()[:12])}
	ctx, cancel := context.WithTimeout(ctx, x.limit(Limit))
	defer cancel()
	x.begin()
	x.outside(ctx)
	x.inside(ctx)
	var checks []doctor.Check
	for _, id := range names {
		f, there := x.found[id]
		switch {
		case !there && ctx.Err() != nil:
			f = skip("no time was left for it")
		case !there:
			f = skip("not reached")
		}
		group, _, _ := strings.Cut(id, ".")
		checks = append(checks, doctor.Check{ID: id, Group: group, Verdict: f.verdict, Found: line(f.found), Meaning: line(f.meaning), Remedy: line(f.remedy)})
	}
	return Result{doctor.Report{Checks: checks}, x.reached}
}

// begin settles which relay and which domain are meant.
func (x *examination) begin() {
	if x.Domain == "" && x.As != nil {
		x.Domain = x.As.Address.Domainpart()
	}
	if u, err := url.Parse(x.Relay); x.Domain == "" && err == nil {
		x.Domain, x.guessed = u.Hostname(), true
	}
	x.target = link.Target{Domain: x.Domain, Relay: x.Relay, CA: x.CA, Dial: x.Dial}
}

// maxLine bounds what is said in one sentence: parts of it come from servers.
const maxLine = 400

// line makes one bounded line that is safe to show.
func line(s string) string {
	s = text.Line(s).String()
	if r := []rune(s); len(r) > maxLine {
		s = string(r[:maxLine-3]) + "..."
	}
	return s
}
