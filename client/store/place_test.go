package store

import (
	"errors"
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

// TestAnyGap hides a part of an archive in the middle of what two devices and this
// one wrote, some of which came live; and fills it, in one go or in two, with what
// comes later in between. In every second case the archive lies about the order.
func TestAnyGap(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		s := memory(t)
		const n = 60
		truth := make([]*Message, n)
		counts := map[string]int{}
		for i := range truth {
			m := written(i)
			switch r.IntN(3) {
			case 0:
				m.Strand = []byte("session2")
			case 1:
				m.Strand, m.Epoch, m.Counter = nil, 0, 0
			}
			k := counts[string(m.Strand)]
			counts[string(m.Strand)]++
			if m.Strand != nil {
				m.Epoch, m.Counter = int64(k/3), uint32(k%3)
			}
			truth[i] = m
		}
		from := 10 + r.IntN(10)
		to := from + 5 + r.IntN(20)
		at := func(i int) string { return fmt.Sprint("a", i) }
		update(t, s, func(tx *Tx) error {
			for i := range from {
				if _, _, err := tx.AddArchived(archived(truth[i], at(i)), 0); err != nil {
					return err
				}
			}
			for i := from; i < to; i++ {
				if r.IntN(4) == 0 {
					x := *truth[i]
					if _, err := tx.AddMessage(&x); err != nil {
						return err
					}
				}
			}
			newest, err := tx.Newest()
			if err != nil {
				return err
			}
			gap, err := tx.AddGap(Gap{Archive: self, After: at(from - 1), Before: at(to), Since: truth[from-1].Time, Until: truth[to].Time})
			if err != nil {
				return err
			}
			for i := to; i < n; i++ {
				if _, _, err := tx.AddArchived(archived(truth[i], at(i)), newest); err != nil {
					return err
				}
			}
			if _, err := tx.StandBefore(gap, newest); err != nil {
				return err
			}
			edge, err := tx.GapEdge(gap, ben)
			if err != nil {
				return err
			}
			m, err := tx.Message(edge)
			if err != nil {
				return err
			}
			var last int
			if fmt.Sscan(m.Body, &last); last < from-1 || last >= to {
				t.Errorf("seed %d: the gap of %d to %d is behind %d", seed, from, to, last)
			}
			fill := func(gap int64, list []*Message, first int) error {
				order := rand.Perm(len(list))
				if seed%2 == 0 {
					slices.Sort(order)
				}
				for _, i := range order {
					if _, _, err := tx.AddInGap(archived(list[i], at(first+i)), gap); err != nil {
						return err
					}
				}
				return tx.FillGap(gap, at(first+len(list)-1), list[len(list)-1].Time)
			}
			if r.IntN(2) == 0 { // the later part first
				middle := from + 1 + r.IntN(to-from-1)
				rest, err := tx.SplitGap(gap, at(middle), truth[middle].Time)
				if err != nil {
					return err
				}
				if err := fill(rest, truth[middle:to], middle); err != nil {
					return err
				}
				if err := tx.CloseGap(rest); err != nil {
					return err
				}
				if err := fill(gap, truth[from:middle], from); err != nil {
					return err
				}
			} else if err := fill(gap, truth[from:to], from); err != nil {
				return err
			}
			return tx.CloseGap(gap)
		})
		var is []int
		sessions := map[string][]int{}
		for _, b := range strings.Fields(order(t, s)) {
			i := 0
			fmt.Sscan(b, &i)
			is = append(is, i)
			if k := string(truth[i].Strand); k != "" {
				sessions[k] = append(sessions[k], i)
			}
		}
		if len(is) != n || seed%2 == 0 && !slices.IsSorted(is) {
			t.Fatalf("seed %d, gap of %d to %d: %d messages, %v", seed, from, to, len(is), is)
		}
		for k, list := range sessions {
			if !slices.IsSorted(list) {
				t.Errorf("seed %d: what one device wrote in %s: %v", seed, k, list)
			}
		}
	}
}

func TestEdgesOfGaps(t *testing.T) {
	s := memory(t)
	var a, b *Message
	for i, m := range []*Message{written(0), written(1), written(2)} {
		x := archived(m, fmt.Sprint("a", i))
		update(t, s, func(tx *Tx) error { _, _, err := tx.AddArchived(x, 0); return err })
		a, b = b, x
	}
	edge := func(gap int64, peer string) (id int64) {
		t.Helper()
		view(t, s, func(tx *Tx) (err error) { id, err = tx.GapEdge(gap, peer); return err })
		return id
	}
	var own, room int64
	update(t, s, func(tx *Tx) (err error) {
		if err := tx.PutRoom(Room{Address: icu, Name: "ICU", Nick: "ng"}); err != nil {
			return err
		}
		m := incoming(icu, "r", 1)
		if _, err := tx.AddMessage(m); err != nil {
			return err
		}
		if own, err = tx.AddGap(Gap{Archive: self, After: "a2", Before: "b", Since: at(1), Until: at(2)}); err != nil {
			return err
		}
		room, err = tx.AddGap(Gap{Archive: icu, After: "r", Before: "s", Since: at(1), Until: at(2)})
		return err
	})
	if edge(own, ben) != b.ID || edge(own, icu) != 0 || edge(room, ben) != 0 || edge(room, icu) == 0 {
		t.Errorf("edges: %d %d %d %d", edge(own, ben), edge(own, icu), edge(room, ben), edge(room, icu))
	}
	update(t, s, func(tx *Tx) error { return tx.RemoveMessage(b.ID) })
	if got := edge(own, ben); got != a.ID {
		t.Errorf("the edge was taken away, and is %d now", got)
	}
	update(t, s, func(tx *Tx) error {
		m := incoming("new@h.example", "n1", 1)
		if _, err := tx.AddMessage(m); err != nil {
			return err
		}
		_, _, err := tx.AddInGap(archived(incoming("new@h.example", "n0", 0), "a3"), own)
		return err
	})
	list := messages(t, s, "new@h.example", 0, 10)
	if len(list) != 2 || list[0].OriginID != "n0" || edge(own, "new@h.example") != list[0].ID {
		t.Errorf("in a conversation that began after the gap: %+v", list)
	}
	update(t, s, func(tx *Tx) error {
		for i := range MaxGaps - 1 {
			if _, err := tx.AddGap(Gap{Archive: self, After: fmt.Sprint("x", i), Before: fmt.Sprint("y", i), Since: at(i + 10)}); err != nil {
				return err
			}
		}
		if _, err := tx.SplitGap(own, "m", at(1)); !errors.Is(err, ErrTooManyGaps) {
			t.Errorf("one gap too many: %v", err)
		}
		return nil
	})
}
