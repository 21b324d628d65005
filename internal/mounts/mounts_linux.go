package mounts

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxLine and maxMounts bound what is read of the list of mounts.
const (
	maxLine   = 16 << 10
	maxMounts = 1 << 14
)

// mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	device string // major:minor
	point  string
	kind   string // of file system
	source string
}

func foreign(path string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	return judge(f, "/", path)
}

// judge looks into a list of mounts, and into sysfs beneath root.
func judge(list io.Reader, root, path string) string {
	m, ok := find(list, path)
	if !ok {
		return ""
	}
	kind, _, _ := strings.Cut(m.kind, ".")
	switch kind {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "glusterfs", "lustre", "gfs2", "ocfs2", "9p", "davfs",
		"virtiofs", "vboxsf", "vmhgfs", "hgfs", "prl_fs", "beegfs", "orangefs":
		return "is on another computer (" + m.kind + ")"
	case "fuse":
		if !strings.HasPrefix(m.source, "/dev/") { // sshfs, rclone, MTP
			return "is on another device, or another computer (" + m.kind + ")"
		}
	case "iso9660", "udf":
		return "is on a disc (" + m.kind + ")"
	}
	if removable(root, m.device) {
		return "is on a removable disk (" + m.kind + ")"
	}
	return ""
}

// find returns the mount that a path is on: the last in the list of those nearest.
func find(list io.Reader, path string) (best mount, ok bool) {
	lines := bufio.NewScanner(list)
	lines.Buffer(nil, maxLine)
	for n := 0; n < maxMounts && lines.Scan(); n++ {
		m, is := parse(lines.Text())
		if is && len(m.point) >= len(best.point) && beneath(path, m.point) {
			best, ok = m, true
		}
	}
	return best, ok
}

func beneath(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// parse reads "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": after
// six parts and any number of others a hyphen, and three more.
func parse(line string) (m mount, ok bool) {
	first, rest, ok := strings.Cut(line, " - ")
	a, b := strings.Fields(first), strings.Fields(rest)
	if !ok || len(a) < 6 || len(b) < 2 {
		return m, false
	}
	return mount{a[2], unescape(a[4]), b[0], unescape(b[1])}, true
}

// unescape reads \040 for a space, and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			n := 0
			for _, c := range []byte(s[i+1 : i+4]) {
				if c < '0' || c > '7' {
					n = -1
					break
				}
				n = n*8 + int(c-'0')
			}
			if n >= 0 && n < 256 {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// maxStack is how many devices may lie upon each other: mappers, and parts of a disk.
const maxStack = 8

// removable reports whether a block device, by its number, lies on a disk that is
// taken along: its medium comes out, or it hangs on USB.
func removable(root, number string) bool {
	dir, err := filepath.EvalSymlinks(filepath.Join(root, "sys/dev/block", number))
	if err != nil {
		return false
	}
	return comesOut(dir, 0)
}

func comesOut(dir string, depth int) bool {
	if depth > maxStack {
		return false
	}
	for _, part := range strings.Split(dir, "/") {
		if strings.HasPrefix(part, "usb") && strings.Trim(part[3:], "0123456789") == "" && len(part) > 3 {
			return true
		}
	}
	for _, d := range []string{dir, filepath.Dir(dir)} { // of a part of a disk the disk knows
		if b, err := os.ReadFile(filepath.Join(d, "removable")); err == nil && strings.TrimSpace(string(b)) == "1" {
			return true
		}
	}
	slaves, _ := os.ReadDir(filepath.Join(dir, "slaves"))
	for _, s := range slaves[:min(len(slaves), 64)] {
		if real, err := filepath.EvalSymlinks(filepath.Join(dir, "slaves", s.Name())); err == nil && comesOut(real, depth+1) {
			return true
		}
	}
	return false
}
