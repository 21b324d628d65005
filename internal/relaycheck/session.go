package relaycheck

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/link"
	"sotto/client/stanza"
)

// maxKept bounds the stanzas that came unasked and are kept for await.
const maxKept = 4096

var errEnded = errors.New("the stream has ended")

// session is a stream that is logged in and bound. It announces no presence, or
// one that takes nothing that is meant for the person. Its methods are for one
// goroutine.
type session struct {
	p    *link.Probe
	full jid.JID
	stop context.CancelFunc

	in   chan *stanza.Element // closed when the stream has ended
	kept []*stanza.Element
	next int // number of the next request
	run  string
	slow int // examination.Patience

	managed atomic.Bool   // XEP-0198 is on
	handled atomic.Uint32 // stanzas that came since
	sm      stanza.SMEnabled
}

// login opens a session of an account.
func (x *examination) login(ctx context.Context, a *Account) (*session, error) {
	p, err := x.authenticated(ctx, a)
	if err != nil {
		return nil, err
	}
	x.sessions++ // a resource of its own, or the relay ends the one before
	full, err := p.Bind(ctx, x.run+"-"+strconv.Itoa(x.sessions))
	if err != nil {
		p.Close()
		return nil, err
	}
	s := &session{full: full, run: x.run, slow: x.Patience}
	s.listen(p)
	return s, nil
}

func (x *examination) authenticated(ctx context.Context, a *Account) (*link.Probe, error) {
	t := x.target
	t.Domain = a.Address.Domainpart()
	p, err := t.Open(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.Login(ctx, a.Address, a.Password); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// listen begins to read a stream.
func (s *session) listen(p *link.Probe) {
	ctx, stop := context.WithCancel(context.Background())
	s.p, s.stop, s.in = p, stop, make(chan *stanza.Element, 64)
	go s.reader(ctx, p, s.in)
}

func (s *session) reader(ctx context.Context, p *link.Probe, in chan<- *stanza.Element) {
	defer close(in)
	for {
		e, err := p.Receive(ctx)
		if err != nil {
			return
		}
		switch {
		case e.Is(stanza.NSSM, "enabled"), e.Is(stanza.NSSM, "resumed"):
			s.managed.Store(true)
		case e.Is(stanza.NSSM, "r"):
			if p.Send(ctx, stanza.SMAnswer(s.handled.Load())) != nil {
				return
			}
			continue
		case e.Space == stanza.NSClient && s.managed.Load():
			s.handled.Add(1)
		}
		if stanza.IsPing(e) {
			if p.Send(ctx, stanza.Result(e, nil)) != nil {
				return
			}
			continue
		}
		select {
		case in <- e:
		case <-ctx.Done():
			return
		}
	}
}

// close ends the session in good order.
func (s *session) close() {
	s.p.Close()
	s.stop()
}

func (s *session) send(ctx context.Context, e *stanza.Element) error { return s.p.Send(ctx, e) }

// await returns the first element, already here or yet to come, that is wanted.
func (s *session) await(ctx context.Context, want func(*stanza.Element) bool) (*stanza.Element, error) {
	for i, e := range s.kept {
		if want(e) {
			s.kept = append(s.kept[:i:i], s.kept[i+1:]...)
			return e, nil
		}
	}
	for {
		select {
		case e, ok := <-s.in:
			if !ok {
				return nil, errEnded
			}
			if want(e) {
				return e, nil
			}
			if len(s.kept) < maxKept {
				s.kept = append(s.kept, e)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// within is await with a time limit of its own, which is longer with patience.
func (s *session) within(ctx context.Context, d time.Duration, want func(*stanza.Element) bool) (*stanza.Element, error) {
	ctx, cancel := context.WithTimeout(ctx, d*time.Duration(max(1, s.slow)))
	defer cancel()
	return s.await(ctx, want)
}

// query sends an IQ and returns the answer. One of type error is a
// *stanza.StanzaError.
func (s *session) query(ctx context.Context, typ, to string, payload *stanza.Element) (*stanza.Element, error) {
	s.next++
	id := s.run + "-" + strconv.Itoa(s.next)
	if err := s.send(ctx, stanza.NewIQ(typ, to, id, payload)); err != nil {
		return nil, err
	}
	e, err := s.within(ctx, 8*time.Second, func(e *stanza.Element) bool {
		t := e.Get("type")
		return e.Is(stanza.NSClient, "iq") && e.Get("id") == id && (t == "result" || t == "error")
	})
	if err != nil {
		return nil, err
	}
	if s := stanza.ReadError(e); s != nil {
		return e, s
	}
	return e, nil
}

func (s *session) get(ctx context.Context, to string, payload *stanza.Element) (*stanza.Element, error) {
	return s.query(ctx, "get", to, payload)
}

func (s *session) set(ctx context.Context, to string, payload *stanza.Element) (*stanza.Element, error) {
	return s.query(ctx, "set", to, payload)
}

// enable turns stream management on; false if the relay refuses.
func (s *session) enable(ctx context.Context) (bool, error) {
	if err := s.send(ctx, stanza.SMEnable()); err != nil {
		return false, err
	}
	e, err := s.within(ctx, 5*time.Second, func(e *stanza.Element) bool { return e.Space == stanza.NSSM })
	if err != nil {
		return false, err
	}
	s.sm = stanza.ReadSMEnabled(e)
	return e.Is(stanza.NSSM, "enabled"), nil
}

// withID wants the message with an id.
func withID(id string) func(*stanza.Element) bool {
	return func(e *stanza.Element) bool { return e.Is(stanza.NSClient, "message") && e.Get("id") == id }
}

// refused says whether a relay said no, and not that something else failed.
func refused(err error) bool {
	var s *stanza.StanzaError
	return errors.As(err, &s)
}

// why says in words what went wrong.
func why(err error) string {
	var s *stanza.StanzaError
	switch {
	case err == nil:
		return "it makes no sense"
	case errors.As(err, &s):
		return s.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "the relay did not answer in time"
	case errors.Is(err, errEnded):
		return "the relay ended the connection"
	}
	return link.Words(err)
}
