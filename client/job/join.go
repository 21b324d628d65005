package job

import (
	"context"
	"errors"
	"time"

	"sotto/client"
	"sotto/client/store"
)

// Join waits until the organisation has answered this device's request to be let in,
// but not longer than told. The request is kept whatever happens, and goes on with
// the next job. The result's state is Delivered, Queued or Failed.
func Join(ctx context.Context, c *client.Client, wait time.Duration) (Sent, error) {
	asked := c.Joining()
	_, err := until(ctx, c, wait, func() (bool, error) { return !c.Joining().Waiting(), nil })
	if err != nil && !errors.Is(err, ctx.Err()) {
		return Sent{}, err
	}
	switch j := c.Joining(); {
	case !asked.Active():
		return Sent{State: store.Delivered, Reason: "This device has joined already"}, nil
	case !j.Active():
		return Sent{State: store.Delivered, Reason: asked.Organisation.String() + " has taken this device in"}, nil
	case j.Waiting():
		reason := asked.Organisation.String() + " has not let this device in yet. " + j.Words.String()
		if state := c.State(); !state.Words.Empty() {
			reason = asked.Organisation.String() + " was not reached. " + state.Words.String()
		}
		return Sent{State: store.Queued, Reason: reason + ". The request is kept, and sotto listen and sotto send go on with it"}, nil
	default:
		return Sent{State: store.Failed, Reason: j.Words.String()}, nil
	}
}
