//go:build unix

package desk

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/internal/role"
	"sotto/keystore"
	"sotto/keystore/recovery"
)

// accesses are those with the recovery key, for the audit log.
func accesses(list []keystore.Access) (all []client.Access) {
	for _, x := range list {
		all = append(all, client.Access{ID: x.ID, Time: x.Time, Reason: x.Reason.String(), Words: x.Reason.Words(), By: x.By})
	}
	return all
}

// announce tells the next gate which recovery key the policy in force names. A gate
// that reads only half of it goes on with what the vault says. That no policy names
// one any more is told, too; that there is no policy is not: nobody has decided.
func (d *desk) announce(c *client.Client, key *memguard.Enclave) error {
	serial, recipient, ok := c.RecoveryKey()
	if !ok {
		return nil
	}
	if recovery.CheckRecipient(recipient) != nil {
		recipient = "" // this sotto cannot encrypt to it
	}
	b, err := keystore.Announce(key, serial, recipient)
	if err != nil {
		return err
	}
	path := filepath.Join(d.setup.Profile.Data, role.AnnouncementFile)
	if is, err := os.ReadFile(path); err == nil && string(is) == string(b) {
		return nil
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("announce the recovery key to the lock screen: %w", err)
	}
	return nil
}
