package directory_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
)

const hospital = "hospital.example"

var key = orgtest.New(hospital, "1")

func device(id uint32, seed string) directory.Device {
	return directory.Device{ID: id, Fingerprint: org.HashOf(seed), Signing: orgtest.New(org.DeviceName(id), seed).Key, Added: orgtest.Noon}
}

func person(local, name string, roles ...string) directory.Entry {
	return directory.Entry{Address: local + "@" + hospital, Name: name, Roles: roles, Department: "Cardiology",
		State: directory.Active, Devices: []directory.Device{device(31415, local)}}
}

// crowd is n people with names of all kinds.
func crowd(n int) []directory.Entry {
	r := rand.New(rand.NewPCG(1, 2))
	first := []string{"Alice", "Jörg", "Zoë", "Łukasz", "Mai", "Søren", "Aïsha", "Bob", "Ying", "Oluwaseun", "山田", "Иван"}
	last := []string{"Meier", "Weiß", "O'Neill", "García", "Nguyễn", "Smith", "Kowalski", "Åberg", "太郎", "Петров", "van der Berg"}
	roles := []string{"physician", "nurse", "cardiology", "on-call", "pharmacy", "icu", "it"}
	departments := []string{"Cardiology", "Intensive care", "Pharmacy", "Émergences", ""}
	var all []directory.Entry
	for i := range n {
		e := person(fmt.Sprintf("p%05d", i), first[r.IntN(len(first))]+" "+last[r.IntN(len(last))]+fmt.Sprintf(" %d", i), roles[r.IntN(len(roles))])
		e.Department = departments[r.IntN(len(departments))]
		e.Devices[0] = directory.Device{ID: uint32(i + 1), Fingerprint: org.HashOf(e.Name), Signing: shared(uint32(i + 1)), Added: orgtest.Noon}
		all = append(all, e)
	}
	return all
}

// shared is a key with one's own name: making thousands of keys takes long.
func shared(id uint32) org.Key {
	k, err := org.NewKey(org.DeviceName(id), key.Public())
	if err != nil {
		panic(err)
	}
	return k
}

func sign(t testing.TB, d *directory.Directory, entries ...directory.Entry) [][]byte {
	t.Helper()
	notes, err := d.Sign(key, key.Key, orgtest.Noon, entries...)
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

func fresh() *directory.Directory { return directory.New(hospital, directory.Staff) }

// same fails where two directories differ in anything.
func same(t *testing.T, a, b *directory.Directory) {
	t.Helper()
	x, _ := a.MarshalText()
	y, _ := b.MarshalText()
	if string(x) != string(y) {
		t.Errorf("they differ:\n%s\n%s", x, y)
	}
}

// history is what the tests play with: what an administrator signed in three steps.
func history(t testing.TB) (admin *directory.Directory, updates [][]byte) {
	admin = fresh()
	updates = append(updates, sign(t, admin, person("alice", "Alice Meier", "physician"), person("bob", "Bob Weiß", "nurse"))...)
	alice, _ := admin.Entry("alice@" + hospital)
	alice.Roles = []string{"physician", "on-call"}
	updates = append(updates, sign(t, admin, alice)...)
	bob, _ := admin.Entry("bob@" + hospital)
	bob.State, bob.Devices = directory.Removed, nil
	updates = append(updates, sign(t, admin, bob, person("carol", "Carol Smith"))...)
	return admin, updates
}

func TestFollowing(t *testing.T) {
	admin, updates := history(t)
	d := fresh()
	for i, u := range updates {
		changes, err := d.Apply(u, key.Key)
		if err != nil {
			t.Fatalf("update %d: %v", i+1, err)
		}
		if i == 2 && (len(changes) != 2 || changes[0].Before.State != directory.Active || changes[0].After.State != directory.Removed || changes[1].Before != nil) {
			t.Errorf("changes: %+v", changes)
		}
		if changes, err := d.Apply(u, key.Key); err != nil || changes != nil {
			t.Errorf("the newest again: %v, %v", changes, err)
		}
	}
	same(t, admin, d)
	if d.At().Serial != 3 || d.Len() != 3 {
		t.Errorf("at %v with %d", d.At(), d.Len())
	}
	alice, _ := d.Entry("alice@" + hospital)
	if !slices.Equal(alice.Roles, []string{"on-call", "physician"}) || alice.Changed != 2 {
		t.Errorf("%+v", alice)
	}
	text, err := d.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	again := fresh()
	if err := again.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	same(t, d, again)
	if again.At() != d.At() {
		t.Errorf("comes back at %v", again.At())
	}
	if err := directory.New("clinic.example", directory.Staff).UnmarshalText(text); err == nil {
		t.Error("another organisation's directory is read")
	}
}

func TestMembers(t *testing.T) {
	d, _ := history(t)
	alice := device(31415, "alice")
	carol, _ := d.Entry("carol@" + hospital)
	carol.State = directory.Suspended
	sign(t, d, carol)
	for address, want := range map[string]error{"alice": nil, "bob": directory.ErrRemoved, "carol": directory.ErrSuspended, "mallory": directory.ErrStranger} {
		if err := d.Member(address + "@" + hospital); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", address, err, want)
		}
	}
	if !d.Vouched("alice@"+hospital, alice.ID, alice.Fingerprint) {
		t.Error("alice's device is not vouched for")
	}
	for what, v := range map[string]bool{
		"another fingerprint": d.Vouched("alice@"+hospital, alice.ID, org.HashOf("x")),
		"another number":      d.Vouched("alice@"+hospital, 1, alice.Fingerprint),
		"another person":      d.Vouched("mallory@"+hospital, alice.ID, alice.Fingerprint),
		"who was removed":     d.Vouched("bob@"+hospital, alice.ID, device(31415, "bob").Fingerprint),
		"who is suspended":    d.Vouched("carol@"+hospital, alice.ID, device(31415, "carol").Fingerprint),
	} {
		if v {
			t.Errorf("%s is vouched for", what)
		}
	}
	if got := d.Role("on-call"); len(got) != 1 || got[0].Name != "Alice Meier" {
		t.Errorf("on call: %v", got)
	}
}

