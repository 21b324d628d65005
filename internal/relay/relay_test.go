package relay

import (
	"testing"

	"sotto/client/stanza"
)

func hasBody(text string) func(*stanza.Element) bool {
	return func(e *stanza.Element) bool { return e.Child("", "body").Text() == text }
}

func isPresence(from, typ string) func(*stanza.Element) bool {
	return func(e *stanza.Element) bool {
		return e.Local == "presence" && e.Get("from") == from && e.Get("type") == typ
	}
}

func TestTwoPeopleTalk(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	alice.expect("presence of bob", isPresence("bob@ward.example/b", ""))
	bob.expect("presence of alice", isPresence("alice@ward.example/a", ""))
	alice.send(`<message type="chat" id="1" from="mallory@ward.example" to="bob@ward.example"><body>hello</body></message>`)
	m := bob.body("hello")
	if m.Get("from") != alice.full || m.Get("to") != "bob@ward.example" || m.Get("id") != "1" {
		t.Errorf("bob got %s", m)
	}
	bob.chat(alice.full, "hello yourself")
	alice.body("hello yourself")
	bob.ws.CloseNow()
	alice.expect("bob leaving", isPresence("bob@ward.example/b", "unavailable"))
}
