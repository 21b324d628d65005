//go:build unix

package gate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"sotto/internal/role"
	"sotto/keystore"
	"sotto/keystore/recovery"
)

var (
	errNotWhole = errors.New("these files do not hold enough shares of the recovery key")
	errUntold   = errors.New("somebody has opened this vault with the recovery key, and you are told before anything else. Enter the PIN again")
)

// announced reads what the desk has announced of the recovery key. Whether it is the
// desk's, and counts, is found out with the vault open.
func announced(p role.Profile) []byte {
	f, err := os.Open(filepath.Join(p.Data, role.AnnouncementFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, keystore.MaxAnnouncement+1))
	if err != nil {
		return nil
	}
	return b
}

// readKeyFiles takes the recovery key out of files, before the sandbox.
func (g *gate) readKeyFiles(paths []string) error {
	whole := len(paths) == 0
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read the recovery key: %w", err)
		}
		whole, err = g.typed.File(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	if !whole {
		return fmt.Errorf("%w: %s is still missing", errNotWhole, g.typed.Prompt())
	}
	return nil
}

// recoveryKey returns the recovery key out of files, or asks for it: whole, or row by
// row of its shares. Without an error and without a key the person wants to leave.
func (g *gate) recoveryKey() (*recovery.Key, error) {
	if k := g.typed.Key(); k != nil {
		return k, nil
	}
	if g.setup.Mode == role.Serve {
		return nil, errors.New("nobody is there to type the recovery key: name the file that it is in with --key-file")
	}
	g.say("Type the recovery key, or the rows of as many shares as it needs. What you type is not shown.")
	for {
		line := g.ask(g.typed.Prompt(), recovery.MaxLine)
		if line == nil {
			return nil, nil
		}
		whole, err := g.typed.Line(line.Bytes())
		line.Destroy()
		switch {
		case err != nil:
			g.say(sentence(err))
		case whole:
			return g.typed.Key(), nil
		default:
			g.say("")
		}
	}
}

// rescue opens the vault with the recovery key. That it does is in the vault before
// anything else happens, and everybody who opens it later is told.
func (g *gate) rescue() (int, error) {
	why := g.setup.Rescue
	x, err := keystore.NewAccess(time.Now(), keystore.Reason(why.Reason), why.By)
	if err != nil {
		return 0, err
	}
	key, err := g.recoveryKey()
	if key == nil {
		return role.ExitQuit, err
	}
	defer key.Destroy()
	g.holds = true
	g.busy("opening the vault")
	opened, err := g.place.Recover(key, x)
	var cut *keystore.RemainsError
	switch {
	case errors.As(err, &cut):
		return g.lost(cut.Because, cut.Err), nil
	case errors.Is(err, keystore.ErrDestroyed), errors.Is(err, keystore.ErrWiped):
		return g.lost(err, nil), nil
	case err != nil:
		return 0, err
	}
	defer opened.Close()
	if why.NewPIN {
		pin := g.choosePIN("The vault is open, and that it was opened with the recovery key is noted. Now choose a new PIN: "+g.rules().words()+".", nil)
		if pin == nil {
			return role.ExitQuit, nil
		}
		defer pin.Destroy()
		g.busy("changing the PIN")
		if err := opened.ChangePIN(pin); err != nil {
			return 0, err
		}
		if err := g.settle(opened); err != nil {
			return 0, err
		}
	}
	return g.handOver(opened)
}

// tell has whoever knows the PIN read that the vault was opened without it, each
// time until they have: who, when and why.
func (g *gate) tell(opened *keystore.Opened) error {
	list := opened.Account().Untold()
	if len(list) == 0 {
		return nil
	}
	g.holds = true
	for i := len(list) - 1; i >= 0; i-- {
		if !g.confirm(accessWords(list[i], len(list)-i, len(list))) {
			return errUntold
		}
	}
	return opened.Told()
}

// accessWords say that the recovery key was used.
func accessWords(x keystore.Access, n, of int) string {
	count := ""
	if of > 1 {
		count = fmt.Sprintf(" (%d of %d)", n, of)
	}
	return fmt.Sprintf("This vault was opened with the recovery key, on %s, by %s, because of %s%s. If you did not know of it, tell your organisation.",
		x.Time.Local().Format("2 January 2006 at 15:04"), x.By, x.Reason.Words(), count)
}
