//go:build unix

package desk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/internal/role"
	"sotto/keystore/recovery"
)

// archive writes a backup, or restores one, under the sandbox: into files that this
// process was given and could not open. There is no link.
func (d *desk) archive(ctx context.Context, c *client.Client, key *memguard.LockedBuffer) (int, error) {
	a := d.setup.Task.Archive
	if words := lost(c); words != "" {
		return 0, errors.New(words)
	}
	go d.listen()
	go d.signals()
	if d.atTerminal() {
		go d.interrupted()
	}
	var files []*os.File
	for range max(1, a.Count) {
		select {
		case f := <-d.given:
			defer f.Close()
			files = append(files, f)
		case <-ctx.Done():
			return 0, errEnded
		}
	}
	done := &role.Archived{}
	if d.setup.Task.Job == role.BackingUp {
		saved, err := c.Backup(ctx, files[0], client.BackupPlan{
			To: a.To, Whole: a.Whole, NoFiles: a.NoFiles, Series: a.Series, Segment: a.Segment, Kept: a.Kept, Progress: d.progress("Writing the backup"),
		})
		if err != nil {
			return 0, ended(ctx, err)
		}
		*done = role.Archived{Messages: saved.Messages, Files: saved.Files, Bytes: saved.Bytes, Series: saved.Series, Segment: saved.Segment, Keys: saved.Keys}
	} else {
		if key == nil {
			return 0, errors.New("there is no key to open the backup with")
		}
		k, err := recovery.FromSecret(key)
		if err != nil {
			return 0, err
		}
		defer k.Destroy()
		id, err := k.Identity()
		if err != nil {
			return 0, err
		}
		restored, err := c.Restore(ctx, files, id, d.progress("Restoring"))
		if err != nil {
			return 0, ended(ctx, err)
		}
		*done = role.Archived{Messages: restored.Messages, Present: restored.Present, Files: restored.Files}
	}
	return role.ExitQuit, d.self.Control.Send(done)
}

var errEnded = errors.New("it was ended before it was done. Run it again: nothing is lost, and what was restored stays")

func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errEnded
	}
	return err
}

// halfRestored returns what is said before the messages while some of them are missing
// because restoring was cut off; "" if none are.
func halfRestored(ctx context.Context, c *client.Client) (string, error) {
	half, err := c.HalfRestored(ctx)
	if err != nil || !half {
		return "", err
	}
	return "Restoring was cut off, and messages are missing. Quit, and run sotto restore again.", nil
}

// atTerminal says whether a person sees what this desk does.
func (d *desk) atTerminal() bool { return len(d.setup.Terminal) > 0 }

// progress shows how far something is.
func (d *desk) progress(doing string) func(int) {
	if !d.atTerminal() {
		return nil
	}
	show := func(n int) {
		d.term.Write(fmt.Sprintf("%s%s ... %d messages (Ctrl+C ends it)", role.Clear, doing, n))
	}
	show(0)
	return show
}

// interrupted ends the work when the person wants that.
func (d *desk) interrupted() {
	var key [1]byte
	for {
		if n, err := os.Stdin.Read(key[:]); n == 0 || err != nil || key[0] == 0x03 || key[0] == 0x11 {
			d.stop()
			return
		}
	}
}
