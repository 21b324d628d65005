package link

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/awnumar/memguard"
	"golang.org/x/time/rate"

	"sotto/client/org/signer"
	"sotto/client/stanza"
	"sotto/client/wire"
)

// maxSettled bounds the ids that are kept for a desk that comes back.
const maxSettled = 4 * maxOut

// owner is the state of a link. Only the goroutine in run touches it.
type owner struct {
	*Link

	acct *account // nil before Login and after Logoff
	desk *desk    // nil when none is attached

	phase   wire.Phase
	since   time.Time // when phase began; for Offline, when the relay was lost
	lost    time.Time // when the relay was last online or first tried; zero when online
	retryAt time.Time
	words   string
	wrong   bool // refused because of the password
	session uint64
	rtt     time.Duration
	toldRTT time.Time

	attempt  *attempt
	failures int           // attempts that failed in a row, or led to a stream that broke without progress
	brokeAt  time.Time     // when a connection or an attempt ended last, but for a conflict
	sudden   *rate.Limiter // of attempts without any wait, so that a relay which cuts at once is not hammered

	stream   *stream
	address  string // full, when online
	features stanza.Features
	resumed  bool // the stream goes on with an earlier one's session
	sm       bool
	smID     string // what can be resumed; empty if nothing can
	ending   <-chan struct{}

	transfers map[uint64]*transfer // files that move
	fileMoves chan moved           // what they have for the desk

	calls  map[uint64]*calling // to the relay's HTTP interface
	called chan *calling       // their answers

	out     outbox
	in      inbox
	present presences
	rooms   map[string]*room // by bare address
	clock   clock
	settled []string    // ids to tell the desk
	duty    *duty       // nil: none was told
	key     *signer.Key // for acknowledgements; nil: none was asked for
	reports []Ordered   // to be told
	refused bool        // the outbox had no room for something; the desk has to be told what it holds

	// The relay's turn to speak and ours.
	idPrefix string // of our own requests
	idCount  uint64
	answer   bool      // an <a/> is due
	behind   bool      // the last <a/> said less than had come
	state    bool      // the relay is to be told active or inactive
	ask      bool      // an acknowledgement is wanted, or a sign of life
	nudge    bool      // ask even though an answer is still awaited
	hurry    bool      // the answer should come soon: the machine slept
	unasked  int       // stanzas sent since it was last asked for
	askedAt  time.Time // when it was asked for; zero when nothing is asked
	pingID   string    // without stream management: the ping that asks
	pingSent int       // how many stanzas were sent before it
	heardAt  time.Time // when the relay last said anything
	nextPing time.Time
	change   *change // of the password, under way
	secret   []byte  // a copy of an outgoing stanza that the writer will clear; nil if it has it
	waiting  waiting
	reported Status
}

// attempt is one login under way.
type attempt struct {
	cancel   context.CancelFunc
	done     chan attemptEnd // buffered: an attempt that nobody waits for can end
	password *memguard.Enclave
	acct     *account
	h        uint32 // what the relay was told to be handled
	again    bool   // begin anew at once if it fails
}

type attemptEnd struct {
	e   *entry
	err error
}

func newOwner(l *Link) *owner {
	return &owner{
		Link: l, phase: wire.Offline, since: time.Now(), clock: newClock(l.wall),
		sudden:   rate.NewLimiter(rate.Every(3*time.Second), 25),
		idPrefix: "link-" + rand.Text()[:10] + "-", transfers: make(map[uint64]*transfer), fileMoves: make(chan moved),
		calls: make(map[uint64]*calling), called: make(chan *calling),
	}
}

// run is the loop of the owner. Sending is a case of the select like receiving:
// what goes next is chosen anew each time, and nothing is built up ahead.
func (o *owner) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	waited := false // the relay had to wait for the desk
	for {
		o.report()
		var (
			deskIn    <-chan deskMessage
			deskOut   chan<- wire.Message
			relayIn   <-chan inbound
			relayOut  chan<- outbound
			attempted <-chan attemptEnd
			toDesk    wire.Message
			toRelay   outbound
			toldDesk  func()
			toldRelay func()
			ordered   chan<- Ordered
			toTell    Ordered
		)
		if o.desk != nil {
			deskIn = o.desk.in
			if toDesk, toldDesk = o.nextForDesk(); toDesk != nil {
				deskOut = o.desk.out
			}
		}
		if o.stream != nil {
			paused := o.paused()
			if !paused {
				relayIn = o.stream.in
			}
			if waited && !paused {
				o.heardAt = time.Now() // it was not silent, it was not listened to
			}
			waited = paused
			if toRelay, toldRelay = o.nextForRelay(); toRelay.b != nil {
				relayOut = o.stream.out
			}
		}
		if o.attempt != nil {
			attempted = o.attempt.done
		}
		if len(o.reports) > 0 {
			ordered, toTell = o.ordered, o.reports[0]
		}
		if o.clock.jumped() {
			o.woke()
			continue
		}
		timer.Reset(o.untilDue())
		select {
		case <-ctx.Done():
			return
		case <-o.quit:
			return
		case conn := <-o.attach:
			o.detach()
			o.desk = newDesk(conn)
		case m := <-deskIn:
			if m.err != nil {
				o.detach()
			} else {
				o.fromDesk(m.m)
			}
		case deskOut <- toDesk:
			toldDesk()
		case ordered <- toTell:
			o.reports = o.reports[1:]
		case x := <-o.fileMoves:
			o.filesMoved(x)
		case a := <-o.called:
			o.wasCalled(a)
		case in := <-relayIn:
			o.fromRelay(in)
		case relayOut <- toRelay:
			toldRelay()
		case end := <-attempted:
			o.attempted(end)
		case <-timer.C:
			o.due()
			o.tend()
			o.act()
		}
	}
}

