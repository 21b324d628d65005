package ratchet

import (
	"os"
	"strings"
	"testing"
)

// golden is a party with a stored session, and messages for it, from
// testdata/bob.txt. Tests read it so that what older versions stored stays
// readable, and fuzz targets so that all their processes have the same keys.
type golden struct {
	bob     *party
	stored  []byte
	genuine []packet // two of the session, then a prekey message of a stranger
}

func loadGolden(t testing.TB) *golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/bob.txt")
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string][]byte)
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			values[name] = unhex(t, value)
		}
	}
	key := func(name string) (k KeyPair) {
		k.Private = PrivateKey(values[name])
		k.Public = k.Private.Public()
		return k
	}
	once := key("one-time prekey")
	bob := &party{t: t, identity: key("identity"), signed: key("signed prekey"), once: map[uint32]*KeyPair{3: &once}}
	if bob.session, err = UnmarshalSession(values["session"]); err != nil {
		t.Fatal(err)
	}
	return &golden{bob, values["session"], []packet{
		{values["message one"], false, "one"},
		{values["message two"], false, "two"},
		{values["prekey message"], true, "from carol"},
	}}
}

func TestWhatWasStoredBeforeStaysReadable(t *testing.T) {
	g := loadGolden(t)
	g.bob.mustReceive(g.genuine[1])
	g.bob.mustReceive(g.genuine[0])
	g.bob.session = new(Session)
	g.bob.mustReceive(g.genuine[2])
}
