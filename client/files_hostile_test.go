package client

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"sotto/client/aesgcm"
	"sotto/client/locker"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// filesDouble is a double of link and relay that says what a test wants of files.
func filesDouble(t *testing.T) (*Client, *double, *locker.Locker, chan wire.Message) {
	t.Helper()
	d := newDouble(t)
	d.transfers = make(chan wire.Message, 1000)
	kept := locker.Memory()
	c := runWith(t, memoryStore(t), d.attach(1), kept)
	caught(t, c)
	return c, d, kept, d.transfers
}

// takesFiles makes the double a relay that gives slots of a limit.
func (d *double) takesFiles(limit int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = func(iq *stanza.Element) *stanza.Element {
		answer := func(p *stanza.Element) *stanza.Element {
			return stanza.NewIQ("result", me+"/test", iq.Get("id"), p).With("from", iq.Get("to"))
		}
		p := iq.Child("", "")
		switch {
		case p.Is(stanza.NSDiscoItems, "query"):
			q := stanza.ItemsQuery("")
			q.Add(stanza.New(stanza.NSDiscoItems, "item").With("jid", "upload.mercy.example"))
			return answer(q)
		case p.Is(stanza.NSDiscoInfo, "query") && iq.Get("to") == "upload.mercy.example":
			q := stanza.Info{Features: []string{stanza.NSUpload}}.Element()
			q.Add(stanza.UploadInfo(limit))
			return answer(q)
		case p.Is(stanza.NSUpload, "request"):
			r, ok := stanza.ReadUploadRequest(p)
			if !ok || strings.Contains(r.Name, "ecg") || r.Type != aesgcm.Unknown {
				d.t.Errorf("slot asked for with %s", p)
			}
			if r.Size > limit {
				e := stanza.ErrorReply(iq, "modify", "not-acceptable").With("from", iq.Get("to")).With("to", me+"/test")
				e.Child(stanza.NSClient, "error").Add(stanza.UploadTooLarge(limit))
				return e
			}
			u := "https://mercy.example/up/" + iq.Get("id") + "/" + r.Name
			return answer(stanza.Slot{Put: u, Get: u, Headers: []stanza.Header{{Name: "Authorization", Value: "Bearer x"}, {Name: "X-Evil", Value: "y"}}}.Element())
		}
		return nil
	}
}

func next[T wire.Message](t *testing.T, c <-chan wire.Message) T {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case m := <-c:
			if x, ok := m.(T); ok {
				return x
			}
		case <-late:
			var none T
			t.Fatalf("no %T", none)
		}
	}
}

// why waits until a message says something.
func why(t *testing.T, c *Client, peer string, id int64, words string) Message {
	t.Helper()
	var found Message
	eventually(t, "the message says "+words, func() bool {
		for _, m := range messages(t, c, peer) {
			if m.ID == id {
				found = m
			}
		}
		return strings.Contains(found.Why.String(), words)
	})
	return found
}

