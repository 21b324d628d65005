package gate

import (
	"fmt"

	"sotto/internal/role"
	"sotto/keystore"
)

// announceFrom is after how many wrong PINs in a row the lock screen says that
// the vault is about to destroy itself.
const announceFrom = 5

// count says how many PINs were wrong: in a few words after note, if that is
// about one, or in a warning of its own.
func count(s keystore.Status, note string) (words, warning string) {
	switch {
	case s.Tried == 0:
	case s.DestroyAfter > 0 && s.Tried >= announceFrom && s.Tried < s.DestroyAfter:
		return note, fmt.Sprintf("%d wrong PINs. After %d more this vault destroys itself; messages here can then not be read any more. "+
			"If you forgot the PIN, ask your administrator.", s.Tried, s.DestroyAfter-s.Tried)
	case note == role.WrongPIN && s.Tried > 1:
		return fmt.Sprintf("%s %d wrong in a row.", note, s.Tried), ""
	case note == role.WrongPIN:
	case s.Tried == 1:
		return note, "The last PIN that was tried here was wrong."
	default:
		return note, fmt.Sprintf("The last %d PINs that were tried here were wrong.", s.Tried)
	}
	return note, ""
}

// binds adds to a warning that the next right PIN moves the vault into the TPM:
// whoever does not want that can still leave.
func binds(warning string) string {
	if warning != "" {
		return warning + " The right PIN binds this vault to the TPM chip."
	}
	return "Your PIN also binds this vault to this computer's TPM chip. If the chip is cleared or replaced, the vault is lost. " +
		"To keep it unbound, leave, and write tpm = \"off\" in the settings."
}
