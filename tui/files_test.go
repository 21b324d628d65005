package tui

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	photo "sotto/client/picture"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/tui/attach"
)

var enterKey = tea.KeyPressMsg{Code: tea.KeyEnter}

// ecg fills the fake with a conversation in which an image came.
func (f *fake) ecg() {
	f.say(ada, ada, "Hold the spironolactone. ECG?", 5*time.Minute, read)
	f.file(ada, "", "ecg-bed9.png", "image/png", 212_000, store.Done, strip(600, 240), 3*time.Minute, delivered)
}

// withFiles fills it with files in all their states.
func withFiles(f *fake) {
	own := func(s store.State, why string) func(*client.Message) {
		return func(m *client.Message) { m.State, m.Why = s, text.Line(why) }
	}
	f.file(ada, "", "ecg-bed9.png", "image/png", 212_000, store.Done, nil, 20*time.Minute, delivered)
	f.file(ada, "", "ct-thorax.jpg", "image/jpeg", 3_400_000, store.Uploading, nil, 19*time.Minute, own(store.Queued, "uploading 40 %"))
	f.file(ada, ada, "arriving.jpg", "image/jpeg", 1000, store.Downloading, nil, 18*time.Minute, read, func(m *client.Message) { m.Files[0].Done = 600 })
	f.file(ada, ada, "stopped.jpg", "image/jpeg", 1000, store.Broken, nil, 17*time.Minute, read, func(m *client.Message) { m.Files[0].Why = text.Line("The connection was lost.") })
	f.file(ada, ada, "lost.jpg", "image/jpeg", -1, store.Lost, nil, 16*time.Minute, read)
	f.file(ada, ada, "report \u202e of the ward with quite a long name that does not end where others do.pdf", "application/pdf", 88_000, store.Offered, nil, 15*time.Minute, read)
	f.file(ada, ada, "ecg-bed4.png", "image/png", 180_000, store.Offered, nil, 14*time.Minute, read)
}

func TestImagesInFewColoursAndNone(t *testing.T) {
	for _, look := range []struct {
		name string
		env  []string
	}{
		{"no-color", []string{"TERM=xterm-256color", "LANG=C.UTF-8", "NO_COLOR=1"}},
		{"linux", []string{"TERM=linux", "LANG=C.UTF-8"}},
		{"dumb", []string{"TERM=dumb"}},
	} {
		s := scene{fill: (*fake).ecg, act: func(m *Model) { feed(m, enterKey) }}
		m := s.still(t, 80, 24, look.env, "dark")
		golden(t, "viewer-80x24-"+look.name, styled(t, m))
		within(t, m, 80, 24)
		if strings.ContainsAny(m.frame.content, "▀") {
			t.Errorf("%s: half-blocks", look.name)
		}
	}
}

func TestLookAtAnImage(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.ecg()
		f.file(ada, ada, "second.png", "image/png", 900, store.Offered, strip(100, 100), 2*time.Minute, read)
		f.say(ada, ada, "What do you see?", time.Minute, read)
	}})
	term.sees("[image] ecg-bed9.png 212 kB  ", "[image] second.png 900 bytes   Enter to look")
	term.press(keyEnter).sees("Fetching it.", "Esc back · nothing is saved", "2 of 2")
	term.fake.moves(2, func(_ *client.Message, f *client.File) { f.State, f.Done = store.Downloading, 300 })
	term.sees("Arriving 33 %")
	term.fake.moves(2, func(_ *client.Message, f *client.File) {
		f.State, f.Why = store.Broken, text.Line("The connection was lost.")
	})
	term.sees("Stopped: The connection was lost. Enter tries again.")
	term.press(keyEnter).sees("Fetching it.")
	term.fake.moves(2, func(_ *client.Message, f *client.File) { f.State, f.Why = store.Done, text.Safe{} })
	term.sees("100 x 100 · 900 bytes", "▀▀▀▀", "+ zoom")
	term.press("+").sees("arrows move").press("-").misses("arrows move")
	term.press("n").sees("This is the last image.")
	term.press("p").sees("ecg-bed9.png", "600 x 240", "1 of 2")
	term.press("p").sees("This is the first image")
	term.press(keyEsc).sees("What do you see?").misses("▀")
	term.fake.mu.Lock()
	defer term.fake.mu.Unlock()
	if want := []string{"fetch 2", "fetch 2", "contents 2", "contents 1"}; !slices.Equal(term.fake.files.done, want) {
		t.Errorf("asked for %q", term.fake.files.done)
	}
}

