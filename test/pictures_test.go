package test

import (
	"bytes"
	"crypto/rand"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sotto/test/server"
)

// TestDemoPicture attaches the picture that the demo has, looks at it, and locks.
func TestDemoPicture(t *testing.T) {
	t.Parallel()
	me := newPerson(t, "the demo")
	me.pin = "246810"
	me.run("demo")
	me.unlock()
	me.SeeMatch(`\A Okafor, Ada`)
	me.Type("/attach ")
	me.Press("Tab")
	me.See(">  /attach pictures/")
	me.Press("Tab")
	me.See(">  /attach pictures/ecg-bed9.png")
	me.Press("Enter")
	me.SeeMatch(`\[image\] ecg-bed9\.png \d+ kB   Enter to look +(delivered|read)`)
	me.Press("Enter")
	me.See("1200 x 480", "▀▀▀▀▀▀▀▀", "nothing is saved")
	me.lock()
	if s := me.Screen(); strings.Contains(s, "▀") || strings.Contains(s, "ecg") {
		t.Errorf("locked, and still to be seen:\n%s", s)
	}
	me.unlock()
	me.See("[image] ecg-bed9.png")
	me.Press("Enter")
	me.See("1200 x 480", "▀▀▀▀▀▀▀▀")
	me.Press("q")
	me.SeeGone("▀")
	me.Enter("/attach /etc/passwd")
	me.See("Files can be attached from pictures only.")
	me.Press("C-c")
	me.quit()
	if s := me.Scrollback(); strings.Contains(s, "▀") {
		t.Error("a picture is left in the terminal after the end")
	}
	nothingLeft(t, me.tmp())
	exercised(t, "a picture in sotto demo")
}

// photograph is a JPEG with what a camera writes into it, the canary among that.
func photograph(t *testing.T, canary string) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 320, 200))
	for y := range 200 {
		for x := range 320 {
			img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), 0x80, 0xff})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	exif := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00 52.5N 13.4E " + canary
	segment := append([]byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return bytes.Join([][]byte{b.Bytes()[:2], segment, b.Bytes()[2:], []byte(canary)}, nil)
}

// TestPicture sends a photograph from a folder that the settings name, and looks at
// it at the other end. Nothing of it is on either disk, but where it came from.
func TestPicture(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		people := team(t, s, "Okafor, Ada", "Lind, Per")
		ada, per := newPerson(t, "Ada"), newPerson(t, "Per")
		ada.join(s, people[0])
		per.join(s, people[1])
		canary := "CANARY" + rand.Text()
		pictures := filepath.Join(ada.home, "Pictures")
		if err := os.Mkdir(pictures, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(pictures, "wound.jpg"), photograph(t, canary), 0o600); err != nil {
			t.Fatal(err)
		}
		ada.talkTo("Lind, Per")
		ada.Enter("/attach ~/Pictures/wound.jpg")
		ada.See("No folder is named to attach files from.")
		ada.Press("C-c")
		ada.quit()

		f, err := os.OpenFile(filepath.Join(ada.home, "config", "sotto", "default", "config.toml"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("attach-from = [\"~/Pictures\"]\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		ada.run()
		ada.unlock()
		ada.talkTo("Lind, Per")
		ada.Enter("/attach ~/Pictures/wound.jpg before the dressing")
		ada.See("before the dressing", "[image] wound.jpg")
		ada.SeeMatch(`\[image\] wound\.jpg .*(delivered|read)`)
		per.talkTo("Okafor, Ada")
		per.See("before the dressing", "[image] wound.jpg", "Enter to look")
		per.Press("Enter")
		per.See("320 x 200", "▀▀▀▀▀▀▀▀")
		per.lock()
		if s := per.Screen(); strings.Contains(s, "▀") || strings.Contains(s, "wound") {
			t.Errorf("locked, and still to be seen:\n%s", s)
		}
		per.unlock()
		per.quit()
		ada.quit()
		for _, p := range []*person{ada, per} {
			err := filepath.WalkDir(p.home, func(path string, d os.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() || filepath.Dir(path) == pictures {
					return err
				}
				b, err := os.ReadFile(path)
				if bytes.Contains(b, []byte(canary)) || bytes.Contains(b, []byte("JFIF")) || bytes.Contains(b, []byte("\xff\xd8\xff\xdb")) {
					t.Errorf("%s: the picture is in %s", p.name, path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
		exercised(t, "a picture over "+s.Name)
	})
}
