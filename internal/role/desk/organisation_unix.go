//go:build unix

package desk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"

	"sotto/client"
	"sotto/client/org/order"
	"sotto/client/org/policy"
	"sotto/client/wire"
	"sotto/internal/role"
)

const (
	hearTime    = 3 * time.Second        // that orders may take before anything is shown
	hearLook    = 50 * time.Millisecond  // how often the link is looked at meanwhile
	leaseLook   = time.Second            // how often the lease is looked at
	waitingLook = 250 * time.Millisecond // while it is over
	serviceHear = 30 * time.Second       // that a service waits, where it is
)

// ordered tells the watch what the organisation has ordered that is its to do.
func (d *desk) ordered(x client.Ordered) {
	m := &role.Ordered{Dealt: role.Dealt{Number: int64(x.Number), Digest: x.Hash[:]}, Words: x.Words.String()}
	switch x.Do {
	case order.Lock:
		m.Do = role.ToLock
	case order.LogOff:
		m.Do = role.ToLogOff
	case order.Wipe:
		m.Do, m.Proof.Note = role.ToWipe, x.Note
	default:
		return
	}
	d.self.Control.Send(m)
}

// warrant tells the watch by whose word this device may be wiped.
func (d *desk) warrant(w client.Warrant) {
	d.self.Control.Send(&role.Warrant{Anchor: w.Anchor, Address: w.Self.Address, Device: int64(w.Self.Device), Roles: w.Self.Roles, Since: w.Since})
}

// dealt is what the watch says of orders that were dealt with meanwhile.
func (d *desk) dealt() (list []client.Dealt) {
	for _, x := range d.setup.Dealt {
		y := client.Dealt{Number: uint64(x.Number)}
		copy(y.Hash[:], x.Digest)
		list = append(list, y)
	}
	return list
}

// hear waits until what the organisation orders is known and done, before anything is
// shown: not at all where the link has followed it while sotto was locked, and not long
// where the relay cannot be reached.
func (d *desk) hear(ctx context.Context, c *client.Client) {
	late := time.NewTimer(hearTime)
	defer late.Stop()
	look := time.NewTicker(hearLook)
	defer look.Stop()
	for {
		select {
		case <-c.Heard():
			return
		case <-ctx.Done():
			return
		case <-late.C:
			return
		case <-look.C:
			if s := c.State(); s.Phase == wire.Refused || !s.RetryAt.IsZero() {
				return // it has been tried
			}
		}
	}
}

// lost says that nothing may be shown, and why: the organisation was not heard for too
// long. It is "" as long as something may.
func lost(c *client.Client) string {
	m := c.Membership()
	if m != nil && m.Address() == m.Contact() {
		return "" // it is the one that is to be heard: nobody else could sign a head again
	}
	stands, _ := m.Stands(time.Now())
	switch stands {
	case policy.Lost:
		since := "it was joined"
		if at := m.Head().Issued; !at.IsZero() {
			since = at.Local().Format("15:04 on 2 January")
		}
		return fmt.Sprintf("sotto has not heard from %s since %s. It opens again once it has.", m.Organisation(), since)
	case policy.Behind:
		return fmt.Sprintf("The clock of this computer is behind what %s has said. Set it right; sotto opens again then.", m.Organisation())
	}
	return ""
}

// lease locks when the organisation was not heard for as long as its policy says.
func (d *desk) lease(ctx context.Context, c *client.Client) {
	look := time.NewTicker(leaseLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if words := lost(c); words != "" {
			d.self.Control.Send(&role.Ordered{Do: role.ToLock, Dealt: role.Dealt{Digest: make([]byte, 32)}, Words: words})
			return
		}
	}
}

// serviceHears is waiting for a service, which has no screen.
func serviceHears(ctx context.Context, c *client.Client) error {
	late := time.NewTimer(serviceHear)
	defer late.Stop()
	look := time.NewTicker(waitingLook)
	defer look.Stop()
	for {
		words := lost(c)
		if words == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return errors.New(words)
		case <-look.C:
		}
	}
}

// Keys of the screen that waits.
const (
	ctrlC = 0x03
	ctrlL = 0x0c
	ctrlQ = 0x11
	ctrlZ = 0x1a
)

// waits shows a plain screen as long as the lease is over. It reports whether the
// person has quit. Nothing else of sotto has been drawn yet, and no message is read.
func (d *desk) waits(ctx context.Context, c *client.Client) (quit bool) {
	shown := ""
	keys := make([]byte, 64)
	for ctx.Err() == nil {
		words := lost(c)
		if words == "" {
			break
		}
		width, height := d.term.Size()
		if now := waiting(words, linkWords(c.State()), width, height); now != shown {
			if d.screen.Dark() {
				break
			}
			d.term.Write(now)
			if shown == "" {
				d.self.Control.Send(&role.Ready{})
			}
			shown = now
		}
		if !typed(waitingLook) {
			continue
		}
		n, err := unix.Read(0, keys)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil || n == 0 {
			return true
		}
		d.self.Control.Send(&role.Activity{})
		for _, k := range keys[:n] {
			switch k {
			case ctrlC, ctrlQ:
				return true
			case ctrlL:
				d.dark()
				d.stop()
			case ctrlZ:
				d.self.Control.Send(&role.Stop{})
			}
		}
	}
	return false
}

// typed waits for a key at most the given time.
func typed(wait time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(os.Stdin.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(wait.Milliseconds()))
	return err == nil && n > 0
}

// linkWords says how the connection stands.
func linkWords(s client.State) string {
	switch s.Phase {
	case wire.Online:
		return "The relay is online. Waiting for the organisation."
	case wire.Connecting:
		return "Connecting to the relay."
	case wire.Refused:
		return "The relay refuses this device. " + s.Words.String()
	}
	words := "The relay cannot be reached. " + s.Words.String()
	if !s.RetryAt.IsZero() {
		words += " The next try is at " + s.RetryAt.Local().Format("15:04:05") + "."
	}
	return words
}

// waiting draws the screen: what a terminal is to write.
func waiting(words, link string, width, height int) string {
	var rows []string
	for i, part := range []string{"s o t t o", words, link, "Ctrl+L locks, Ctrl+Q quits"} {
		if i > 0 {
			rows = append(rows, "")
		}
		rows = append(rows, strings.Split(ansi.Wordwrap(part, max(1, min(width-2, 76)), ""), "\n")...)
	}
	for len(rows) > height && height > 0 { // the sentences stay
		rows = rows[1:]
	}
	var b strings.Builder
	b.WriteString(role.Clear)
	top := max(0, (height-len(rows))/2)
	for i, row := range rows {
		row = ansi.Truncate(strings.TrimSpace(row), max(1, width), "")
		fmt.Fprintf(&b, "\x1b[%d;%dH%s", top+i+1, max(0, (width-ansi.StringWidth(row))/2)+1, row)
	}
	return b.String()
}