func TestChooseAnImageToLookAt(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.file(ada, ada, "first.png", "image/png", 900, store.Done, strip(100, 100), 3*time.Minute, read)
		f.file(ada, ada, "second.png", "image/png", 900, store.Done, strip(100, 100), 2*time.Minute, read)
	}})
	term.sees("second.png 900 bytes   Enter to look")
	term.press(keyAltUp, keyAltUp).sees("first.png 900 bytes   Enter to look", "Enter look").misses("second.png 900 bytes   Enter")
	term.press(keyEnter).sees(" first.png", "1 of 2").press("q").misses("1 of 2")
	term.press("a draft", keyEnter).sees("you     a draft") // what is written is sent, whatever is chosen
	term.hasSent(ada + " a draft")
}

// What is no image, whatever it says, ends in a sentence.
func TestWhatCannotBeShownSaysWhy(t *testing.T) {
	bomb := bytes.Clone(strip(8, 8))
	copy(bomb[16:], []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff})
	for name, c := range map[string]struct {
		content []byte
		kind    string
		words   string
	}{
		"words":  {[]byte("\x1b[2Jno image"), "image/png", "It is no image that can be shown"},
		"half":   {strip(100, 100)[:90], "image/png", "The image is damaged"},
		"binary": {[]byte("a\x00b"), "text/plain", "This is no plain text, and sotto does not open it."},
		"empty":  {[]byte("\n\n"), "text/plain", "There is nothing in this file."},
		"gone":   {nil, "image/png", "What was kept of this file is gone. Fetch it again."},
		"a PDF":  {[]byte("%PDF"), "application/pdf", "sotto shows images and text, and saves nothing."},
		"bomb":   {bomb, "image/png", "The image is damaged"},
	} {
		s := scene{fill: func(f *fake) { f.file(ada, ada, "file", c.kind, 100, store.Done, c.content, 0, read) },
			act: func(m *Model) { m.choose(-1); feed(m, enterKey) }}
		m := s.still(t, 80, 24, nil, "dark")
		if got := plain(m); !strings.Contains(got, c.words) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

func TestTextIsReadInParts(t *testing.T) {
	long := []byte(strings.Repeat("ä", maxText))
	words, cut, err := plainText(long)
	if err != nil || !cut || len(words) > maxText || len(words) < maxText-4 {
		t.Errorf("%d bytes, %v, %v", len(words), cut, err)
	}
	words, cut, err = plainText([]byte("a\x1b]52;c;aGk=\ab\u202e"))
	if err != nil || cut || strings.ContainsAny(words, "\x1b\a\u202e") {
		t.Errorf("%q, %v, %v", words, cut, err)
	}
}

// A message that is recalled takes its file along.
func TestARecalledFileIsNotLookedAtAnyMore(t *testing.T) {
	term := start(t, terminalSetup{fake: (*fake).ecg})
	term.press(keyEnter).sees("▀▀▀▀")
	term.fake.moves(1, func(m *client.Message, _ *client.File) { m.Files = nil })
	term.misses("▀").sees("This file is not here any more.")
}

// So does one that is removed, of which only a reading of all tells.
func TestARemovedFileIsNotLookedAtAnyMore(t *testing.T) {
	term := start(t, terminalSetup{fake: (*fake).ecg})
	term.press(keyEnter).sees("▀▀▀▀")
	term.fake.mu.Lock()
	term.fake.msgs[ada] = term.fake.msgs[ada][:1]
	term.fake.mu.Unlock()
	term.fake.events <- client.Resync{}
	term.misses("▀").sees("This file is not here any more.")
}

// shelf is a folder with files to attach.
func shelf(t *testing.T) attach.Folders {
	t.Helper()
	dir := t.TempDir()
	exif := append(append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, 40}, "Exif\x00\x00CANARY 52.5N 13.4E CANARY CANARY"...), 0)
	for name, content := range map[string][]byte{
		"ecg-bed9.png": strip(100, 60), "ecg-bed4.png": strip(60, 60), "my scan.png": strip(60, 60), "notes.txt": []byte("notes"),
		"large.bin": make([]byte, 2<<20), "photo.heic": []byte("ftypheic"), "damaged.png": strip(60, 60)[:100], "broken.jpg": exif,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return attach.Folders{{Shown: "~/Pictures", Path: dir}}
}

