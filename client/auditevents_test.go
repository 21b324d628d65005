package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/store"
)

// ledger is what the audit log of a client is to say of what somebody does.
type ledger struct {
	t    testing.TB
	c    *Client
	want []string
}

// keeps holds a client's audit log to what a test says of it: when the test ends, of
// each kind that was named there is that and nothing more, and none of the words is
// in any line.
func keeps(t testing.TB, c *Client, words ...string) *ledger {
	t.Helper()
	l := &ledger{t: t, c: c}
	t.Cleanup(func() {
		if !t.Failed() {
			l.exact()
			l.without(words...)
		}
	})
	return l
}

// leaves waits until the log has an event, as it is written in a line behind the time
// and the device.
func (l *ledger) leaves(kind audit.Kind, format string, args ...any) {
	l.t.Helper()
	line := strings.TrimSpace(kind.String() + " " + fmt.Sprintf(format, args...))
	l.want = append(l.want, line)
	logs(l.t, l.c, line)
}

// exact compares all events of the kinds that were named.
func (l *ledger) exact() {
	l.t.Helper()
	kinds := make(map[string]bool)
	for _, line := range l.want {
		kinds[strings.Fields(line)[0]] = true
	}
	got := slices.DeleteFunc(logged(l.t, l.c), func(line string) bool { return !kinds[strings.Fields(line)[0]] })
	slices.Sort(got)
	slices.Sort(l.want)
	if !slices.Equal(got, l.want) {
		l.t.Errorf("of these kinds the log has\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(l.want, "\n"))
	}
}

// without looks for words in all of every line.
func (l *ledger) without(words ...string) {
	l.t.Helper()
	err := l.c.store.View(ctx, func(tx *store.Tx) error {
		return tx.AuditLines(0, 1<<20, func(_ int64, line, _ []byte) {
			fields := strings.Split(string(line), " ")[4:] // without the time and the device
			for _, w := range words {
				if strings.Contains(strings.ToLower(strings.Join(fields, " ")), strings.ToLower(w)) {
					l.t.Errorf("%q is in the line %s", w, line)
				}
			}
		})
	})
	if err != nil {
		l.t.Error(err)
	}
}

// idIn is the id of a message in a conversation, as its sender has called it.
func idIn(t testing.TB, c *Client, peer, body string) (id string, row int64) {
	t.Helper()
	for _, m := range messages(t, c, peer) {
		if m.Body.String() == body {
			row = m.ID
		}
	}
	return idOfRow(t, c, row), row
}

// TestMessagesAreLogged has two people write, read, correct, take back and look for
// messages.
func TestMessagesAreLogged(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	words := []string{"potassium", "6.1", "Really", "Sodium", "midazolam"}
	hers, his := keeps(t, a.Client, words...), keeps(t, b.Client, words...)
	device := a.device.ID()

	// Written, stored, and read once, however often it is looked at.
	m := a.say(b, "Bed 9: potassium 6.1")
	b.has(a, "Bed 9: potassium 6.1")
	a.delivered(b, m)
	id, row := idIn(t, b.Client, a.jid, "Bed 9: potassium 6.1")
	hers.leaves(audit.MessageSent, "peer=%s message=%s", b.jid, id)
	hers.leaves(audit.MessageDelivered, "peer=%s message=%s", b.jid, id)
	his.leaves(audit.MessageReceived, "peer=%s device=%d message=%s", a.jid, device, id)
	for range 2 {
		if err := b.MarkRead(ctx, a.jid, row); err != nil {
			t.Fatal(err)
		}
	}
	his.leaves(audit.MessageShown, "peer=%s message=%s", a.jid, id)
	eventually(t, "she knows that he has read it", func() bool { return a.state(b, m.ID) == store.Read })

	// Answered: what she reads of her own is no event.
	answer := b.say(a, "Really?")
	a.has(b, "Really?")
	b.delivered(a, answer)
	his2, row2 := idIn(t, a.Client, b.jid, "Really?")
	his.leaves(audit.MessageSent, "peer=%s message=%s", a.jid, his2)
	his.leaves(audit.MessageDelivered, "peer=%s message=%s", a.jid, his2)
	hers.leaves(audit.MessageReceived, "peer=%s device=%d message=%s", b.jid, b.device.ID(), his2)
	if err := a.MarkRead(ctx, b.jid, row2); err != nil {
		t.Fatal(err)
	}
	hers.leaves(audit.MessageShown, "peer=%s message=%s", b.jid, his2)

	// Corrected.
	better, err := a.Correct(ctx, b.jid, m.ID, "Sodium, not that")
	if err != nil {
		t.Fatal(err)
	}
	b.has(a, "Sodium, not that")
	a.delivered(b, better)
	newer, _ := idIn(t, b.Client, a.jid, "Sodium, not that")
	hers.leaves(audit.MessageSent, "peer=%s message=%s", b.jid, newer)
	hers.leaves(audit.MessageDelivered, "peer=%s message=%s", b.jid, newer)
	hers.leaves(audit.MessageCorrected, "peer=%s message=%s ref=%s", b.jid, newer, id)
	his.leaves(audit.MessageReceived, "peer=%s device=%d message=%s", a.jid, device, newer)
	his.leaves(audit.MessageCorrected, "by=%s peer=%s device=%d message=%s ref=%s", a.jid, a.jid, device, newer, id)

	// Taken back.
	wrong := a.say(b, "midazolam 100 mg")
	b.has(a, "midazolam 100 mg")
	a.delivered(b, wrong)
	gone, _ := idIn(t, b.Client, a.jid, "midazolam 100 mg")
	hers.leaves(audit.MessageSent, "peer=%s message=%s", b.jid, gone)
	hers.leaves(audit.MessageDelivered, "peer=%s message=%s", b.jid, gone)
	his.leaves(audit.MessageReceived, "peer=%s device=%d message=%s", a.jid, device, gone)
	if _, err := a.Recall(soon(t), b.jid, wrong.ID); err != nil {
		t.Fatal(err)
	}
	hers.leaves(audit.MessageRecalled, "peer=%s message=%s reason=by-person", b.jid, gone)
	recall := ""
	eventually(t, "his log says that it is gone", func() bool {
		for _, line := range logged(t, b.Client) {
			if strings.HasPrefix(line, "message-recalled ") {
				_, recall, _ = strings.Cut(line, " ref=")
				recall, _, _ = strings.Cut(recall, " ")
			}
		}
		return recall != ""
	})
	his.leaves(audit.MessageRecalled, "by=%s peer=%s device=%d message=%s ref=%s reason=by-person", a.jid, a.jid, device, gone, recall)

	// Looked for: several keys are one search. Run does it all, so that it is not told
	// of in between.
	for _, x := range []struct {
		typed      []string
		peer, line string
	}{{[]string{"po", "pota", "potassium"}, "", "count=1"}, {[]string{"potassium"}, "nobody@mercy.example", "peer=nobody@mercy.example"}} {
		if err := ofRun(t, b.Client, func() error {
			for _, typed := range x.typed {
				if _, err := b.Search(ctx, Query{Text: typed, Peer: x.peer, Limit: 10}); err != nil {
					return err
				}
			}
			b.tickAudit(time.Now().Add(searchRests))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		his.leaves(audit.Searched, "%s", x.line)
	}
}

// TestMessagesInRoomsAreLogged: who wrote, and who has it, is said there, too.
func TestMessagesInRoomsAreLogged(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	hers, his := keeps(t, a.Client, "theatre", "Night shift"), keeps(t, b.Client, "theatre", "Night shift")
	peer := a.create("Night shift", b)
	a.knows(peer, a, b)
	m := a.tell(peer, "Bed 9 goes to theatre at two")
	b.hears(peer, a, "Bed 9 goes to theatre at two")
	eventually(t, "it is delivered", func() bool { return a.row(peer, m.ID).State == store.Delivered })
	id, row := idIn(t, b.Client, peer, "Bed 9 goes to theatre at two")
	hers.leaves(audit.MessageSent, "peer=%s message=%s", peer, id)
	hers.leaves(audit.MessageDelivered, "by=%s peer=%s message=%s", b.jid, peer, id)
	his.leaves(audit.MessageReceived, "by=%s peer=%s device=%d message=%s", a.jid, peer, a.device.ID(), id)
	if err := b.MarkRead(ctx, peer, row); err != nil {
		t.Fatal(err)
	}
	his.leaves(audit.MessageShown, "peer=%s message=%s", peer, id)
}