// TestHostileRelay is what a relay can do with updates.
func TestHostileRelay(t *testing.T) {
	_, updates := history(t)
	orgtest.Tamper(t, updates[0], func(b []byte) error { _, err := fresh().Apply(b, key.Key); return err })

	// Another history, by the same key: the key is in two hands.
	other := fresh()
	forked := sign(t, other, person("alice", "Alice Meier", "physician"))
	forked = append(forked, sign(t, other, person("mallory", "Mallory"))...)
	// Of another organisation, and of the directory for a partner.
	clinic := orgtest.New("clinic.example", "1")
	stranger, err := directory.New("clinic.example", directory.Staff).Sign(clinic, clinic.Key, orgtest.Noon, person("mallory", "Mallory"))
	if err != nil {
		t.Fatal(err)
	}
	partner := sign(t, directory.New(hospital, directory.ForPartner("clinic.example")), person("mallory", "Mallory"))
	thief, err := fresh().Sign(orgtest.New(hospital, "thief"), orgtest.New(hospital, "thief").Key, orgtest.Noon, person("mallory", "Mallory"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		given [][]byte
		note  []byte
		want  error
	}{
		{"left out", updates[:1], updates[2], org.ErrGap},
		{"reordered", nil, updates[1], org.ErrGap},
		{"played back", updates, updates[0], org.ErrRollback},
		{"played back, the one before", updates, updates[1], org.ErrRollback},
		{"another history, in the place of the newest", updates[:1], forked[0], org.ErrFork},
		{"another history, after it", updates[:1], forked[1], org.ErrFork},
		{"of another organisation", nil, stranger[0], org.ErrSignature},
		{"of another directory", nil, partner[0], org.ErrSignature},
		{"of another key", nil, thief[0], org.ErrSignature},
	} {
		d := fresh()
		for _, u := range c.given {
			if _, err := d.Apply(u, key.Key); err != nil {
				t.Fatal(err)
			}
		}
		before, _ := d.MarshalText()
		if _, err := d.Apply(c.note, key.Key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if after, _ := d.MarshalText(); string(after) != string(before) {
			t.Errorf("%s: it has changed the directory", c.what)
		}
	}
}

// TestWithheld is the update that a relay keeps to itself: the head tells.
func TestWithheld(t *testing.T) {
	admin, updates := history(t)
	d := fresh()
	for _, u := range updates[:2] {
		if _, err := d.Apply(u, key.Key); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.At().Against("directory", d.At()); !errors.Is(err, org.ErrGap) {
		t.Errorf("%v", err)
	}
	if _, err := d.Apply(updates[2], key.Key); err != nil {
		t.Fatal(err)
	}
	if err := admin.At().Against("directory", d.At()); err != nil {
		t.Error(err)
	}
}

func snapshot(t testing.TB, d *directory.Directory) [][]byte {
	t.Helper()
	parts, err := d.Snapshot(key, orgtest.Noon)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

func TestSnapshot(t *testing.T) {
	admin := fresh()
	updates := sign(t, admin, crowd(500)...)
	if len(updates) < 2 {
		t.Fatalf("500 people in %d updates", len(updates))
	}
	parts := snapshot(t, admin)
	if len(parts) < 3 {
		t.Fatalf("500 people in %d parts", len(parts))
	}
	orgtest.Tamper(t, snapshot(t, firstOf(history(t)))[0], func(b []byte) error { _, err := fresh().Load([][]byte{b}, key.Key); return err })
	d := fresh()
	slices.Reverse(parts)
	changes, err := d.Load(parts, key.Key)
	if err != nil || len(changes) != 500 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	same(t, admin, d)
	// It goes on from there with updates, and from updates with a snapshot.
	next := sign(t, admin, person("alice", "Alice Meier"))
	if _, err := d.Apply(next[0], key.Key); err != nil {
		t.Fatal(err)
	}
	same(t, admin, d)
	away := fresh()
	if _, err := away.Apply(updates[0], key.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := away.Load(snapshot(t, admin), key.Key); err != nil {
		t.Fatal(err)
	}
	same(t, admin, away)

	// What a relay can do with parts.
	old := parts
	newer := snapshot(t, admin)
	for _, c := range []struct {
		what  string
		notes [][]byte
		want  error
	}{
		{"a part left out", newer[1:], org.ErrGap},
		{"a part twice", append(newer[1:len(newer):len(newer)], newer[1]), org.ErrGap},
		{"parts mixed", append([][]byte{old[len(old)-1]}, newer[1:]...), org.ErrGap},
		{"nothing", nil, org.ErrGap},
		{"an older one", old, org.ErrRollback},
	} {
		before, _ := d.MarshalText()
		if _, err := d.Load(c.notes, key.Key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if after, _ := d.MarshalText(); string(before) != string(after) {
			t.Errorf("%s: it has changed the directory", c.what)
		}
	}
}

func firstOf(d *directory.Directory, _ [][]byte) *directory.Directory { return d }

// TestSnapshotOfAnotherHistory: somebody with the key signs a snapshot that does not
// follow on what is known.
func TestSnapshotOfAnotherHistory(t *testing.T) {
	admin, updates := history(t)
	for _, c := range []struct {
		what string
		make func(d *directory.Directory)
		want error
	}{
		{"somebody has gone", func(d *directory.Directory) {
			for range 5 {
				sign(t, d, person(fmt.Sprintf("x%d", d.Len()), "X"))
			}
		}, org.ErrRollback},
		{"shorter", func(d *directory.Directory) { sign(t, d, person("alice", "Alice Meier")) }, org.ErrRollback},
		{"of the same length", func(d *directory.Directory) {
			for range 3 {
				sign(t, d, person(fmt.Sprintf("x%d", d.Len()), "X"))
			}
		}, org.ErrFork},
		{"somebody has appeared in the past", func(d *directory.Directory) {
			sign(t, d, person("alice", "Alice Meier", "physician"), person("bob", "Bob Weiß", "nurse"), person("mallory", "Mallory"))
			for _, u := range []string{"alice", "bob", "carol", "alice"} {
				sign(t, d, person(u, "Name "+fmt.Sprint(d.At().Serial)))
			}
		}, org.ErrFork},
	} {
		d := fresh()
		for _, u := range updates {
			if _, err := d.Apply(u, key.Key); err != nil {
				t.Fatal(err)
			}
		}
		other := fresh()
		c.make(other)
		if _, err := d.Load(snapshot(t, other), key.Key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		same(t, admin, d)
	}
}

// TestSnapshotEdited is a snapshot that somebody with the key has made of the
// directory by editing it.
func TestSnapshotEdited(t *testing.T) {
	admin, _ := history(t)
	whole, err := admin.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	later := []string{"after: " + admin.At().String(), "after: " + head.Mark{Serial: 9, Hash: org.HashOf("later")}.String()}
	for _, c := range []struct {
		what   string
		edited []string
		want   error
	}{
		{"as it is", nil, nil},
		{"later", later, nil},
		{"an entry has another text", []string{"Alice Meier", "Alice Mayer"}, org.ErrFork},
		{"the same, later", append(later, "Alice Meier", "Alice Mayer"), org.ErrFork},
		{"an entry goes back", append(later, "changed: 2\nname: Alice", "changed: 1\nname: Alice"), org.ErrRollback},
		{"an entry has changed in the past", append(later, "changed: 2\nname: Alice", "changed: 3\nname: Alice"), org.ErrFork},
		{"an entry has changed since", append(later, "changed: 2\nname: Alice", "changed: 4\nname: Alice"), nil},
		{"somebody has appeared in the past", append(later, "\nperson: carol", "\nperson: cara@hospital.example\nchanged: 3\nname: Cara\nstate: active\n\nperson: carol"), org.ErrFork},
		{"somebody has appeared since", append(later, "\nperson: carol", "\nperson: cara@hospital.example\nchanged: 4\nname: Cara\nstate: active\n\nperson: carol"), nil},
	} {
		text := strings.NewReplacer(c.edited...).Replace(string(whole))
		if c.edited != nil && text == string(whole) {
			t.Fatalf("%s: nothing was edited", c.what)
		}
		other, d := fresh(), fresh()
		if err := other.UnmarshalText([]byte(text)); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if err := d.UnmarshalText(whole); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Load(snapshot(t, other), key.Key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if c.want != nil {
			same(t, admin, d)
		}
	}
	s, _ := org.Peek(snapshot(t, admin)[0])
	for what, text := range map[string]string{
		"another digest": strings.Replace(s.Text, "state: ", "state: "+org.HashOf("x").String()[:1], 1),
		"another state":  strings.Replace(s.Text, "state: "+s.Text[strings.Index(s.Text, "\nstate: ")+8:][:64], "state: "+org.HashOf("x").String(), 1),
		"another count":  strings.Replace(s.Text, "entries: 3", "entries: 2", 1),
		"a part of none": strings.Replace(s.Text, "part: 1 of 1", "part: 1 of 0", 1),
		"a part 01":      strings.Replace(s.Text, "part: 1 of 1", "part: 01 of 1", 1),
	} {
		if text == s.Text {
			t.Fatalf("%s: nothing was edited", what)
		}
		b, err := org.Seal(text, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fresh().Load([][]byte{b}, key.Key); !errors.Is(err, org.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	view := directory.New(hospital, directory.ForPartner("clinic.example"))
	if _, err := view.Load(snapshot(t, admin), key.Key); !errors.Is(err, org.ErrSignature) {
		t.Errorf("another directory's snapshot: %v", err)
	}
}

func TestSign(t *testing.T) {
	d := fresh()
	sign(t, d, person("alice", "Alice Meier"))
	for what, change := range map[string]func(e *directory.Entry){
		"no address":     func(e *directory.Entry) { e.Address = "alice" },
		"a full address": func(e *directory.Entry) { e.Address += "/phone" },
		"upper case":     func(e *directory.Entry) { e.Address = "Alice@" + hospital },
		"no name":        func(e *directory.Entry) { e.Name = "" },
		"two lines":      func(e *directory.Entry) { e.Name = "Alice\nstate: active" },
		"a control":      func(e *directory.Entry) { e.Name = "Alice\x1b[31m" },
		"an override":    func(e *directory.Entry) { e.Department = "\u202eygoloidraC" },
		"no state":       func(e *directory.Entry) { e.State = "" },
		"a role":         func(e *directory.Entry) { e.Roles = []string{"On Call"} },
		"a role twice":   func(e *directory.Entry) { e.Roles = []string{"icu", "icu"} },
		"many roles":     func(e *directory.Entry) { e.Roles = strings.Split(strings.Repeat("r ", 20), " ") },
		"a removed device": func(e *directory.Entry) {
			e.State = directory.Removed
		},
		"another's signing key": func(e *directory.Entry) { e.Devices[0].Signing = orgtest.New("device-1", "").Key },
		"no fingerprint":        func(e *directory.Entry) { e.Devices[0].Fingerprint = [32]byte{} },
		"a device twice":        func(e *directory.Entry) { e.Devices = append(e.Devices, e.Devices[0]) },
	} {
		e := person("bob", "Bob")
		change(&e)
		if notes, err := d.Sign(key, key.Key, orgtest.Noon, e); err == nil {
			t.Errorf("%s: signed: %s", what, notes[0])
		}
	}
	if _, err := d.Sign(key, key.Key, orgtest.Noon, person("alice", "Alice Meier")); !errors.Is(err, directory.ErrNothing) {
		t.Errorf("nothing new: %v", err)
	}
	if _, err := d.Sign(key, key.Key, orgtest.Noon, person("bob", "Bob"), person("bob", "Bob")); err == nil {
		t.Error("somebody twice in a change")
	}
	if d.Len() != 1 || d.At().Serial != 1 {
		t.Errorf("%d entries at %v", d.Len(), d.At())
	}
}

// TestOneOwner holds that no two people, and no two devices, have one fingerprint.
func TestOneOwner(t *testing.T) {
	d := fresh()
	sign(t, d, person("alice", "Alice Meier"))
	mallory := person("mallory", "Mallory")
	mallory.Devices[0].Fingerprint = device(31415, "alice").Fingerprint
	if _, err := d.Sign(key, key.Key, orgtest.Noon, mallory); !errors.Is(err, org.ErrMalformed) {
		t.Errorf("another's: %v", err)
	}
	twice := person("bob", "Bob")
	twice.Devices = append(twice.Devices, device(31416, "bob"))
	if _, err := d.Sign(key, key.Key, orgtest.Noon, twice); !errors.Is(err, org.ErrMalformed) {
		t.Errorf("one's own, twice: %v", err)
	}
	bob := person("bob", "Bob")
	mallory.Devices[0].Fingerprint = bob.Devices[0].Fingerprint
	if _, err := d.Sign(key, key.Key, orgtest.Noon, bob, mallory); !errors.Is(err, org.ErrMalformed) {
		t.Errorf("two in one update: %v", err)
	}
	text, _ := d.MarshalText()
	both := strings.Replace(string(text), "\nperson: alice", "\nperson: al"+strings.SplitN(string(text), "\nperson: alice", 2)[1]+"\nperson: alice", 1)
	if err := fresh().UnmarshalText([]byte(both)); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("in the database: %v", err)
	}
	// Given up, it can be another's.
	alice, _ := d.Entry("alice@" + hospital)
	alice.Devices = nil
	sign(t, d, alice)
	mallory.Devices[0].Fingerprint = device(31415, "alice").Fingerprint
	sign(t, d, mallory)
}

func TestSearch(t *testing.T) {
	d := fresh()
	jorg := person("jw", "Jörg Weiß", "nurse")
	jorg.Department = "Émergences"
	gone := person("jorge", "Jorge Gone")
	gone.State, gone.Devices = directory.Removed, nil
	sign(t, d, person("alice", "Alice Meier", "physician", "on-call"), jorg, gone, person("meier.nurse", "Zoë O'Neill"))
	for query, want := range map[string]string{
		"ali": "Alice Meier", "MEIER": "Alice Meier, Zoë O'Neill", "jorg": "Jörg Weiß", "JÖRG W": "Jörg Weiß", "weiss": "Jörg Weiß",
		"emer nur": "Jörg Weiß", "on-call": "Alice Meier", "@role/nurse": "Jörg Weiß, Zoë O'Neill", "zoe oneill": "", "zoe neill": "Zoë O'Neill",
		"jw@hosp": "Jörg Weiß", "jorge": "", "eier": "", "": "", "  ": "", "\x00": "", "cardiology": "Alice Meier, Zoë O'Neill",
	} {
		var names []string
		for _, e := range d.Search(query, 10) {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	if got := d.Search("hospital", 2); len(got) != 2 {
		t.Errorf("%d of 2", len(got))
	}
	e := d.Search("alice", 1)[0]
	e.Roles[0] = "changed"
	if again, _ := d.Entry(e.Address); again.Roles[0] == "changed" {
		t.Error("what is returned is shared")
	}
}

// TestSignedNonsense is what a broken program with the right key could sign.
func TestSignedNonsense(t *testing.T) {
	_, updates := history(t)
	s, err := org.Peek(updates[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"entries: 2", "entries: 3"}, {"entries: 2", "entries: 99999999"}, {"serial: 1", "serial: 0"}, {"changed: 1", "changed: 2"},
		{"name: Alice Meier\n", ""}, {"state: active", "state: happy"}, {"device: 31415", "device: 031415"}, {"device: 31415", "device: 4294967296"},
		{"\nperson: bob", "\nperson: aaa"}, {"role: nurse", "role: nurse\nrole: nurse"}, {"T12:00:00Z\nentries", "T12:00:00.0Z\nentries"},
		{"previous: 00", "previous: 01"}, {"role: physician", "role: physician\nadmin: yes"},
	} {
		text := strings.Replace(s.Text, c[0], c[1], 1)
		if text == s.Text {
			t.Fatalf("%q is not in it", c[0])
		}
		b, err := note.Sign(&note.Note{Text: text}, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fresh().Apply(b, key.Key); !errors.Is(err, org.ErrMalformed) {
			t.Errorf("%q: %v", c[1], err)
		}
	}
}

func FuzzDirectory(f *testing.F) {
	admin, updates := history(f)
	for _, b := range append(updates, snapshot(f, admin)...) {
		s, _ := org.Peek(b)
		f.Add(s.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := fresh()
		_ = d.UnmarshalText([]byte(text))
		b, err := org.Seal(text, key)
		if err != nil {
			return
		}
		d = fresh()
		_, err1 := d.Apply(b, key.Key)
		if err1 != nil {
			_, err1 = d.Load([][]byte{b}, key.Key)
		}
		if err1 != nil {
			if d.Len() != 0 || d.At() != (head.Mark{}) {
				t.Errorf("changed in spite of %v", err1)
			}
			return
		}
		out, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		again := fresh()
		if err := again.UnmarshalText(out); err != nil {
			t.Errorf("%s: %v", out, err)
		}
		d.Search(text, 10)
	})
}

func BenchmarkSearch(b *testing.B) {
	d := fresh()
	sign(b, d, crowd(10_000)...)
	d.Search("warm", 1)
	for _, q := range []string{"a", "jorg weiss", "nobody", "hospital"} {
		b.Run(q, func(b *testing.B) {
			for b.Loop() {
				d.Search(q, 50)
			}
		})
	}
}

func BenchmarkLoad10000(b *testing.B) {
	d := fresh()
	sign(b, d, crowd(10_000)...)
	parts := snapshot(b, d)
	for b.Loop() {
		if _, err := fresh().Load(parts, key.Key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestore10000(b *testing.B) {
	d := fresh()
	sign(b, d, crowd(10_000)...)
	text, _ := d.MarshalText()
	for b.Loop() {
		if err := fresh().UnmarshalText(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApplyTo10000(b *testing.B) {
	d := fresh()
	sign(b, d, crowd(10_000)...)
	text, _ := d.MarshalText()
	next := sign(b, d, person("alice", "Alice Meier"))[0]
	for b.Loop() {
		b.StopTimer()
		again := fresh()
		if err := again.UnmarshalText(text); err != nil {
			b.Fatal(err)
		}
		again.Search("warm", 1)
		b.StartTimer()
		start := time.Now()
		if _, err := again.Apply(next, key.Key); err != nil {
			b.Fatal(err)
		}
		again.Search("alice", 10)
		b.ReportMetric(float64(time.Since(start).Microseconds()), "µs")
	}
}
