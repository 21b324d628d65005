package relay

import (
	"testing"

	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// FuzzFrame: whatever the address, what is sent is the shared stanza with it.
func FuzzFrame(f *testing.F) {
	f.Add("alice@ward.example/a", "x")
	f.Add(`a@b/<&">'`, "x")
	f.Fuzz(func(t *testing.T, to, body string) {
		j, err := jid.Parse(to)
		if err != nil {
			return
		}
		to = j.String()
		el := stanza.New(stanza.NSClient, "message").With("id", "1")
		if body != "" {
			el.Add(stanza.TextElement(stanza.NSClient, "body", body))
		}
		want, err := stanza.Parse(el.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got, err := stanza.Parse(frame{el.Bytes(), to}.append(nil))
		if err != nil || got.Get("to") != to || got.Child("", "body").Text() != want.Child("", "body").Text() {
			t.Errorf("%v, %v, to %q", got, err, to)
		}
	})
}
