//go:build !linux

package doctor

import (
	"context"
	"crypto/rand"
)

func (machine) tpm(context.Context) finding {
	return finding{Weak, "not used on this system", "Who copies the vault and the device secret can guess PINs on another computer.",
		"Choose a PIN of 8 digits or more, and encrypt the disk."}
}

// synchronized is not told here.
func synchronized() string { return "" }

func randomness(context.Context) finding {
	var b [1]byte
	rand.Read(b[:]) // ends the process if the system has none
	return good("ready")
}
