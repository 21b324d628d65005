package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"sotto/internal/mounts"
)

// Bounds of the setting attach-from.
const (
	maxFolders = 16
	maxFolder  = 1024 // bytes of one
)

// Folder is a folder that files may be attached from.
type Folder struct {
	Shown string // as it stands in the settings
	Path  string // absolute and without links; "" if there is no such folder now

	Device  int64  // the file system that it is on; 0 if the system does not tell
	Foreign string // why that is not a disk of this computer, see package mounts; "" if it is
}

// checkFolders looks at what the setting says, and not at the disk.
func checkFolders(folders []string) error {
	if len(folders) > maxFolders {
		return fmt.Errorf("attach-from: there can be up to %d folders", maxFolders)
	}
	for _, f := range folders {
		switch {
		case f == "" || len(f) > maxFolder || !isLabel(f):
			return errors.New("attach-from: a folder's name must be a line of text")
		case !filepath.IsAbs(f) && !strings.HasPrefix(f, "~/"):
			return fmt.Errorf("attach-from: %q must begin with / or ~/", f)
		}
	}
	return nil
}

// Folders finds the folders of the setting attach-from, in its order. One that is
// not there keeps its place. One that holds sotto's own files, or lies among them,
// is an error: who shows messages could read the vault. So is one in which files
// stand for processes and devices.
func (p Profile) Folders(c Config) ([]Folder, error) {
	var found []Folder
	for _, shown := range c.AttachFrom {
		f := Folder{Shown: shown}
		dir := shown
		if rest, ok := strings.CutPrefix(shown, "~/"); ok {
			home, err := os.UserHomeDir()
			if err != nil || !filepath.IsAbs(home) {
				return nil, fmt.Errorf("attach-from: %s: %w", shown, ErrNoHome)
			}
			dir = filepath.Join(home, rest)
		}
		real, err := filepath.EvalSymlinks(dir)
		if err == nil {
			var info fs.FileInfo
			if info, err = os.Stat(real); err == nil && !info.IsDir() {
				return nil, fmt.Errorf("attach-from: %s is a file: name the folder that it is in", shown)
			}
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			found = append(found, f)
			continue
		case err != nil:
			return nil, unread("attach-from: looking for "+shown, err)
		}
		if err := p.apart(real); err != nil {
			return nil, fmt.Errorf("attach-from: %s %w", shown, err)
		}
		f.Path, f.Device, f.Foreign = real, mounts.Device(real), mounts.Foreign(real)
		found = append(found, f)
	}
	return found, nil
}

// systemFolders are those in which files stand for something else.
var systemFolders = []string{"/proc", "/sys", "/dev"}

// apart reports why a folder must not be read from; nil if it may be.
func (p Profile) apart(dir string) error {
	for _, own := range p.folders() {
		own, err := filepath.Abs(own)
		if err != nil {
			return err
		}
		if real, err := filepath.EvalSymlinks(own); err == nil {
			own = real
		}
		if within(own, dir) || within(dir, own) {
			return errors.New("holds sotto's own files. Name a folder beside them, such as ~/Pictures")
		}
	}
	if runtime.GOOS != "windows" && slices.ContainsFunc(systemFolders, func(s string) bool { return within(dir, s) }) {
		return errors.New("belongs to the system, and its files are no files. Name a folder of your own, such as ~/Pictures")
	}
	return nil
}

// within reports whether path is dir or beneath it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
