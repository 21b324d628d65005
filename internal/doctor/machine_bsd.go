//go:build freebsd || openbsd || dragonfly

package doctor

import (
	"context"
	"runtime"

	"golang.org/x/sys/unix"
)

func (machine) coreTarget() string { return "off for sotto" }

func (machine) swap(context.Context) finding {
	if runtime.GOOS == "openbsd" {
		if on, err := unix.SysctlUint32("vm.swapencrypt.enable"); err == nil && on == 1 {
			return good("encrypted by OpenBSD")
		}
	}
	return finding{Weak, "sotto cannot tell here whether it is encrypted", "Keys are locked in memory and never swapped. Text that sotto shows can be, and then stays on the disk.",
		"Encrypt the swap: on FreeBSD with .eli in /etc/fstab, on OpenBSD with vm.swapencrypt.enable=1."}
}

func (machine) hibernation(context.Context) finding {
	return finding{Weak, "sotto does not look on this system", "Hibernating writes all memory to the disk, locked memory too.", "Lock sotto first (Ctrl+L)."}
}

func (machine) debuggers(context.Context) finding {
	f := finding{Weak, "allowed", "On this system sotto cannot forbid other programs of yours to read its memory.", "Run sotto as a user that runs nothing else."}
	if runtime.GOOS == "freebsd" {
		if on, err := unix.SysctlUint32("security.bsd.unprivileged_proc_debug"); err == nil && on == 0 {
			return good("only root (security.bsd.unprivileged_proc_debug = 0)")
		}
		f.remedy = "Set security.bsd.unprivileged_proc_debug=0 in /etc/sysctl.conf."
	}
	return f
}
