package wire

import (
	"encoding/binary"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"sotto/client/text"
	"sotto/internal/frame"
)

var every = []Message{
	Login{Address: "a@example.org", Relay: "wss://example.org/ws", Resource: "x", CA: []byte("pem"), Legacy: true, Password: []byte("p"), Next: []byte{}, Relays: "wss://a.example/ws\nwss://b.example/ws", Pins: "cGlu"},
	Send{ID: "id1", Stanza: []byte("<message/>")},
	Stored{9},
	Logoff{},
	ChangePassword{[]byte("q")},
	State{Phase: Online, Address: "a@example.org/x", Session: 3, RTT: 14 * time.Millisecond, Since: time.Unix(1700000000, 0), Words: "online"},
	State{Phase: Refused, Words: "no", WrongPassword: true},
	State{Phase: Offline, RetryAt: time.Unix(1700000008, 0)},
	Inbound{1 << 40, []byte("<presence/>")},
	Pending{[]string{"a", "b"}},
	Pending{},
	Settled{"a"},
	PasswordChanged{"no"},
	Withdraw{"a"},
	Withdrawn{"a", true},
	Put{ID: 1, URL: "https://upload.example/x", Type: "application/octet-stream", Size: 9, Resume: true, Headers: []Header{{"Authorization", "Bearer x"}, {"Cookie", ""}}},
	Put{ID: 1 << 63, URL: "", Size: MaxFile},
	Get{2, "https://upload.example/y", 7, 1 << 20},
	Begin{2, 7, 9},
	Want{1, MaxFile + Window},
	Chunk{1, 3, []byte("ciphertext")},
	Cancel{3},
	Ended{4, Missing, "It is gone."},
	Call{5, "https://relay.example/api/register", []byte("Basic x"), []byte("{}")},
	Called{5, 409, []byte("{}"), ""},
	Called{6, 0, []byte{}, "It does not answer."},
	Enlist{},
	Enlisted{make([]byte, KeySize), []byte("head")},
	Duty{"sotto@example.org", []byte("anchor"), []byte("head"), "a@example.org", 1<<32 - 1, []string{"on-call", "physician"}, []byte("ledger"), []byte("delegation")},
	Duty{Anchor: []byte{}, Head: []byte{}, Ledger: []byte{}, Delegation: []byte{}},
}

// hostileWords is what a link could say to act on the terminal.
var hostileWords = []string{
	"\x1b]52;c;aGk=\a", "two\nlines\r\n", "\u009b2J", "\u202eright to left", "tag\U000e0041", "a\u0301" + strings.Repeat("\u0301", 300),
	strings.Repeat("\u202e", MaxWords/3), strings.Repeat("क\u200d", MaxWords/6), "\u200b\ufeff",
}

// What the other role says in words has nothing in it that acts on a terminal.
func TestWordsAreSafe(t *testing.T) {
	for _, w := range hostileWords {
		for _, m := range []Message{State{Words: w}, PasswordChanged{w}, Ended{Words: w}, Called{Words: w}} {
			typ, f := m.encode()
			got, err := decode(typ, f)
			if err != nil {
				t.Fatalf("%q: %v", w, err)
			}
			words := ""
			switch m := got.(type) {
			case State:
				words = m.Words
			case PasswordChanged:
				words = m.Words
			case Ended:
				words = m.Words
			case Called:
				words = m.Words
			}
			checkWords(t, words)
			if words == "" {
				t.Errorf("nothing is left of %q", w)
			}
		}
	}
}

func checkWords(t *testing.T, words string) {
	t.Helper()
	if len(words) > MaxWords || text.Line(words).String() != words {
		t.Fatalf("%q (%d bytes) is not safe", words, len(words))
	}
}

func TestRoundTrip(t *testing.T) {
	a, b := net.Pipe()
	x, y := frame.NewConn(a), frame.NewConn(b)
	go func() {
		for _, m := range every {
			Write(x, m)
		}
	}()
	for _, m := range every {
		got, err := Read(y)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%T came back as %+v, %v; want %+v", m, got, err, m)
		}
	}
}

