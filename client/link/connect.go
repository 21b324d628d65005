package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// connect begins an attempt to log in.
func (o *owner) connect() {
	a := o.acct
	relay := a.relay
	if relay == nil {
		relay = a.found
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &attempt{cancel: cancel, done: make(chan attemptEnd, 1), acct: a, password: a.current(), h: o.in.handled}
	j := &job{
		address: a.address, relay: relay, resource: a.login.Resource, legacy: a.login.Legacy, trust: a.trust,
		password: t.password, smID: o.smID, h: t.h, known: a.known, dial: o.dialer.connect, heard: newHeard(),
		timeout: o.cfg.LoginTimeout, log: o.cfg.Logger,
	}
	o.attempt = t
	o.enter(wire.Connecting, o.words, time.Time{})
	go func() {
		e, err := j.login(ctx)
		t.done <- attemptEnd{e, err}
	}()
}

// abandon gives up an attempt. If it succeeds all the same, its stream is ended.
func (o *owner) abandon() {
	t := o.attempt
	if t == nil {
		return
	}
	o.attempt, o.brokeAt = nil, time.Now()
	t.cancel()
	go func() {
		if end := <-t.done; end.err == nil {
			end.e.stream.end()
		}
	}()
}

// attempted takes the end of an attempt.
func (o *owner) attempted(end attemptEnd) {
	t := o.attempt
	o.attempt = nil
	t.cancel()
	if end.err == nil {
		o.online(t, end.e)
		return
	}
	f := o.overtaken(asFailure(end.err))
	o.cfg.Logger.Info("login failed", "err", f)
	if t.acct != o.acct || t.again { // the account was given anew meanwhile, perhaps with what was missing; or the machine slept
		o.connect()
		return
	}
	if errors.Is(f, errWrongPassword) {
		if o.acct.wrong++; o.acct.next != nil && o.acct.wrong < 2 {
			o.acct.useNext = !o.acct.useNext
			o.connect()
			return
		}
		o.acct.wrong = 0
	} else {
		o.acct.found = nil // it may have moved
	}
	o.wait(f)
}

// ghostFor is how long after it broke a connection may still arrive at the relay: cut
// in the middle of logging in, it may come to its turn there after the next one.
const ghostFor = time.Minute

// overtaken returns f, unless it says that another client took this one's place soon
// after a connection of this link broke. Then it was most likely that one, and nobody
// is there any more: the place is taken back. Two devices with one name do not push
// each other out for longer than ghostFor by that.
func (o *owner) overtaken(f *failure) *failure {
	if !errors.Is(f, errConflict) {
		o.brokeAt = time.Now()
		return f
	}
	if o.brokeAt.IsZero() || time.Since(o.brokeAt) > ghostFor {
		return f
	}
	return &failure{words: "The relay took a connection that had broken for a new one.", fresh: true, cause: f.cause}
}

// wait says why the link is offline and sets the time of the next attempt.
func (o *owner) wait(f *failure) {
	if f.fresh {
		o.smID = ""
	}
	switch f.course {
	case never:
		o.enter(wire.Refused, f.words, time.Time{})
		o.wrong = errors.Is(f, errWrongPassword)
	case later:
		o.failures++
		o.enter(wire.Offline, f.words, time.Now().Add(laterBackoff+rand.N(laterBackoff/5)))
	default:
		d := o.cfg.Backoff(o.failures)
		o.failures++
		o.enter(wire.Offline, f.words, time.Now().Add(d))
	}
}

// online takes over a stream that is logged in.
func (o *owner) online(t *attempt, e *entry) {
	o.stream, o.features, o.sm, o.smID = e.stream, e.features, e.sm, e.smID
	o.acct.found, o.acct.known, o.acct.wrong, o.acct.proven = e.relay, e.relay, 0, t.password
	o.answer, o.behind, o.ask, o.nudge, o.askedAt, o.pingID, o.unasked = false, false, true, false, time.Time{}, "", 0
	o.heardAt, o.hurry = time.Now(), false
	o.state = o.desk == nil || !o.desk.ready // after logging in, the relay takes a client for active
	o.words, o.resumed = "", e.resumed
	if e.resumed {
		done, err := o.out.ack(e.resumedH)
		if err != nil {
			o.violated(violation(err))
			return
		}
		o.settle(done)
		o.out.resend()
		o.in.resumed(t.h)
	} else {
		if e.failedN {
			if done, err := o.out.ack(e.failedH); err == nil {
				o.settle(done)
			}
		}
		o.address = e.address.String()
		o.session++
		o.change = nil
		o.out.renew(o.greeting()...)
		o.in.renew()
		o.present = presences{}
		o.roomsLost()
		o.forgetQuestions()
		if o.desk != nil {
			o.desk.blind = false // all of this session's are still to come
		}
	}
	o.cfg.Logger.Info("online", "resumed", e.resumed, "session", o.session, "sm", e.sm)
	o.enter(wire.Online, "", time.Time{})
	o.tellChange()
	o.enterRooms()
	for _, in := range e.early {
		if o.stream == nil {
			return
		}
		o.stanza(in, false)
	}
}

// greeting is what every new session begins with.
func (o *owner) greeting() []outgoing {
	carbons := stanza.NewIQ("set", "", o.newID(), stanza.New(stanza.NSCarbons, "enable"))
	presence := stanza.New(stanza.NSClient, "presence", stanza.Caps(capsNode, info))
	return []outgoing{{b: carbons.Bytes()}, {b: presence.Bytes()}}
}

// broken takes the loss of the stream, which must have been let go.
func (o *owner) broken(f *failure) {
	f = o.overtaken(f)
	o.cfg.Logger.Info("stream ended", "err", f)
	o.stream = nil
	o.forgetSecret()
	o.ask, o.askedAt = false, time.Time{}
	o.words = f.words
	if f.course == soon && !f.fresh && o.failures == 0 && o.sudden.Allow() {
		if o.lost.IsZero() {
			o.lost = time.Now()
		}
		o.connect()
		return
	}
	o.wait(f)
}

// forgetSecret clears what was to be offered to the writer.
func (o *owner) forgetSecret() {
	clear(o.secret)
	o.secret = nil
}

// violated ends the stream because the relay sent what it must not.
func (o *owner) violated(f *failure) {
	e := stanza.StreamError(f.reply)
	if errors.Is(f, errHandled) {
		e.Add(stanza.New(stanza.NSSM, "handled-count-too-high"))
	}
	o.stream.end(e)
	o.broken(f)
}

// logoff ends the stream in good order, and forgets the account and everything
// that was held for it.
func (o *owner) logoff() {
	o.abandon()
	o.endTransfers()
	o.endCalls()
	if o.stream != nil {
		var last []*stanza.Element
		if o.sm {
			last = append(last, stanza.SMAnswer(o.in.handled))
		}
		o.ending = o.stream.end(last...)
		o.stream = nil
	}
	o.forgetSecret()
	for _, x := range o.out.items {
		if x.wipe { // the others may still be on their way through the writer
			clear(x.b)
		}
	}
	o.acct, o.change, o.smID, o.failures, o.lost = nil, nil, "", 0, time.Time{}
	o.out, o.settled, o.refused = outbox{}, nil, false
	o.in, o.present, o.rooms = inbox{seq: o.in.seq}, presences{}, nil
	o.waiting, o.duty = waiting{}, nil
	o.enter(wire.Offline, "Logged off.", time.Time{})
}

// capsNode names sotto in XEP-0115.
const capsNode = "urn:x-sotto:client"

// info is what sotto says it is and can do. The desk does most of it.
var info = stanza.Info{
	Identities: []stanza.Identity{{Category: "client", Type: "console", Name: "sotto"}},
	Features: []string{
		stanza.NSCaps,
		stanza.NSDiscoInfo,
		stanza.NSReceipts,
		stanza.NSMarkers,
		stanza.NSPing,
		stanza.NSStanzaID,
		stanza.NSEME,
		stanza.NotifyDevices,
		stanza.NotifyBookmarks,
		stanza.NSMUC,
		stanza.NSConference,
	},
}

// ownAnswer reports whether an answer may come from where e says: this account,
// or its relay, as RFC 6120 section 8.1.2.1 lets a relay leave out or fill in.
func (o *owner) ownAnswer(from string) bool {
	bare := o.acct.address.String()
	return from == "" || from == bare || from == o.address || from == o.acct.address.Domainpart() ||
		strings.HasPrefix(from, bare+"/")
}
