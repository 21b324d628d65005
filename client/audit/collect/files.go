package collect

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
	"sotto/internal/atomicfile"
)

// The names of files.
const (
	logFile      = "log"
	keyFile      = "key"
	hashFile     = "hashes"
	evidenceFile = "evidence"
	sealFile     = "seal"
	lockFile     = "lock"
	publicFile   = "collector" // the collector's public key
)

// folderName is where a device's log lies: readable, and one name for one device
// on every file system.
func folderName(d audit.Device) string {
	var b strings.Builder
	for _, c := range []byte(d.Owner.String()) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '@' || c == '.' && b.Len() > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	if b.Len() > 200 {
		sum := sha256.Sum256([]byte(d.Owner.String()))
		b.Reset()
		b.WriteString("%sha256-" + hex.EncodeToString(sum[:]))
	}
	return fmt.Sprintf("%s-%d", b.String(), d.ID)
}

// keyText is the content of a device's key file: a verifier key.
func keyText(d audit.Device, key ed25519.PublicKey) (string, error) {
	v, err := note.NewEd25519VerifierKey(d.Origin(), key)
	return v + "\n", err
}

// readKey reads a device's key file. device is taken from it.
func readKey(path string) (audit.Device, ed25519.PublicKey, error) {
	b, err := readBounded(path, 1024)
	if err != nil {
		return audit.Device{}, nil, err
	}
	d, key, err := audit.ParseDeviceKey(strings.TrimSuffix(string(b), "\n"))
	if err == nil && !strings.HasSuffix(string(b), "\n") {
		err = errors.New("it has no end")
	}
	return d, key, err
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", filepath.Base(path), most)
	}
	return b, err
}

// hashReader reads the file of hashes, in which they stand as tlog numbers them.
type hashReader struct{ f io.ReaderAt }

// ReadHashes implements tlog.HashReader.
func (r hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if _, err := r.f.ReadAt(list[i][:], index*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("reading the hashes of an audit log: %w", err)
		}
	}
	return list, nil
}

// appendTo writes b at offset at, the end of what is settled there, and syncs it.
func appendTo(f *os.File, at int64, b []byte) error {
	if _, err := f.WriteAt(b, at); err != nil {
		return errors.Join(err, f.Truncate(at))
	}
	return f.Sync()
}

func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be opened for syncing there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// makeFolder makes a device's folder with its key in it.
func makeFolder(dir string, d audit.Device, key ed25519.PublicKey) error {
	text, err := keyText(d, key)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, keyFile), []byte(text)); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}