// paused reports whether the desk is so far behind that the relay has to wait.
func (o *owner) paused() bool { return o.desk != nil && o.in.full() }

// untilDue is the time until due has something to do, or the clock is to be
// looked at.
func (o *owner) untilDue() time.Duration {
	var at time.Time
	switch {
	case o.stream != nil && !o.askedAt.IsZero() && !o.paused():
		at = o.deadline()
	case o.stream != nil && o.askedAt.IsZero() && !o.ask:
		at = o.nextPing
	case o.stream == nil && o.attempt == nil && o.acct != nil:
		at = o.retryAt
	}
	wait := time.Until(at)
	switch {
	case o.acct == nil || o.phase == wire.Refused:
		wait = time.Hour
	case at.IsZero():
		wait = lookAtClock
	default:
		wait = min(wait, lookAtClock)
	}
	if at := o.tendAt(); !at.IsZero() {
		wait = min(wait, time.Until(at))
	}
	return wait
}

// Bounds of the patience with a slow network.
const (
	slowest = 8 << 10         // bytes a second
	slow    = 2 * time.Minute // for one element, or for what was sent
)

// deadline is when a relay that was asked for a sign of life counts as gone. An
// element that is still coming is one, and what was sent before the question
// needs its time: else a slow network would never get a large stanza through.
func (o *owner) deadline() time.Time {
	from := o.askedAt
	if o.heardAt.After(from) {
		from = o.heardAt
	}
	if part := o.stream.heard.last(); part.After(from) {
		from = from.Add(min(part.Sub(from), slow))
	}
	patience := o.cfg.PingTimeout
	if o.hurry {
		patience /= 3
	}
	return from.Add(patience + min(time.Duration(o.out.flying)*time.Second/slowest, slow))
}

// pingEvery is the time between two signs of life. Without a desk it is longer,
// but shorter than the 50 and 60 seconds after which common proxies end a
// connection that is silent.
func (o *owner) pingEvery() time.Duration {
	if o.desk == nil {
		return o.cfg.PingEvery * 3 / 2
	}
	return o.cfg.PingEvery
}

// due does what time has brought.
func (o *owner) due() {
	now := time.Now()
	switch {
	case o.stream == nil && o.attempt == nil && o.acct != nil && !o.retryAt.IsZero() && !now.Before(o.retryAt):
		o.connect()
	case o.stream == nil:
	case !o.askedAt.IsZero() && !o.paused() && !now.Before(o.deadline()):
		o.stream.cut()
		o.broken(&failure{words: "The relay does not answer any more. Check the network.", cause: errors.New("no answer to a keepalive")})
	case o.askedAt.IsZero() && !now.Before(o.nextPing):
		o.ask = true
	}
}

// enter begins a phase.
func (o *owner) enter(p wire.Phase, words string, retryAt time.Time) {
	now := time.Now()
	if p != o.phase {
		o.since = now
	}
	switch p {
	case wire.Online:
		o.lost = time.Time{}
	case wire.Offline:
		if o.lost.IsZero() {
			o.lost = now
		}
		o.since = o.lost
	}
	o.phase, o.words, o.wrong, o.retryAt = p, wire.Sentence(words), false, retryAt
	if p != wire.Online {
		o.rtt = 0
	}
	o.tellState()
}

func (o *owner) tellState() {
	if o.desk != nil {
		o.desk.state = true
	}
}

// wireState is the state as the desk is told.
func (o *owner) wireState() wire.State {
	s := wire.State{Phase: o.phase, Session: o.session, RTT: o.rtt, Since: o.since, RetryAt: o.retryAt, Words: o.words, WrongPassword: o.wrong}
	if o.phase == wire.Online {
		s.Address = o.address
	}
	return s
}

// report puts the status for the lock screen into its channel if it changed.
func (o *owner) report() {
	s := Status{State: o.wireState(), Online: o.phase == wire.Online, Waiting: o.waiting.n, Stat: o.waiting.stat, Since: o.waiting.since}
	switch o.phase {
	case wire.Online:
		s.Words = "relay online"
	case wire.Connecting:
		s.Words = "connecting to the relay"
	case wire.Refused:
		s.Words = "relay refused"
	case wire.Offline:
		s.Words = "relay offline"
		if o.acct != nil {
			s.Words += " since " + o.since.Format("15:04")
		}
	}
	if s == o.reported {
		return
	}
	o.reported = s
	select {
	case <-o.status:
	default:
	}
	o.status <- s // there is room: only the owner sends
}
