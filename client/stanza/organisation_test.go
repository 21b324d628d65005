package stanza

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"sotto/client/org"
)

const someNote = "sotto head v1\norganisation: hospital.example\nreason: <wards> & \"more\"\n\n— hospital.example kD4HjW9dbbJfQ/CXxtKdcsmb3wFgmmQk\n"

func TestNoteThereAndBack(t *testing.T) {
	if MaxNoteSize != org.MaxNote {
		t.Errorf("a note may have %d bytes, and is read up to %d", org.MaxNote, MaxNoteSize)
	}
	for _, node := range []string{NodeHead, NodePolicy, NodeOrders, NodeKeys, NodeDirectory, NodeSnapshot, NodePartners} {
		e := parse(t, Publish(node, "7", Note([]byte(someNote)), OpenNode(64)...).String())
		item := e.Child(NSPubSub, "publish").Child(NSPubSub, "item")
		got, err := ReadNote(item.Child("", ""))
		if err != nil || string(got) != someNote || item.Get("id") != "7" {
			t.Errorf("%s: %q, %v", node, got, err)
		}
		answer := New(NSClient, "iq", New(NSPubSub, "pubsub", New(NSPubSub, "items", item).With("node", node)))
		if got, err = ReadItemNote(parse(t, answer.String()), node, "7"); err != nil || string(got) != someNote {
			t.Errorf("%s: %q, %v", node, got, err)
		}
		if got, err = ReadItemNote(answer, node, "8"); err != nil || got != nil {
			t.Errorf("%s has an item 8: %q, %v", node, got, err)
		}
		if _, err = ReadItemNote(answer, node+"x", "7"); !errors.Is(err, ErrOrganisation) {
			t.Errorf("%s: the items of another node: %v", node, err)
		}
	}
	if _, err := ReadNote(Note(bytes.Repeat([]byte("x"), MaxNoteSize+1))); !errors.Is(err, ErrOrganisation) {
		t.Errorf("a note that is too long: %v", err)
	}
	for _, bad := range []*Element{nil, Note(nil), New("other", "note", Text("x")), New(NSOrganisation, "join", Text("x"))} {
		if _, err := ReadNote(bad); !errors.Is(err, ErrOrganisation) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestPartnerNoteNamesItsContact(t *testing.T) {
	for contact, want := range map[string]string{"sotto@clinic.example": "sotto@clinic.example", "": "", "clinic.example": "",
		"a@b/c": "", "@": "", strings.Repeat("a", 1100) + "@b": ""} {
		note, got, err := ReadPartnerNote(parse(t, PartnerNote([]byte(someNote), contact).String()))
		if err != nil || string(note) != someNote || got != want {
			t.Errorf("contact %.30q read as %q, %v", contact, got, err)
		}
	}
	if got := NodeFor("clinic.example", NodeSnapshot); got != "urn:sotto:organisation:0:for:clinic.example:snapshot" {
		t.Errorf("the node is %q", got)
	}
}

func TestNumberItem(t *testing.T) {
	for _, bad := range []string{"", "0", "01", "+1", "-1", "1 ", "99999999999999999999", "x"} {
		if n, ok := ReadNumberItem(bad); ok {
			t.Errorf("%q is item %d", bad, n)
		}
	}
	if n, ok := ReadNumberItem(NumberItem(42)); n != 42 || !ok {
		t.Errorf("42 came back as %d", n)
	}
}

func TestOrganisationMessages(t *testing.T) {
	note := []byte(someNote)
	if e := parse(t, Nudge("a@b.example", note).String()); string(ReadNudge(e)) != someNote || e.Get("type") != "headline" || !ForOrganisation(e) {
		t.Errorf("nudge: %s", e)
	}
	e := parse(t, JoinRequest("sotto@b.example", "1", note).String())
	if string(ReadJoin(e)) != someNote || ReadAnswer(e) != nil || e.Child(NSHints, "store") == nil {
		t.Errorf("request: %s", e)
	}
	if e = parse(t, JoinAnswer("a@b.example/x", "1", note).String()); string(ReadAnswer(e)) != someNote || ReadJoin(e) != nil {
		t.Errorf("answer: %s", e)
	}
	for _, a := range []Acknowledgement{{Note: note}, {note, []byte("d")}} {
		e = parse(t, a.Message("sotto@b.example", "1").String())
		got, ok := ReadAcknowledgement(e)
		if !ok || !bytes.Equal(got.Note, a.Note) || !bytes.Equal(got.Delegation, a.Delegation) {
			t.Errorf("acknowledgement: %v, %s", ok, e)
		}
	}
	if _, ok := ReadAcknowledgement(parse(t, `<message xmlns="jabber:client"><acknowledgement xmlns="urn:sotto:organisation:0"><note>x</note><delegation/></acknowledgement></message>`)); ok {
		t.Error("an empty delegation is none")
	}
	if ForOrganisation(parse(t, `<message xmlns="jabber:client"><body>x</body></message>`)) {
		t.Error("a text is for the organisation")
	}
}

// FuzzOrganisation reads any stanza as everything that there is about organisations.
func FuzzOrganisation(f *testing.F) {
	f.Add(Nudge("a@b", []byte(someNote)).Bytes())
	f.Add(JoinRequest("a@b", "1", []byte(someNote)).Bytes())
	f.Add(Acknowledgement{[]byte("a"), []byte("b")}.Message("a@b", "1").Bytes())
	f.Add(PartnerNote([]byte(someNote), "sotto@clinic.example").Bytes())
	f.Add([]byte(`<iq xmlns="jabber:client" type="result"><pubsub xmlns="http://jabber.org/protocol/pubsub"><items node="urn:sotto:organisation:0:head"><item id="current"><note xmlns="urn:sotto:organisation:0">x</note></item></items></pubsub></iq>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		for _, note := range [][]byte{ReadNudge(e), ReadJoin(e), ReadAnswer(e)} {
			if note != nil && (len(note) == 0 || len(note) > MaxNoteSize) {
				t.Errorf("a note of %d bytes", len(note))
			}
		}
		if a, ok := ReadAcknowledgement(e); ok && (len(a.Note) == 0 || len(a.Note) > MaxNoteSize || len(a.Delegation) > MaxNoteSize) {
			t.Error("an acknowledgement out of bounds")
		}
		if note, contact, err := ReadPartnerNote(e); err == nil && (len(note) == 0 || len(contact) > 1023) {
			t.Error("an agreement out of bounds")
		}
		if note, err := ReadItemNote(e, NodeHead, ItemCurrent); err == nil && len(note) > MaxNoteSize {
			t.Error("an item out of bounds")
		}
		ForOrganisation(e)
	})
}
