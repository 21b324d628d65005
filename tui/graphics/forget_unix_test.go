//go:build unix

package graphics

import (
	"bytes"
	"image"
	"os"
	"testing"
)

// The watch, which knows nothing of pictures, has the terminal forget the one that
// is drawn here when a desk is killed: both name it by the same number.
func TestWatchForgetsTheSameImage(t *testing.T) {
	d, err := Kitty.Draw(image.NewRGBA(image.Rect(0, 0, 8, 8)), 0, 0, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("../../internal/role/terminal_unix.go")
	if err != nil {
		t.Fatal(err)
	}
	remove := bytes.ReplaceAll(bytes.ReplaceAll(d.Remove, []byte("\x1b"), []byte(`\x1b`)), []byte(`\x1b\`), []byte(`\x1b\\`))
	if !bytes.Contains(code, remove) {
		t.Errorf("the watch does not write %s", remove)
	}
}
