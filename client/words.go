package client

import (
	"fmt"
	"strconv"
	"strings"

	"sotto/client/store"
	"sotto/client/text"
)

// lineOf makes one of our own sentences Safe. What it quotes from elsewhere is
// made safe with it.
func lineOf(format string, args ...any) text.Safe { return text.Line(fmt.Sprintf(format, args...)) }

// nameOf is what a person is called: the roster's name, else the address.
func nameOf(name, peer string) text.Safe {
	if n := text.Line(strings.TrimSpace(name)); !n.Empty() {
		return n
	}
	return text.Line(peer)
}

// short is what a person is called within a sentence: "Okafor" for
// "Okafor, Ada", and "okafor" for okafor@mercy.example without a name.
func (c *Client) short(peer string) string {
	c.mu.Lock()
	name := c.names[peer]
	c.mu.Unlock()
	if name == "" {
		name = c.signedName(peer, "")
	}
	if last, _, ok := strings.Cut(name, ","); ok {
		name = last
	}
	if name = strings.TrimSpace(name); name == "" {
		name, _, _ = strings.Cut(peer, "@")
	}
	return text.Line(name).String()
}

// whyName names the stored reason why a message is queued or failed.
func whyName(id int64) string { return "why." + strconv.FormatInt(id, 10) }

// urgencyOf reads the mark at the start of a message's text.
func urgencyOf(body string) int {
	switch {
	case hasMark(body, "!stat"):
		return store.Stat
	case hasMark(body, "!urgent"):
		return store.Urgent
	}
	return store.Routine
}

// hasMark reports whether body starts with the word mark, in any case.
func hasMark(body, mark string) bool {
	body = strings.TrimLeft(body, " \t\r\n")
	if len(body) < len(mark) || !strings.EqualFold(body[:len(mark)], mark) {
		return false
	}
	rest := body[len(mark):]
	return rest == "" || strings.ContainsAny(rest[:1], " \t\r\n:,.!-")
}

// securityOf sums up a person's devices.
func securityOf(rows []store.PeerDevice, name string, own bool, ownID uint32) Security {
	var s Security
	for i := range rows {
		d := &rows[i]
		if !d.Active || own && d.ID == ownID {
			continue
		}
		s.Devices++
		switch d.Trust {
		case store.Verified:
			s.Trusted++
			s.Verified++
		case store.FirstUse:
			s.Trusted++
		case store.Undecided:
			s.Undecided++
		}
	}
	switch {
	case own && s.Undecided > 0:
		s.Warn, s.Words = true, lineOf("You have %s. Nothing is sent to it until you compare: /trust", newDevices(s.Undecided))
	case s.Undecided > 0:
		s.Warn, s.Words = true, lineOf("%s has %s. Nothing is sent to it until you compare: /trust", name, newDevices(s.Undecided))
	case own && s.Devices == 0:
		s.Words = lineOf("your own address: you have no other device to send notes to")
	case own && s.Trusted == 0:
		s.Warn, s.Words = true, lineOf("no other device of yours is trusted: nothing can be sent. Compare: /trust")
	case s.Devices == 0:
		s.Words = lineOf("no device of %s seen yet", name)
	case s.Trusted == 0:
		s.Warn, s.Words = true, lineOf("no device of %s is trusted: nothing can be sent. Compare: /trust", name)
	case s.Verified == s.Trusted:
		s.Words = lineOf("encrypted, %s compared", count(s.Trusted, "device"))
	case s.Verified == 0 && s.Trusted < 10: // beyond, it would not fit beside a name
		s.Words = lineOf("encrypted, %s, not compared", count(s.Trusted, "device"))
	default:
		s.Words = lineOf("encrypted, %d of %d compared", s.Verified, s.Trusted)
	}
	return s
}

func newDevices(n int) string {
	if n == 1 {
		return "a new device"
	}
	return fmt.Sprintf("%d new devices", n)
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
