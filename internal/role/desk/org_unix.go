//go:build unix

package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sotto/client"
	"sotto/client/admin"
	"sotto/client/admin/console"
	"sotto/client/job"
	"sotto/client/text"
	"sotto/internal/role"
)

// administer has a conversation about the organisation whose account this is.
func (d *desk) administer(ctx context.Context, c *client.Client, t role.Task) error {
	go drain(ctx, c)
	talk := console.Console{Client: c, Store: d.db, Wait: t.Wait}
	ended := make(chan error, 1)
	go func() { ended <- talk.Talk(ctx, os.Stdin, os.Stdout) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done(): // a read from a pipe cannot be called off
		return nil
	}
}

// drain takes the client's events, which nobody looks at.
func drain(ctx context.Context, c *client.Client) {
	for {
		select {
		case <-c.Events():
		case <-ctx.Done():
			return
		}
	}
}

// govern serves the organisation until it is told to end, and lets others talk to it.
func (d *desk) govern(ctx context.Context, c *client.Client, t role.Task) error {
	// A log that nobody reads any more is no reason to end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go drain(ctx, c)
	talk := console.Console{Client: c, Store: d.db, Wait: 30 * time.Second, Serving: true}
	o, err := talk.Organisation(ctx)
	if err != nil {
		return err
	}
	go func() {
		select {
		case door := <-d.given:
			context.AfterFunc(ctx, func() { door.Close() })
			job.Talks(ctx, d.handin, func() (io.ReadWriteCloser, error) { return role.Answer(door) }, func(ctx context.Context, rw io.ReadWriter) {
				talk.Talk(ctx, rw, rw)
			})
		case <-ctx.Done():
		}
	}()
	l := log{json: t.JSON}
	l.say("serving", fmt.Sprintf("serving %s", o.Name()))
	last, since := "", time.Now()
	return o.Serve(ctx, c, admin.Serving{
		Tell: func(list []admin.Happening) {
			for _, h := range list {
				l.say("letter", h.String())
			}
		},
		Round: func(left admin.Left) error {
			words := text.Line(left.Refused).String()
			switch s := c.State(); {
			case c.Online():
				since = time.Time{}
			case since.IsZero():
				since = time.Now()
				fallthrough
			case time.Since(since) < patience: // it may come back in a moment
				return nil
			default:
				words = "not connected"
				if !s.Words.Empty() {
					words += ": " + s.Words.String()
				}
			}
			if words != last {
				if last = words; words == "" {
					words = "online, and everything is published"
				}
				l.say("relay", words)
			}
			return nil
		},
	})
}

// patience is how long the relay may be away without a word in the log.
const patience = 5 * time.Second

// log writes what happens, a line each.
type log struct{ json bool }

func (l log) say(kind, words string) {
	words = text.Line(words).String()
	now := time.Now().UTC().Truncate(time.Second)
	if l.json {
		b, err := json.Marshal(map[string]string{"type": kind, "time": now.Format(time.RFC3339), "words": words})
		if err == nil {
			os.Stdout.Write(append(b, '\n'))
		}
		return
	}
	fmt.Fprintf(os.Stdout, "%s  %s\n", now.Format(time.RFC3339), words)
}
