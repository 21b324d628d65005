//go:build unix

package desk

import (
	"context"
	"fmt"
	"os"
	"time"

	"sotto/client/store"
	"sotto/internal/role"
)

// checkTime is how long looking into a database may take: it is read as a whole.
const checkTime = 10 * time.Minute

// check looks into the database, under the sandbox, and tells the watch what it
// found. Ctrl+C ends it, as does the watch.
func (d *desk) check(ctx context.Context, db *store.Store) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	go d.listen()
	go d.signals()
	go func() {
		var key [1]byte
		for {
			if n, err := os.Stdin.Read(key[:]); n == 0 || err != nil || key[0] == 0x03 || key[0] == 0x11 {
				cancel()
				return
			}
		}
	}()
	d.term.Write(role.Clear + "Looking into the messages ... (Ctrl+C ends it)")
	found, err := db.Check(ctx)
	if ctx.Err() != nil {
		return 0, fmt.Errorf("the check was ended before it was done: %w", ctx.Err())
	}
	if err != nil {
		return 0, err
	}
	c := &role.Checked{Kilobytes: found.Pages * found.PageSize >> 10, Messages: found.Messages, Problems: len(found.Problems)}
	if c.Problems > 0 {
		c.First = found.Problems[0]
	}
	return role.ExitQuit, d.self.Control.Send(c)
}
