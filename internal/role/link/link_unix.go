//go:build unix

package link

import (
	"context"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/link"
	"sotto/internal/harden"
	"sotto/internal/role"
)

// Main is the life of a link; it returns the exit code.
func Main() int {
	self, _, err := role.Enter[*role.LinkSetup](role.Link)
	if err != nil {
		return role.ExitFailed
	}
	defer memguard.Purge()
	if _, err := harden.Link(); err != nil {
		return self.Fail(err)
	}
	l := link.New(link.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go report(self, l)
	go orders(self, l)
	go attach(self, l)
	go func() {
		<-self.Signals
		l.Close()
	}()
	if err := l.Run(ctx); err != nil {
		return self.Fail(err)
	}
	return role.ExitDone
}

// report tells the watch how the connection stands.
func report(self *role.Self, l *link.Link) {
	var told role.Status
	for s := range l.Status() {
		status := role.Status{Words: s.Words, Online: s.Online, Waiting: s.Waiting, Stat: s.Stat, Since: s.Since}
		if status != told {
			self.Control.Send(&status)
			told = status
		}
	}
}

// attach takes what the watch says. Without a watch there is nobody to serve,
// and without one that can tell it to end, it does so by itself in time.
func attach(self *role.Self, l *link.Link) {
	defer l.Close()
	var logoff *time.Timer
	for {
		m, err := self.Control.Receive()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *role.Attach:
			if f := self.Control.TakeFile(); f != nil {
				l.Attach(f)
			}
		case *role.Logoff:
			if logoff != nil {
				logoff.Stop()
			}
			if m.After > 0 {
				logoff = time.AfterFunc(m.After, l.Close)
			}
		case *role.End:
			return
		}
	}
}
