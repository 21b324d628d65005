//go:build unix

package desk

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"sotto/client"
	"sotto/client/job"
	"sotto/client/store"
	"sotto/internal/role"
)

// collector opens the folder of audit logs, if that is what this desk is for.
func (d *desk) collector(ctx context.Context, db *store.Store, address string) (*job.Collector, error) {
	t := d.setup.Task
	if t.Job != role.Collecting {
		return nil, nil
	}
	return job.OpenCollector(ctx, db, job.Collecting{
		Dir: filepath.Join(d.setup.Profile.Data, job.CollectFolder), Address: address, Silence: t.Silence, JSON: t.JSON, Out: os.Stdout,
	})
}

// collect collects until it is told to end.
func (d *desk) collect(ctx context.Context, c *client.Client) error {
	// Else the first line that nobody reads would end this process at once.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return d.collecting.Work(ctx, c)
}

// audits does what is asked of this device's own audit log, without a relay.
func (d *desk) audits(ctx context.Context, c *client.Client) (int, error) {
	go d.listen()
	go d.signals()
	o := &role.Outcome{Standing: role.Delivered}
	if d.setup.Task.Job == role.Showing {
		key, _, err := c.CollectorKey(ctx)
		if err != nil {
			return 0, err
		}
		o.Reason = key.String()
	} else {
		r, err := c.VerifyLog(ctx)
		if err != nil {
			return 0, err
		}
		if o.Reason = r.Words(); !r.Sound() {
			o.Standing = role.Refused
		}
	}
	return role.ExitQuit, d.self.Control.Send(o)
}
