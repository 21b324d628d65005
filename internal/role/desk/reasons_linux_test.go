package desk

import (
	"context"
	"strings"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/membership"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/store"
	"sotto/internal/role"
	"sotto/tui"
)

// TestReasonsReachTheLog: that the organisation has locked a device, or was not heard
// for too long, is in its audit log, of a desk with screens and of a service, which has
// no watch that tells the next desk that it is logged off.
func TestReasonsReachTheLog(t *testing.T) {
	gives := func(do order.Action) func(*desk, *client.Client) {
		return func(d *desk, _ *client.Client) { d.ordered(client.Ordered{Do: do, Number: 1}) }
	}
	waits := func(d *desk, c *client.Client) { d.lease(t.Context(), c) }
	for what, x := range map[string]struct {
		job     role.Job
		end     func(*desk, *client.Client)
		want    string
		logsOff bool
	}{
		"a lock":                 {role.Screen, gives(order.Lock), "by-order", false},
		"a lock of a service":    {role.Listening, gives(order.Lock), "by-order", false},
		"a log-off":              {role.Screen, gives(order.LogOff), "by-order", false}, // the watch tells the next desk
		"a log-off of a service": {role.Listening, gives(order.LogOff), "by-order", true},
		"the lease":              {role.Screen, waits, "lease-ended", false},
		"the lease of a service": {role.Listening, waits, "lease-ended", false},
	} {
		t.Run(what, func(t *testing.T) {
			db, err := store.OpenMemory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			c := memberIn(t, db, "alice@ward.example", time.Now().AddDate(0, -3, 0), func(*store.Tx, *membership.Membership, *orgtest.Key) error { return nil })
			if err := c.Unlocked(t.Context(), client.Opening{}); err != nil {
				t.Fatal(err)
			}
			ours, theirs, err := role.Pair()
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			defer ours.Close()
			d := &desk{self: &role.Self{Control: role.NewControl(ours)}, setup: &role.DeskSetup{Task: role.Task{Job: x.job}}}
			x.end(d, c)
			d.written(c, tui.Ended)
			var log strings.Builder
			if err := db.View(context.Background(), func(tx *store.Tx) error {
				return tx.AuditLines(0, 1000, func(_ int64, line, _ []byte) { log.Write(append(line, '\n')) })
			}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), " lock reason="+x.want) || strings.Contains(log.String(), " log-off reason=") != x.logsOff ||
				x.logsOff && !strings.Contains(log.String(), " log-off reason="+x.want) {
				t.Errorf("the log says:\n%s", log.String())
			}
		})
	}
}
