package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sotto/client"
	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/proxy"
	"sotto/test/server"
)

// content makes a file of n bytes, with a word in it to look for.
func content(n int) (b []byte, canary string) {
	canary = "CANARY" + rand.Text()
	b = make([]byte, n)
	rand.Read(b)
	copy(b, canary)
	return b, canary
}

// give attaches a file, and accepts who reads in a room.
func give(t *testing.T, ctx context.Context, h *headless.Sotto, peer, name string, b []byte, caption string) client.Message {
	t.Helper()
	for {
		m, err := h.Attach(ctx, peer, name, "", bytes.Clone(b), caption)
		if n, ok := errors.AsType[*client.NewReaders](err); ok { // one more while these were accepted
			err = h.AcceptReaders(ctx, n)
			if err == nil {
				continue
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// takes waits for a file, fetches it and compares what is in it.
func takes(t *testing.T, ctx context.Context, h *headless.Sotto, peer, name string, want []byte) client.Message {
	t.Helper()
	m := offers(t, ctx, h, peer, name)
	if err := h.Fetch(ctx, m.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	has(t, ctx, h, peer, m.Files[0].ID, want)
	return m
}

// offers waits until a file stands in a conversation.
func offers(t *testing.T, ctx context.Context, h *headless.Sotto, peer, name string) (found client.Message) {
	t.Helper()
	if err := h.Until(ctx, "seeing the file "+name, func() (bool, error) {
		all, err := h.Conversation(ctx, peer)
		for _, m := range all {
			if len(m.Files) == 1 && m.Files[0].Name.String() == name {
				if !m.Encrypted || m.Untrusted {
					return false, fmt.Errorf("%s came unprotected: %+v", name, m)
				}
				found = m
				return true, nil
			}
		}
		return false, err
	}); err != nil {
		t.Fatalf("%v: %s", err, said(h, peer))
	}
	return found
}

// has waits until a file was fetched, and compares it.
func has(t *testing.T, ctx context.Context, h *headless.Sotto, peer string, id int64, want []byte) {
	t.Helper()
	var last client.File
	if err := h.Until(ctx, "having the file", func() (bool, error) {
		all, err := h.Conversation(ctx, peer)
		for _, m := range all {
			for _, f := range m.Files {
				if f.ID == id {
					last = f
				}
			}
		}
		if last.State >= store.Broken {
			return false, fmt.Errorf("it was not fetched: %+v", last)
		}
		return last.State == store.Done, err
	}); err != nil {
		t.Fatalf("%v: %+v", err, last)
	}
	got, err := h.Contents(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) || last.Size != int64(len(want)) {
		t.Fatalf("another file came: %d bytes, %+v", len(got), last)
	}
}

// reaches waits until a message has come to a state.
func reaches(t *testing.T, ctx context.Context, h *headless.Sotto, m client.Message, s store.State) {
	t.Helper()
	if err := h.Until(ctx, "having it "+s.String(), func() (bool, error) {
		all, err := h.Conversation(ctx, m.Peer)
		i := slices.IndexFunc(all, func(x client.Message) bool { return x.ID == m.ID })
		if i >= 0 && all[i].State == store.Failed {
			return false, fmt.Errorf("it has failed: %s", all[i].Why)
		}
		return i >= 0 && all[i].State >= s, err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestFiles sends files both ways over each server, through connections that are
// cut, and to a room of three. What the server holds is then looked through.
func TestFiles(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		people := team(t, s, "Okafor, Ada", "Lind, Per", "Haddad, Rana")
		links := []*proxy.Proxy{proxy.Start(t, s.Addr), proxy.Start(t, s.Addr)}
		ada, per := start(t, s, people[0], through(s, links[0])), start(t, s, people[1], through(s, links[1]))
		rana := start(t, s, people[2], s.WebSocket)
		a, p := s.Address(people[0]), s.Address(people[1])

		ecg, first := content(212_345)
		m := give(t, ctx, ada, p, "ECG of Müller.png", ecg, "ECG of bed 9, peaked T")
		sees(t, ctx, per, a, "ECG of bed 9, peaked T")
		takes(t, ctx, per, a, "ECG of Müller.png", ecg)
		reaches(t, ctx, ada, m, store.Delivered)

		// Large ones both ways at once, on connections that break; words overtake.
		film, second := content(9_000_000)
		back, third := content(5_000_000)
		up := give(t, ctx, ada, p, "film.mp4", film, "")
		down := give(t, ctx, per, a, "answer.pdf", back, "")
		for i := range 6 {
			links[i%2].Cut()
			tell(t, ctx, ada, p, fmt.Sprintf("meanwhile %d", i))
			sees(t, ctx, per, a, fmt.Sprintf("meanwhile %d", i))
		}
		reaches(t, ctx, ada, up, store.Delivered)
		reaches(t, ctx, per, down, store.Delivered)
		got := offers(t, ctx, per, a, "film.mp4")
		if err := per.Fetch(ctx, got.Files[0].ID); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			links[1].Cut()
			tell(t, ctx, rana, p, "a word")
		}
		has(t, ctx, per, a, got.Files[0].ID, film)
		takes(t, ctx, ada, p, "answer.pdf", back)

		// Everybody in a room.
		room, err := ada.CreateRoom(ctx, "Night shift")
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct {
			h   *headless.Sotto
			who string
		}{{per, p}, {rana, s.Address(people[2])}} {
			if err := ada.Invite(ctx, room, x.who); err != nil {
				t.Fatal(err)
			}
			sees(t, ctx, x.h, room, "invites you")
			if err := x.h.JoinRoom(ctx, room); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range []*headless.Sotto{ada, per, rana} {
			belong(t, ctx, h, room, a, p, s.Address(people[2]))
		}
		plan, fourth := content(70_000)
		m = give(t, ctx, per, room, "plan.pdf", plan, "who does what")
		for _, h := range []*headless.Sotto{ada, rana} {
			sees(t, ctx, h, room, "who does what")
			takes(t, ctx, h, room, "plan.pdf", plan)
		}
		reaches(t, ctx, per, m, store.Delivered)

		// Beyond what the relay takes.
		if s.Name != "sotto relay" {
			_, err := ada.Attach(ctx, p, "ecg.png", "", make([]byte, 12_000_000), "")
			if err == nil || err.Error() != "ecg.png is 12 MB. This relay takes files up to 10 MB" {
				t.Errorf("too large: %v", err)
			}
		}
		neverOnDisk(t, s.Dir, "what people sent", first, second, third, fourth, "Müller", "answer.pdf", "film.mp4", "plan.pdf", "aesgcm://")
		exercised(t, fmt.Sprintf("files over %s", s.Name))
	})
}

// neverOnDisk looks through all files of a folder for words.
func neverOnDisk(t *testing.T, dir, what string, words ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // it went meanwhile
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		for _, w := range words {
			if bytes.Contains(b, []byte(w)) || strings.Contains(path, w) {
				t.Errorf("%s has %q: %s", path, w, what)
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("looking through %d files: %v", files, err)
	}
}
