package client

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/audit/collect"
	"sotto/client/omemo"
	"sotto/client/org/policy"
	"sotto/client/stanza"
	"sotto/client/store"
)

const vera = "vera@mercy.example" // the auditor

// auditor is the device of an auditor, and the folder that it keeps.
type auditorDouble struct {
	*remote
	folder *collect.Collector
	public *audit.CollectorKey
	found  []collect.Finding
}

func newAuditor(t *testing.T, d *double, c *Client) *auditorDouble {
	t.Helper()
	seed := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public, err := audit.NewCollectorKey("mercy.example", seed.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	a := &auditorDouble{remote: newRemote(t, d, vera), public: public}
	a.folder, a.found, err = collect.Open(filepath.Join(t.TempDir(), "audit"), public, seed, func(audit.Device) (ed25519.PublicKey, bool) { return c.ownKey, true }, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.folder.Close() })
	return a
}

// names has a policy name the auditor.
func (a *auditorDouble) names(c *Client) {
	a.t.Helper()
	p, err := policy.New("mercy.example", 1, time.Now().Truncate(time.Second), fmt.Sprintf("auditor = %q\nauditor-key = %q\n", vera, a.public))
	if err != nil {
		a.t.Fatal(err)
	}
	inRun(a.t, c, func() {
		c.auditing.pause, c.auditing.again = 10*time.Millisecond, 50*time.Millisecond
		c.auditing.lookAt = time.Time{}
		c.held.Store(&inForce{policy: p})
	})
}

func isAudit(e *stanza.Element) bool { return stanza.IsAudit(e) && hasPayload(e) }

// batch is the next that the client sends.
func (a *auditorDouble) batch(d *double) []byte {
	a.t.Helper()
	e := d.sent(isAudit)
	text, err := a.read(e)
	if err != nil || e.Get("to") != vera || e.Child("", "body") != nil || e.Child(stanza.NSReceipts, "request") != nil || e.Child(stanza.NSCarbons, "private") == nil {
		a.t.Fatalf("a batch: %v %v", e, err)
	}
	if !audit.IsBatch([]byte(text)) || len(text) > audit.MaxText {
		a.t.Fatalf("%d bytes that begin %.40q", len(text), text)
	}
	return []byte(text)
}

// batchWith is the next batch that has these words. One without them may come before it:
// a batch is sent again until its answer is here, however slowly that comes.
func (a *auditorDouble) batchWith(d *double, words string) []byte {
	a.t.Helper()
	for {
		if b := a.batch(d); bytes.Contains(b, []byte(words)) {
			return b
		}
	}
}

// take takes a batch, and returns the answer.
func (a *auditorDouble) take(c *Client, batch []byte) []byte {
	a.t.Helper()
	answer, found, err := a.folder.Take(c.auditLog.Device(), batch, time.Now())
	if err != nil {
		a.t.Fatal(err)
	}
	a.found = append(a.found, found...)
	return answer
}

func (a *auditorDouble) kinds() (s string) {
	for _, f := range a.found {
		s += f.Kind.String() + " "
	}
	a.found = nil
	return strings.TrimSpace(s)
}

// answer sends something back.
func (a *auditorDouble) answer(d *double, c *Client, text []byte) {
	a.t.Helper()
	var enc *stanza.Element
	a.do(func(tx *store.Tx) (err error) {
		enc, err = a.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: c.device.ID()}}, text)
		return err
	})
	d.deliver(auditStanza(me, newID(), enc).With("from", vera+"/audit"))
}

// confirmed waits until the client knows that so many events are with the auditor.
func (a *auditorDouble) confirmed(c *Client, n int64) {
	a.t.Helper()
	eventually(a.t, fmt.Sprintf("%d events are confirmed", n), func() bool {
		var s audit.State
		if err := c.store.View(ctx, func(tx *store.Tx) (err error) {
			s, err = tx.AuditState()
			return err
		}); err != nil {
			a.t.Fatal(err)
		}
		return s.Confirmed >= n
	})
}

func has(b []byte) int64 {
	x, err := audit.ParseBatch(b)
	if err != nil {
		return -1
	}
	return x.From + int64(len(x.Lines))
}