// TestOfferedFile takes the links of other apps, and shows no key.
func TestOfferedFile(t *testing.T) {
	c, d, _, said := filesDouble(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	k := aesgcm.NewKey()
	link, err := k.Link("https://files.mercy.example/slot/ECG%1B%5B2J%20bed.png")
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range []string{link, link + "\ndata:image/jpeg,abc", link} {
		d.deliver(r.write(c, string(rune('a'+i)), body))
		m := wait(t, c, func(MessageAdded) bool { return true }).Message
		if len(m.Files) != 1 || m.Files[0].Name.String() != "ECG<U+001B>[2J bed.png" || m.Files[0].Host.String() != "files.mercy.example" || m.Files[0].State != store.Offered {
			t.Fatalf("%q came as %+v", body, m)
		}
		if !strings.HasPrefix(m.Body.String(), "[image] ECG") || strings.Contains(m.Body.String(), "#") {
			t.Errorf("shown as %q", m.Body)
		}
	}
	d.deliver(r.write(c, "text", "look at "+link))
	if m := wait(t, c, func(MessageAdded) bool { return true }).Message; len(m.Files) != 0 || !strings.Contains(m.Body.String(), link) {
		t.Errorf("a text came as %+v", m)
	}
	select {
	case m := <-said:
		t.Errorf("fetched without being asked: %+v", m)
	default:
	}
	// Two offers of one file are fetched apart, each to a place of its own.
	list := messages(t, c, ada)
	content := file(1000)
	sealed, err := k.Seal(bytes.Clone(content))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list[:2] {
		if err := c.Fetch(ctx, m.Files[0].ID); err != nil {
			t.Fatal(err)
		}
		get := next[wire.Get](t, said)
		if get.URL != "https://files.mercy.example/slot/ECG%1B%5B2J%20bed.png" || get.From != 0 || get.Limit != locker.MaxFile {
			t.Errorf("asked for %+v", get)
		}
		d.out.send(wire.Begin{ID: get.ID, Size: uint64(len(sealed))})
		next[wire.Want](t, said)
		d.out.send(wire.Chunk{ID: get.ID, Data: sealed[:500]})
		d.out.send(wire.Chunk{ID: get.ID, Offset: 500, Data: sealed[500:]})
		d.out.send(wire.Ended{ID: get.ID})
		eventually(t, "it is here", func() bool { b, err := c.Contents(ctx, m.Files[0].ID); return err == nil && bytes.Equal(b, content) })
	}
}

// TestAlteredFile shows nothing of a file that is not what its sender encrypted.
func TestAlteredFile(t *testing.T) {
	for name, x := range map[string]struct {
		alter func(b []byte) []byte
		words string
		state store.AttachmentState
		end   wire.Ended
	}{
		"altered":   {func(b []byte) []byte { b[0] ^= 1; return b }, "damaged or altered", store.Broken, wire.Ended{}},
		"cut":       {func(b []byte) []byte { return b[:len(b)-1] }, "damaged or altered", store.Broken, wire.Ended{}},
		"longer":    {func(b []byte) []byte { return append(b, 0) }, "damaged or altered", store.Broken, wire.Ended{}},
		"nearly no": {func(b []byte) []byte { return b[:3] }, "damaged or altered", store.Broken, wire.Ended{}},
		"too large": {func(b []byte) []byte { return b }, "larger than 67 MB", store.Lost, wire.Ended{Outcome: wire.TooLarge, Words: "x"}},
		"gone":      {func(b []byte) []byte { return b[:10] }, "not at the relay any more", store.Lost, wire.Ended{Outcome: wire.Missing, Words: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, d, kept, said := filesDouble(t)
			r := newRemote(t, d, ada)
			r.start(d, c)
			k := aesgcm.NewKey()
			link, _ := k.Link("https://files.mercy.example/x.png")
			d.deliver(r.write(c, "m", link))
			m := wait(t, c, func(MessageAdded) bool { return true }).Message
			sealed, _ := k.Seal(file(1000))
			if err := c.Fetch(ctx, m.Files[0].ID); err != nil {
				t.Fatal(err)
			}
			get := next[wire.Get](t, said)
			d.out.send(wire.Begin{ID: get.ID})
			d.out.send(wire.Chunk{ID: get.ID, Data: x.alter(sealed)})
			x.end.ID = get.ID
			d.out.send(x.end)
			eventually(t, "it says so", func() bool {
				f := messages(t, c, ada)[0].Files[0]
				return f.State == x.state && strings.Contains(f.Why.String(), x.words)
			})
			if _, err := c.Contents(ctx, m.Files[0].ID); err == nil {
				t.Error("it was opened")
			}
			kept.Each(func([16]byte, int64) { t.Error("something is kept of it") })
		})
	}
}

// TestLinkLiesAboutFiles has a link that does not keep to what it was asked.
func TestLinkLiesAboutFiles(t *testing.T) {
	for name, lies := range map[string][]wire.Message{
		"chunk first":   {wire.Chunk{ID: 1, Data: []byte("x")}},
		"wrong place":   {wire.Begin{ID: 1}, wire.Chunk{ID: 1, Offset: 1, Data: []byte("x")}},
		"begins behind": {wire.Begin{ID: 1, Offset: 5}},
		"begins twice":  {wire.Begin{ID: 1}, wire.Begin{ID: 1}},
		"wants":         {wire.Want{ID: 1, Upto: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, d, _, said := filesDouble(t)
			r := newRemote(t, d, ada)
			r.start(d, c)
			link, _ := aesgcm.NewKey().Link("https://files.mercy.example/x.png")
			d.deliver(r.write(c, "m", link))
			m := wait(t, c, func(MessageAdded) bool { return true }).Message
			if err := c.Fetch(ctx, m.Files[0].ID); err != nil {
				t.Fatal(err)
			}
			if get := next[wire.Get](t, said); get.ID != 1 {
				t.Fatalf("%+v", get)
			}
			d.out.send(wire.Ended{ID: 77})
			for _, l := range lies {
				d.out.send(l)
			}
			if m := next[wire.Cancel](t, said); m.ID != 1 {
				t.Errorf("cancelled %+v", m)
			}
			if get := next[wire.Get](t, said); get.ID != 2 { // it is tried again
				t.Errorf("%+v", get)
			}
		})
	}
}

// TestUploadSteps goes through an upload, step by step: what is asked of relay and
// link, what the person sees, and that nothing is sent before the file is there.
func TestUploadSteps(t *testing.T) {
	c, d, _, said := filesDouble(t)
	d.takesFiles(1_000_000)
	r := newRemote(t, d, ada)
	content := file(600_000)
	m, err := c.Attach(ctx, ada, "ecg.png", "image/png", bytes.Clone(content), "")
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxFile(); m.Why.String() != "uploading 0 %" {
		t.Errorf("queued: %q", m.Why)
	}
	put := next[wire.Put](t, said)
	if !strings.HasPrefix(put.URL, "https://mercy.example/up/") || put.Size != 600_016 || put.Resume || len(put.Headers) != 1 {
		t.Errorf("asked for %+v", put)
	}
	d.out.send(wire.Begin{ID: put.ID})
	d.out.send(wire.Want{ID: put.ID, Upto: wire.Window})
	var sealed []byte
	for len(sealed) < wire.Window {
		sealed = append(sealed, next[wire.Chunk](t, said).Data...)
	}
	d.out.send(wire.Want{ID: put.ID, Upto: 2 * wire.Window})
	for len(sealed) < 2*wire.Window {
		sealed = append(sealed, next[wire.Chunk](t, said).Data...)
	}
	why(t, c, ada, m.ID, "uploading 43 %")
	d.out.send(wire.Ended{ID: put.ID, Outcome: wire.Broke, Words: "The network is away."})
	why(t, c, ada, m.ID, "Waiting: The network is away.")
	again := next[wire.Put](t, said)
	if !again.Resume || again.URL != put.URL || again.ID == put.ID {
		t.Errorf("again with %+v", again)
	}
	// The server cannot go on: another slot, from the start.
	d.out.send(wire.Ended{ID: again.ID, Outcome: wire.Rejected, Words: "cannot go on"})
	third := next[wire.Put](t, said)
	if third.Resume || third.URL == put.URL {
		t.Errorf("anew with %+v", third)
	}
	d.out.send(wire.Begin{ID: third.ID})
	sealed = nil
	for len(sealed) < 600_016 {
		d.out.send(wire.Want{ID: third.ID, Upto: uint64(len(sealed) + wire.Window)})
		for upto := min(len(sealed)+wire.Window, 600_016); len(sealed) < upto; {
			sealed = append(sealed, next[wire.Chunk](t, said).Data...)
		}
	}
	if bytes.Contains(sealed, content[:16]) {
		t.Error("the file is not encrypted")
	}
	select {
	case e := <-d.messages:
		if hasPayload(e) {
			t.Errorf("sent before it was uploaded: %s", e)
		}
	default:
	}
	d.out.send(wire.Ended{ID: third.ID})
	body, err := r.read(d.sent(hasPayload))
	if err != nil {
		t.Fatal(err)
	}
	l, ok := aesgcm.ParseLink(body)
	if !ok || l.URL != third.URL || l.Name != "ecg.png" {
		t.Fatalf("sent %q", body)
	}
	if got, err := l.Key.Open(sealed); err != nil || !bytes.Equal(got, content) {
		t.Errorf("opened: %v", err)
	}
	if strings.Contains(messages(t, c, ada)[0].Body.String(), "aesgcm") {
		t.Error("the key is shown")
	}
}

// TestUploadFails says why a file was not sent, and sends it when told to again.
func TestUploadFails(t *testing.T) {
	c, d, _, said := filesDouble(t)
	d.takesFiles(5000)
	newRemote(t, d, ada)
	m, err := c.Attach(ctx, ada, "ecg.png", "", file(31_000), "")
	if err != nil {
		t.Fatal(err) // what the relay takes is not known yet
	}
	x := why(t, c, ada, m.ID, "Not sent: ecg.png is 31 kB. This relay takes files up to 5 kB")
	if x.State != store.Failed || x.Files[0].State != store.Broken {
		t.Errorf("failed as %+v", x)
	}
	if got := c.MaxFile(); got != 5000-aesgcm.Overhead {
		t.Errorf("files up to %d", got)
	}
	d.takesFiles(1_000_000)
	if err := c.Resend(context.Background(), m.ID); err != nil {
		t.Fatal(err)
	}
	put := next[wire.Put](t, said)
	d.out.send(wire.Ended{ID: put.ID, Outcome: wire.TooLarge, Words: "mercy.example does not take a file of this size."})
	if x := why(t, c, ada, m.ID, "Not sent: mercy.example does not take"); x.State != store.Failed {
		t.Errorf("failed as %+v", x)
	}
	if err := c.CancelFile(soon(t), m.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	if l := messages(t, c, ada); len(l) != 0 {
		t.Errorf("left: %+v", l)
	}
}

// TestNoUploads says that a relay takes no files.
func TestNoUploads(t *testing.T) {
	c, d, _, _ := filesDouble(t)
	newRemote(t, d, ada)
	m, err := c.Attach(ctx, ada, "ecg.png", "", file(1000), "")
	if err == nil {
		why(t, c, ada, m.ID, "Not sent: this relay takes no files")
	}
	eventually(t, "it is known", func() bool {
		_, err := c.Attach(ctx, ada, "ecg.png", "", file(1000), "")
		return err != nil && err.Error() == errNoUpload.Error()
	})
}
