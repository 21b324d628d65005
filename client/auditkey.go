package client

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/awnumar/memguard"

	"sotto/client/audit"
	"sotto/client/membership"
	"sotto/client/org/signer"
	"sotto/client/store"
)

// noteKey is a key in locked memory as a crypto.Signer.
type noteKey struct{ *signer.Key }

func (k noteKey) Public() crypto.PublicKey { return ed25519.PublicKey(k.Key.Public().Public()) }

// Sign signs a message, as Ed25519 does: opts is 0.
func (k noteKey) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != 0 {
		return nil, errors.New("this key signs messages and no digests of them")
	}
	return k.Key.Sign(message)
}

// auditKey is what this device signs its audit log with.
func (c *Client) auditKey(tx *store.Tx) (crypto.Signer, error) {
	k, err := membership.DeviceKey(tx, c.device.ID())
	if err != nil {
		return nil, err
	}
	return noteKey{k}, nil
}

// readOwnKey reads its public half.
func (c *Client) readOwnKey(tx *store.Tx) (ed25519.PublicKey, error) {
	k, err := c.auditKey(tx)
	if err != nil {
		return nil, err
	}
	return k.Public().(ed25519.PublicKey), nil
}

// valueCollectorKey is the value in the store that has the seed of the key with
// which this account confirms audit logs.
const valueCollectorKey = "audit.collector.seed"

// collectorName is what package signer calls that key. No signature has it: a domain
// need not be a name that it takes.
const collectorName = "collector.audit"

// CollectorKey returns the key with which this account confirms what others send of
// their audit logs; it is made at first use. Its name is the account's domain.
func CollectorKey(tx *store.Tx, address string) (*audit.CollectorKey, crypto.Signer, error) {
	const doing = "opening the auditor's key"
	_, domain, _ := strings.Cut(address, "@")
	seed, err := tx.Value(valueCollectorKey)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	var k *signer.Key
	if seed != nil {
		k, err = signer.FromSeed(collectorName, memguard.NewBufferFromBytes(seed)) // clears seed
	} else if k, err = signer.Generate(collectorName); err == nil {
		err = k.WithSeed(func(b *memguard.LockedBuffer) error { return tx.SetValue(valueCollectorKey, b.Bytes()) })
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	public, err := audit.NewCollectorKey(domain, k.Public().Public())
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	return public, noteKey{k}, nil
}