// quiet holds that nothing of all this is anywhere on the screen.
func quiet(t *testing.T, c *Client) {
	t.Helper()
	for _, peer := range []string{vera, me} {
		if got := bodies(t, c, peer); got != "" {
			t.Errorf("the conversation with %s is %q", peer, got)
		}
	}
	list, err := c.Conversations(ctx)
	for _, x := range list {
		if x.Peer == vera {
			t.Errorf("the auditor is in the list: %+v", x)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if got, err := c.Inbox(ctx); err != nil || len(got) > 0 {
		t.Errorf("in the inbox: %+v, %v", got, err)
	}
}

// TestAuditorWhoComesLater has the log wait for an auditor whose device is not there
// yet, or whose keys are not, when they are asked for first.
func TestAuditorWhoComesLater(t *testing.T) {
	for name, missing := range map[string]func(a *auditorDouble) []string{
		"no device": func(a *auditorDouble) []string {
			return []string{vera + " " + stanza.NodeDevices, vera + " " + stanza.NodeBundle(a.dev.ID())}
		},
		"no keys": func(a *auditorDouble) []string { return []string{vera + " " + stanza.NodeBundle(a.dev.ID())} },
	} {
		t.Run(name, func(t *testing.T) {
			c, d := online(t)
			a := newAuditor(t, d, c)
			kept := map[string]*stanza.Element{}
			d.mu.Lock()
			for _, node := range missing(a) {
				kept[node] = d.nodes[node]
				delete(d.nodes, node)
			}
			d.mu.Unlock()
			a.names(c)
			eventually(t, "it was asked in vain", func() bool {
				return ofRun(t, c, func() bool {
					p := c.peer(vera)
					return !p.asked.IsZero() && !p.asking && (len(kept) > 1 || len(p.failed) > 0)
				})
			})
			d.mu.Lock()
			for node, e := range kept {
				d.nodes[node] = e
			}
			d.mu.Unlock()
			b := a.batch(d)
			a.answer(d, c, a.take(c, b))
			a.confirmed(c, has(b))
		})
	}
}

// TestAuditLogIsSent has the log go to the auditor, be confirmed, and go on.
func TestAuditLogIsSent(t *testing.T) {
	c, d := online(t)
	a := newAuditor(t, d, c)
	a.names(c)
	b := a.batch(d)
	first := has(b)
	a.answer(d, c, a.take(c, b))
	a.confirmed(c, first)
	// What happens next comes next, and only that.
	if err := c.auditNow(ctx, audit.Event{Kind: audit.SaveAttempted, Reason: audit.ByPolicy}); err != nil {
		t.Fatal(err)
	}
	b = a.batchWith(d, "save-attempt reason=by-policy\n")
	if x, err := audit.ParseBatch(b); err != nil || x.From != first || !strings.Contains(string(x.Lines[len(x.Lines)-1]), "save-attempt reason=by-policy") {
		t.Errorf("%s %v", b, err)
	}
	a.answer(d, c, a.take(c, b))
	a.confirmed(c, has(b))
	if got := a.kinds(); got != "" {
		t.Errorf("found %s", got)
	}
	quiet(t, c)
}

// TestAuditLogAmongHostileRelays has a relay lose, repeat, change and forge what goes
// to the auditor and back. Each is noticed, and in the end all is there.
func TestAuditLogAmongHostileRelays(t *testing.T) {
	c, d := online(t)
	a := newAuditor(t, d, c)
	a.names(c)
	withheld := a.batch(d) // lost; nothing is confirmed
	b := a.batch(d)        // sent again
	if has(b) < has(withheld) {
		t.Errorf("sent again with %d of %d events", has(b), has(withheld))
	}
	answer := a.take(c, b)
	a.answer(d, c, answer)
	a.confirmed(c, has(b))
	a.take(c, withheld) // and comes late
	a.take(c, b)
	if got := a.kinds(); got != "replay replay" {
		t.Errorf("found %s", got)
	}
	for i := range 3 {
		if err := c.auditNow(ctx, audit.Event{Kind: audit.Searched, Count: uint32(i + 1)}); err != nil {
			t.Fatal(err)
		}
		b = a.batchWith(d, fmt.Sprintf("search count=%d\n", i+1))
		changed := bytes.Replace(b, []byte("search count="), []byte("search count=1"), 1)
		if got := a.take(c, changed); got != nil && bytes.Contains(got, []byte("count=1")) {
			t.Error("a changed batch was kept")
		}
		if got := a.kinds(); got != "inconsistent" {
			t.Errorf("found %s", got)
		}
		// Its answer is changed, or another's, or an old one: nothing is confirmed by it.
		a.answer(d, c, answer)
		good := a.take(c, a.batch(d))
		a.kinds()
		a.answer(d, c, append(bytes.Clone(good[:len(good)-8]), "AAAA=\n"...))
		logs(t, c, "audit-refused reason=bad-signature")
		b = a.batch(d)
		a.answer(d, c, a.take(c, b))
		a.confirmed(c, has(b))
		a.kinds()
		answer = good
	}
	// Somebody else confirms nothing, and what they wrote is seen.
	eve := newRemote(t, d, "eve@mercy.example")
	eve.start(d, c)
	var enc *stanza.Element
	eve.do(func(tx *store.Tx) (err error) {
		enc, err = eve.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: c.device.ID()}}, (&audit.Answer{}).Marshal())
		return err
	})
	d.deliver(stanza.NewChat(me, "x", enc, stanza.StoreHint(), stanza.Body(fallback)).With("from", eve.jid+"/x"))
	d.deliver(stanza.NewChat(me, "f2", stanza.Body("after it")).With("from", eve.jid+"/x"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "after it" })
	if got := bodies(t, c, eve.jid); got != "sotto audit answer 1\n\n|after it" {
		t.Errorf("the conversation with eve is %q", got)
	}
	quiet(t, c)
	// The auditor has another history: it is said, and nothing more is sent.
	a.answer(d, c, (&audit.Answer{}).Marshal())
	logs(t, c, "audit-refused reason=forked")
	quiet(t, c)
}

