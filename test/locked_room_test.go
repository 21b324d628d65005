package test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sotto/test/server"
)

// TestLockedInARoom restarts the relay while Ada is locked: she is in the room again
// without her PIN, a STAT there rings, and she reads everything once after unlocking.
func TestLockedInARoom(t *testing.T) {
	for _, x := range []struct {
		name  string
		start func(t *testing.T) *server.Server
	}{
		{"sotto_relay", embedded},
		{"Prosody", func(t *testing.T) *server.Server {
			s, err := server.StartProsody(t.Context(), t.TempDir()) // its own: it is killed
			if err != nil {
				missing(t, err)
			}
			stops(t, s)
			exercised(t, s.Name+" "+s.Version)
			return s
		}},
	} {
		for _, end := range []string{"stopped", "killed"} {
			t.Run(x.name+"_"+end, func(t *testing.T) {
				t.Parallel()
				lockedInARoom(t, x.start(t), end == "killed")
			})
		}
	}
}

func lockedInARoom(t *testing.T, s *server.Server, kill bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	people := team(t, s, "Okafor, Ada", "Lind, Per")
	ada := newPerson(t, "Ada")
	per := start(t, s, people[1], s.WebSocket)
	ada.join(s, people[0])
	room, err := per.CreateRoom(ctx, "Night shift")
	if err != nil {
		t.Fatal(err)
	}
	if err := per.Invite(ctx, room, s.Address(people[0])); err != nil {
		t.Fatal(err)
	}
	ada.See("1 unread")
	ada.Press("M-a")
	ada.See("invites you")
	ada.Type("/join")
	ada.Press("Enter")
	ada.SeeMatch(`\A Night shift`)
	belong(t, ctx, per, room, s.Address(people[0]), s.Address(people[1]))
	tell(t, ctx, per, room, "Who is on tonight?")
	ada.See("Who is on tonight?")
	ada.Type("I am")
	ada.Press("Enter")
	ada.See("Not sent yet") // who can read it
	ada.Press("Enter")
	sees(t, ctx, per, room, "I am")

	// The own message and the room's echo of it are nothing that waits.
	ada.lock()
	if kill {
		s.Kill()
	} else {
		s.Stop()
	}
	ada.See("relay offline")
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	// What is written before she is in the room again waits in its archive only.
	written := 0
	var last time.Time
	screen := ""
	ada.Until("hearing of a STAT", func(now string) bool {
		if screen = now; strings.Contains(now, " waiting") {
			return true
		}
		if written < 4 && per.State().CaughtUp && time.Since(last) > 5*time.Second { // they fit on the screen
			written++
			tell(t, ctx, per, room, fmt.Sprintf("!stat bed %d arrests", written))
			last = time.Now()
		}
		return false
	})
	// More than one if the first was slow to come; nothing else counts, and each rings.
	waiting := regexp.MustCompile(`(\d+) waiting · (\d+) STAT`).FindStringSubmatch(screen)
	if waiting == nil || waiting[1] != waiting[2] {
		t.Errorf("after %d of them the lock screen says:\n%s", written, screen)
	} else if n, err := strconv.Atoi(waiting[1]); err != nil || n < 1 || n > written {
		t.Errorf("of %d, %d wait:\n%s", written, n, screen)
	}
	if strings.Contains(screen, "Night") || strings.Contains(screen, "arrests") || strings.Contains(screen, "Lind") {
		t.Errorf("the lock screen says who or what:\n%s", screen)
	}
	ada.unlock()
	ada.talkTo("Night shift")
	tell(t, ctx, per, room, "that is all")
	ada.See("that is all", "Who is on tonight?")
	for i := range written { // from the archive, maybe after what comes live
		ada.See(fmt.Sprintf("bed %d arrests", i+1))
	}
	screen = ada.Screen()
	for i := range written {
		if n := strings.Count(screen, fmt.Sprintf("bed %d arrests", i+1)); n != 1 {
			t.Errorf("number %d is there %d times:\n%s", i+1, n, screen)
		}
	}
	ada.say("On my way")
	sees(t, ctx, per, room, "On my way")
	ada.quit()
	exercised(t, fmt.Sprintf("a room over %s that was restarted while locked, %d written", s.Name, written))
}
