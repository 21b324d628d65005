package admin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/org/directory"
	"sotto/client/org/order"
	"sotto/client/stanza"
	"sotto/client/store"
)

const alice = "alice@hospital.example"

// clerk is a relay with accounts, and with commands to end them.
type clerk struct {
	*carrier
	accounts []string
	commands []string                                    // that there are
	begun    error                                       // what it says to all of them
	done     error                                       // what it says to forms that are filled in
	likeLua  bool                                        // it completes what it has not done, as Prosody does
	stuck    bool                                        // it does not do it
	ended    func(node, address string)                  // unless nil, called before it does
	web      func(url, body string) (int, string, error) // what its HTTP interface says
}

func newClerk() *clerk {
	return &clerk{carrier: newCarrier(), accounts: []string{alice, "bob@hospital.example"}, commands: []string{stanza.CommandDeleteUser, stanza.CommandUserRoster}}
}

func commanded(node, status string, more ...*stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.New(stanza.NSCommands, "command", more...).With("node", node).With("status", status)).With("type", "result")
}

func (c *clerk) Ask(ctx context.Context, typ, to string, e *stanza.Element) (*stanza.Element, error) {
	if !e.Is(stanza.NSCommands, "command") {
		return c.carrier.Ask(ctx, typ, to, e)
	}
	node := e.Get("node")
	switch {
	case to != "hospital.example":
		return nil, &stanza.StanzaError{Type: "cancel", Condition: "remote-server-not-found"}
	case c.begun != nil:
		return nil, c.begun
	case !slices.Contains(c.commands, node):
		return nil, &stanza.StanzaError{Type: "cancel", Condition: "item-not-found"}
	}
	form := stanza.DataForm{Type: "form", FormType: "x", Fields: []stanza.FormField{{Var: "accountjids", Type: "jid-multi"}}}
	if node == stanza.CommandUserRoster {
		form.Fields[0].Var = "accountjid"
	}
	return commanded(node, "executing", form.Element()), nil
}

func (c *clerk) AskSecretly(_ context.Context, _ string, build func(string) []byte) (*stanza.Element, error) {
	e, err := stanza.Parse(build("1"))
	if err != nil {
		return nil, err
	}
	command := e.Child(stanza.NSCommands, "command")
	filled, err := stanza.ReadCommand(stanza.New(stanza.NSClient, "iq", command.With("status", "executing")))
	if err != nil {
		return nil, err
	}
	address, node := filled.Form.Value("accountjids")+filled.Form.Value("accountjid"), command.Get("node")
	there := slices.Contains(c.accounts, address)
	note := func(kind, words string) *stanza.Element {
		return stanza.TextElement(stanza.NSCommands, "note", words).With("type", kind)
	}
	switch {
	case c.done != nil:
		return nil, c.done
	case node == stanza.CommandUserRoster && there:
		return commanded(node, "completed"), nil
	case node == stanza.CommandUserRoster:
		return commanded(node, "completed", note("error", "User does not exist")), nil
	case c.likeLua && (!there || c.stuck):
		return commanded(node, "completed", note("info", "The following accounts could not be deleted:\n"+address)), nil
	case !there:
		return nil, &stanza.StanzaError{Type: "modify", Condition: "item-not-found"}
	}
	if c.ended != nil {
		c.ended(node, address)
	}
	c.accounts = slices.DeleteFunc(c.accounts, func(a string) bool { return a == address })
	return commanded(node, "completed"), nil
}

func (c *clerk) Call(_ context.Context, url string, _, body []byte) (int, []byte, error) {
	status, reply, err := c.web(url, string(body))
	return status, []byte(reply), err
}

// removed has alice removed, and returns what became of her account.
func removed(t testing.TB, o *Organisation, c *clerk, f Fate) (e Ending, open bool) {
	t.Helper()
	if _, err := o.Remove(t.Context(), alice, f); err != nil {
		t.Fatal(err)
	}
	settleWith(t, o, c)
	return ending(t, o)
}

func ending(t testing.TB, o *Organisation) (e Ending, open bool) {
	t.Helper()
	list, err := o.Endings(t.Context())
	if err != nil || len(list) > 1 {
		t.Fatal(list, err)
	}
	if len(list) == 0 {
		return e, false
	}
	return list[0], true
}

