package doctor

import (
	"context"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

func (machine) coreTarget() string { return "off for sotto" }

// swap asks for struct xsw_usage of sys/sysctl.h: three sizes, the page size,
// and whether all of it is encrypted.
func (machine) swap(context.Context) finding {
	b, err := unix.SysctlRaw("vm.swapusage")
	if err != nil || len(b) < 32 {
		return finding{Weak, "not told", "Text that sotto shows can be swapped to the disk.", "Turn FileVault on."}
	}
	switch {
	case binary.NativeEndian.Uint64(b) == 0:
		return good("none")
	case binary.NativeEndian.Uint32(b[28:]) != 0:
		return good("encrypted by macOS")
	}
	return finding{Weak, "in clear", "Keys are locked in memory and never swapped. Text that sotto shows can be, and then stays on the disk.", "Turn FileVault on."}
}

func (machine) hibernation(context.Context) finding {
	return finding{Weak, "sotto does not look on macOS", "Sleeping writes memory to the disk, as safe as FileVault makes it.", "Turn FileVault on, and lock sotto first (Ctrl+L)."}
}

func (machine) debuggers(context.Context) finding { return good("sotto refuses them (PT_DENY_ATTACH)") }
