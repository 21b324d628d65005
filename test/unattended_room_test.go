package test

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestSendToRoom has a program write to a room that an administrator has entered with
// its profile, and refuses once somebody else can read there.
func TestSendToRoom(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	people := team(t, s, "Alarm, Al", "Okafor, Ada", "Lind, Per")
	alarm := newProgram(t, s, people[0])
	ada, per := start(t, s, people[1], s.WebSocket), start(t, s, people[2], s.WebSocket)
	room, err := ada.CreateRoom(ctx, "Night shift")
	if err != nil {
		t.Fatal(err)
	}
	if r := alarm.does("", "trust", s.Address(people[1]), ada.Self().Fingerprint.String(), "--pin-file", alarm.pinFile, "--wait", patience.String()); r.code != 0 {
		t.Fatalf("comparing: %+v", r)
	}
	if err := ada.Invite(ctx, room, alarm.address); err != nil {
		t.Fatal(err)
	}
	alarm.run()
	alarm.unlock()
	alarm.See("1 unread")
	alarm.Press("M-a")
	alarm.See("invites you")
	alarm.Type("/join")
	alarm.Press("Enter")
	alarm.SeeMatch(`\A Night shift`)
	alarm.Type("Alarms come here")
	alarm.Press("Enter")
	alarm.See("Not sent yet")
	alarm.Press("Enter")
	sees(t, ctx, ada, room, "Alarms come here")
	alarm.quit()

	if r := alarm.send(room, "Disk 4 has failed"); r.code != 0 {
		t.Errorf("to a room: %+v", r)
	}
	sees(t, ctx, ada, room, "Disk 4 has failed")

	if err := ada.Invite(ctx, room, s.Address(people[2])); err != nil {
		t.Fatal(err)
	}
	sees(t, ctx, per, room, "invites you")
	if err := per.JoinRoom(ctx, room); err != nil {
		t.Fatal(err)
	}
	belong(t, ctx, ada, room, alarm.address, s.Address(people[1]), s.Address(people[2]))
	// The first may be kept before the relay has said that there is somebody new; it is
	// not encrypted for Per all the same.
	var r ran
	wait := 3 * time.Second
	for late := time.Now().Add(patience); r.code != 5 && time.Now().Before(late); wait = min(2*wait, time.Minute) {
		r = alarm.send(room, "Disk 5 has failed", "--wait", wait.String())
	}
	if r.code != 5 {
		t.Errorf("to a room with somebody new: %+v", r)
	}
	if all := said(per, room); strings.Contains(all, "Disk 5") {
		t.Errorf("somebody new reads it: %s", all)
	}
	exercised(t, "sotto send to a room")
}