func settleWith(t testing.TB, o *Organisation, c *clerk) {
	t.Helper()
	if left, err := o.Settle(t.Context(), c, nil); err != nil || !left.None() {
		t.Fatalf("left %+v, %v", left, err)
	}
}

// TestAccountEnds: whoever is removed has no account any more, however a relay does it,
// and again is the same.
func TestAccountEnds(t *testing.T) {
	o := found(t, database(t))
	admit(t, o, "alice", 5)
	refused := func(condition string) error { return &stanza.StanzaError{Type: "auth", Condition: condition} }
	for name, x := range map[string]struct {
		set     func(*clerk)
		refused error  // why it has not ended, for good
		trouble string // or for now
	}{
		"it deletes":               {set: func(*clerk) {}},
		"there is none":            {set: func(c *clerk) { c.accounts = nil }},
		"as Prosody":               {set: func(c *clerk) { c.likeLua = true }},
		"as Prosody, there's none": {set: func(c *clerk) { c.likeLua, c.accounts = true, nil }},
		"as Prosody, which cannot": {set: func(c *clerk) { c.likeLua, c.stuck = true, true }, refused: errNotEnded},
		"it only disables":         {set: func(c *clerk) { c.commands = []string{stanza.CommandDisableUser} }},
		"it has no commands":       {set: func(c *clerk) { c.commands = nil }, refused: ErrNoCommands},
		"no admin":                 {set: func(c *clerk) { c.begun = refused("forbidden") }, refused: ErrNotAdmin},
		"not for this one":         {set: func(c *clerk) { c.done = refused("not-allowed") }, refused: ErrNotAdmin},
		"busy":                     {set: func(c *clerk) { c.begun = &stanza.StanzaError{Type: "wait", Condition: "resource-constraint"} }, trouble: "busy"},
		"cut off":                  {set: func(c *clerk) { c.done = errors.New("the connection has ended") }, trouble: "the connection has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClerk()
			x.set(c)
			e, open := removed(t, o, c, EndAccount)
			if open != (x.refused != nil || x.trouble != "") {
				t.Fatalf("to be ended: %v, %+v", open, e)
			}
			if x.refused != nil && (!strings.Contains(x.refused.Error(), e.Refused) || e.Refused == "") || x.trouble != "" && (!strings.Contains(e.Trouble, x.trouble) || e.Refused != "") {
				t.Errorf("%+v", e)
			}
			// Once the relay does it, the same command again ends it.
			*c = clerk{carrier: c.carrier, accounts: c.accounts, commands: newClerk().commands}
			head := o.Head().Number
			if e, open := removed(t, o, c, EndAccount); open || slices.Contains(c.accounts, alice) {
				t.Errorf("again: %+v, %v", e, c.accounts)
			}
			if o.Head().Number != head {
				t.Error("removing who was removed signs a head")
			}
		})
	}
}

func TestAccountEndsLast(t *testing.T) {
	st, c := database(t), newClerk()
	o := found(t, st)
	var acts []string
	o.SetAudit(func(_ *store.Tx, e audit.Event) error {
		acts = append(acts, e.Reason.String())
		return e.Check()
	})
	admit(t, o, "alice", 5)
	admit(t, o, "bob", 6)
	settleWith(t, o, c)
	c.ended = func(string, string) {
		r := newReader(o, o.Anchor())
		r.read(t, c.carrier)
		if e, _ := r.staff.Entry(alice); e.State != directory.Removed || len(o.nudges) > 0 {
			t.Errorf("before it was published and told: %+v, %v", e, o.nudges)
		}
	}
	acts = nil
	// What the relay says of the account does not touch the removal; nor does an end
	// of this process.
	c.begun = errors.New("the connection has ended")
	if e, open := removed(t, o, c, EndAccount); !open || e.Trouble == "" {
		t.Errorf("%+v", e)
	}
	if e, _ := o.Directory().Entry(alice); e.State != directory.Removed {
		t.Errorf("%+v", e)
	}
	o, err := Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	o.SetAudit(func(_ *store.Tx, e audit.Event) error {
		acts = append(acts, e.Reason.String())
		return e.Check()
	})
	c.begun = nil
	var told []string
	if _, err := o.Settle(t.Context(), c, func(list []Happening) {
		for _, h := range list {
			told = append(told, h.String())
		}
	}); err != nil {
		t.Fatal(err)
	}
	if e, open := ending(t, o); open || slices.Contains(c.accounts, alice) {
		t.Errorf("%+v", e)
	}
	if got := strings.Join(acts, " "); got != "removed account-ended" || len(told) != 1 || !strings.Contains(told[0], alice+" has been ended") {
		t.Errorf("%q, %q", got, told)
	}
}

