package inforce

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/policy"
	"sotto/internal/atomicfile"
)

// File is the name of the copy, in the folder of the desk.
const File = "organisation"

// Copy is the organisation's word as it stands beside the database.
type Copy struct {
	Anchor org.Anchor
	Policy *policy.Policy // nil: it has none
	Head   head.Head      // zero: none was heard
}

// ErrCopy is the error of a copy that cannot be read. The remedy is to unlock: the
// desk writes it again.
var ErrCopy = errors.New("what your organisation says about this device cannot be read. Unlock it: it is put right from what is encrypted")

// separator stands between the parts. It is no line of any of them.
const separator = "====\n"

// maxCopy bounds the file, in bytes.
const maxCopy = org.MaxLine + 2*org.MaxNote + 2*len(separator)

// Read reads the copy in a folder and checks its signatures. Without one it returns
// nil: the profile belongs to no organisation, or has not been unlocked since. An
// error is ErrCopy, or of the system.
func Read(dir string) (*Copy, error) {
	f, err := os.Open(filepath.Join(dir, File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the organisation says: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(maxCopy)+1))
	if err != nil {
		return nil, fmt.Errorf("reading what the organisation says: %w", err)
	}
	return parse(b)
}

func parse(b []byte) (*Copy, error) {
	if len(b) > maxCopy {
		return nil, ErrCopy
	}
	parts := strings.Split(string(b), separator)
	if len(parts) != 3 {
		return nil, ErrCopy
	}
	var c Copy
	if err := c.Anchor.UnmarshalText([]byte(parts[0])); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrCopy, err)
	}
	if again, err := c.Anchor.MarshalText(); err != nil || string(again) != parts[0] {
		return nil, ErrCopy
	}
	var err error
	if parts[1] != "" {
		if c.Policy, err = policy.Open([]byte(parts[1]), c.Anchor.Key); err != nil {
			return nil, fmt.Errorf("%w (%w)", ErrCopy, err)
		}
	}
	if parts[2] != "" {
		if c.Head, err = head.Open([]byte(parts[2]), c.Anchor.Key); err != nil {
			return nil, fmt.Errorf("%w (%w)", ErrCopy, err)
		}
	}
	if c.Policy == nil && c.Head.Policy.Serial > 0 {
		return nil, fmt.Errorf("%w (the policy is missing)", ErrCopy)
	}
	return &c, nil
}

// Write replaces the copy in a folder, if it would be another. It reports whether it
// was. Notes may be empty. What Read would not take is not written.
func Write(dir string, anchor org.Anchor, policyNote, headNote []byte) (changed bool, err error) {
	a, err := anchor.MarshalText()
	if err != nil {
		return false, fmt.Errorf("keeping what the organisation says: %w", err)
	}
	text := string(a) + separator + string(policyNote) + separator + string(headNote)
	if _, err := parse([]byte(text)); err != nil { // the key has changed, and the policy is not signed anew yet
		return false, fmt.Errorf("keeping what the organisation says: %w", err)
	}
	name := filepath.Join(dir, File)
	if is, err := os.ReadFile(name); err == nil && string(is) == text {
		return false, nil
	}
	if err := atomicfile.Write(name, []byte(text)); err != nil {
		return false, fmt.Errorf("keeping what the organisation says: %w", err)
	}
	return true, nil
}

// Remove removes the copy: the profile belongs to no organisation.
func Remove(dir string) error {
	if err := os.Remove(filepath.Join(dir, File)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what the organisation said: %w", err)
	}
	return nil
}
