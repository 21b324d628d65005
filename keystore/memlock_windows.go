package keystore

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// CheckMemlock tries whether this process may lock as much memory as the
// busiest role needs, and says what to do if not.
func CheckMemlock() error { return checkMemlock(lockedPages * os.Getpagesize()) }

func checkMemlock(need int) error {
	addr, err := windows.VirtualAlloc(0, uintptr(need), windows.MEM_COMMIT|windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMemlock, err)
	}
	defer windows.VirtualFree(addr, 0, windows.MEM_RELEASE)
	if err := windows.VirtualLock(addr, uintptr(need)); err != nil {
		return fmt.Errorf("%w. sotto needs %d KiB: end other programs, or raise the working set of this session: %w", ErrMemlock, need>>10, err)
	}
	return windows.VirtualUnlock(addr, uintptr(need))
}
