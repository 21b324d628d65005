package collect

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"sotto/client/audit"
	"sotto/internal/atomicfile"
)

// ReadPublic returns the collector's public key as the folder has it. Whoever could
// exchange all of the folder could exchange it, too: a copy from elsewhere, such as
// the policy's, is worth more.
func ReadPublic(dir string) (*audit.CollectorKey, error) {
	b, err := readBounded(filepath.Join(dir, publicFile), 1024)
	if err != nil {
		return nil, fmt.Errorf("reading the collector's key: %w", err)
	}
	key, err := audit.ParseCollectorKey(strings.TrimSuffix(string(b), "\n"))
	if err == nil && key.String()+"\n" != string(b) {
		err = errors.New("reading the collector's key: it is written another way")
	}
	return key, err
}

func writePublic(dir string, key *audit.CollectorKey) error {
	if known, err := ReadPublic(dir); err == nil && known.String() == key.String() {
		return nil
	}
	return atomicfile.Write(filepath.Join(dir, publicFile), []byte(key.String()+"\n"))
}
