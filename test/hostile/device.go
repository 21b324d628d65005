package hostile

import (
	"testing"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// Device is an OMEMO device of the relay's own, which it gives out as somebody's.
type Device struct {
	t   testing.TB
	st  *store.Store
	dev *omemo.Device
}

// NewDevice makes a device with keys of its own.
func NewDevice(t testing.TB) *Device {
	t.Helper()
	st, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	d := &Device{t: t, st: st}
	d.do(func(tx *store.Tx) (err error) {
		d.dev, err = omemo.Setup(tx)
		return err
	})
	return d
}

func (d *Device) do(f func(tx *store.Tx) error) {
	d.t.Helper()
	if err := d.st.Update(d.t.Context(), f); err != nil {
		d.t.Error(err)
	}
}

// ID is its number.
func (d *Device) ID() uint32 { return d.dev.ID() }

// Bundle is what it publishes.
func (d *Device) Bundle() (e *stanza.Element) {
	d.t.Helper()
	d.do(func(tx *store.Tx) error {
		b, err := d.dev.Bundle(tx)
		e = b.Element()
		return err
	})
	return e
}

// Encrypt encrypts a text to a device whose bundle the relay has.
func (d *Device) Encrypt(who string, device uint32, bundle *stanza.Element, body string) (enc *stanza.Element) {
	d.t.Helper()
	b, err := stanza.ReadBundle(bundle)
	if err != nil {
		d.t.Fatal(err)
	}
	to := omemo.Address{JID: who, Device: device}
	d.do(func(tx *store.Tx) (err error) {
		if err = d.dev.StartSession(tx, to, b); err == nil {
			enc, err = d.dev.Encrypt(tx, []omemo.Address{to}, []byte(body))
		}
		return err
	})
	return enc
}

// Reads reports whether it can read what somebody wrote.
func (d *Device) Reads(from string, enc *stanza.Element) bool {
	err := d.st.Update(d.t.Context(), func(tx *store.Tx) error {
		_, err := d.dev.Decrypt(tx, from, enc)
		return err
	})
	return err == nil
}
