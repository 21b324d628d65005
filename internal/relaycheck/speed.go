package relaycheck

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sotto/client/stanza"
)

// What is measured, and what it should come to at least.
const (
	pings       = 100
	slowPing    = 500 * time.Millisecond
	burst       = 100 // messages of 1 KiB
	burstLimit  = 5 * time.Second
	slowBurst   = 40  // a second
	leastStanza = 128 // KiB: a message for hundreds of devices
)

// speed measures how long the relay takes, and how much it takes.
func (s *scene) speed(ctx context.Context) {
	s.roundtrip(ctx)
	s.throughput(ctx)
}

func (s *scene) roundtrip(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, s.limit(5*time.Second))
	defer cancel()
	var took []time.Duration
	for range pings {
		start := time.Now()
		if _, err := s.one.get(within, s.As.Address.Domainpart(), stanza.Ping()); err != nil && !refused(err) {
			break
		}
		took = append(took, time.Since(start))
	}
	if len(took) == 0 {
		s.set("speed.roundtrip", bad("no answer", "The relay does not answer in five seconds.", "See what holds it up."))
		return
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[min(len(took)-1, len(took)*99/100)]
	found := fmt.Sprintf("p50 %s, p99 %s, of %d pings", ms(p50), ms(p99), len(took))
	if p50 > slowPing {
		s.set("speed.roundtrip", weak(found, "Everything takes its time.", "See what holds the relay or the network up."))
		return
	}
	s.set("speed.roundtrip", good("%s", found))
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// throughput sends messages that are not archived from one session to another.
func (s *scene) throughput(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, s.limit(burstLimit))
	defer cancel()
	prefix := s.run + "-t"
	start := time.Now()
	sent := make(chan error, 1)
	go func() {
		for i := range burst {
			m := headline(s.two.full.String(), fmt.Sprintf("%s%d", prefix, i), 1024)
			if err := s.one.p.Send(ctx, m); err != nil {
				sent <- err
				return
			}
			if within.Err() != nil {
				break
			}
		}
		sent <- nil
	}()
	came := 0
	for came < burst {
		_, err := s.two.await(within, func(e *stanza.Element) bool {
			return e.Is(stanza.NSClient, "message") && strings.HasPrefix(e.Get("id"), prefix)
		})
		if err != nil {
			break
		}
		came++
	}
	took := time.Since(start)
	select { // a relay that reads slowly holds the sender up, which ends with the part
	case <-sent:
	case <-ctx.Done():
	}
	rate := float64(came) / took.Seconds()
	found := fmt.Sprintf("%.0f messages of 1 KiB a second", rate)
	if rate < slowBurst {
		s.set("speed.throughput", weak(found, "Catching up after a day takes long, and files of a busy morning queue.", "Raise the rate that the relay allows one connection."))
		return
	}
	s.set("speed.throughput", good("%s", found))
}

// headline is a message that is neither archived nor kept.
func headline(to, id string, size int) *stanza.Element {
	return stanza.NewChat(to, id, stanza.NoStoreHint(), stanza.TextElement("urn:sotto:relaycheck", "fill", strings.Repeat("x", size))).With("type", "headline")
}

// limits sends ever larger stanzas to itself, from a session of its own, because
// a relay ends it for one that is too large.
func (s *scene) limits(ctx context.Context) {
	probe, err := s.login(ctx, s.As)
	if err != nil {
		s.set("limits.stanza", skip("%s", why(err)))
		return
	}
	defer func() { probe.close() }()
	largest := 0
	for _, kib := range []int{32, 128, 250, 500, 1000} {
		id := fmt.Sprintf("%s-l%d", s.run, kib)
		if probe.send(ctx, headline(probe.full.String(), id, kib<<10)) != nil {
			break
		}
		if _, err := probe.within(ctx, 5*time.Second, withID(id)); err != nil {
			break
		}
		largest = kib
	}
	switch {
	case largest < leastStanza:
		s.set("limits.stanza", weak(fmt.Sprintf("%d KiB", largest), "A message to a large group, encrypted for each device, does not fit.", fmt.Sprintf("Allow stanzas of %d KiB or more.", 2*leastStanza)))
	case largest == 1000:
		s.set("limits.stanza", good("1000 KiB or more"))
	default:
		s.set("limits.stanza", good("%d KiB", largest))
	}
}
