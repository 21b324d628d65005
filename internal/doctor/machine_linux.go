package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (m machine) coreTarget() string {
	pattern := m.word("/proc/sys/kernel/core_pattern")
	program, piped := strings.CutPrefix(pattern, "|")
	if fields := strings.Fields(program); piped && len(fields) > 0 {
		return "off for sotto; others' go to " + filepath.Base(fields[0])
	}
	return "off for sotto"
}

// debuggers is about other programs of the same user. Yama is the kernel's
// module that limits whom they may trace.
func (m machine) debuggers(context.Context) finding {
	const (
		meaning = "For the moment until a process of sotto has hardened itself, another program of yours could attach to it."
		remedy  = "Set kernel.yama.ptrace_scope = 1 in /etc/sysctl.d, where the kernel has Yama."
	)
	switch scope := m.word("/proc/sys/kernel/yama/ptrace_scope"); scope {
	case "":
		return finding{Weak, "this kernel has no Yama", meaning, remedy}
	case "0":
		return finding{Weak, "ptrace_scope 0: any program of yours", meaning, remedy}
	case "1", "2", "3":
		return good("ptrace_scope " + scope)
	default:
		return finding{verdict: Weak, found: "ptrace_scope is not understood", meaning: meaning, remedy: remedy}
	}
}

// tpm looks whether there is a TPM 2.0 that this user may use.
func (m machine) tpm(context.Context) finding {
	const device = "/dev/tpmrm0"
	path := filepath.Join(m.root, device)
	if _, err := os.Stat(path); err != nil {
		f := finding{Weak, "none", "Who copies the vault and the device secret can guess PINs on another computer.",
			"Choose a PIN of 8 digits or more, and encrypt the disk."}
		if m.word("/sys/class/tpm/tpm0/tpm_version_major") == "1" {
			f.found = "TPM 1.2, which is too old"
		}
		return f
	}
	if v := m.word("/sys/class/tpm/tpm0/tpm_version_major"); v != "" && v != "2" {
		return finding{Weak, "TPM version " + v, "sotto uses version 2.0 only.", ""}
	}
	if err := unix.Access(path, unix.R_OK|unix.W_OK); err != nil {
		return finding{Weak, "2.0, but not for this user", "The device secret cannot be sealed to this computer.",
			"Add the user to the group of " + device + ", usually: usermod -aG tss " + userName()}
	}
	return good("2.0")
}

// userName is for a command to be copied. Names that would have to be quoted
// are left to the reader.
func userName() string {
	if name := os.Getenv("USER"); name != "" && len(name) < 33 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == "" {
		return name
	}
	return "NAME"
}

func synchronized() string {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		return ""
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return "no"
	}
	return "yes"
}

func randomness(context.Context) finding {
	var b [1]byte
	_, err := unix.Getrandom(b[:], unix.GRND_NONBLOCK)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return finding{Bad, "not ready", "The kernel has not gathered enough to make keys from; sotto would wait.", "Wait a minute, or give the machine a random number generator (virtio-rng)."}
	case err != nil:
		return finding{Bad, err.Error(), "The kernel gives no random numbers to make keys from.", "Use another kernel."}
	}
	return good("getrandom, ready")
}

// backed says whether what is written to a block device, by its number, reaches
// a disk only encrypted. It follows device mappers to what they lie on.
func (m machine) backed(dev uint64) (encrypted bool, name string) {
	path := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(dev), unix.Minor(dev))
	target, err := filepath.EvalSymlinks(filepath.Join(m.root, path))
	if err != nil {
		return false, ""
	}
	return m.crypt(target, 0), filepath.Base(target)
}

// maxStack is how many device mappers may lie upon each other.
const maxStack = 8

// crypt takes a device's folder in sysfs.
func (m machine) crypt(dir string, depth int) bool {
	rel, err := filepath.Rel(m.root, dir)
	if err != nil || depth > maxStack {
		return false
	}
	if strings.HasPrefix(m.word(filepath.Join(rel, "dm/uuid")), "CRYPT-") {
		return true
	}
	f, err := os.Open(filepath.Join(dir, "slaves"))
	if err != nil {
		return false
	}
	defer f.Close()
	slaves, err := f.Readdirnames(64)
	if err != nil || len(slaves) == 0 {
		return false
	}
	for _, name := range slaves {
		slave, err := filepath.EvalSymlinks(filepath.Join(dir, "slaves", name))
		if err != nil || !m.crypt(slave, depth+1) {
			return false
		}
	}
	return true
}

// number reads a small decimal number; -1 if it is none.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 63)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
