package store

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Trust is what the person, or the first contact, says about a device.
type Trust int

// The degrees of trust. Nothing is encrypted to an Undecided, a Distrusted or a
// Withdrawn device.
const (
	Undecided  Trust = iota // appeared after the first contact
	FirstUse                // trusted because it was there at the first contact
	Verified                // its fingerprint was compared
	Distrusted              // refused by the person
	Signed                  // by the organisation, in its directory
	Withdrawn               // was signed by the organisation, and is not any more
)

func (t Trust) String() string {
	switch t {
	case Undecided:
		return "undecided"
	case FirstUse:
		return "first use"
	case Verified:
		return "verified"
	case Distrusted:
		return "distrusted"
	case Signed:
		return "signed"
	case Withdrawn:
		return "withdrawn"
	}
	return "unknown"
}

// MaxDevices is how many devices of one person are remembered, beyond those that
// somebody has decided about.
const MaxDevices = 1024

// PeerDevice is an OMEMO device of someone else, or another one of our own.
type PeerDevice struct {
	Peer        string // bare JID
	ID          uint32
	Fingerprint []byte // its identity key; nil until its bundle was seen
	Trust       Trust
	Active      bool // in the device list that its owner last published
	FirstSeen   time.Time
}

// Devices returns the devices of a peer that were ever seen, by id.
func (tx *Tx) Devices(peer string) (devices []PeerDevice, err error) {
	err = tx.query(`SELECT peer, id, fingerprint, trust, active, first_seen FROM device WHERE peer = ? ORDER BY id`,
		func(st *sqlite3.Stmt) {
			devices = append(devices, PeerDevice{
				Peer:        st.ColumnText(0),
				ID:          uint32(st.ColumnInt64(1)),
				Fingerprint: blob(st, 2),
				Trust:       Trust(st.ColumnInt(3)),
				Active:      st.ColumnBool(4),
				FirstSeen:   fromMicro(st.ColumnInt64(5)),
			})
		}, peer)
	return devices, err
}

// PutDevice stores a device, or changes it. A known fingerprint and the time it
// was first seen stay where d has none. Whether another fingerprint is to be
// believed is for the caller to decide.
func (tx *Tx) PutDevice(d PeerDevice) error {
	if d.Peer == "" {
		return fmt.Errorf("storing a device: %w", errNoPeer)
	}
	if d.Trust < Undecided || d.Trust > Withdrawn {
		return fmt.Errorf("storing a device: no such trust: %d", d.Trust)
	}
	_, err := tx.change(`INSERT INTO device (peer, id, fingerprint, trust, active, first_seen) VALUES (?1, ?2, ?3, ?4, ?5,
			CASE ?6 WHEN 0 THEN ?7 ELSE ?6 END)
		ON CONFLICT DO UPDATE SET fingerprint = coalesce(?3, fingerprint), trust = ?4, active = ?5,
			first_seen = CASE ?6 WHEN 0 THEN first_seen ELSE ?6 END`,
		d.Peer, d.ID, d.Fingerprint, int(d.Trust), d.Active, d.FirstSeen, time.Now())
	return err
}

// SetActiveDevices says which devices the peer's newest device list names, and
// returns those never seen before; they are stored as Undecided. Devices that
// are no longer named stay, inactive, with their trust.
func (tx *Tx) SetActiveDevices(peer string, ids []uint32) (fresh []uint32, err error) {
	if peer == "" {
		return nil, fmt.Errorf("storing a device list: %w", errNoPeer)
	}
	if _, err := tx.change(`UPDATE device SET active = 0 WHERE peer = ? AND active`, peer); err != nil {
		return nil, err
	}
	now := time.Now()
	for _, id := range ids {
		n, err := tx.change(`UPDATE device SET active = 1 WHERE peer = ? AND id = ?`, peer, id)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			continue
		}
		if _, err := tx.change(`INSERT INTO device (peer, id, trust, active, first_seen) VALUES (?, ?, ?, 1, ?)`,
			peer, id, int(Undecided), now); err != nil {
			return nil, err
		}
		fresh = append(fresh, id)
	}
	// Of devices that came and went without anybody deciding about them, only so
	// many are remembered.
	_, err = tx.change(`DELETE FROM device WHERE peer = ?1 AND id IN (SELECT id FROM device WHERE peer = ?1 AND NOT active AND trust = ?2
		ORDER BY first_seen LIMIT max(0, (SELECT count(*) FROM device WHERE peer = ?1) - ?3))`, peer, int(Undecided), MaxDevices)
	return fresh, err
}

// DevicePeers returns the people of whom devices are known.
func (tx *Tx) DevicePeers() (peers []string, err error) {
	err = tx.query(`SELECT DISTINCT peer FROM device`, func(st *sqlite3.Stmt) { peers = append(peers, st.ColumnText(0)) })
	return peers, err
}
