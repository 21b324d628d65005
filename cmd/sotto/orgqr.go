package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"rsc.io/qr"
)

// drawCode draws an invitation for a phone or another computer to scan, where output
// is a terminal that is wide enough.
func drawCode(w io.Writer, code []byte) {
	out, ok := w.(*os.File)
	if !ok {
		return
	}
	width, _, err := term.GetSize(int(out.Fd()))
	if err != nil {
		return
	}
	rows, columns, err := qrRows(code)
	if err != nil || columns > width {
		return
	}
	for _, row := range rows {
		fmt.Fprintln(out, row)
	}
	fmt.Fprintln(out)
}

// quiet is how many white modules are around a QR code.
const quiet = 2

// qrRows are the rows of a terminal that show a QR code, two modules a character, one
// above the other, and how many columns they are wide.
func qrRows(code []byte) (rows []string, columns int, err error) {
	c, err := qr.Encode(string(code), qr.L)
	if err != nil {
		return nil, 0, fmt.Errorf("draw the QR code: %w", err)
	}
	size := c.Size + 2*quiet
	for y := 0; y < size; y += 2 {
		var b strings.Builder
		b.WriteString("\x1b[38;5;16;48;5;231m") // black on white, whatever the terminal's colours
		for x := range size {
			switch top, bottom := c.Black(x-quiet, y-quiet), c.Black(x-quiet, y+1-quiet); {
			case top && bottom:
				b.WriteString("█")
			case top:
				b.WriteString("▀")
			case bottom:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m")
		rows = append(rows, b.String())
	}
	return rows, size, nil
}
