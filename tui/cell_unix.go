//go:build !windows

package tui

import (
	"golang.org/x/sys/unix"

	"sotto/tui/graphics"
)

// cellOf asks the terminal how large a character is; zero if it does not tell.
func cellOf(fd uintptr) graphics.Cell {
	ws, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return graphics.Cell{}
	}
	c := graphics.Cell{W: int(ws.Xpixel) / int(ws.Col), H: int(ws.Ypixel) / int(ws.Row)}
	if !c.Known() {
		return graphics.Cell{}
	}
	return c
}
