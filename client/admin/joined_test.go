package admin

import (
	"strings"
	"testing"
	"time"

	"sotto/client/org/invitation"
	"sotto/client/stanza"
	"sotto/client/store"
)

// TestJoining plays invitation, request and answer as they come through a relay, and
// what a hostile one does with them.
func TestJoining(t *testing.T) {
	st, c := database(t), newCarrier()
	o := found(t, st)
	v := invite(t, o, "alice", "physician")
	j := join(t, v, 31415)
	b, hash := j.request(t)
	put := func(from string, b []byte) bool {
		kept := false
		err := st.Update(t.Context(), func(tx *store.Tx) (err error) {
			kept, err = tx.PutLetter(store.Letter{Kind: store.LetterRequest, Sender: from + "/x", Bare: from, Note: b, At: o.now()})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	if put("mallory@hospital.example", b) {
		t.Error("a request of somebody who was not invited was kept")
	}
	for _, bad := range [][]byte{[]byte("hello"), b[:len(b)-3], []byte(strings.Replace(string(b), "31415", "31416", 1))} {
		put("alice@hospital.example", bad)
	}
	list, err := o.TakeLetters(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, h := range list {
		if h.Refused == nil {
			t.Errorf("answered: %v", h)
		}
	}
	put("alice@hospital.example", b)
	var told []Happening
	left, err := o.Settle(t.Context(), c, func(h []Happening) { told = append(told, h...) })
	if err != nil || !left.None() || len(told) != 1 || told[0].Verdict != invitation.Welcome {
		t.Fatalf("%+v %v %v", left, told, err)
	}
	answers := func() (list [][]byte) {
		for _, m := range c.posts {
			if b := stanza.ReadAnswer(m); b != nil {
				list = append(list, b)
			}
		}
		return list
	}
	a, err := invitation.OpenAnswer(answers()[0], j.code, hash)
	if err != nil || a.Verdict != invitation.Welcome || a.Anchor != o.Anchor() {
		t.Fatalf("%+v, %v", a, err)
	}
	r := newReader(o, a.Anchor)
	r.read(t, c)
	if !r.staff.Vouched("alice@hospital.example", 31415, j.device.Fingerprint) {
		t.Error("the device is not in the directory")
	}
	// played back: the same answer, and nothing else
	serial := o.Directory().At()
	for range 3 {
		put("alice@hospital.example", b)
		settle(t, o, c)
	}
	if all := answers(); len(all) != 4 || string(all[3]) != string(all[0]) || o.Directory().At() != serial {
		t.Errorf("%d answers", len(all))
	}
	// removed, it does not come back by asking again, in whatever words
	if _, err := o.RemoveDevice(t.Context(), "alice@hospital.example", 31415); err != nil {
		t.Fatal(err)
	}
	j.device.Added = j.device.Added.Add(time.Hour)
	b, hash = j.request(t)
	answer, err := o.Receive(t.Context(), "alice@hospital.example", b)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := invitation.OpenAnswer(answer, j.code, hash); err != nil || a.Verdict == invitation.Welcome {
		t.Errorf("%+v, %v", a, err)
	}
	settle(t, o, c)
	r.read(t, c)
	if e, _ := r.staff.Entry("alice@hospital.example"); len(e.Devices) != 0 {
		t.Error("a device that was removed is back")
	}
}

// TestWrongPIN: a request counts once, however often it is played back; after five
// wrong ones there is no way in.
func TestWrongPIN(t *testing.T) {
	o := found(t, database(t))
	v := invite(t, o, "alice")
	code, err := invitation.ParseCode(v.Code.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := code.Keys([]byte("00000000"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := joinWith(t, code, keys, 7)
	for i := range invitation.Attempts {
		wrong.device.Added = wrong.device.Added.Add(time.Second) // another request each time
		b, hash := wrong.request(t)
		for range 3 {
			answer, err := o.Receive(t.Context(), "alice@hospital.example", b)
			if err != nil {
				t.Fatal(err)
			}
			a, err := invitation.OpenAnswer(answer, code, hash)
			if err != nil || a.Left != uint64(invitation.Attempts-1-i) {
				t.Errorf("attempt %d: %+v, %v", i, a, err)
			}
		}
	}
	right := join(t, v, 8)
	b, hash := right.request(t)
	answer, err := o.Receive(t.Context(), "alice@hospital.example", b)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := invitation.OpenAnswer(answer, code, hash); err != nil || a.Verdict != invitation.Void {
		t.Errorf("%+v, %v", a, err)
	}
}
