package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"rsc.io/qr"
)

// TestQRRows reads what is drawn back, module by module, and compares it with the code.
func TestQRRows(t *testing.T) {
	const black, plain = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
	halves := map[rune][2]bool{'█': {true, true}, '▀': {true, false}, '▄': {false, true}, ' ': {false, false}}
	for _, code := range []string{"a", strings.Repeat("sotto-invitation ", 20), strings.Repeat("Z", 1200)} {
		c, err := qr.Encode(code, qr.L)
		if err != nil {
			t.Fatal(err)
		}
		rows, columns, err := qrRows([]byte(code))
		if err != nil || columns != c.Size+4 || len(rows) != (columns+1)/2 {
			t.Fatalf("%d bytes: %d rows of %d columns for %d modules, %v", len(code), len(rows), columns, c.Size, err)
		}
		drawn, wrong := 0, 0
		for i, row := range rows {
			body, begins := strings.CutPrefix(row, black)
			body, ends := strings.CutSuffix(body, plain)
			cells := []rune(body)
			if !begins || !ends || len(cells) != columns {
				t.Fatalf("row %d is %q", i, row)
			}
			for x, cell := range cells {
				half, known := halves[cell]
				if !known {
					t.Fatalf("row %d has %q", i, cell)
				}
				for k, is := range half {
					// Outside of the code is nothing black: its quiet zone.
					if is != c.Black(x-2, 2*i+k-2) {
						wrong++
					}
					if is {
						drawn++
					}
				}
			}
		}
		black := 0
		for y := range c.Size {
			for x := range c.Size {
				if c.Black(x, y) {
					black++
				}
			}
		}
		if wrong > 0 || drawn != black || black == 0 {
			t.Errorf("%d bytes: %d modules are wrong; %d are black, and %d should be", len(code), wrong, drawn, black)
		}
	}
	if rows, _, err := qrRows(bytes.Repeat([]byte("Z"), 1<<16)); err == nil || rows != nil {
		t.Errorf("a code that holds nothing as long is drawn: %d rows, %v", len(rows), err)
	}
}

// Where nobody could scan it nothing is drawn.
func TestQRNeedsATerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	drawCode(&b, []byte("a"))
	drawCode(f, []byte("a"))
	if info, err := f.Stat(); err != nil || info.Size() != 0 || b.Len() != 0 {
		t.Errorf("%d bytes and %d, %v", b.Len(), info.Size(), err)
	}
}
