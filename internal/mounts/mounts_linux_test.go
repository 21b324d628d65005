package mounts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const list = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:50 / /home/ng/ward rw - nfs4 files:/ward rw
41 22 8:17 / /media/ng/STICK\040A rw,nosuid shared:5 - vfat /dev/sdb1 rw
42 22 0:51 / /home/ng/remote rw - fuse.sshfs ng@files:/ rw
43 22 8:33 / /home/ng/bay rw - ext4 /dev/sdc1 rw
44 22 254:3 / /home/ng/vault rw - ext4 /dev/mapper/luks-stick rw
45 22 8:34 / /srv rw - fuseblk /dev/sdc2 rw
46 45 0:52 / /home/ng/bay rw - cifs //files/x rw
not a line
47 22 8:99
`

// machine is a sysfs with the disks above.
func machine(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	disk := func(path, removable, number string) {
		dir := filepath.Join(root, "sys/devices", path)
		for _, d := range []string{dir, filepath.Join(root, "sys/dev/block")} {
			if err := os.MkdirAll(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if removable != "" {
			if err := os.WriteFile(filepath.Join(dir, "removable"), []byte(removable+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if number != "" {
			if err := os.Symlink(dir, filepath.Join(root, "sys/dev/block", number)); err != nil {
				t.Fatal(err)
			}
		}
	}
	disk("pci0/nvme0n1", "0", "254:0")
	disk("pci0/usb1/1-2/block/sdb", "0", "")
	disk("pci0/usb1/1-2/block/sdb/sdb1", "", "8:17")
	disk("pci0/ata1/block/sdc", "1", "")
	disk("pci0/ata1/block/sdc/sdc1", "", "8:33")
	disk("pci0/ata1/block/sdc/sdc2", "", "8:34")
	disk("virtual/block/dm-3", "0", "254:3")
	if err := os.MkdirAll(filepath.Join(root, "sys/devices/virtual/block/dm-3/slaves"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "sys/devices/pci0/usb1/1-2/block/sdb"), filepath.Join(root, "sys/devices/virtual/block/dm-3/slaves/sdb")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestWhatIsForeign(t *testing.T) {
	root := machine(t)
	for path, want := range map[string]string{
		"/home/ng/Pictures":      "",
		"/home/ng/wards":         "", // not beneath /home/ng/ward
		"/home/ng/ward/x":        "is on another computer (nfs4)",
		"/media/ng/STICK A/dcim": "is on a removable disk (vfat)",
		"/home/ng/remote":        "is on another device, or another computer (fuse.sshfs)",
		"/home/ng/bay":           "is on another computer (cifs)", // mounted over what was there
		"/home/ng/vault/x":       "is on a removable disk (ext4)", // encrypted, on the stick
		"/srv/scans":             "is on a removable disk (fuseblk)",
	} {
		if got := judge(strings.NewReader(list), root, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := Foreign(t.TempDir()); got != "" {
		t.Logf("the folder of tests %s", got)
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add(list, "/home/ng")
	f.Add("1 2 3:4 / /a\\04", "/a")
	f.Fuzz(func(t *testing.T, list, path string) { judge(strings.NewReader(list), t.TempDir(), path) })
}
