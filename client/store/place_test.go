package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// sessionOf names a session of ben's.
var sessionOf = []byte("session1")

// written is a message of ben's phone, the nth that it encrypted.
func written(n int) *Message {
	m := incoming(ben, fmt.Sprint("o", n), n)
	m.Strand, m.Epoch, m.Counter, m.Body = sessionOf, int64(n/4+1), uint32(n%4), fmt.Sprint(n)
	return m
}

// archived is what AddArchived is given for the message that the archive has as id.
func archived(m *Message, id string) *Message {
	x := *m
	x.ID, x.Place, x.ArchiveID = 0, 0, id
	return &x
}

func settleAll(t *testing.T, s *Store, list ...*Message) {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		for i, m := range list {
			if _, _, err := tx.AddArchived(archived(m, fmt.Sprint("a", i)), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

func order(t *testing.T, s *Store) string {
	t.Helper()
	var b []string
	list := messages(t, s, ben, 0, 10000)
	for i := range list {
		b = append(b, strings.TrimPrefix(list[i].Body, "body of "))
		if i > 0 && list[i].Place <= list[i-1].Place {
			t.Errorf("places %d, %d", list[i-1].Place, list[i].Place)
		}
	}
	view(t, s, func(tx *Tx) error {
		c, err := tx.Conversation(ben)
		if len(list) > 0 && c.Preview != list[len(list)-1].Body {
			t.Errorf("last is %q", c.Preview)
		}
		return err
	})
	return strings.Join(b, " ")
}

// TestArchiveSettlesTheOrder needs no help of OMEMO.
func TestArchiveSettlesTheOrder(t *testing.T) {
	s := memory(t)
	a, b, c, d, e := incoming(ben, "a", 9), incoming(ben, "b", 1), incoming(ben, "c", 5), incoming(ben, "d", 2), incoming(ben, "e", 3)
	mine := outgoing(ben, "mine", 4)
	unarchived := incoming(ben, "unarchived", 4)
	d.ArchiveID, e.ArchiveID = "a3", "a4"
	for _, m := range []*Message{mine, d, e, unarchived, b} {
		add(t, s, m)
	}
	settleAll(t, s, a, b, c, d)
	if got := order(t, s); got != "a b c mine d e unarchived" {
		t.Errorf("order: %s", got)
	}
	// What is settled never moves again, and nothing gets in before it.
	settleAll(t, s, incoming(ben, "x", 0), d, c, b, a)
	if got := order(t, s); got != "a b c mine d x e unarchived" {
		t.Errorf("after the archive turned round: %s", got)
	}
}

// TestRatchetBeatsTheArchive has an archive tell another order than OMEMO proves.
func TestRatchetBeatsTheArchive(t *testing.T) {
	s := memory(t)
	var list []*Message
	for i := range 12 {
		list = append(list, written(i))
	}
	for _, i := range []int{5, 2, 11, 3} {
		add(t, s, written(i))
	}
	if got := order(t, s); got != "2 3 5 11" {
		t.Errorf("live: %s", got)
	}
	slices.Reverse(list)
	settleAll(t, s, list...)
	if got := order(t, s); got != "0 1 2 3 4 5 6 7 8 9 10 11" {
		t.Errorf("from the archive: %s", got)
	}
	other := written(3)
	other.OriginID, other.Strand, other.Body = "other", []byte("session2"), "other"
	add(t, s, other)
	if got := order(t, s); !strings.HasSuffix(got, " 11 other") {
		t.Errorf("another session: %s", got)
	}
}

// TestNoRoomBetween puts more between two messages than there are places.
func TestNoRoomBetween(t *testing.T) {
	s := memory(t)
	add(t, s, incoming(ben, "first", 0))
	add(t, s, incoming(ben, "last", 0))
	want := "first"
	update(t, s, func(tx *Tx) error {
		if _, err := tx.settle(1, 1); err != nil {
			return err
		}
		// As close together as can be.
		_, err := tx.change(`UPDATE message SET place = (SELECT place FROM message WHERE id = 1) + 1 WHERE id = 2`)
		return err
	})
	for i := range 100 {
		update(t, s, func(tx *Tx) error {
			_, reordered, err := tx.AddArchived(archived(incoming(ben, fmt.Sprint(i), 0), fmt.Sprint("x", i)), 0)
			if !reordered {
				t.Error("it is said to stand last")
			}
			return err
		})
		want += fmt.Sprint(" ", i)
	}
	if got := order(t, s); got != want+" last" {
		t.Errorf("order: %s", got)
	}
}

func TestEpochs(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		for i := range 2 * maxEpochs {
			for range 2 {
				if got, err := tx.Epoch(sessionOf, fmt.Append(nil, i)); err != nil || got != int64(i+1) {
					t.Fatalf("chain %d: %d, %v", i, got, err)
				}
			}
		}
		n := 0
		_, err := tx.one(`SELECT count(*) FROM epoch`, func(st *sqlite3.Stmt) { n = st.ColumnInt(0) })
		if n != maxEpochs {
			t.Errorf("%d are remembered", n)
		}
		return err
	})
}

// TestAnyArrival lets messages of two devices and own ones arrive live in any
// order, some never, and the archive return all of them, some twice; and, every
// second time, in no order.
func TestAnyArrival(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := memory(t)
		const n = 40
		truth := make([]*Message, n)
		counts := map[string]int{}
		for i := range truth {
			m := written(i)
			switch r.IntN(3) {
			case 0:
				m.Strand = []byte("session2")
			case 1:
				m = outgoing(ben, fmt.Sprint("o", i), i)
				m.Body = fmt.Sprint(i)
			}
			k := counts[string(m.Strand)]
			counts[string(m.Strand)]++
			m.Epoch, m.Counter = int64(k/3), uint32(k%3)
			if r.IntN(2) == 0 {
				m.ArchiveID = fmt.Sprint("a", i)
			}
			truth[i] = m
		}
		live := slices.Clone(truth)
		// Own messages are always here, in the order in which they were written.
		r.Shuffle(n, func(i, j int) {
			if !live[i].Outgoing && !live[j].Outgoing {
				live[i], live[j] = live[j], live[i]
			}
		})
		for _, m := range live {
			if m.Outgoing || r.IntN(3) > 0 {
				x := *m
				add(t, s, &x)
			}
		}
		archive := slices.Clone(truth)
		for range 10 { // archived again
			archive = append(archive, truth[r.IntN(n)])
		}
		lies := seed%2 == 1
		if lies {
			r.Shuffle(len(archive), func(i, j int) { archive[i], archive[j] = archive[j], archive[i] })
		}
		update(t, s, func(tx *Tx) error {
			for i, m := range archive {
				id := fmt.Sprint("a", i)
				if _, _, err := tx.AddArchived(archived(m, id), 0); err != nil {
					return err
				}
			}
			return nil
		})
		var theirs, mine []int
		sessions := map[string][]int{}
		for _, b := range strings.Fields(order(t, s)) {
			i := 0
			fmt.Sscan(b, &i)
			if truth[i].Outgoing {
				mine = append(mine, i)
			} else {
				theirs = append(theirs, i)
				session := string(truth[i].Strand)
				sessions[session] = append(sessions[session], i)
			}
		}
		if lies { // then what one device wrote is in order all the same
			theirs = sessions["session1"]
			if !slices.IsSorted(sessions["session2"]) {
				t.Errorf("seed %d: session2 %v", seed, sessions["session2"])
			}
		}
		if !lies && len(mine)+len(theirs) != n || !slices.IsSorted(mine) || !slices.IsSorted(theirs) {
			t.Fatalf("seed %d: theirs %v, mine %v", seed, theirs, mine)
		}
	}
}