// TestAccountWaitsForTheWipe: a device hears through its account that it is to be wiped.
func TestAccountWaitsForTheWipe(t *testing.T) {
	c, o := newClerk(), found(t, database(t))
	j := admit(t, o, "alice", 5)
	wipe, err := o.Order(t.Context(), order.Order{Do: order.Wipe, For: order.Target{Person: alice}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if e, open := removed(t, o, c, EndAccount); !open || !e.Waits || !slices.Contains(c.accounts, alice) {
		t.Fatalf("%+v", e)
	}
	ack := wipe.Acknowledge(order.Self{Address: alice, Device: 5}, order.Obeyed, time.Now(), "")
	note, err := ack.Sign("hospital.example", j.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Hear(t.Context(), alice, note, nil); err != nil {
		t.Fatal(err)
	}
	settleWith(t, o, c)
	if e, open := ending(t, o); open || slices.Contains(c.accounts, alice) {
		t.Errorf("%+v", e)
	}

	// Whoever does not wait says so.
	c, o = newClerk(), found(t, database(t))
	admit(t, o, "alice", 5)
	if _, err := o.Order(t.Context(), order.Order{Do: order.Wipe, For: order.Target{Person: alice}}, 0); err != nil {
		t.Fatal(err)
	}
	if e, open := removed(t, o, c, EndAccountNow); open || slices.Contains(c.accounts, alice) {
		t.Errorf("%+v", e)
	}
}

// TestAccountStays where that is said, or somebody is invited with it again.
func TestAccountStays(t *testing.T) {
	c, o := newClerk(), found(t, database(t))
	admit(t, o, "alice", 5)
	if e, open := removed(t, o, c, KeepAccount); open || !slices.Contains(c.accounts, alice) {
		t.Errorf("%+v", e)
	}
	c.offline = true
	if _, err := o.Remove(t.Context(), alice, EndAccount); err != nil {
		t.Fatal(err)
	}
	if left, err := o.Left(t.Context()); err != nil || left.Accounts != 1 || left.None() {
		t.Errorf("%+v, %v", left, err)
	}
	invite(t, o, "alice")
	c.offline = false
	settleWith(t, o, c)
	if e, open := ending(t, o); open || !slices.Contains(c.accounts, alice) {
		t.Errorf("%+v", e)
	}
}

func TestAccountEndsByWeb(t *testing.T) {
	o := found(t, database(t))
	admit(t, o, "alice", 5)
	if err := o.SetWeb(t.Context(), Web{URL: "https://relay.example/api", User: "accounts@hospital.example"}, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		status           int
		err              error
		refused, trouble string
	}{
		"banned":      {status: 200},
		"not allowed": {status: 403, refused: "ban_account"},
		"no command":  {status: 404, refused: "no such command"},
		"no answer":   {err: errors.New("hospital.example does not answer"), trouble: "does not answer"},
	} {
		c, calls := newClerk(), 0
		c.web = func(url, body string) (int, string, error) {
			calls++
			var said map[string]string
			if err := json.Unmarshal([]byte(body), &said); err != nil || url != "https://relay.example/api/ban_account" || len(said) != 3 || said["user"] != "alice" || said["host"] != "hospital.example" || said["reason"] == "" {
				t.Errorf("%s: %s %s", name, url, body)
			}
			return x.status, "0", x.err
		}
		e, open := removed(t, o, c, EndAccount)
		if open != (x.refused+x.trouble != "") || !strings.Contains(e.Refused, x.refused) || !strings.Contains(e.Trouble, x.trouble) || (x.refused == "") != (e.Refused == "") || calls != 1 {
			t.Errorf("%s: %v %+v after %d calls", name, open, e, calls)
		}
	}
}
