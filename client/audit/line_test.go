package audit_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
)

var (
	alice = audit.Device{Owner: audit.PersonOf("alice@hospital.example"), ID: 27183}
	ben   = audit.PersonOf("ben@hospital.example")
	some  = audit.IDOf("0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11")
	noon  = time.Date(2026, 11, 22, 12, 8, 3, 123_000_000, time.UTC)
)

func entry(seq int64, e audit.Event) audit.Entry {
	return audit.Entry{Seq: seq, Time: noon, Device: alice, Event: e}
}

func TestLine(t *testing.T) {
	for _, c := range []struct {
		e    audit.Event
		want string
	}{
		{audit.Event{Kind: audit.Unlocked}, "unlock"},
		{audit.Event{Kind: audit.MessageReceived, Peer: ben, Message: some, Device: 31, By: ben}, "message-received by=ben@hospital.example peer=ben@hospital.example device=31 message=0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11"},
		{audit.Event{Kind: audit.UnlockFailed, Reason: audit.WrongPIN, Count: 3}, "unlock-failed reason=wrong-pin count=3"},
		{audit.Event{Kind: audit.PolicyApplied, Serial: 1<<64 - 1}, "policy-applied serial=18446744073709551615"},
	} {
		e := entry(42, c.e)
		line, err := e.Line()
		want := "1 42 2026-11-22T12:08:03.123Z alice@hospital.example/27183 " + c.want
		if err != nil || string(line) != want {
			t.Errorf("got  %s %v\nwant %s", line, err, want)
		}
		if back, err := audit.ParseLine(line); err != nil || back != e {
			t.Errorf("came back as %+v %v", back, err)
		}
	}
}

// TestEveryKindHasALine writes each kind with all that it must have, and then with
// each reason that it may have; and holds that it is not written with less.
func TestEveryKindHasALine(t *testing.T) {
	full := audit.Event{By: ben, Peer: ben, Room: ben, Device: 5, Message: some, Ref: some, Count: 2, Serial: 3}
	names, written := map[string]bool{}, 0
	for _, k := range audit.Kinds() {
		if names[k.String()] || strings.Trim(k.String(), "abcdefghijklmnopqrstuvwxyz-") != "" || len(k.String()) > 32 {
			t.Errorf("%q is no good name", k)
		}
		names[k.String()] = true
		if got, ok := audit.KindNamed(k.String()); got != k || !ok {
			t.Errorf("%s is not known by its name", k)
		}
		// Every combination of fields, with every reason.
		legal := 0
		for set := range 256 {
			for r := audit.Reason(0); r < 80; r++ {
				e := pick(full, set)
				e.Kind, e.Reason = k, r
				if e.Check() != nil {
					continue
				}
				legal++
				if r == 0 || set == 255 || legal < 50 {
					line, err := entry(1, e).Line()
					if err != nil {
						t.Fatal(err)
					}
					back, err := audit.ParseLine(line)
					if err != nil || back.Event != e {
						t.Fatalf("%s came back as %+v %v", line, back, err)
					}
					written++
				}
			}
		}
		if legal == 0 {
			t.Errorf("%s cannot be written in any way", k)
		}
	}
	if written < len(audit.Kinds()) {
		t.Errorf("only %d lines were written", written)
	}
}

func pick(e audit.Event, set int) audit.Event {
	if set&1 == 0 {
		e.By = audit.Person{}
	}
	if set&2 == 0 {
		e.Peer = audit.Person{}
	}
	if set&4 == 0 {
		e.Device = 0
	}
	if set&8 == 0 {
		e.Message = audit.ID{}
	}
	if set&16 == 0 {
		e.Ref = audit.ID{}
	}
	if set&32 == 0 {
		e.Count = 0
	}
	if set&64 == 0 {
		e.Serial = 0
	}
	if set&128 == 0 {
		e.Room = audit.Person{}
	}
	return e
}

