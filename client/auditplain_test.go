package client

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/awnumar/memguard"
	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/orgtest"
	"sotto/client/stanza"
	"sotto/client/store"
)

// somebodysKey signs as a device does whose key is orgtest's.
type somebodysKey struct{ *orgtest.Key }

func (k somebodysKey) Public() crypto.PublicKey { return ed25519.PublicKey(k.Key.Public()) }
func (k somebodysKey) Sign(_ io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) {
	return k.Key.Sign(msg)
}

// marked encrypts a text to the client's device, in a message that is marked as a part
// of an audit log.
func (r *remote) marked(c *Client, id, text string) *stanza.Element {
	r.t.Helper()
	var enc *stanza.Element
	r.do(func(tx *store.Tx) (err error) {
		enc, err = r.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: c.device.ID()}}, []byte(text))
		return err
	})
	return auditStanza(me, id, enc).With("from", r.jid+"/x")
}

// TestNobodyIsKeptFromAText has texts come that begin as what programs tell each other,
// and messages for programs, where nobody expects them: nothing that a person wrote is
// taken for such a thing, and what is for no person goes to the log.
func TestNobodyIsKeptFromAText(t *testing.T) {
	batch := "sotto audit batch 1\n0 0 0\n\nplease come to room 12"
	answer := "sotto audit answer 1\n\nplease come, too"
	t.Run("without an organisation", func(t *testing.T) {
		d, log := newDouble(t), &journal{}
		c, err := New(Config{Account: Account{Address: me, Password: memguard.NewBufferFromBytes([]byte("pw"))}, Store: memoryStore(t),
			Link: d.attach(1), Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { c.Run(ctx); close(ended) }()
		t.Cleanup(func() { cancel(); from(t, ended, "end of Run") })
		wait(t, c, func(CaughtUp) bool { return true })
		r := newRemote(t, d, ada)
		r.start(d, c)
		d.deliver(r.marked(c, "m1", batch))
		d.deliver(r.marked(c, "m2", answer))
		for id, e := range map[string]*stanza.Element{
			"m3": stanza.JoinRequest(me, "m3", []byte("a note")),
			"m4": stanza.Acknowledgement{Note: []byte("a note")}.Message(me, "m4"),
			"m5": stanza.JoinAnswer(me, "m5", []byte("a note")),
			"m6": stanza.Nudge(me, []byte("a note")),
		} {
			d.deliver(e.With("from", ada+"/x"))
			if id == "m3" || id == "m4" { // the same with words in it
				e = r.write(c, id+"w", "words beside "+id)
				e.Add(stanza.JoinRequest(me, "", []byte("another note")).Child(stanza.NSOrganisation, "join"))
				d.deliver(e)
			}
		}
		broken := r.marked(c, "m7", "x")
		broken.Child(stanza.NSOmemo, "encrypted").Child(stanza.NSOmemo, "payload").Children = nil
		broken.Child(stanza.NSOmemo, "encrypted").Child(stanza.NSOmemo, "payload").Add(stanza.Text("AAAA"))
		d.deliver(broken)
		wait(t, c, func(x MessageAdded) bool { return x.Message.Kind == store.Notice })
		got := bodies(t, c, ada)
		for _, want := range []string{batch, answer, "words beside m3", "words beside m4"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in %q", want, got)
			}
		}
		for _, want := range []string{"not kept for the organisation", "answer to a request to join", "head of an organisation"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("not in the log: %s\n%s", want, log)
			}
		}
		if letters := func() (list []store.Letter) {
			if err := c.store.View(ctx, func(tx *store.Tx) (err error) { list, err = tx.Letters(10); return err }); err != nil {
				t.Fatal(err)
			}
			return list
		}(); len(letters) > 0 {
			t.Errorf("kept for an organisation that is none: %+v", letters)
		}
	})
	t.Run("in an organisation", func(t *testing.T) {
		s := staff(t).start()
		s.deliver(s.ada.marked(s.c, "m1", batch))
		s.deliver(s.ada.marked(s.c, "m2", answer))
		// What her device has signed as a part of its log is one, whoever it was for.
		d := audit.Device{Owner: audit.PersonOf(ada), ID: s.ada.dev.ID()}
		signed, err := audit.Checkpoint{Device: d, Tree: tlog.Tree{N: 1}, Time: time.Now()}.Sign(somebodysKey{orgtest.New(org.DeviceName(d.ID), ada)})
		if err != nil {
			t.Fatal(err)
		}
		s.deliver(s.ada.marked(s.c, "m3", string((&audit.Batch{Lines: [][]byte{[]byte("1 0 x")}, Checkpoint: signed}).Marshal())))
		s.deliver(s.ada.write(s.c, "m4", "the last"))
		wait(t, s.c, func(x MessageAdded) bool { return x.Message.Body.String() == "the last" })
		if got := bodies(t, s.c, ada); got != batch+"|"+answer+"|the last" {
			t.Errorf("the conversation is %q", got)
		}
		if !strings.Contains(s.log.String(), "part of an audit log for somebody else") {
			t.Errorf("the log does not tell of the batch:\n%s", s.log)
		}
	})
}
