// Package job is what programs have a messenger do, without a screen and without a
// person: send one message and say what became of it, write what comes as lines of
// JSON, look at devices. docs/headless.md says how that looks from outside.
//
// A job is the one reader of the client's events while it runs.
package job

import (
	"context"
	"fmt"
	"time"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/wire"
)

// trustWord is how a trust is written.
func trustWord(t store.Trust) string {
	switch t {
	case store.Verified:
		return "compared"
	case store.FirstUse:
		return "first-use"
	case store.Distrusted:
		return "refused"
	case store.Signed:
		return "signed"
	case store.Withdrawn:
		return "withdrawn"
	}
	return "not-compared"
}

// phaseWord is how the connection's phase is written.
func phaseWord(s client.State) string {
	switch s.Phase {
	case wire.Online:
		return "online"
	case wire.Refused:
		return "refused"
	}
	return "offline"
}

// lookAgain is how often a job that waits looks again without an event.
const lookAgain = 100 * time.Millisecond

// until waits until something is so, looking again whenever anything changes. It
// reports false when the time is over or the relay does not want this account, which
// no waiting cures; an error is that of so, or the end of ctx.
func until(ctx context.Context, c *client.Client, wait time.Duration, so func() (bool, error)) (bool, error) {
	late := time.NewTimer(wait)
	defer late.Stop()
	look := time.NewTicker(lookAgain) // an answer that brings nothing new is no event
	defer look.Stop()
	for {
		yes, err := so()
		if yes || err != nil {
			return yes, err
		}
		if c.State().Phase == wire.Refused {
			return false, nil
		}
		select {
		case <-c.Events():
		case <-look.C:
		case <-late.C:
			return so() // it may have become so just now
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// offline says why the relay could not be asked.
func offline(c *client.Client) error {
	s := c.State()
	switch {
	case s.Phase == wire.Online:
		return fmt.Errorf("the relay does not answer in time")
	case !s.Words.Empty():
		return fmt.Errorf("not connected: %s", s.Words)
	}
	return fmt.Errorf("the relay could not be reached in time")
}
