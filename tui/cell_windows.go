package tui

import "sotto/tui/graphics"

// cellOf knows no size of a character here.
func cellOf(uintptr) graphics.Cell { return graphics.Cell{} }
