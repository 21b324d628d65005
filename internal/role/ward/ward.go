package ward

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/store"
	"sotto/internal/relay"
	"sotto/internal/role"
	"sotto/keystore"
)

// ward is a running demo.
type ward struct {
	relay   *relay.Relay
	url     string
	members map[string]*member
	ctx     context.Context
	stop    context.CancelFunc
	served  chan error
}

// open starts the relay, brings the colleagues online, makes the demo person's
// vault and store in the profile, and exchanges the history.
func open(ctx context.Context, profile role.Profile) (w *ward, err error) {
	w = &ward{members: make(map[string]*member), served: make(chan error, 1)}
	w.ctx, w.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.relay, err = relay.New(relay.Config{
		Domain: Domain,
		// The passwords are random and live as long as this process.
		Iterations: 4096,
	})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on this machine's loopback address: %w", err)
	}
	w.url = "ws://" + ln.Addr().String() + "/ws"
	go func() { w.served <- w.relay.Serve(w.ctx, ln) }()

	passwords := make(map[string]*memguard.LockedBuffer)
	for _, p := range append([]person{self}, colleagues...) {
		passwords[p.name] = randomPassword()
		if err := w.relay.AddUserIn(ctx, p.name, passwords[p.name].Bytes(), p.display, p.group); err != nil {
			return nil, err
		}
	}
	if err := w.populate(ctx, passwords); err != nil {
		return nil, err
	}
	return w, w.remember(ctx, profile, passwords[Self])
}

// populate brings the colleagues online.
func (w *ward) populate(ctx context.Context, passwords map[string]*memguard.LockedBuffer) error {
	for _, p := range colleagues {
		db, err := store.OpenMemory(ctx)
		if err != nil {
			return err
		}
		m, err := join(p, passwords[p.name], w.url, db)
		if err != nil {
			db.Close()
			return err
		}
		w.members[p.name] = m
	}
	for _, m := range w.members {
		if err := m.online(ctx); err != nil {
			return err
		}
	}
	return nil
}

// remember makes the demo person's vault and lives through the history as her.
func (w *ward) remember(ctx context.Context, profile role.Profile, password *memguard.LockedBuffer) error {
	pin := memguard.NewBufferFromBytes([]byte(PIN))
	defer pin.Destroy()
	again := memguard.NewBuffer(password.Size())
	again.Copy(password.Bytes())
	vault, err := keystore.Create(profile.Vault, profile.DeviceKey, pin, &keystore.Account{
		Address: self.address(), Relay: w.url, Password: password,
	})
	if err != nil {
		again.Destroy()
		return err
	}
	defer vault.Close()
	key, err := vault.DatabaseKey()
	if err != nil {
		again.Destroy()
		return err
	}
	db, err := store.Open(ctx, profile.Database, key)
	if err != nil {
		again.Destroy()
		return err
	}
	defer db.Close()
	me, err := join(self, again, w.url, db)
	if err != nil {
		return err
	}
	defer me.leave()
	if err := me.online(ctx); err != nil {
		return err
	}
	return w.tell(ctx, me)
}

// tell exchanges the history.
func (w *ward) tell(ctx context.Context, me *member) error {
	everyone := map[string]*member{Self: me}
	for name, m := range w.members {
		everyone[name] = m
	}
	last := make(map[string]client.Message)
	for _, l := range history {
		m, err := exchange(ctx, everyone[l.from], everyone[l.to], l.text)
		if err != nil {
			return err
		}
		if l.to == Self {
			last[l.from] = m
			continue
		}
		if err := everyone[l.to].MarkRead(ctx, m.Peer, m.ID); err != nil {
			return err
		}
	}
	for _, name := range readBySelf {
		if err := me.MarkRead(ctx, last[name].Peer, last[name].ID); err != nil {
			return err
		}
	}
	for _, name := range readBySelf {
		if err := settled(ctx, me, everyone[name].address()); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until all that the demo person wrote to peer was read there.
func settled(ctx context.Context, me *member, peer string) error {
	for {
		list, err := me.Messages(ctx, peer, 0, len(history))
		if err != nil {
			return err
		}
		open := false
		for _, m := range list {
			open = open || m.Outgoing && m.State != store.Read
		}
		if !open {
			return nil
		}
		if !pause(ctx, 10*time.Millisecond) {
			return errLate
		}
	}
}

// close ends everything.
func (w *ward) close() error {
	w.stop()
	var group sync.WaitGroup
	for _, m := range w.members {
		group.Go(func() {
			m.leave()
			m.store.Close()
		})
	}
	group.Wait()
	if w.relay == nil {
		return nil
	}
	return w.relay.Close()
}

// randomPassword is 256 random bits as text, in locked memory.
func randomPassword() *memguard.LockedBuffer {
	bits := make([]byte, 32)
	rand.Read(bits)
	defer clear(bits)
	password := memguard.NewBuffer(base64.RawURLEncoding.EncodedLen(len(bits)))
	base64.RawURLEncoding.Encode(password.Bytes(), bits)
	return password
}
