//go:build unix

package desk

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"sotto/client"
	"sotto/client/admin"
	"sotto/client/audit"
	"sotto/client/org/policy"
	"sotto/client/store"
	"sotto/internal/inforce"
	"sotto/internal/role"
	"sotto/tui"
	"sotto/tui/attach"
)

// renewed is why a desk locks that finds out that before the PIN was given not all
// held of what the organisation says.
const renewed = "What your organisation says about this device is put right. Enter the PIN again."

// wishes are the settings that the person has chosen.
func (d *desk) wishes() (map[string]policy.Value, error) {
	w, err := policy.ParseLines(string(d.setup.Wishes))
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return w, nil
}

// uphold has what the organisation says hold for what comes before the next desk: the
// watch, the next gate, and who starts sotto. Without an organisation it has nothing
// left of one. locks, unless empty, is why this desk has to lock at once. It may be
// called from any goroutine.
func (d *desk) uphold(c *client.Client, starting bool) (locks string, err error) {
	m := c.Membership()
	if m == nil {
		return "", inforce.Remove(d.setup.Profile.Data)
	}
	all := c.InForce()
	switch office := d.setup.Task.Job == role.Administering || d.setup.Task.Job == role.Governing; {
	case office && m.Contact() != m.Address():
		return "", admin.ErrNone
	case !office: // what the own machine cannot do could not be taken back
		if err := d.whole(all); err != nil {
			return "", err
		}
	}
	if c.Policy() == nil {
		return "", nil
	}
	d.self.Control.Send(&role.InForce{Rules: inforce.Rules(all)})
	before, readErr := inforce.Read(d.setup.Profile.Data)
	stale := readErr != nil || before == nil || before.Policy.At() != c.Policy().At()
	if !stale && before.Anchor.Key == m.Anchor().Key {
		return "", nil
	}
	if _, err := inforce.Write(d.setup.Profile.Data, m.Anchor(), m.PolicyNote(), m.HeadNote()); err != nil {
		// It holds here all the same; the next desk tries again.
		d.self.Control.Send(&role.Note{Text: fmt.Sprint(err)})
		return "", nil
	}
	if starting && stale && d.setup.Task.Job == role.Screen {
		return renewed, nil
	}
	return "", nil
}

// whole returns an error where the policy asks for the whole sandbox and this system
// lacks a part of it.
func (d *desk) whole(all []policy.Decided) error {
	missing := d.layers.Missing()
	if policy.Find(all, "sandbox").Text() != "full" || len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("your organisation has sotto opened only in its whole sandbox, and this system lacks a part of it: %s. "+
		"Use another machine, or tell your administrator", strings.Join(missing, "; "))
}

// policyChanged is called when another policy is in force while this desk runs.
func (d *desk) policyChanged(c *client.Client) {
	if _, err := d.uphold(c, false); err != nil {
		d.lockFor(err.Error())
	}
}

// lockFor locks, and has the next gate say why.
func (d *desk) lockFor(words string) {
	d.words.Store(&words)
	d.dark()
	d.stop()
}

// lockWords are why this desk locks; "" if there is nothing to say.
func (d *desk) lockWords() string {
	if w := d.words.Load(); w != nil {
		return *w
	}
	return ""
}

// before has what the organisation says hold before anything is shown. It returns how
// this desk has to lock instead, or nil.
func (d *desk) before(ctx context.Context, db *store.Store, c *client.Client, pinMark []byte) (*role.Locked, error) {
	renewed, err := d.uphold(c, true)
	if err != nil {
		return nil, err
	}
	due, err := pinDue(ctx, db, pinMark, inforce.PINAge(c.InForce()), time.Now())
	switch {
	case err != nil:
		return nil, err
	case d.setup.Task.Job != role.Screen:
		return nil, nil
	case renewed != "":
		return &role.Locked{Why: renewed}, nil
	case due != "":
		return &role.Locked{ChangePIN: true, Why: due}, nil
	}
	return nil, nil
}

// lockBefore locks before anything was shown.
func (d *desk) lockBefore(c *client.Client, m role.Locked) (int, error) {
	go d.listen()
	go d.signals()
	d.why.because(audit.ByPolicy)
	d.written(c, tui.Ended)
	d.locked = d.self.Control.Send(&m) == nil
	return role.ExitDone, nil
}

// pinSinceName is the value that says since when the PIN is what it is: its mark, and
// seconds since 1970.
const pinSinceName = "pin.since"

// pinDue returns why another PIN is to be chosen before anything is shown; "" if none
// is. How old the PIN is counts from the first time it opened a desk.
func pinDue(ctx context.Context, db *store.Store, mark []byte, age time.Duration, now time.Time) (words string, err error) {
	err = db.Update(ctx, func(tx *store.Tx) error {
		words = ""
		b, err := tx.Value(pinSinceName)
		if err != nil {
			return err
		}
		if len(b) != len(mark)+8 || string(b[:len(mark)]) != string(mark) {
			return tx.SetValue(pinSinceName, binary.BigEndian.AppendUint64(append([]byte(nil), mark...), uint64(now.Unix())))
		}
		since := time.Unix(int64(binary.BigEndian.Uint64(b[len(mark):])), 0)
		if age > 0 && now.Sub(since) >= age {
			words = "Your organisation asks for another PIN every " + client.LifespanWords(age) + ", and this one is from " + since.Format("2 January 2006") + ". Enter it once more, then choose another."
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look how old the PIN is: %w", err)
	}
	return words, nil
}

// shown are the settings of the screens in force.
func (d *desk) shown(c *client.Client) (role.Display, attach.Folders) {
	look := inforce.Display(d.setup.Display, c.InForce())
	var from attach.Folders
	for _, f := range look.AttachFrom {
		from = append(from, attach.Folder(f))
	}
	return look, from
}

// settings are those that change while the screens run.
func (d *desk) settings(c *client.Client) tui.Settings {
	look, from := d.shown(c)
	return tui.Settings{LockAfter: look.LockAfter, LockUnfocused: look.LockUnfocused, Curtain: look.Curtain, Reveal: look.Reveal,
		NoPaste: !look.Paste, AttachFrom: from}
}
