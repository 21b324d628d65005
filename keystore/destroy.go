package keystore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"sotto/keystore/tpm"
)

// tombMagic begins the file that is left in the place of a vault that was
// destroyed. The second line says why, to people and to Epitaph.
const (
	tombMagic = "SOTTOend"
	tombText  = tombMagic + "\nThis vault has destroyed itself, because of too many wrong PINs.\n"
	wipedText = tombMagic + "\nThis vault was wiped, because its organisation ordered it.\n"
)

// Destroyed reports whether the vault that was at vaultPath is destroyed. Create
// makes a new one in its place.
func Destroyed(vaultPath string) (bool, error) {
	err := Epitaph(vaultPath)
	if errors.Is(err, ErrDestroyed) || errors.Is(err, ErrWiped) {
		return true, nil
	}
	return false, err
}

// Epitaph returns why the vault that was at vaultPath is destroyed: [ErrDestroyed]
// or [ErrWiped]; nil if it is not, or there was none. Other errors say that nobody
// knows.
func Epitaph(vaultPath string) error {
	f, err := os.Open(vaultPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return explain("looking at the vault", err)
	}
	defer f.Close()
	why, err := epitaph(f)
	if err != nil {
		return explain("looking at the vault", err)
	}
	return why
}

// epitaph is Epitaph for an open file; why is nil if it is a vault.
func epitaph(f *os.File) (why, err error) {
	if tomb, err := isTomb(f); !tomb || err != nil {
		return nil, err
	}
	b := make([]byte, len(wipedText))
	if n, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	} else if string(b[:n]) == wipedText {
		return ErrWiped, nil
	}
	return ErrDestroyed, nil
}

func isTomb(f *os.File) (bool, error) {
	b := make([]byte, len(tombMagic))
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return false, err
	}
	return string(b) == tombMagic, nil
}

// Destroy makes what the vault protects unreadable for good, without the PIN,
// and leaves in the vault's place a note that says so. See Remove for the order.
//
// It goes on where a destruction was cut off, also one that Wipe has begun.
func (p Place) Destroy() error {
	if s, err := p.Status(); err == nil && s.Ordered {
		return p.destroy(wipedText)
	}
	return p.destroy(tombText)
}

// Wipe is Destroy because the organisation ordered it. That it has to happen is on
// the disk before it begins, so that a process that is killed puts it off to the
// next start, which takes no PIN: see Status. It happens, too, where that can't be
// noted.
func (p Place) Wipe() error {
	p.step()
	if o, err := p.openFiles(); err == nil {
		_ = o.setTried(ordered)
		o.close()
	}
	return p.destroy(wipedText)
}

// Remove destroys the vault and leaves nothing.
//
// First goes the device secret: it is overwritten in its file, removed from the
// TPM, and its file removed. Then goes the vault. Either half alone is enough:
// without 256 random bits of the device secret the vault cannot be opened with
// the PIN, nor by trying all PINs; without the vault there is no master key.
// That matters because overwriting promises nothing on a solid state disk or a
// file system that keeps journals, snapshots or copies: the old blocks may well
// be there still. One of the two halves has to be found again for nothing to be
// lost by it, and both for the secret to be. A secret in a TPM is gone for
// certain: the TPM erases its own memory, and no file ever held it.
//
// What is gone already is no error. When it is cut off, calling it again goes
// on. An error from the TPM (it matches one of package tpm's) leaves an index
// there, which protects nothing any more; everything else was still done.
func (p Place) Remove() error { return p.destroy("") }