func TestRefuses(t *testing.T) {
	long := make([]byte, MaxID+1)
	for name, c := range map[string]struct {
		typ byte
		f   [][]byte
	}{
		"unknown type":     {200, nil},
		"missing fields":   {tSend, [][]byte{[]byte("id")}},
		"too many fields":  {tStored, [][]byte{frame.Uint64(1), {1}}},
		"long id":          {tSettled, [][]byte{long}},
		"number too short": {tStored, [][]byte{{1}}},
		"not utf-8":        {tSettled, [][]byte{{0xff}}},
		"odd flag":         {tState, [][]byte{{0}, nil, frame.Uint64(0), frame.Uint64(0), frame.Uint64(0), frame.Uint64(0), nil, {2}}},
		"unknown phase":    {tState, [][]byte{{9}, nil, frame.Uint64(0), frame.Uint64(0), frame.Uint64(0), frame.Uint64(0), nil, {0}}},
		"RTT of years":     {tState, [][]byte{{0}, nil, frame.Uint64(0), frame.Uint64(1 << 63), frame.Uint64(0), frame.Uint64(0), nil, {0}}},
		"empty file":       {tPut, [][]byte{frame.Uint64(1), nil, nil, frame.Uint64(0), {0}}},
		"half a header":    {tPut, [][]byte{frame.Uint64(1), nil, nil, frame.Uint64(1), {0}, []byte("Cookie")}},
		"many headers":     {tPut, append([][]byte{frame.Uint64(1), nil, nil, frame.Uint64(1), {0}}, make([][]byte, 2*MaxHeaders+2)...)},
		"far byte":         {tWant, [][]byte{frame.Uint64(1), frame.Uint64(MaxFile + Window + 1)}},
		"empty chunk":      {tChunk, [][]byte{frame.Uint64(1), frame.Uint64(0), nil}},
		"long chunk":       {tChunk, [][]byte{frame.Uint64(1), frame.Uint64(0), make([]byte, MaxChunk+1)}},
		"unknown outcome":  {tEnded, [][]byte{frame.Uint64(1), {byte(maxOutcome)}, nil}},
		"short key":        {tEnlisted, [][]byte{make([]byte, KeySize-1), nil}},
		"long head":        {tEnlisted, [][]byte{make([]byte, KeySize), make([]byte, MaxNote+1)}},
		"short device":     {tDuty, [][]byte{nil, nil, nil, nil, {1}, nil, nil}},
		"many roles":       {tDuty, append([][]byte{nil, nil, nil, nil, {0, 0, 0, 1}, nil, nil}, make([][]byte, MaxRoles+1)...)},
		"far future":       {tState, [][]byte{{0}, nil, frame.Uint64(0), frame.Uint64(0), frame.Uint64(1 << 62), frame.Uint64(0), nil, {0}}},
	} {
		if m, err := decode(c.typ, c.f); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(byte(tSettled), []byte("\x00\x00\x00\x01x"))
	add := func(m Message) {
		typ, b := flat(m)
		f.Add(typ, b)
	}
	for _, m := range every {
		add(m)
	}
	for _, w := range hostileWords {
		add(PasswordChanged{w})
		add(State{Words: w})
	}
	f.Fuzz(func(t *testing.T, typ byte, b []byte) {
		fields, err := frame.Fields(b)
		if err != nil {
			return
		}
		m, err := decode(typ, fields)
		if err != nil {
			return
		}
		switch m := m.(type) {
		case State:
			checkWords(t, m.Words)
		case PasswordChanged:
			checkWords(t, m.Words)
		}
		again, f2 := m.encode()
		if back, err := decode(again, f2); err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%+v came back as %+v, %v", m, back, err)
		}
	})
}

// flat is a message as its frame holds it.
func flat(m Message) (typ byte, b []byte) {
	typ, fields := m.encode()
	for _, f := range fields {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return typ, b
}
