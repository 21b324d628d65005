// Package profile is where an account lives on the disk: its folders, its
// settings, and the lock that keeps two sottos apart.
//
//	$XDG_CONFIG_HOME/sotto/NAME/config.toml   settings; may be edited by hand
//	$XDG_DATA_HOME/sotto/NAME/vault           the vault
//	$XDG_DATA_HOME/sotto/NAME/data/           the desk's folder, and all it can write to: messages, and
//	                                          in files/ what was sent with them, encrypted
//	$XDG_STATE_HOME/sotto/NAME/device.key     the device secret; not to be copied with the rest
//	$XDG_STATE_HOME/sotto/NAME/lock
//	$XDG_STATE_HOME/sotto/NAME/door           a socket, while sotto listen runs
package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Default is the profile that is used when none is named.
const Default = "default"

// Profile says where everything of one account is.
type Profile struct {
	Name      string
	Config    string // file: settings
	Vault     string // file: the vault
	DeviceKey string // file: the device secret
	Data      string // folder: all that the desk may write to
	Database  string // file, in Data: the message database
	LockFile  string // file
	Door      string // socket, while a program listens
}

// The errors with a remedy, in words for people.
var (
	ErrName     = errors.New("a profile's name is 1 to 64 of a-z, 0-9, dot, dash and underscore, and does not begin with a dot")
	ErrInUse    = errors.New("this profile is open in another sotto")
	ErrNoHome   = errors.New("there is no home folder to keep profiles in: set HOME, or XDG_CONFIG_HOME, XDG_DATA_HOME and XDG_STATE_HOME")
	ErrReadOnly = errors.New("it cannot be written to. Check who owns it, its permissions, and whether the disk is mounted read-only")
	ErrClosed   = errors.New("it cannot be read. Check who owns it, and its permissions")
	ErrForeign  = errors.New("it belongs to someone else. Messages and keys are kept only in folders of your own")
)

// Paths returns the profile with a name, in the XDG folders. It makes nothing.
func Paths(name string) (Profile, error) {
	if !validName(name) {
		return Profile{}, fmt.Errorf("profile %q: %w", name, ErrName)
	}
	b, err := bases()
	if err != nil {
		return Profile{}, err
	}
	return layout(name, filepath.Join(b.config, "sotto", name), filepath.Join(b.data, "sotto", name), filepath.Join(b.state, "sotto", name)), nil
}

// In returns a profile with everything beneath one folder, as for the demo.
func In(dir string) Profile {
	return layout(Default, filepath.Join(dir, "config"), filepath.Join(dir, "share"), filepath.Join(dir, "state"))
}

func layout(name, config, data, state string) Profile {
	return Profile{
		Name:      name,
		Config:    filepath.Join(config, "config.toml"),
		Vault:     filepath.Join(data, "vault"),
		Data:      filepath.Join(data, "data"),
		Database:  filepath.Join(data, "data", "sotto.db"),
		DeviceKey: filepath.Join(state, "device.key"),
		LockFile:  filepath.Join(state, "lock"),
		Door:      filepath.Join(state, "door"),
	}
}

func validName(name string) bool {
	if len(name) < 1 || len(name) > 64 || name[0] == '.' {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

type baseFolders struct{ config, data, state string }

// bases follows the XDG Base Directory Specification, which has relative paths
// ignored. On Windows the folders are where programs there keep such things.
func bases() (baseFolders, error) {
	var b baseFolders
	home, homeErr := os.UserHomeDir()
	for _, f := range []struct {
		path          *string
		env, fallback string
	}{
		{&b.config, "XDG_CONFIG_HOME", filepath.Join(".config")},
		{&b.data, "XDG_DATA_HOME", filepath.Join(".local", "share")},
		{&b.state, "XDG_STATE_HOME", filepath.Join(".local", "state")},
	} {
		if dir := os.Getenv(f.env); filepath.IsAbs(dir) {
			*f.path = dir
			continue
		}
		if runtime.GOOS == "windows" {
			local := os.Getenv("LocalAppData")
			if local == "" {
				return b, ErrNoHome
			}
			*f.path = filepath.Join(local, filepath.Base(f.fallback))
			continue
		}
		if homeErr != nil || !filepath.IsAbs(home) {
			return b, ErrNoHome
		}
		*f.path = filepath.Join(home, f.fallback)
	}
	return b, nil
}

// Exists reports whether the profile has a vault.
func (p Profile) Exists() (bool, error) {
	_, err := os.Lstat(p.Vault)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, unread("looking for profile "+p.Name, err)
	}
	return true, nil
}

// folders are the profile's own, outermost first.
func (p Profile) folders() []string {
	return []string{filepath.Dir(p.Config), filepath.Dir(p.Vault), p.Data, filepath.Dir(p.DeviceKey)}
}

// files are the profile's files that may be there, except the lock.
func (p Profile) files() []string {
	return []string{p.Config, p.Vault, p.Database, p.Database + "-wal", p.DeviceKey}
}

// Make makes the profile's folders, readable by their owner only, and brings
// those that are there to that state. Files that others can read are closed
// to them too. It fails where something belongs to someone else.
func (p Profile) Make() error {
	for _, dir := range p.folders() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return explain("making the folder "+dir, err)
		}
		if err := tighten(dir, true); err != nil {
			return err
		}
	}
	for _, file := range p.files() {
		if err := tighten(file, false); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// tighten takes away the permissions of everyone but the owner.
func tighten(path string, dir bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return unread("looking at "+path, err)
	}
	if info.IsDir() != dir {
		if dir {
			return fmt.Errorf("%s is not a folder: move it away", path)
		}
		return fmt.Errorf("%s is a folder: move it away", path)
	}
	if runtime.GOOS == "windows" {
		return nil // what is beneath a user's own folders is closed to others there
	}
	if !owned(info) {
		return fmt.Errorf("%s: %w", path, ErrForeign)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return explain("closing "+path+" to others", os.Chmod(path, info.Mode().Perm()&^0o077))
}

// explain adds what was being done to err, and the remedy where there is one.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
		return fmt.Errorf("%s: %w", doing, &fault{ErrReadOnly, err})
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// unread is explain where nothing was to be written.
func unread(doing string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		err = &fault{ErrClosed, err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// fault is an error with a remedy and what lay beneath it.
type fault struct{ remedy, cause error }

func (f *fault) Error() string   { return f.remedy.Error() }
func (f *fault) Unwrap() []error { return []error{f.remedy, f.cause} }
