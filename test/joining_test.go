package test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"sotto/client/admin"
	"sotto/client/membership"
	"sotto/client/org/directory"
	"sotto/client/org/invitation"
	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/server"
)

// employer is an organisation whose account is on a server, and what its
// administrator's sotto does.
type employer struct {
	t   *testing.T
	s   *server.Server
	c   *headless.Sotto
	org *admin.Organisation
}

func newEmployer(t *testing.T, s *server.Server) *employer {
	t.Helper()
	contact := team(t, s, "Hospital, The")[0]
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := headless.Start(headless.Account{Address: s.Address(contact), Password: contact.Password, Relay: s.WebSocket, CA: ca}, st)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Online(ctx); err != nil {
		t.Fatal(err)
	}
	var device directory.Device
	if err := st.Update(ctx, func(tx *store.Tx) error {
		self := c.Self()
		key, err := membership.DeviceKey(tx, self.Device)
		if err == nil {
			device = directory.Device{ID: self.Device, Fingerprint: self.Fingerprint, Signing: key.Public(), Added: time.Now()}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	e := &employer{t: t, s: s, c: c}
	if e.org, err = admin.Found(ctx, st, admin.Founding{Name: "hospital.example", Contact: s.Address(contact), Relay: s.WebSocket, Device: device,
		// The PINs of these people are not asked for again once the policy has arrived.
		Policy: strings.Replace(admin.FirstPolicy(), "pin-length = 8", "pin-length = 6", 1),
	}); err != nil {
		t.Fatal(err)
	}
	if left, err := e.org.Settle(ctx, c.Client, nil); err != nil || !left.None() {
		t.Fatalf("publishing: %+v, %v", left, err)
	}
	serving, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- e.org.Serve(serving, c.Client, admin.Serving{Every: time.Minute, Note: func(words string) { t.Log(words) }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return e
}

// invite invites somebody; the server's own means make the account.
func (e *employer) invite(who server.Person, another bool) (code, pin string) {
	e.t.Helper()
	v := admin.Invite{Person: invitation.Person{Address: e.s.Address(who)}, Another: another}
	if !another {
		v.Person.Name, v.Person.Roles = who.Display, []string{"physician"}
	}
	i, err := e.org.Invite(e.t.Context(), v)
	if err != nil {
		e.t.Fatal(err)
	}
	defer i.Clear()
	if i.HasPassword != another {
		e.t.Errorf("for another device %t, the password is known %t", another, i.HasPassword)
	}
	if !i.HasPassword {
		password := i.Keys.Password()
		defer password.Destroy()
		who.Password = string(password.Bytes())
		if err := e.s.AddAlone(e.t.Context(), e.s.Domain, who); err != nil {
			e.t.Fatal(err)
		}
	}
	return string(i.Code.Append(nil)), string(i.PIN.Bytes())
}

// devices are how many somebody has in the directory.
func (e *employer) devices(who server.Person) int {
	entry, _ := e.org.Directory().Entry(e.s.Address(who))
	return len(entry.Devices)
}

// joinWith joins with an invitation, up to the first screen with conversations.
func (p *person) joinWith(s *server.Server, code, pin string) {
	p.t.Helper()
	p.run("join", "--ca", s.CAFile)
	p.See("Your invitation, or your address:")
	p.Enter(code)
	p.See("One-time PIN")
	p.Enter(pin)
	p.See("New PIN")
	p.Enter(p.pin)
	p.See("Again")
	p.Enter(p.pin)
	p.See("online", "F1 help")
}

// TestInvitations has two people join an organisation on each server, one of them
// with a second device. The first device notices nothing of that.
func TestInvitations(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		e := newEmployer(t, s)
		who := server.Person{Name: "invited" + strings.ToLower(strings.ReplaceAll(s.Name, " ", "")), Display: "Ames, Alice"}
		laptop, phone := newPerson(t, "the laptop"), newPerson(t, "the phone")
		code, pin := e.invite(who, false)
		laptop.joinWith(s, code, pin)
		laptop.quit()
		code, pin = e.invite(who, true)
		phone.joinWith(s, code, pin)
		if n := e.devices(who); n != 2 {
			t.Errorf("%d devices", n)
		}
		laptop.run()
		laptop.unlock()
		laptop.See("online", "F1 help")
		laptop.quit()
		phone.lock()
		phone.unlock()
		phone.See("online", "F1 help")
		phone.quit()
	})
}
