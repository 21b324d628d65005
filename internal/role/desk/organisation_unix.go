//go:build unix

package desk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"

	"sotto/client"
	"sotto/client/audit"
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
	ordersTime  = 10 * time.Second       // that orders may take once the organisation was heard
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
	d.why.because(audit.ByOrder)
	if x.Do == order.LogOff && d.setup.Task.Job != role.Screen {
		d.logsOff.Store(true) // there is no watch that says so to the next desk
	}
	d.self.Control.Send(m)
}

// warrant tells the watch by whose word this device may be wiped.
func (d *desk) warrant(w client.Warrant) {
	d.self.Control.Send(&role.Warrant{Anchor: w.Anchor, Address: w.Self.Address, Device: int64(w.Self.Device), Roles: w.Self.Roles, Since: w.Since, Contact: w.Self.Contact})
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
// where the relay cannot be reached. An order that has come and ends this run is waited
// for however long it takes: what is on its way to be wiped is not shown first.
func (d *desk) hear(ctx context.Context, c *client.Client) {
	late := time.Now().Add(hearTime)
	look := time.NewTicker(hearLook)
	defer look.Stop()
	for {
		select {
		case <-c.Heard():
			return
		case <-ctx.Done():
			return
		case <-look.C:
			s := c.State()
			tried := s.Phase == wire.Refused || !s.RetryAt.IsZero()
			if (tried || time.Now().After(late)) && !c.Ending() {
				return
			}
		}
	}
}

// lost says that nothing may be shown, and why: the organisation was not heard for too
// long. It is "" as long as something may.
func lost(c *client.Client) string {
	m := c.Membership()
	switch stands, _ := m.Stands(time.Now()); stands {
	case policy.Lost:
		if held := c.Organisation().Withheld; !held.Empty() {
			return fmt.Sprintf("sotto has not had everything from %s since %s. It opens again once it has. %s. Tell your administrator.", m.Organisation(), moment(m.Heard()), held)
		}
		return fmt.Sprintf("sotto has not heard from %s since %s. It opens again once it has.", m.Organisation(), moment(m.Heard()))
	case policy.Behind:
		return fmt.Sprintf("The clock of this computer is behind: it was %s before. Set it right; sotto opens again then. If it is right, it was ahead, and sotto opens again at that time.",
			moment(m.Latest()))
	}
	return ""
}

func moment(t time.Time) string { return t.Local().Format("15:04 on 2 January 2006") }

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
			d.why.because(audit.LeaseEnded)
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
	shown, words := "", ""
	var heard time.Time // when it was again
	keys := make([]byte, 64)
	for ctx.Err() == nil {
		switch now := lost(c); {
		case now != "":
			words, heard = now, time.Time{}
		case shown == "": // it is not over
			return false
		case heard.IsZero():
			heard = time.Now()
		}
		if !heard.IsZero() && (obeyed(c) || time.Since(heard) > ordersTime) {
			break
		}
		width, height := d.term.Size()
		if now := waiting(words, linkWords(c.State()), time.Now(), width, height); now != shown {
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
				d.why.because(audit.ByPerson)
				d.dark()
				d.stop()
			case ctrlZ:
				d.self.Control.Send(&role.Stop{})
			}
		}
	}
	return false
}

// obeyed reports whether nothing that the newest head orders is left to do.
func obeyed(c *client.Client) bool {
	m := c.Membership()
	return len(m.Ledger().Missing(m.Head().Orders)) == 0
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

// waiting draws the screen: what a terminal is to write. It shows the time because a
// clock that is wrong may be why.
func waiting(words, link string, now time.Time, width, height int) string {
	var rows []string
	clock := "By this computer's clock it is " + moment(now) + "."
	for i, part := range []string{"s o t t o", words, clock, link, "Ctrl+L locks, Ctrl+Q quits"} {
		if i > 0 {
			rows = append(rows, "")
		}
		rows = append(rows, strings.Split(ansi.Wordwrap(part, max(1, min(width-2, 76)), ""), "\n")...)
	}
	if height > 0 && len(rows) > height { // the sentences stay, the first of them longest
		rows = slices.DeleteFunc(rows[1:], func(row string) bool { return row == "" })
		rows = rows[:min(height, len(rows))]
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
