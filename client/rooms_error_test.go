package client

import (
	"strings"
	"testing"

	"sotto/client/stanza"
	"sotto/client/store"
)

// TestErrorsOfMembers has a member, to whom a room shows the id of each message,
// send errors about one: rooms pass them on as they do private messages.
func TestErrorsOfMembers(t *testing.T) {
	l := newLair(t)
	l.write("calcium gluconate now")
	m := messages(t, l.c, icu)[len(messages(t, l.c, icu))-1]
	id := ""
	if err := l.c.store.View(ctx, func(tx *store.Tx) error {
		row, err := tx.Message(m.ID)
		id = row.OriginID
		return err
	}); err != nil {
		t.Fatal(err)
	}
	refusal := func(from, condition string) *stanza.Element {
		return stanza.NewGroupchat(me+"/test", id, stanza.New(stanza.NSClient, "error", stanza.New(stanza.NSStanzas, condition)).With("type", "cancel")).
			With("type", "error").With("from", from)
	}
	l.deliver(refusal(icu+"/okafor", "forbidden"))
	l.deliver(refusal(icu+"/okafor", "not-acceptable"))
	l.settledWith()
	if got := l.row(t, m.ID); got.State == store.Failed {
		t.Errorf("a member has it look not delivered: %s", got.Why)
	}
	if !strings.Contains(l.log.String(), "error of a member") {
		t.Error("nothing about it in the log")
	}
	if !l.ready() {
		t.Error("a member has the room entered anew")
	}
	l.deliver(refusal(icu, "forbidden")) // the room's own word
	eventually(t, "what the room refuses counts as not delivered", func() bool { return l.row(t, m.ID).State == store.Failed })
}

func (l *lair) row(t *testing.T, id int64) Message {
	t.Helper()
	m, found, err := l.c.ByID(ctx, id)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	return m
}
