package profile

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

type aclRow struct {
	tag, perm uint16
	id        uint32
}

func acl(rows ...aclRow) []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, r := range rows {
		b = binary.LittleEndian.AppendUint16(b, r.tag)
		b = binary.LittleEndian.AppendUint16(b, r.perm)
		b = binary.LittleEndian.AppendUint32(b, r.id)
	}
	return b
}

const nobody = 0xffffffff

// forUser is the list that systemd makes for a unit's user: readable by that user
// alone, and by root, whose file it is.
func forUser(user uint32) []byte {
	return acl(aclRow{aclUserObj, 4, nobody}, aclRow{aclUser, 4, user}, aclRow{aclGroupObj, 0, nobody},
		aclRow{aclMask, 4, nobody}, aclRow{aclOther, 0, nobody})
}

func TestAccessList(t *testing.T) {
	const us = 1234
	for name, c := range map[string]struct {
		list []byte
		only bool
	}{
		"for us":             {forUser(us), true},
		"for root":           {forUser(0), true},
		"for another":        {forUser(77), false},
		"for the group":      {acl(aclRow{aclUserObj, 4, nobody}, aclRow{aclGroupObj, 4, nobody}, aclRow{aclOther, 0, nobody}), false},
		"for a named group":  {acl(aclRow{aclUserObj, 4, nobody}, aclRow{0x08, 4, 10}, aclRow{aclMask, 4, nobody}), false},
		"for all":            {acl(aclRow{aclUserObj, 4, nobody}, aclRow{aclGroupObj, 0, nobody}, aclRow{aclOther, 4, nobody}), false},
		"of what is unknown": {acl(aclRow{0x40, 4, nobody}), false},
		"of another version": {append([]byte{3}, forUser(us)[1:]...), false},
		"cut off":            {forUser(us)[:15], false},
		"nothing":            {nil, false},
	} {
		if got := aclOnlyFor(c.list, us); got != c.only {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzAccessList(f *testing.F) {
	f.Add(forUser(1), uint32(1))
	f.Fuzz(func(t *testing.T, list []byte, user uint32) { aclOnlyFor(list, user) })
}

func TestOpenPIN(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("493817"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	listed := func(name string, user uint32) string {
		path := write(name, 0o600)
		if err := unix.Setxattr(path, "system.posix_acl_access", forUser(user), 0); err != nil {
			t.Fatalf("set an access list, which this test needs a file system for: %v", err)
		}
		return path
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(write("open", 0o604), link); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(socket, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(socket, os.O_RDWR, 0) // so that opening does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for path, want := range map[string]error{
		write("closed", 0o600):                nil,
		write("read-only", 0o400):             nil,
		listed("given", uint32(os.Geteuid())): nil,
		socket:                                nil,
		write("group", 0o640):                 errPINOthers,
		write("all", 0o604):                   errPINOthers,
		write("written by all", 0o602):        errPINOthers,
		link:                                  errPINOthers,
		listed("given to another", 4242):      errPINOthers,
		dir:                                   errPINKind,
		"/dev/null":                           errPINKind,
		filepath.Join(dir, "nothing is at this one"): os.ErrNotExist,
	} {
		f, err := OpenPIN(path)
		if f != nil {
			f.Close()
		}
		switch {
		case want == nil && err != nil, want != nil && err == nil:
			t.Errorf("%s: %v", path, err)
		case want != nil && !errors.Is(want, os.ErrNotExist) && !errors.Is(err, want):
			t.Errorf("%s: %v, not %v", path, err, want)
		}
	}
}
