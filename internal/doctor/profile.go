package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sotto/internal/profile"
	"sotto/keystore"
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
		one("vault", p.vault), one("store", p.store), one("organisation", p.organisation),
	}}
	if p.err != nil || !p.there {
		why := finding{verdict: Skipped, found: "no profile " + p.Name + " yet"}
		if p.err != nil {
			why = finding{verdict: Bad, found: p.err.Error(), meaning: "sotto cannot get at the profile, so it does not open.", remedy: "Run this as the user whose profile it is, or put right what is said here."}
		}
		for i, e := range g.of {
			said := why
			g.of[i] = one(e.ids[0], func(context.Context) finding { return said })
			why = finding{verdict: Skipped, found: why.found} // once is enough
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

// vault looks whether the vault and the device secret are sound and belong
// together. No PIN is tried.
func (p place) vault(context.Context) finding {
	status, err := keystore.At(p.Vault, p.DeviceKey).Check()
	const shut = "The vault does not open, whatever the PIN."
	switch {
	case errors.Is(err, keystore.ErrDestroyed):
		return finding{Bad, "destroyed, because of too many wrong PINs", "Nobody can read any more what was kept here.", "Clear it away and start anew: sotto wipe, then sotto join"}
	case errors.Is(err, keystore.ErrWiped):
		return finding{Bad, "wiped by order of its organisation", "Nobody can read any more what was kept here.", "Ask your administrator, who can let you join again."}
	case errors.Is(err, fs.ErrPermission):
		return finding{Bad, err.Error(), "sotto cannot open the vault.", "Run this as the user whose profile it is."}
	case errors.Is(err, keystore.ErrNewer):
		return finding{Bad, "written by a newer sotto", "This one does not know how to open it.", "Install the newer sotto."}
	case errors.Is(err, keystore.ErrNoDevice):
		return finding{Bad, "the device secret is missing", shut, "Put " + p.DeviceKey + " back from a backup, or start anew: sotto wipe, then sotto join"}
	case errors.Is(err, keystore.ErrDevice):
		return finding{Bad, "the device secret belongs to another vault, or is damaged", shut,
			"Put back the vault and device.key that belong together, or start anew: sotto wipe, then sotto join"}
	case errors.Is(err, keystore.ErrDamaged):
		return finding{Bad, "damaged", shut, "Put " + p.Vault + " back from a backup, or start anew: sotto wipe, then sotto join"}
	case err != nil:
		return finding{Bad, err.Error(), "The vault does not open.", ""}
	}
	found := "sound, with its device secret"
	if status.TPM {
		found += " in the TPM"
	}
	if status.Tried > 0 {
		f := finding{Weak, fmt.Sprintf("%s; wrong PINs since the last right one: %d", found, status.Tried), "", "If that was not you, somebody has been at this computer: tell who looks after it."}
		if status.DestroyAfter > 0 {
			f.meaning = fmt.Sprintf("After %d in a row it destroys itself.", status.DestroyAfter)
		}
		return f
	}
	return good(found)
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
