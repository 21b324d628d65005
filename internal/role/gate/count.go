package gate

import (
	"fmt"

	"sotto/keystore"
)

// announceFrom is after how many wrong PINs in a row the lock screen says that
// the vault is about to destroy itself.
const announceFrom = 5

// count says how many PINs were wrong: in a few words after note, or in a
// warning of its own.
func count(s keystore.Status, note string) (words, warning string) {
	switch {
	case s.DestroyAfter > 0 && s.Tried >= announceFrom && s.Tried < s.DestroyAfter:
		return note, fmt.Sprintf("%d wrong PINs. After %d more this vault destroys itself; messages here can then not be read any more. "+
			"If you forgot the PIN, ask your administrator.", s.Tried, s.DestroyAfter-s.Tried)
	case s.Tried == 0:
		return note, ""
	case note == "" && s.Tried == 1:
		return "There was one wrong PIN before.", ""
	case note == "":
		return fmt.Sprintf("There were %d wrong PINs in a row before.", s.Tried), ""
	case s.Tried == 1:
		return note, ""
	}
	return fmt.Sprintf("%s %d wrong in a row.", note, s.Tried), ""
}
