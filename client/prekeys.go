package client

import (
	"encoding/binary"
	"fmt"
	"time"

	"sotto/client/omemo"
	"sotto/client/store"
)

// preKeyGrace is how long a one-time prekey outlives its use. People choose
// among the same hundred of a bundle without knowing of each other: of ten who
// start a session while a device is away, two choose the same in one case of
// three, and the later message could not be opened by a device that had deleted
// the key with the first. The price is that forward secrecy of a session's first
// message begins this much later. A repeated first message is still recognised
// by the session it began.
const preKeyGrace = time.Hour

// valueUsed names the stored list of used prekeys: for each, id (4 bytes,
// big-endian) and time of use (8 bytes, seconds since 1970).
const (
	valueUsed = "omemo.used"
	usedSize  = 12
	maxUsed   = 4096
)

// graceKeys are the keys of the store with prekeys that outlive their use. Used
// ones decrypt, but are no longer offered or counted.
type graceKeys struct{ *store.Tx }

var _ omemo.Keys = graceKeys{}

// DeletePreKey marks a prekey as used; sweep deletes it.
func (k graceKeys) DeletePreKey(id uint32) error {
	list, err := k.used()
	if err != nil {
		return err
	}
	for i := 0; i < len(list); i += usedSize {
		if binary.BigEndian.Uint32(list[i:]) == id {
			return nil
		}
	}
	if len(list) >= maxUsed*usedSize {
		return k.Tx.DeletePreKey(id)
	}
	list = binary.BigEndian.AppendUint32(list, id)
	list = binary.BigEndian.AppendUint64(list, uint64(time.Now().Unix()))
	return k.SetValue(valueUsed, list)
}

// PreKeyIDs returns the ids of prekeys that were not used.
func (k graceKeys) PreKeyIDs() ([]uint32, error) {
	all, err := k.Tx.PreKeyIDs()
	if err != nil {
		return nil, err
	}
	list, err := k.used()
	if err != nil {
		return nil, err
	}
	used := make(map[uint32]bool, len(list)/usedSize)
	for i := 0; i < len(list); i += usedSize {
		used[binary.BigEndian.Uint32(list[i:])] = true
	}
	fresh := all[:0]
	for _, id := range all {
		if !used[id] {
			fresh = append(fresh, id)
		}
	}
	return fresh, nil
}

func (k graceKeys) used() ([]byte, error) {
	list, err := k.Value(valueUsed)
	if err == nil && len(list)%usedSize != 0 {
		return nil, fmt.Errorf("the list of used prekeys is damaged")
	}
	return list, err
}

// sweep deletes the prekeys whose grace is over, and returns when it is over for
// the next; zero if there is none.
func (k graceKeys) sweep(now time.Time) (next time.Time, err error) {
	list, err := k.used()
	if err != nil || list == nil {
		return time.Time{}, err
	}
	var keep []byte
	for i := 0; i < len(list); i += usedSize {
		one := list[i : i+usedSize]
		over := time.Unix(int64(binary.BigEndian.Uint64(one[4:])), 0).Add(preKeyGrace)
		// A use in the future is a clock that was wrong.
		if !now.Before(over) || over.Sub(now) > preKeyGrace+time.Minute {
			if err := k.Tx.DeletePreKey(binary.BigEndian.Uint32(one)); err != nil {
				return time.Time{}, err
			}
			continue
		}
		keep = append(keep, one...)
		if next.IsZero() || over.Before(next) {
			next = over
		}
	}
	return next, k.SetValue(valueUsed, keep)
}