func TestAttach(t *testing.T) {
	term := start(t, terminalSetup{config: func(c *Config) { c.AttachFrom = shelf(t) }})
	term.press("/attach ", keyTab).sees("/attach ~/Pictures/")
	term.press(keyCtrlU, "/attach ~/Pictures/", keyTab).sees("broken.jpg  damaged.png  ecg-bed4.png")
	term.press("e", keyTab).sees(">  /attach ~/Pictures/ecg-bed", "ecg-bed4.png  ecg-bed9.png")
	term.press("9", keyTab).sees("/attach ~/Pictures/ecg-bed9.png")
	term.press("peaked T", keyEnter).sees("[image] ecg-bed9.png", "queued").misses(">  /attach")
	term.press("/attach my", keyTab).sees(`/attach my\ scan.png`).press(keyEnter).sees("[image] my scan.png")
	term.press("/attach notes.txt", keyEnter).sees("[file] notes.txt 5 bytes")
	for typed, words := range map[string]string{
		"/attach /etc/passwd":            "Files can be attached from ~/Pictures only. Your settings name the",
		"/attach ~/Pictures/../.profile": "Files can be attached from ~/Pictures only. Your settings name the",
		"/attach none.png":               "There is no file ~/Pictures/none.png. Tab shows what there is.",
		"/attach large.bin":              "~/Pictures/large.bin is 2.1 MB. Files can have up to 1.0 MB.",
		"/attach photo.heic":             "photo.heic is not sent, because what the camera wrote into it cannot be",
		"/attach damaged.png":            "damaged.png is not sent, because what the camera wrote into it cannot be",
		"/attach broken.jpg":             "broken.jpg is not sent, because what the camera wrote into it cannot be",
		"/attach":                        "Which file? Tab shows what there is.",
	} {
		term.press(keyCtrlU, typed, keyEnter).sees(words, ">  "+typed)
	}
	term.press(keyCtrlU, "/attach large.bin", keyEnter).tried("attach " + ada + ", 2097152 bytes")
	term.fake.mu.Lock()
	defer term.fake.mu.Unlock()
	var got []string
	for _, a := range term.fake.files.attached {
		got = append(got, fmt.Sprint(a.peer == ada, a.name, a.mediaType, a.caption))
		if photo.Sniff(a.content) == "" && a.name != "notes.txt" {
			t.Errorf("%s is %q", a.name, a.content)
		}
	}
	if want := []string{"trueecg-bed9.pngimage/pngpeaked T", "truemy scan.pngimage/png", "truenotes.txt"}; !slices.Equal(got, want) {
		t.Errorf("attached %q", got)
	}
}

// Who attaches what sotto cannot show learns it when it is sent, not from the silence.
func TestAttachWhatSottoCannotOpen(t *testing.T) {
	folders := shelf(t)
	if err := os.WriteFile(filepath.Join(folders[0].Path, "report.pdf"), []byte("%PDF-1.4"), 0o600); err != nil {
		t.Fatal(err)
	}
	term := start(t, terminalSetup{config: func(c *Config) { c.AttachFrom = folders }})
	term.press("/attach report.pdf ", keyTab).sees("Enter sends it.").press(keyEnter)
	term.sees("[file] report.pdf", "On its way. But sotto shows images and text only").press("/attach notes.txt", keyEnter)
	term.sees("[file] notes.txt").misses("On its way")
}

func TestAttachWithoutFolders(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("/attach ecg.png", keyEnter).sees("No folder is named to attach files from.", `attach-from = ["~/Pictures"]`)
	term.press(keyCtrlU, "/attach ", keyTab).sees("No folder is named")
}

// Who is new in a room is pointed out before a file goes there, too.
func TestAttachPointsOutNewReaders(t *testing.T) {
	term := start(t, terminalSetup{config: func(c *Config) { c.AttachFrom = shelf(t) }})
	term.fake.mu.Lock()
	term.fake.readers = &client.NewReaders{Peer: ada, Readers: []client.Reader{{Address: rana, Name: text.Line("Haddad, Rana")}}}
	term.fake.mu.Unlock()
	term.press("/attach ecg-bed9.png", keyEnter).sees("Not sent yet", ">  /attach ecg-bed9.png")
	term.press(keyEnter).sees("[image] ecg-bed9.png")
}

func TestCancel(t *testing.T) {
	term := start(t, terminalSetup{fake: withFiles})
	term.press("/cancel", keyEnter)
	term.until("a cancel", func() bool {
		term.fake.mu.Lock()
		defer term.fake.mu.Unlock()
		return slices.Equal(term.fake.files.done, []string{"cancel 3"})
	})
	term.press("/to lind", keyEnter).sees("Lind, Per   pharmacy").press("/cancel", keyEnter).sees("No file is on its way here.")
	term.press(keyCtrlU, "/look", keyEnter).sees("There is no image here to look at.")
}
