package wire

import (
	"errors"
	"net"
	"reflect"
	"testing"
	"time"

	"sotto/internal/frame"
)

var every = []Message{
	Login{Address: "a@example.org", Relay: "wss://example.org/ws", Resource: "x", CA: []byte("pem"), Legacy: true, Password: []byte("p"), Next: []byte{}},
	Send{"id1", []byte("<message/>")},
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
		"far future":       {tState, [][]byte{{0}, nil, frame.Uint64(0), frame.Uint64(0), frame.Uint64(1 << 62), frame.Uint64(0), nil, {0}}},
	} {
		if m, err := decode(c.typ, c.f); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(byte(tSettled), []byte("\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, typ byte, b []byte) {
		fields, err := frame.Fields(b)
		if err != nil {
			return
		}
		m, err := decode(typ, fields)
		if err != nil {
			return
		}
		again, f2 := m.encode()
		if back, err := decode(again, f2); err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%+v came back as %+v, %v", m, back, err)
		}
	})
}
