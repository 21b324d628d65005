package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// hostileRoom has a client catch up with a room whose archive answers as it likes,
// and returns what it was asked for, and what the client said of it.
func hostileRoom(t *testing.T, answer hostileArchive, sender string) (a *absent, said, asked []string) {
	t.Helper()
	a = newAbsent(t, true)
	if err := a.st.Update(ctx, func(tx *store.Tx) error {
		return tx.SetArchivePosition(icu, "p")
	}); err != nil {
		t.Fatal(err)
	}
	n := 0
	honest := a.hook
	a.hook = func(iq *stanza.Element) *stanza.Element {
		q := iq.Child(stanza.NSMAM, "query")
		if q == nil || iq.Get("to") != icu {
			return honest(iq)
		}
		after := q.Child(stanza.NSRSM, "set").Child("", "after").Text()
		asked = append(asked, after)
		ids, stamp, body, last, complete := answer(n, after)
		n++
		for i, id := range ids {
			m := stanza.New(stanza.NSClient, "message", stanza.Body(body), stanza.RoomUser{Items: []stanza.RoomItem{roomItem(ada+"/phone", stanza.Owner)}}.Element()).
				With("type", "groupchat").With("id", "m"+id).With("from", icu+"/okafor")
			a.deliver(resultAt(q.Get("queryid"), id, stamp(i), m).With("from", sender))
		}
		fin := stanza.New(stanza.NSMAM, "fin", stanza.New(stanza.NSRSM, "set", stanza.TextElement(stanza.NSRSM, "last", last)))
		if complete {
			fin.With("complete", "true")
		}
		return stanza.NewIQ("result", me+"/test", iq.Get("id"), fin).With("from", icu)
	}
	a.n++
	a.c = run(t, a.st, a.attach(a.n))
	eventually(t, "the room's archive is left", func() bool {
		said = append(said, notices(t, a.c)...)
		return ofRun(t, a.c, func() bool { r := a.c.rooms[icu]; return r != nil && r.archive.done && r.archive.query == "" })
	})
	said = append(said, notices(t, a.c)...)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a, said, slices.Clone(asked)
}

// TestEndlessRoomArchives: what holds for the own archive holds for a room's, and
// the room can be written in all the same.
func TestEndlessRoomArchives(t *testing.T) {
	for _, x := range endlessArchives {
		t.Run(x.name, func(t *testing.T) {
			a, said, asked := hostileRoom(t, x.answer, icu)
			if len(asked) > x.pages {
				t.Errorf("asked for %d pages", len(asked))
			}
			if s := a.c.State(); !s.CaughtUp || s.CatchUp.Active {
				t.Errorf("not done: %+v", s)
			}
			if !strings.Contains(strings.Join(said, "\n"), "The archive of this room goes on without an end") {
				t.Errorf("said %q", said)
			}
			if gaps, err := a.c.Gaps(ctx, icu); x.name != "empty pages" && (err != nil || len(gaps) != 1 || !gaps[0].Pending()) {
				t.Errorf("what is missing is not said: %+v, %v", gaps, err)
			}
			if gaps, err := a.c.Gaps(ctx, ada); err != nil || len(gaps) != 0 {
				t.Errorf("and elsewhere: %+v, %v", gaps, err)
			}
			eventually(t, "the room can be written in", a.ready)
		})
	}
}

func TestRoomArchivesThatLie(t *testing.T) {
	t.Run("about where a page ends", func(t *testing.T) {
		_, _, asked := hostileRoom(t, func(n int, after string) ([]string, func(int) time.Time, string, string, bool) {
			if n == 0 {
				return ids("a", 5), onward, "text", "far away", false
			}
			return ids("b", 5), onward, "text", "b4", true
		}, icu)
		if len(asked) != 2 || asked[0] != "p" || asked[1] != "a4" {
			t.Errorf("asked after %q: what is between is hidden", asked)
		}
	})
	t.Run("with too much on a page", func(t *testing.T) {
		a, _, _ := hostileRoom(t, func(n int, after string) ([]string, func(int) time.Time, string, string, bool) {
			return ids("a", maxResults+pageSize), onward, "text", "", true
		}, icu)
		texts := 0
		for _, m := range messages(t, a.c, icu) {
			if m.Kind == store.Text {
				texts++
			}
		}
		if texts != maxResults {
			t.Errorf("%d messages taken", texts)
		}
	})
	for _, sender := range []string{me, ada, icu + "/okafor", "other@rooms.mercy.example"} {
		t.Run("results from "+sender, func(t *testing.T) {
			a, _, _ := hostileRoom(t, func(int, string) ([]string, func(int) time.Time, string, string, bool) {
				return ids("a", 5), onward, "forged", "a4", true
			}, sender)
			for _, peer := range []string{icu, ada, sender} {
				if got := bodies(t, a.c, peer); strings.Contains(got, "forged") {
					t.Errorf("%s has %q", peer, got)
				}
			}
		})
	}
	t.Run("of who wrote", func(t *testing.T) { // nobody of the room
		a := newAbsent(t, true)
		a.shelf.add(3, func(i int) *stanza.Element {
			who := []string{"eve@mercy.example/x", ada + "/phone", "rooms.mercy.example"}[i]
			return stanza.New(stanza.NSClient, "message", stanza.Body(fmt.Sprint(i)), stanza.RoomUser{Items: []stanza.RoomItem{roomItem(who, "none")}}.Element()).
				With("type", "groupchat").With("id", fmt.Sprint("m", i)).With("from", icu+"/stranger")
		})
		a.session()
		a.has("of three", 1)
	})
}

// TestPendingGapIsAskedFor: an archive that was left is asked again before its rest
// is over, when the person asks for what is pending.
func TestPendingGapIsAskedFor(t *testing.T) {
	answer := func(n int, _ string) ([]string, func(int) time.Time, string, string, bool) {
		if n < 2 {
			return ids("a", 5), onward, "text", "", false // in circles
		}
		return ids("b", 5), onward, "later", "", true
	}
	check := func(t *testing.T, c *Client, peer string) {
		gaps, err := c.Gaps(ctx, peer)
		if err != nil || len(gaps) != 1 || !gaps[0].Pending() {
			t.Fatalf("gaps: %+v, %v", gaps, err)
		}
		if n, err := c.FillGap(soon(t), gaps[0].ID); n != 0 || err != nil {
			t.Errorf("asked: %d, %v", n, err)
		}
		eventually(t, "the rest comes", func() bool { return strings.Count(bodies(t, c, peer), "later") == 5 })
		eventually(t, "the gap is closed", func() bool { gaps, err := c.Gaps(ctx, peer); return err == nil && len(gaps) == 0 })
	}
	t.Run("own", func(t *testing.T) {
		c, _, _ := endless(t, answer)
		check(t, c, ada)
	})
	t.Run("of a room", func(t *testing.T) {
		a, _, _ := hostileRoom(t, answer, icu)
		eventually(t, "the room is entered", a.ready)
		check(t, a.c, icu)
	})
}
