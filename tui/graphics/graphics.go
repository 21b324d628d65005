// Package graphics draws an image on a terminal: with the kitty graphics protocol
// or with sixels where the terminal has said that it knows one of them, else with
// characters, which any terminal has.
//
// What it is given is pixels, and what it makes is their colours in numbers and
// base64: nothing that a stranger wrote can reach the terminal through here.
package graphics

import (
	"bytes"
	"fmt"
	"image"
	"strconv"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/ansi/kitty"
	"github.com/charmbracelet/x/ansi/sixel"
)

// Protocol is a way to draw images.
type Protocol int

// The protocols, from what every terminal can to what few can.
const (
	Cells Protocol = iota // characters, drawn as any text
	Sixel
	Kitty
)

// queryID is the image that is asked about; it is not kept.
const queryID = 31

// Questions asks a terminal which protocols it knows: whether it took an image of
// one pixel (kitty), and what it is (DA1). What knows neither question ignores it.
const Questions = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\" + ansi.RequestPrimaryDeviceAttributes

// KnowsKitty reads the answer to the first question. All that it tells is yes.
func KnowsKitty(id int, payload []byte) bool { return id == queryID && string(payload) == "OK" }

// KnowsSixel reads the answer to the second question: attribute 4 is sixel. The
// first number is the terminal's class.
func KnowsSixel(attributes []int) bool {
	for i, a := range attributes {
		if i > 0 && a == 4 {
			return true
		}
	}
	return false
}

// Bounds of an image that goes to the terminal, in pixels.
const (
	maxKitty = 2_000_000
	maxSixel = 600_000
	// maxWrite bounds one write, in bytes: between two of them a screen can go dark.
	maxWrite = 4096 + 128
)

// Cell is the size of a character, in pixels.
type Cell struct{ W, H int }

// usual is a cell of which the terminal does not tell the size.
var usual = Cell{10, 20}

// maxCell bounds what a terminal may say of its cells.
const maxCell = 128

// Known reports whether the terminal told a size that can be.
func (c Cell) Known() bool { return c.W > 0 && c.H > 0 && c.W <= maxCell && c.H <= maxCell }

// or is the cell, or the usual one.
func (c Cell) or(other Cell) Cell {
	if c.Known() {
		return c
	}
	return other
}

// Fit returns how many columns and rows an image of w x h pixels takes if it is to
// fill as much as it can of an area, and keeps its shape. A half-block is half a
// cell, so what is drawn is as exact as that.
func Fit(w, h, cols, rows int, cell Cell) (c, r int) {
	cell = cell.or(usual)
	if w <= 0 || h <= 0 || cols <= 0 || rows <= 0 {
		return 0, 0
	}
	// In pixels of the screen: cols*cell.W wide, or rows*cell.H high.
	if high := cols * cell.W * h / w; high <= rows*cell.H {
		return cols, min(max((high+cell.H/2)/cell.H, 1), rows)
	}
	wide := rows * cell.H * w / h
	return min(max((wide+cell.W/2)/cell.W, 1), cols), rows
}

// Pixels returns how many pixels to draw for an area of cells; shades is that of
// the Style.
func (p Protocol) Pixels(cols, rows int, cell Cell, shades bool) (w, h int) {
	most := maxKitty
	switch p {
	case Cells:
		if shades {
			return cols, rows
		}
		return cols, 2 * rows
	case Sixel:
		most = maxSixel
	}
	cell = cell.or(usual)
	w, h = cols*cell.W, rows*cell.H
	if p == Kitty { // which is told the area, and scales
		for w*h > most {
			w, h = w/2, h/2
		}
		return max(w, 1), max(h, 1)
	}
	for w*h > most { // the image is drawn smaller than its area
		w, h = w*9/10, h*9/10
	}
	return max(w, 1), max(h/6*6, 6) // a sixel is six pixels high
}

// A Drawing is what has a terminal draw an image, and take it away again.
type Drawing struct {
	Protocol Protocol
	Parts    [][]byte // to be written in order; each can be the last
	Cancel   []byte   // ends the drawing after any part
	Remove   []byte   // takes the image away, from the terminal's memory, too
}

// imageID is the image that is shown, for kitty. There is never more than one.
const imageID = 5074

// Draw makes the drawing of an image whose upper left corner is at a column and row,
// from 0. For Kitty it fills an area of cells.
func (p Protocol) Draw(img *image.RGBA, x, y, cols, rows int) (*Drawing, error) {
	if img == nil || img.Rect.Empty() || x < 0 || y < 0 {
		return nil, fmt.Errorf("draw an image: it has no place")
	}
	d := &Drawing{Protocol: p}
	var out bytes.Buffer
	// The cursor goes back to where the text was left.
	out.WriteString(ansi.SaveCursor + "\x1b[" + strconv.Itoa(y+1) + ";" + strconv.Itoa(x+1) + "H")
	switch p {
	case Kitty:
		err := kitty.EncodeGraphics(&out, img, &kitty.Options{
			Action: kitty.TransmitAndPut, Transmission: kitty.Direct, Format: kitty.PNG, ID: imageID, PlacementID: 1,
			Columns: cols, Rows: rows, DoNotMoveCursor: true, Quiet: 2, Chunk: true,
		})
		if err != nil {
			return nil, fmt.Errorf("draw an image: %w", err)
		}
		// What is cut off is completed, so that the terminal drops it.
		d.Cancel = []byte("\x18" + ansi.KittyGraphics(nil, "q=2", "m=0"))
		d.Remove = []byte(ansi.KittyGraphics(nil, "q=2", "a=d", "d=I", "i="+strconv.Itoa(imageID)))
	case Sixel:
		var payload bytes.Buffer
		if err := new(sixel.Encoder).Encode(&payload, img); err != nil {
			return nil, fmt.Errorf("draw an image: %w", err)
		}
		out.WriteString(ansi.SixelGraphics(0, 1, 0, bytes.TrimSuffix(payload.Bytes(), []byte{sixel.LineBreak})))
		d.Cancel = []byte("\x18")
	default:
		return nil, fmt.Errorf("draw an image: characters are text")
	}
	out.WriteString(ansi.RestoreCursor)
	d.Parts = split(out.Bytes(), p)
	return d, nil
}

// split cuts what is written into parts: kitty's between two of its sequences, so
// that each is complete, sixel's anywhere.
func split(b []byte, p Protocol) (parts [][]byte) {
	for len(b) > maxWrite {
		n := maxWrite
		if p == Kitty {
			if i := bytes.LastIndex(b[:n], []byte("\x1b\\")); i >= 0 {
				n = i + 2
			}
		}
		parts = append(parts, b[:n])
		b = b[n:]
	}
	return append(parts, b)
}
