package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sotto/internal/profile"
)

// place is a profile, or why there is none.
type place struct {
	profile.Profile
	there bool  // it has a vault
	err   error // why nothing is known
	wrong error // of the settings
}

func (p place) group(m machine) group {
	g := group{"profile", []examination{
		one("files", p.files),
		one("file-system", func(context.Context) finding { return p.fileSystem(m) }),
		one("vault", p.vault), one("store", p.store),
	}}
	if p.err != nil || !p.there {
		why := finding{verdict: Skipped, found: "no profile " + p.Name + " yet"}
		if p.err != nil {
			why = finding{verdict: Bad, found: p.err.Error(), meaning: "sotto does not find its profile.", remedy: "See what is said here."}
		}
		for i, e := range g.of {
			g.of[i] = one(e.ids[0], func(context.Context) finding { return why })
			why.verdict = Skipped // once is enough
		}
	}
	return g
}

// files looks at who else could read or change what is the profile's.
func (p place) files(context.Context) finding {
	if p.wrong != nil {
		return finding{Bad, p.wrong.Error(), "sotto does not open with settings that it does not understand.", "Correct that line."}
	}
	folders := []string{filepath.Dir(p.Config), filepath.Dir(p.Vault), p.Data, filepath.Dir(p.DeviceKey)}
	for _, path := range append(folders, p.Config, p.Vault, p.Database, p.Database+"-wal", p.DeviceKey) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return finding{Bad, err.Error(), "sotto cannot use its own files.", "Check who owns " + path + "."}
		}
		if f, wrong := private(path, info); wrong {
			return f
		}
	}
	for _, dir := range folders {
		if path, by := changeable(dir); path != "" {
			return finding{Weak, path + " can be changed by " + by, "Whoever can change that folder can put another profile in the place of yours.",
				"Close it to others: chmod go-w " + path}
		}
	}
	return good(closed)
}

// How the profile's two files begin that hold keys: package keystore.
const (
	vaultMagic  = "SOTTOvlt"
	deviceMagic = "SOTTOdev"
)

// vault looks whether the vault and the device secret are there and are what
// they should be. The rest of them takes the PIN.
func (p place) vault(context.Context) finding {
	for _, f := range []struct{ path, magic, what, remedy string }{
		{p.Vault, vaultMagic, "the vault", "Put it back from a backup, or join anew: sotto join"},
		{p.DeviceKey, deviceMagic, "the device secret", "Put " + p.DeviceKey + " back from a backup, or join anew: sotto join"},
	} {
		switch ok, err := begins(f.path, f.magic); {
		case errors.Is(err, fs.ErrNotExist):
			return finding{Bad, f.what + " is missing", "The vault opens only together with the device secret, whatever the PIN.", f.remedy}
		case err != nil:
			return finding{Bad, err.Error(), "sotto cannot open " + f.what + ".", "Check who may read it, and whether the disk is sound."}
		case !ok:
			return finding{Bad, f.what + " is damaged", "The vault does not open, whatever the PIN.", f.remedy}
		}
	}
	return good("there, and the device secret with it")
}

// begins says whether a file begins with some bytes.
func begins(path, magic string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, len(magic))
	if _, err := io.ReadFull(f, b); err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return false, err
	}
	return string(b) == magic, nil
}

// pageSize is that of the message database, in bytes.
const pageSize = 4096

// store looks at the outside of the message database: what is in it takes the key.
func (p place) store(context.Context) finding {
	info, err := os.Stat(p.Database)
	if errors.Is(err, fs.ErrNotExist) {
		return good("no messages yet")
	}
	if err != nil {
		return finding{Bad, err.Error(), "The messages cannot be read.", "Check who owns " + p.Database + "."}
	}
	if !info.Mode().IsRegular() {
		return finding{Bad, "not a file", "The messages cannot be read.", "Look what " + p.Database + " is."}
	}
	log := int64(0)
	if wal, err := os.Stat(p.Database + "-wal"); err == nil {
		log = wal.Size()
	}
	found := fmt.Sprintf("%d KiB, log %d KiB", info.Size()>>10, log>>10)
	if info.Size()%pageSize != 0 {
		return finding{Bad, found + ", cut off within a page", "Part of the messages is lost: the disk was full or broken, or the file was copied half.",
			"Look into it with: sotto doctor --store. Put the data folder back from a backup."}
	}
	return good(found)
}