// destroy leaves a note in the vault's place, or nothing where note is "".
func (p Place) destroy(note string) error {
	const doing = "destroying the vault"
	var refs []tpm.Ref
	keys := append(p.replaced(), p.device, newName(p.device))
	var failed []error
	for _, path := range keys {
		p.step()
		found, err := eraseSecret(path)
		refs = append(refs, found...)
		failed = append(failed, err)
	}
	var left error
	for _, r := range refs {
		p.step()
		if err := p.TPM.Forget(r); err != nil {
			left = &TPMError{r.Handle(), err}
		}
	}
	for _, path := range keys {
		p.step()
		failed = append(failed, shred(path))
	}
	p.step()
	failed = append(failed, shred(newName(p.vault)))
	if note != "" {
		failed = append(failed, p.entomb(note))
	} else {
		failed = append(failed, shred(p.vault))
	}
	if err := errors.Join(failed...); err != nil {
		return explain(doing, err)
	}
	return left
}

// TPMError says what could not be removed from the TPM.
type TPMError struct {
	Index uint32 // NV index
	Err   error
}

func (e *TPMError) Error() string {
	return fmt.Sprintf("NV index 0x%08x stays in the TPM: %v", e.Index, e.Err)
}

func (e *TPMError) Unwrap() error { return e.Err }

// Files are all that a vault consists of, there or not.
func (p Place) Files() []string {
	return append(p.replaced(), p.vault, newName(p.vault), p.device, newName(p.device))
}

// replacedSuffix names the device secret that was there before a new vault's.
// With a number there are as many more.
const (
	replacedSuffix = ".old"
	maxReplaced    = 10
)

// replaced are the names of device secrets that were there before, latest last.
func (p Place) replaced() []string {
	names := []string{p.device + replacedSuffix}
	for n := 2; n <= maxReplaced; n++ {
		names = append(names, fmt.Sprintf("%s%s%d", p.device, replacedSuffix, n))
	}
	return names
}

// setAside renames the device secret that is there without its vault to a name
// that is free: the vault may only be away, and each of them opens one. It
// returns "" where there is none.
func (p Place) setAside() (string, error) {
	if _, err := os.Lstat(p.device); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	for _, name := range p.replaced() {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, os.Rename(p.device, name)
		} else if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("there are %d device secrets of earlier vaults beside %s. Move away those whose vaults you do not have", maxReplaced, p.device)
}

// newName is the file that package atomicfile writes first.
func newName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// eraseSecret overwrites the secret in a device's file and returns where in the
// TPM others are. Until the file is removed it can be read again for that. It
// needs no locked memory: destroying must work where opening does not.
func eraseSecret(path string) ([]tpm.Ref, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, deviceSize+tallySize+1) // one more than there may be
	n, err := f.ReadAt(b, 0)
	defer clear(b)
	if err != io.EOF || n != deviceSize+tallySize {
		return nil, overwrite(f) // damaged, or something else: nothing in it can be used
	}
	body := b[:deviceSize-sha256.Size]
	clear(body[secretOffset-1:][:1+keySize]) // and say that there is none
	clear(body[halfOffset-1:][:1+keySize])
	sum := sha256.Sum256(body)
	copy(b[len(body):], sum[:])
	d, err := parseDevice(b[:deviceSize])
	if err != nil {
		return nil, overwrite(f)
	}
	if _, err := f.WriteAt(b[:deviceSize], 0); err != nil {
		return d.refs[:], err
	}
	return d.refs[:], f.Sync()
}

// entomb puts a note in the vault's place, and overwrites the vault.
func (p Place) entomb(note string) error {
	if gone, err := Destroyed(p.vault); gone || err != nil {
		return err
	}
	old, err := os.OpenFile(p.vault, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer old.Close()
	p.step()
	if err := p.write(p.vault, []byte(note)); err != nil {
		// A full disk has no room for a note. Without one it is just as gone.
		return shred(p.vault)
	}
	p.step()
	return overwrite(old)
}

// shred overwrites a file, as far as that can be, and removes it. One that is
// not there is no error.
func shred(path string) error {
	if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		overwrite(f)
		f.Close()
	}
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// overwrite writes zeros over a file and puts them on the disk.
func overwrite(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, min(info.Size(), int64(maxVault)+1)), 0); err != nil {
		return err
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
