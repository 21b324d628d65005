package omemo

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"sotto/client/stanza"
)

// golden is what a device kept and was sent once, in testdata/bob.json. Tests read
// it so that what older versions stored stays readable, and fuzz targets so that
// all their processes have the same keys.
type golden struct {
	Identity                []byte
	PreKeys                 map[uint32][]byte
	SignedPreKeyID          uint32
	SignedPreKey, Signature []byte
	Peer                    uint32 // alice's device
	Session                 []byte // with it
	Messages                []string
}

// goldenTexts are the texts of the messages; the last one is empty.
var goldenTexts = []string{"one", "two", "from carol"}

func loadGolden(t testing.TB) (bob *client, messages []string) {
	t.Helper()
	raw, err := os.ReadFile("testdata/bob.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	k := newMemory()
	k.identity = g.Identity
	k.preKeys = g.PreKeys
	k.signed[g.SignedPreKeyID] = signedPreKey{g.SignedPreKey, g.Signature, time.Unix(1, 0)}
	k.sessions[Address{"alice@example.org", g.Peer}] = g.Session
	d, err := Setup(k)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, "bob@example.org", k, d}, g.Messages
}

func TestWhatWasStoredBeforeStaysReadable(t *testing.T) {
	bob, messages := loadGolden(t)
	if len(messages) != len(goldenTexts)+1 {
		t.Fatalf("%d messages", len(messages))
	}
	for i, from := range []string{"alice@example.org", "alice@example.org", "carol@example.org", "alice@example.org"} {
		e, err := stanza.Parse([]byte(messages[i]))
		if err != nil {
			t.Fatal(err)
		}
		got, err := bob.Decrypt(bob.keys, from, e)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if i == len(goldenTexts) {
			if got.Plaintext != nil {
				t.Errorf("empty message gives %q", got.Plaintext)
			}
		} else if string(got.Plaintext) != goldenTexts[i] || got.UsedPreKey != (i == 2) {
			t.Errorf("message %d: %+v", i, got)
		}
	}
}
