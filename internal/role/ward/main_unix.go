//go:build unix

package ward

import (
	"context"
	"os"
	"time"

	"github.com/awnumar/memguard"

	"sotto/internal/role"
	"sotto/keystore"
)

// setupTime is how long setting up may take, and cleanTime removing the folder.
const (
	setupTime = 50 * time.Second
	cleanTime = 3 * time.Second
)

// Main is the life of a ward; it returns the exit code.
func Main() int {
	self, setup, err := role.Enter[*role.WardSetup](role.Ward)
	if err != nil {
		return role.ExitFailed
	}
	defer memguard.Purge()
	defer clean(setup.Dir)
	if err := keystore.CheckMemlock(); err != nil {
		return self.Fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupTime)
	defer cancel()
	end := make(chan struct{})
	go func() {
		defer close(end)
		defer cancel()
		ask := make(chan struct{})
		go func() {
			defer close(ask)
			for {
				m, err := self.Control.Receive()
				if _, ok := m.(*role.End); ok || err != nil {
					return
				}
			}
		}()
		select {
		case <-ask:
		case <-self.Signals:
		}
	}()
	w, err := open(ctx, setup.Profile)
	if err != nil {
		return self.Fail(err)
	}
	defer w.close()
	w.live()
	self.Control.Send(&role.Ready{})
	<-end
	return role.ExitDone
}

// clean removes everything the demo kept. A desk that is at its end may still
// write, so it looks again.
func clean(dir string) {
	for end := time.Now().Add(cleanTime); ; time.Sleep(50 * time.Millisecond) {
		os.RemoveAll(dir)
		if _, err := os.Stat(dir); os.IsNotExist(err) || time.Now().After(end) {
			return
		}
	}
}
