package client

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/membership"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/stanza"
	"sotto/client/store"
)

// mercy is an organisation that governs a client, without the way there.
type mercy struct {
	t      testing.TB
	c      *Client
	key    *orgtest.Key
	member *membership.Membership
	staff  *directory.Directory
	head   head.Head
	serial uint64
}

// govern makes a client a member of an organisation to which these people belong.
func govern(t testing.TB, c *Client, people ...string) *mercy {
	t.Helper()
	o := &mercy{t: t, c: c, key: orgtest.New("mercy.example", "1")}
	o.staff = directory.New("mercy.example", directory.Staff)
	var entries []directory.Entry
	for _, p := range append(people, me) {
		entries = append(entries, directory.Entry{Address: p, Name: p, State: directory.Active})
	}
	now := time.Now().Truncate(time.Second)
	updates, err := o.staff.Sign(o.key, o.key.Key, now, entries...)
	if err != nil {
		t.Fatal(err)
	}
	err = c.store.Update(ctx, func(tx *store.Tx) (err error) {
		if o.member, err = membership.Join(tx, org.NewAnchor(o.key.Key, 0), "sotto@mercy.example", me, now); err != nil {
			return err
		}
		_, err = o.member.ApplyDirectory(tx, updates...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.member.Store(o.member)
	return o
}

// decides puts a policy in force, as it is once it was fetched.
func (o *mercy) decides(body string) {
	o.t.Helper()
	o.serial++
	now := time.Now().Truncate(time.Second).Add(time.Duration(o.serial) * time.Second)
	p, err := policy.New("mercy.example", o.serial, now, body)
	if err != nil {
		o.t.Fatal(err)
	}
	note, err := p.Sign(o.key)
	if err != nil {
		o.t.Fatal(err)
	}
	o.head.Number, o.head.Issued, o.head.Directory, o.head.Policy, o.head.Orders = o.head.Number+1, now, o.staff.At(), p.At(), head.Orders{First: 1}
	headNote, err := o.head.Sign(o.key)
	if err != nil {
		o.t.Fatal(err)
	}
	err = ofRun(o.t, o.c, func() error {
		var f *inForce
		err := o.c.store.Update(ctx, func(tx *store.Tx) (err error) {
			if err := o.member.Follow(tx, headNote); err != nil {
				return err
			}
			if err := o.member.SetPolicy(tx, note); err != nil {
				return err
			}
			f, err = o.c.decide(tx, o.member)
			return err
		})
		if err == nil {
			o.c.obey(f)
		}
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// attempts are what the audit log has of things that were tried and refused.
func attempts(t testing.TB, c *Client) (list []string) {
	t.Helper()
	err := c.store.View(ctx, func(tx *store.Tx) error {
		return tx.AuditLines(0, 10_000, func(_ int64, line, _ []byte) {
			e, err := audit.ParseLine(line)
			if err != nil {
				t.Error(err)
			}
			switch e.Kind {
			case audit.CopyAttempted, audit.SaveAttempted, audit.ForwardAttempted, audit.AttachAttempted:
				list = append(list, e.Kind.String()+" "+e.Reason.String())
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAPolicyIsInForceAtOnce(t *testing.T) {
	c, _ := online(t)
	if c.Policy() != nil || len(c.InForce()) != len(policy.Settings()) || c.comparedOnly() {
		t.Errorf("without an organisation: %v, %d settings", c.Policy(), len(c.InForce()))
	}
	o := govern(t, c, ada)
	o.decides("trust = \"directory\"\nlock-after = \"1m\"\n")
	e := wait(t, c, func(PolicyChanged) bool { return true })
	if e.Serial != 1 || strings.Join(e.Changes, "|") != `lock-after is "1m", which is stricter|trust is "directory"` || !e.First {
		t.Errorf("told of %+v", e)
	}
	if !c.comparedOnly() || c.Policy().Serial != 1 {
		t.Error("it does not hold")
	}
	o.decides("lock-after = \"5m\"\n")
	e = wait(t, c, func(PolicyChanged) bool { return true })
	if e.Serial != 2 || strings.Join(e.Changes, "|") != `lock-after is "5m", which is looser|trust is not decided any more` || e.First || c.comparedOnly() {
		t.Errorf("told of %+v", e)
	}
}

func TestTextsGoAsThePolicySays(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	twoHoursAgo := stanza.New("urn:xmpp:delay", "delay").With("stamp", time.Now().Add(-2*time.Hour).UTC().Format(time.RFC3339))
	d.deliver(r.write(c, "m1", "the old one").Add(twoHoursAgo))
	old := wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "the old one" }).Message
	d.deliver(r.write(c, "m2", "the new one"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "the new one" })
	o := govern(t, c, ada)
	o.decides("retention = \"1h\"\n")
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == old.ID && x.Message.Gone == store.RanOut })
	if got := bodies(t, c, ada); got != "|the new one" {
		t.Errorf("the conversation is %q", got)
	}
	// One that comes too late is never shown, and its sender not told that it arrived.
	d.deliver(r.write(c, "m3", "as old").Add(twoHoursAgo))
	late := wait(t, c, func(x MessageAdded) bool { return x.Message.ID > old.ID+1 }).Message
	if !late.Body.Empty() || !late.Read {
		t.Errorf("it came as %+v", late)
	}
	d.deliver(r.write(c, "m4", "the last one"))
	for id := ""; id != "m4"; {
		if id = d.sent(isReceipt).Child("", "received").Get("id"); id == "m3" {
			t.Error("a receipt for what was never shown")
		}
	}
}

func TestWhatCanBeAttached(t *testing.T) {
	c, _ := online(t)
	o := govern(t, c, ada)
	attach := func(name string, n int) string {
		_, err := c.Attach(ctx, ada, name, "", make([]byte, n), "")
		if err != nil {
			return err.Error()
		}
		return ""
	}
	o.decides("attachments = \"none\"\n")
	if err := attach("ecg.png", 10); !strings.Contains(err, "files cannot be attached") {
		t.Errorf("none: %q", err)
	}
	o.decides("attachments = \"images\"\n")
	if err := attach("notes.txt", 10); !strings.Contains(err, "only images") {
		t.Errorf("images: %q", err)
	}
	if err := attach("ecg.png", 10); err != "" {
		t.Errorf("images: %q", err)
	}
	o.decides("attachment-size = 1\n")
	if got := c.MaxFile(); got != 1<<20 {
		t.Errorf("files can have %d bytes", got)
	}
	if err := attach("notes.txt", 1<<20+1); !strings.Contains(err, "Your organisation lets files have up to") {
		t.Errorf("too large: %q", err)
	}
	// What only the relay does not take is no attempt at anything that is forbidden.
	o.decides("attachment-size = 40\n")
	c.learnLimit(1 << 20)
	if err := attach("notes.txt", 1<<20+1); !strings.Contains(err, "This relay takes files up to") {
		t.Errorf("too large for the relay: %q", err)
	}
	want := "attach-attempt peer=" + ada + " reason=by-policy"
	got := slices.DeleteFunc(logged(t, c), func(s string) bool { return !strings.HasPrefix(s, "attach-attempt ") })
	if !slices.Equal(got, []string{want, want, want}) {
		t.Errorf("the audit log has %q", got)
	}
}

func TestForwarding(t *testing.T) {
	c, d := online(t)
	r, per := newRemote(t, d, ada), newRemote(t, d, "lind@mercy.example")
	r.start(d, c)
	d.deliver(r.write(c, "m1", "!stat Hold it.\nECG?"))
	m := wait(t, c, func(x MessageAdded) bool { return strings.HasPrefix(x.Message.Body.String(), "!stat Hold") }).Message
	when := m.Time.UTC().Format("2 Jan 2006 15:04 UTC")
	want := "[forwarded] " + ada + ", " + when + ":\n> !stat Hold it.\n> ECG?"
	sent, err := c.Forward(ctx, m.ID, per.jid, "")
	if err != nil || sent.Body.String() != want || sent.Urgency != store.Routine {
		t.Fatalf("forwarded as %+v, %v", sent, err)
	}
	if got, err := per.read(d.sent(hasPayload)); err != nil || got != want {
		t.Errorf("who gets it reads %q, %v", got, err)
	}
	sent, err = c.Forward(ctx, m.ID, per.jid, "!stat please go")
	if err != nil || sent.Urgency != store.Stat || sent.Body.String() != "!stat please go\n"+want {
		t.Errorf("with a comment: %+v, %v", sent, err)
	}
	// What ends here ends there.
	fleeting, err := c.Send(ctx, ada, "the code is 4711 !expires:1h")
	if err != nil {
		t.Fatal(err)
	}
	if sent, err = c.Forward(ctx, fleeting.ID, per.jid, ""); err != nil || sent.Expires.Sub(fleeting.Expires).Abs() > time.Millisecond {
		t.Errorf("expires at %v and not %v: %v", sent.Expires, fleeting.Expires, err)
	}
	if _, err := c.Forward(ctx, 4711, per.jid, ""); err == nil {
		t.Error("forwarded what is not there")
	}
	o := govern(t, c, ada, "lind@mercy.example")
	o.decides("forwarding = \"organisation\"\n")
	if _, err := c.Forward(ctx, m.ID, per.jid, ""); err != nil {
		t.Errorf("to a colleague: %v", err)
	}
	if _, err := c.Forward(ctx, m.ID, "eve@elsewhere.example", ""); err == nil || !strings.Contains(err.Error(), "eve@elsewhere.example is not in the directory. Messages are forwarded inside") {
		t.Errorf("to a stranger: %v", err)
	}
	o.decides("forwarding = \"nobody\"\n")
	if _, err := c.Forward(ctx, m.ID, per.jid, ""); err == nil || !strings.Contains(err.Error(), "cannot be forwarded") {
		t.Errorf("to nobody: %v", err)
	}
	if got := strings.Join(attempts(t, c), "|"); got != "forward-attempt not-a-member|forward-attempt by-policy" {
		t.Errorf("the audit log has %q", got)
	}
}

func TestAttemptsAreNoted(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	d.deliver(r.write(c, "m1", "a"))
	m := wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "a" }).Message
	for _, err := range []error{
		c.Attempted(ctx, Copying, ada, m.ID), c.Attempted(ctx, Saving, "", 0), c.Attempted(ctx, Attaching, ada, m.ID),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := c.Attempted(ctx, 17, "", 0); err == nil {
		t.Error("there is an attempt 17")
	}
	if got := strings.Join(attempts(t, c), "|"); got != "copy-attempt not-possible|save-attempt not-possible|attach-attempt not-possible" {
		t.Errorf("the audit log has %q", got)
	}
}

func TestPeopleOfTheDirectory(t *testing.T) {
	c, _ := online(t)
	if got := c.People("ada", 10); got != nil || c.MayTalk("eve@elsewhere.example") != nil {
		t.Errorf("without an organisation: %+v", got)
	}
	o := govern(t, c, ada, "lind@mercy.example")
	o.decides("paste = false\n")
	updates, err := o.staff.Sign(o.key, o.key.Key, time.Now(),
		directory.Entry{Address: ada, Name: "Okafor, Ada", Roles: []string{"on-call", "physician"}, Department: "Cardiology", State: directory.Active},
		directory.Entry{Address: "lind@mercy.example", Name: "Lind, Per", Roles: []string{"pharmacist"}, State: directory.Suspended},
		directory.Entry{Address: "haddad@mercy.example", Name: "Haddad, Rana", State: directory.Removed})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.store.Update(ctx, func(tx *store.Tx) error { _, err := o.member.ApplyDirectory(tx, updates...); return err }); err != nil {
		t.Fatal(err)
	}
	names := func(query string) string {
		var list []string
		for _, p := range c.People(query, 10) {
			list = append(list, p.Name.String()+": "+strings.Join(p.About(), " · ")+": "+p.Why.String())
		}
		return strings.Join(list, "|")
	}
	for query, want := range map[string]string{
		"okaf": "Okafor, Ada: on-call, physician · Cardiology: ",
		"card": "Okafor, Ada: on-call, physician · Cardiology: ",
		"lind": "Lind, Per: pharmacist · suspended: Lind, Per is suspended",
		"hadd": "", "ng": "", "": "",
	} {
		if got := names(query); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	if p, ok := c.Person(ada); !ok || p.Name.String() != "Okafor, Ada" {
		t.Errorf("who has the address: %+v, %v", p, ok)
	}
	if err := c.MayTalk("eve@elsewhere.example"); err == nil || err.Error() != "eve@elsewhere.example is not in the directory" {
		t.Errorf("a stranger: %v", err)
	}
}