// TestPrunedIsLogged removes what the auditor has had for long, and says how much.
func TestPrunedIsLogged(t *testing.T) {
	c, d := online(t)
	a := newAuditor(t, d, c)
	a.names(c)
	b := a.batch(d)
	a.answer(d, c, a.take(c, b))
	a.confirmed(c, has(b))
	inRun(t, c, func() {
		c.auditing.pruneAt = time.Time{}
		c.pruneAudit(time.Now().Add(auditKeeps + time.Hour))
	})
	got := logged(t, c)
	if want := fmt.Sprintf("audit-pruned count=%d", has(b)); len(got) == 0 || got[len(got)-1] != want || got[0] == "log-started" {
		t.Errorf("the log is %q, and not %q", got, want)
	}
}

// TestCollectorTakesLogs has a client collect: what comes is kept, answered, and on no
// screen, whatever the relay does with it.
func TestCollectorTakesLogs(t *testing.T) {
	type came struct {
		from  audit.Device
		batch []byte
	}
	all := make(chan came, 16)
	h := staff(t)
	h.config.Collect = func(from audit.Device, batch []byte) ([]byte, error) {
		all <- came{from, bytes.Clone(batch)}
		return (&audit.Answer{}).Marshal(), nil
	}
	h.start()
	c, d, r := h.c, h.double, h.ada
	batch := (&audit.Batch{Lines: [][]byte{[]byte("1 0 x")}, Checkpoint: []byte("x")}).Marshal()
	write := func(id string, text []byte) *stanza.Element {
		var enc *stanza.Element
		r.do(func(tx *store.Tx) (err error) {
			enc, err = r.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: c.device.ID()}}, text)
			return err
		})
		return auditStanza(me, id, enc).With("from", ada+"/x")
	}
	first := write("b1", batch)
	d.deliver(first)
	if got := from(t, all, "batch"); got.from != (audit.Device{Owner: audit.PersonOf(ada), ID: r.dev.ID()}) || !bytes.Equal(got.batch, batch) {
		t.Errorf("came from %v: %q", got.from, got.batch)
	}
	e := d.sent(isAudit)
	if text, err := r.read(e); err != nil || !audit.IsAnswer([]byte(text)) || e.Get("to") != ada {
		t.Errorf("answered %q, %v", text, err)
	}
	d.deliver(first)                        // a repeat has nothing to say
	d.deliver(write("b2", []byte("words"))) // a mark hides no words
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "words" })
	d.deliver(write("b3", append(batch, '!')))
	if got := from(t, all, "batch"); !bytes.HasSuffix(got.batch, []byte("!")) {
		t.Errorf("came %q", got.batch)
	}
	if got := bodies(t, c, ada); got != "words" {
		t.Errorf("the conversation is %q", got)
	}
}
