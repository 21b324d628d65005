package test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/server"
)

// TestDevices has one person with two sottos and another with one, on each server:
// the second device is pointed out and let in by its code, each shows what the
// other sends, gets and has read; it is removed, finds itself gone, stays gone, and
// comes back when its person says so.
func TestDevices(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		people := team(t, s, "Okafor, Ada", "Lind, Per")
		adas, pers := s.Address(people[0]), s.Address(people[1])
		ada, per := start(t, s, people[0], s.WebSocket), start(t, s, people[1], s.WebSocket)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("ada: %s\nper: %s\nown: %s", said(ada, pers), said(per, adas), said(ada, adas))
			}
		})
		tell(t, ctx, ada, pers, "from the first")
		sees(t, ctx, per, adas, "from the first")
		second := start(t, s, people[0], s.WebSocket)
		for _, h := range []*headless.Sotto{ada, per} {
			trusts(t, ctx, h, adas, second, store.Undecided)
			if sec, err := h.Security(ctx, map[*headless.Sotto]string{ada: pers, per: adas}[h]); err != nil || !sec.Warn || !strings.Contains(sec.Words.String(), "new device") {
				t.Errorf("%s is not told: %+v %v", h.Self().Address, sec, err)
			}
		}
		sees(t, ctx, ada, adas, "You have a new device")
		tell(t, ctx, per, adas, "not for the second")
		sees(t, ctx, ada, pers, "not for the second")
		for _, h := range []*headless.Sotto{ada, per} {
			code, err := client.ParseCode(second.Code().String())
			if err != nil {
				t.Fatal(err)
			}
			if n, err := h.VerifyCode(ctx, code); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			trusts(t, ctx, h, adas, second, store.Verified)
		}
		if n, err := second.VerifyCode(ctx, ada.Code()); n != 1 || err != nil {
			t.Fatal(n, err)
		}

		// What one sends and gets, the other shows; what one has read, is read.
		tell(t, ctx, per, adas, "for both")
		sees(t, ctx, ada, pers, "for both")
		sees(t, ctx, second, pers, "for both")
		tell(t, ctx, ada, pers, "sent by the first")
		sees(t, ctx, second, pers, "sent by the first")
		tell(t, ctx, second, pers, "sent by the second")
		sees(t, ctx, per, adas, "sent by the second")
		sees(t, ctx, ada, pers, "sent by the second")
		for _, m := range conversation(t, ctx, second, pers) {
			if m.Body.String() == "sent by the first" && (!m.Outgoing || m.Device != ada.Self().Device) {
				t.Errorf("the other's message: %+v", m)
			}
			if m.Body.String() == "not for the second" {
				t.Error("the second reads what was written before it was compared")
			}
		}
		if err := ada.Until(ctx, "something unread", func() (bool, error) { n, err := unread(ctx, ada, pers); return n > 0, err }); err != nil {
			t.Fatal(err)
		}
		all := conversation(t, ctx, second, pers)
		if err := second.MarkRead(ctx, pers, all[len(all)-1].ID); err != nil {
			t.Fatal(err)
		}
		if err := ada.Until(ctx, "what was read on the other device", func() (bool, error) {
			left := 0
			for _, m := range conversation(t, ctx, ada, pers) {
				if !m.Read && m.Body.String() == "for both" {
					left++
				}
			}
			return left == 0, nil
		}); err != nil {
			t.Error(err)
		}

		// A time to live goes with the text, on all of them.
		m := tell(t, ctx, per, adas, "the code is 4711 !expires:1m")
		for _, h := range []*headless.Sotto{ada, second, per} {
			peer := pers
			if h == per {
				peer = adas
			}
			sees(t, ctx, h, peer, "the code is 4711")
		}
		for _, h := range []*headless.Sotto{ada, second, per} {
			peer := pers
			if h == per {
				peer = adas
			}
			if err := h.Until(ctx, "the end of its time", func() (bool, error) {
				list := conversation(t, ctx, h, peer)
				i := slices.IndexFunc(list, func(m client.Message) bool { return m.Gone == store.RanOut })
				return i >= 0 && list[i].Body.Empty() && !strings.Contains(said(h, peer), "4711"), nil
			}); err != nil {
				t.Error(err)
			}
		}
		if late := time.Since(m.Time); late > 2*time.Minute {
			t.Logf("it took %v", late)
		}

		// Removed, on the first device.
		if err := ada.RemoveDevice(ctx, second.Self().Device); err != nil {
			t.Fatal(err)
		}
		sees(t, ctx, second, adas, "This device was removed from your devices")
		if _, err := second.Send(ctx, pers, "I am still here"); err == nil || !strings.Contains(err.Error(), "/rejoin") {
			t.Errorf("sending from a removed device: %v", err)
		}
		if err := per.Until(ctx, "the new list", func() (bool, error) {
			list, err := per.Devices(ctx, adas)
			i := slices.IndexFunc(list, func(d client.Device) bool { return d.ID == second.Self().Device })
			return i >= 0 && !list[i].Active, err
		}); err != nil {
			t.Fatal(err)
		}
		tell(t, ctx, per, adas, "without the second")
		sees(t, ctx, ada, pers, "without the second")
		if got := said(second, pers); strings.Contains(got, "without the second") {
			t.Errorf("the removed one reads on: %s", got)
		}
		if err := second.Rejoin(ctx); err != nil {
			t.Fatal(err)
		}
		trusts(t, ctx, ada, adas, second, store.Distrusted)
		if err := per.Until(ctx, "that it is back", func() (bool, error) {
			list, err := per.Devices(ctx, adas)
			i := slices.IndexFunc(list, func(d client.Device) bool { return d.ID == second.Self().Device })
			return i >= 0 && list[i].Active, err
		}); err != nil {
			t.Fatal(err)
		}
		tell(t, ctx, second, pers, "back again")
		sees(t, ctx, per, adas, "back again")
		exercised(t, "devices and times to live over "+s.Name)
	})
}

// trusts waits until h knows another sotto's device, in use, and trusts it so far.
func trusts(t *testing.T, ctx context.Context, h *headless.Sotto, address string, other *headless.Sotto, want store.Trust) {
	t.Helper()
	if err := h.Until(ctx, "knowing the device", func() (bool, error) {
		list, err := h.Devices(ctx, address)
		i := slices.IndexFunc(list, func(d client.Device) bool { return d.Fingerprint == other.Self().Fingerprint })
		return i >= 0 && list[i].Active && list[i].Trust == want, err
	}); err != nil {
		t.Fatal(err)
	}
}

func conversation(t *testing.T, ctx context.Context, h *headless.Sotto, peer string) []client.Message {
	t.Helper()
	list, err := h.Conversation(ctx, peer)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func unread(ctx context.Context, h *headless.Sotto, peer string) (int, error) {
	list, err := h.Conversations(ctx)
	for _, c := range list {
		if c.Peer == peer {
			return c.Unread, err
		}
	}
	return 0, err
}