func TestEventsThatAreRefused(t *testing.T) {
	for name, e := range map[string]audit.Event{
		"no kind":                {},
		"a kind of the future":   {Kind: 200},
		"a message without one":  {Kind: audit.MessageSent, Peer: ben},
		"a message to nobody":    {Kind: audit.MessageSent, Message: some},
		"an unlock with a peer":  {Kind: audit.Unlocked, Peer: ben},
		"a lock without reason":  {Kind: audit.Locked},
		"a lock for another":     {Kind: audit.Locked, Reason: audit.WrongPIN},
		"a reason of the future": {Kind: audit.Locked, Reason: 250},
		"a device beyond 2³¹":    {Kind: audit.DeviceNew, Peer: ben, Device: 1 << 31},
	} {
		if _, err := entry(0, e).Line(); !errors.Is(err, audit.ErrEvent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, e := range map[string]audit.Entry{
		"of no device":      {Event: audit.Event{Kind: audit.Unlocked}},
		"of device 0":       {Device: audit.Device{Owner: ben}, Event: audit.Event{Kind: audit.Unlocked}},
		"of a negative one": {Seq: -1, Device: alice, Event: audit.Event{Kind: audit.Unlocked}},
	} {
		if _, err := e.Line(); !errors.Is(err, audit.ErrEvent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoTextGetsIn offers what people write in place of addresses and ids.
func TestNoTextGetsIn(t *testing.T) {
	for _, text := range []string{"Kalium 6.1", "Kalium of bed 12 is 6.1, please call", "potassium-6.1-bed-12", "@", "a@b c", "alice@", "x\ny", "\x1b[2J", "a@b\u202e", "a\u200b@b",
		"reason=x", strings.Repeat("a", 5000) + "@b", strings.Repeat("K", 27), "kaliumsechs", "\xff@b", "a@b@c", "sha256~kalium", "ab cd@e"} {
		if got := audit.IDOf(text).String(); strings.Contains(got, "alium") || strings.ContainsAny(got, " \n\x1b") || len(got) != 39 {
			t.Errorf("the id %q is kept as %q", text, got)
		}
		got := audit.PersonOf(text).String()
		if got != text && (len(got) != 39 || !strings.HasPrefix(got, "sha256~")) {
			t.Errorf("the address %q is kept as %q", text, got)
		}
		if got == text && strings.ContainsAny(text, "@ \n\x1b") {
			t.Errorf("the address %q is kept", text)
		}
		line, err := entry(1, audit.Event{Kind: audit.MessageReceived, Peer: audit.PersonOf(text), Message: audit.IDOf(text)}).Line()
		if err != nil {
			t.Errorf("%q keeps an event out of the log: %v", text, err)
		}
		if _, err := audit.ParseLine(line); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if got := audit.PersonOf("ward@rooms.hospital.example/Kalium is 6.1").String(); got != "ward@rooms.hospital.example" {
		t.Errorf("a nickname got in: %s", got)
	}
	for _, id := range []string{"0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11", "QWERTYUIOPASDFGHJKLZXCVBNM", strings.Repeat("0a", 16), strings.Repeat("0a", 32)} {
		if got := audit.IDOf(id).String(); got != id {
			t.Errorf("the id %s is kept as %s", id, got)
		}
	}
	if audit.IDOf("Kalium") == audit.IDOf("kalium") {
		t.Error("digests do not tell ids apart")
	}
	if audit.IDOf("") != (audit.ID{}) || audit.PersonOf("") != (audit.Person{}) {
		t.Error("nothing became something")
	}
}

func TestTimesThatNoLineHas(t *testing.T) {
	for _, at := range []time.Time{{}, time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<40, 999_999_999), noon.In(time.FixedZone("x", 3600))} {
		e := entry(1, audit.Event{Kind: audit.Unlocked})
		e.Time = at
		line, err := e.Line()
		if err != nil {
			t.Fatalf("a clock that says %v keeps events out: %v", at, err)
		}
		if _, err := audit.ParseLine(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

const good = "1 42 2026-11-22T12:08:03.123Z alice@hospital.example/27183 message-received peer=ben@hospital.example message=0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11"

func TestLinesThatAreRefused(t *testing.T) {
	if _, err := audit.ParseLine([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{
		"empty":                     "",
		"another version":           "2" + good[1:],
		"number with a zero":        strings.Replace(good, " 42 ", " 042 ", 1),
		"negative number":           strings.Replace(good, " 42 ", " -1 ", 1),
		"number too large":          strings.Replace(good, " 42 ", " 9223372036854775807 ", 1),
		"time without milliseconds": strings.Replace(good, ".123Z", "Z", 1),
		"time with microseconds":    strings.Replace(good, ".123Z", ".123456Z", 1),
		"time with a comma":         strings.Replace(good, ".123Z", ",123Z", 1),
		"time in a zone":            strings.Replace(good, ".123Z", ".123+01:00", 1),
		"time not possible":         strings.Replace(good, "11-22", "13-22", 1),
		"device without number":     strings.Replace(good, "/27183", "", 1),
		"device 0":                  strings.Replace(good, "/27183", "/0", 1),
		"device too large":          strings.Replace(good, "/27183", "/2147483648", 1),
		"unknown kind":              strings.Replace(good, "received", "eaten", 1),
		"field twice":               good + " message=0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11",
		"fields in another order":   strings.Replace(good, "peer=ben@hospital.example message=0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11", "message=0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11 peer=ben@hospital.example", 1),
		"unknown field":             good + " text=hello",
		"field without value":       good + " reason",
		"empty field":               good + " reason=",
		"unknown reason":            good + " reason=because",
		"text in an id":             strings.Replace(good, "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11", "Kalium", 1),
		"two spaces":                strings.Replace(good, " peer", "  peer", 1),
		"a space at the end":        good + " ",
		"an end of line":            good + "\n",
		"a tab":                     strings.Replace(good, " peer", "\tpeer", 1),
		"an escape":                 strings.Replace(good, "ben", "b\x1b[1mn", 1),
		"too long":                  good + strings.Repeat("x", audit.MaxLine),
		"what the kind must have":   strings.Replace(good, " peer=ben@hospital.example", "", 1),
		"a zero count":              strings.Replace(good, "received", "sent", 1) + " count=0",
	} {
		if _, err := audit.ParseLine([]byte(line)); !errors.Is(err, audit.ErrLine) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("1 0 2026-11-22T12:08:03.123Z a@b/1 lock reason=idle"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := audit.ParseLine(line)
		if err != nil {
			return
		}
		back, err := e.Line()
		if err != nil || !bytes.Equal(back, line) {
			t.Fatalf("%q was read, and is written as %q %v", line, back, err)
		}
		if bytes.ContainsAny(line, "\n\r\t\x1b\x00") {
			t.Fatalf("%q was read", line)
		}
	})
}

// FuzzNames offers what peers choose: there is always a line, and it can be read.
func FuzzNames(f *testing.F) {
	f.Add("ben@hospital.example", "o1")
	f.Add("ärztin@krankenhaus.example", "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11")
	f.Add("[::1]", "\u202e")
	f.Fuzz(func(t *testing.T, jid, id string) {
		e := entry(7, audit.Event{Kind: audit.MessageRefused, By: audit.PersonOf(jid), Peer: audit.PersonOf("x" + jid), Message: audit.IDOf(id), Reason: audit.Malformed})
		line, err := e.Line()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := audit.ParseLine(line); err != nil || back != e {
			t.Fatalf("%q came back as %+v %v", line, back, err)
		}
	})
}
