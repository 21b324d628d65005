//go:build unix

package desk

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sotto/client"
	"sotto/client/job"
	"sotto/client/store"
	"sotto/internal/role"
)

var (
	errLinkEnded  = errors.New("the connection process ended unexpectedly. Nothing that was kept is lost; run it again")
	errReaderGone = errors.New("what read standard output is gone. What it did not get comes the next time")
)

// work does the task that this desk was started for, on standard input and output.
func (d *desk) work(ctx context.Context, c *client.Client) error {
	t := d.setup.Task
	if t.Peer != "" {
		// Lines and lists name addresses as they are stored.
		var err error
		if t.Peer, err = c.Address(t.Peer); err != nil {
			return err
		}
	}
	if t.Job == role.Sending || t.Job == role.Trusting {
		if err := c.In(); err != nil {
			return err
		}
	}
	switch t.Job {
	case role.Joining:
		joined, err := job.Join(ctx, c, t.Wait)
		if err != nil {
			return err
		}
		return d.self.Control.Send(outcome(joined))
	case role.Sending:
		return d.send(ctx, c, t)
	case role.Listening:
		return d.write(ctx, c, t)
	case role.Collecting:
		return d.collect(ctx, c)
	case role.Trusting:
		look := job.Looking{Whom: t.Peer, Wait: t.Wait, JSON: t.JSON, Out: os.Stdout}
		if t.Fingerprint != "" {
			fp, err := job.ParseFingerprint(t.Fingerprint)
			if err != nil {
				return err
			}
			look.Compared = &fp
		}
		return job.Devices(ctx, c, look)
	case role.Administering:
		return d.administer(ctx, c, t)
	case role.Governing:
		return d.govern(ctx, c, t)
	}
	return errors.New("this desk does not know what to do")
}

func (d *desk) send(ctx context.Context, c *client.Client, t role.Task) error {
	s := job.Sending{To: t.Peer, Text: os.Stdin, Urgency: t.Urgency, Wait: t.Wait}
	if t.File != "" {
		select {
		case f := <-d.given:
			defer f.Close()
			s.Name, s.File = t.File, f
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	sent, err := job.Send(ctx, c, s)
	if err != nil {
		return err
	}
	if err := d.self.Control.Send(outcome(sent)); err != nil {
		return err
	}
	// Whoever asked knows now. What the log has about it would wait for the next run,
	// which may be long after.
	ctx, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	c.HandInAudit(ctx)
	return nil
}

// auditPatience is how long a program that has sent its message waits for the relay to
// take what the audit log has about it.
const auditPatience = 3 * time.Second

// through sends what standard input says through a process that listens. This desk
// opens no database and has no link.
func (d *desk) through(ctx context.Context) (int, error) {
	if err := d.confine(); err != nil {
		return 0, err
	}
	go d.listen()
	go d.signals()
	t := d.setup.Task
	if t.Job == role.Administering {
		return role.ExitQuit, job.TalkThrough(ctx, d.handin, d.self.Link, os.Stdin, os.Stdout)
	}
	sent, err := job.Through(ctx, d.handin, d.self.Link, job.Sending{To: t.Peer, Text: os.Stdin, Urgency: t.Urgency, Wait: t.Wait})
	if err != nil {
		return 0, err
	}
	return role.ExitQuit, d.self.Control.Send(outcome(sent))
}

func outcome(sent job.Sent) *role.Outcome {
	o := &role.Outcome{ID: sent.ID, Reason: sent.Reason}
	switch sent.State {
	case store.Queued:
		o.Standing = role.Queued
	case store.Sent:
		o.Standing = role.Sent
	case store.Delivered, store.Read:
		o.Standing = role.Delivered
	case store.Failed:
		o.Standing = role.Refused
	}
	if sent.Refused {
		o.Standing = role.Refused
	}
	return o
}

// write writes what comes, until it is told to end or nobody reads it any more.
func (d *desk) write(ctx context.Context, c *client.Client, t role.Task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Else the first write that nobody reads would end this process at once.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go func() {
		if readerGone(1) {
			cancel(errReaderGone)
		}
	}()
	l := job.Listening{Out: os.Stdout, From: t.Peer, Once: t.Once, Wait: t.Wait, ComparedOnly: d.setup.ComparedOnly}
	if info, err := os.Stdout.Stat(); err == nil && info.Mode().IsRegular() {
		l.Flush = os.Stdout.Sync
	}
	if t.Ack {
		l.Ack = os.Stdin
	}
	go func() {
		select {
		case door := <-d.given:
			context.AfterFunc(ctx, func() { door.Close() })
			job.Handins(ctx, c, d.handin, func() (io.ReadWriteCloser, error) { return role.Answer(door) })
		case <-ctx.Done():
		}
	}()
	err := job.Listen(ctx, c, l)
	if errors.Is(err, syscall.EPIPE) || err == nil && errors.Is(context.Cause(ctx), errReaderGone) {
		return errReaderGone
	}
	return err
}

// readerGone waits until nobody can read a pipe or a socket any more. It returns
// false where that can't be known.
func readerGone(fd int32) bool {
	for {
		fds := []unix.PollFd{{Fd: fd}}
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil || fds[0].Revents&unix.POLLNVAL != 0:
			return false
		case fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			return true
		}
	}
}
