package tui

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

var update = flag.Bool("update", false, "write the golden frames anew")

// golden compares a picture with the one in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "frames", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("no golden frame (go test ./tui -update makes it): %v", err)
	}
	if got != string(want) {
		t.Errorf("the frame %s differs; if it is meant to, run go test ./tui -update\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

// plain is a picture without styles.
func plain(m *Model) string {
	var b strings.Builder
	for _, l := range lines(m) {
		b.WriteString(strings.TrimRight(ansi.Strip(l), " ") + "\n")
	}
	return b.String()
}

// styled is a picture with its styles visible, as the renderer would reduce
// them for a terminal.
func styled(t *testing.T, m *Model) string {
	t.Helper()
	var b bytes.Buffer
	w := &colorprofile.Writer{Forward: &b, Profile: m.env.profile()}
	for _, l := range lines(m) {
		if _, err := w.WriteString(strings.TrimRight(l, " ") + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(b.String(), "\x1b", "␛")
}

// aboutMessages fills a conversation with messages that are about each other.
func aboutMessages(f *fake) {
	stat := f.say(ada, ada, "!stat Calcium gluconate 10 ml now.", 9*time.Minute, read, func(m *client.Message) {
		m.Acks = []client.Acknowledgement{{Sender: text.Line(per), Time: night.Add(-8 * time.Minute)}, {Sender: text.Line(self), Time: night.Add(-7 * time.Minute)}}
		m.Reactions = []client.Reaction{{Sender: text.Line(rana), Words: text.Line("+1")}}
	})
	f.say(ada, "", "!ack\n> Calcium gluconate 10 ml now.\ntwo minutes", 7*time.Minute, wasRead, func(m *client.Message) { m.About = stat.ID })
	wrong := f.say(ada, "", "Give 100 mg", 6*time.Minute, wasRead, func(m *client.Message) { m.CorrectedBy, m.Corrected = 4, night.Add(-5*time.Minute) })
	f.say(ada, "", "Give 10 mg", 5*time.Minute, func(m *client.Message) {
		m.State, m.Corrects, m.About, m.AboutTime = store.Delivered, true, wrong.ID, wrong.Time
		m.Progress = store.Progress{Of: 5, Sent: 5, Delivered: 3}
	})
	f.say(ada, ada, "> Give 10 mg\nTen or a hundred?", 4*time.Minute, read, func(m *client.Message) { m.About = 4 })
	f.say(ada, "", "", 3*time.Minute, func(m *client.Message) {
		m.Gone, m.GoneAt, m.GoneBy, m.State, m.Carried, m.CarriedOf = store.Recalled, night.Add(-2*time.Minute), text.Line(self), store.Read, 1, 2
		m.Recall = client.Recall{ID: 100, State: store.Delivered}
	})
	f.say(ada, "", "", 2*time.Minute, func(m *client.Message) {
		m.Gone, m.GoneAt, m.GoneBy, m.State, m.CarriedOf = store.Recalled, night.Add(-time.Minute), text.Line(self), store.Read, 2
		m.Recall = client.Recall{ID: 101, State: store.Queued}
	})
	f.say(ada, "", "", 2*time.Minute, func(m *client.Message) {
		m.Gone, m.GoneAt, m.GoneBy, m.State, m.CarriedOf = store.Recalled, night.Add(-time.Minute), text.Line(self), store.Read, 2
		m.Recall = client.Recall{ID: 102, State: store.Failed, Why: text.Line("Not sent: no device of Okafor is trusted. Compare first (/trust), then send again.")}
	})
	f.say(ada, ada, "", time.Minute, read, func(m *client.Message) { m.Kind = store.Retraction })
	f.say(ada, "", "All to bay 3", 0, func(m *client.Message) {
		m.State, m.Progress = store.Sent, store.Progress{Of: 5, Sent: 5, Delivered: 4, Read: 2}
	})
}

// scene is what the golden frame shows.
type scene struct {
	name string
	fill func(*fake)
	act  func(*Model)
	set  func(*Config)
}

var scenes = []scene{
	{"conversation", (*fake).ward, func(*Model) {}, nil},
	{"writing", (*fake).ward, func(m *Model) {
		m.composer().paste("Given 19:08, rhythm unchanged. Second dose in ten minutes if the QRS stays wide.\nRana has the sample.")
		feed(m, tickMsg{})
	}, nil},
	{"offline", func(f *fake) {
		f.ward()
		f.state = client.State{Phase: wire.Refused, Since: night, Queued: 1, Words: text.Line("The relay's certificate ended yesterday. Nothing was sent. Tell your administrator, or run: sotto relay check")}
		f.say(ada, "", "On my way", 0, func(m *client.Message) { m.State = store.Queued })
		f.security[ada] = client.Security{Devices: 3, Trusted: 2, Undecided: 1, Warn: true, Words: text.Line("Okafor has a new device. Nothing is sent to it until you compare: /trust")}
	}, func(*Model) {}, nil},
	{"marks", func(f *fake) {
		f.say(ada, ada, "!urgent call back about #mrn:44120, or ask @role/cardiology: it cannot wait until the morning round.", 48*time.Hour, read)
		f.say(ada, ada, "Could not be decrypted", 3*time.Hour, read, func(m *client.Message) {
			m.Outgoing, m.State = true, store.Sent // written from another device
			m.Kind, m.Body = store.Notice, text.Line("A message from Okafor cannot be read here: it was written for another device. Ask for it again.")
		})
		f.say(ada, ada, "!ack Coming with the sample.", 150*time.Minute, read)
		f.say(ada, "", "!ACK", 145*time.Minute, wasRead)
		f.say(ada, ada, "!acknowledged is no mark", 140*time.Minute, read)
		f.say(ada, ada, "from nobody knows where", 2*time.Hour+time.Minute, read, func(m *client.Message) { m.Untrusted = true })
		f.say(ada, ada, "plain words", 2*time.Hour, read, func(m *client.Message) { m.Encrypted = false })
		f.say(ada, "", "First", time.Hour, func(m *client.Message) { m.State, m.Why = store.Failed, text.Line("the relay refused it") })
		f.say(ada, "", "Verylongwordwithoutanybreakthatgoesonandonandonandonuntiltheendofthelineandbeyondit 長い言葉 naïve 👍", time.Minute, delivered)
	}, func(*Model) {}, nil},
	{"scrolled", func(f *fake) {
		for i := range 80 {
			f.say(ada, ada, fmt.Sprintf("line %d", i), time.Duration(100-i)*time.Minute, read)
		}
		f.say(ada, ada, "!stat come", 0)
	}, func(m *Model) { m.tl.hold(20); feed(m, tickMsg{}) }, nil},
	{"expiring", func(f *fake) {
		f.ward()
		f.security[ada] = client.Security{Devices: 2, Trusted: 2, Words: text.Line("encrypted, 2 devices ok"), Lifespan: 24 * time.Hour}
		f.say(ada, "", "", time.Minute, func(m *client.Message) { m.Gone, m.GoneAt, m.State = store.RanOut, night, store.Delivered })
		f.say(ada, ada, "", time.Minute, read, func(m *client.Message) { m.Gone, m.GoneAt, m.GoneBy = store.Recalled, night, text.Line(ada) })
		f.say(ada, ada, "The door code is 4711, burn it.", time.Minute, read, func(m *client.Message) { m.Expires = night.Add(50 * time.Minute) })
		f.say(ada, "", "Thanks", 0, func(m *client.Message) { m.Expires = night.Add(24 * time.Hour) })
	}, func(*Model) {}, nil},
	{"search", searchable, func(m *Model) {
		run(m, m.searchFor("potassium"))
	}, nil},
	{"search-conditions", searchable, func(m *Model) {
		run(m, m.searchFor("from:lind in:icu on:yesterday is:stat bed"))
	}, nil},
	{"search-problem", searchable, func(m *Model) {
		run(m, m.searchFor("from:nobody on:someday potassium"))
	}, nil},
	{"search-covered", searchable, func(m *Model) {
		run(m, m.searchFor("potassium"))
		feed(m, tea.BlurMsg{})
	}, curtained},
	{"search-reveal", searchable, func(m *Model) {
		run(m, m.searchFor("potassium"))
		feed(m, keyOf("down"))
	}, revealing},
	{"found", searchable, func(m *Model) {
		run(m, m.searchFor("bloods"))
		run(m, func() tea.Msg { return keyOf("enter") })
	}, nil},
	{"inbox", func(f *fake) {
		searchable(f)
		f.say(per, "", "Stop the infusion", time.Hour, func(m *client.Message) { m.State = store.Failed })
		f.say(icu, rana, "@ng can you take bed 2?", 10*time.Minute)
	}, func(m *Model) { m.push(&inboxDialog{}); feed(m, keyOf("down")) }, nil},
	{"inbox-empty", func(f *fake) { f.say(ada, ada, "hello", 0, read) }, func(m *Model) { m.push(&inboxDialog{}); feed(m, tickMsg{}) }, nil},
	{"gaps", func(f *fake) {
		f.say(ada, ada, "before it", 6*time.Hour, read)
		f.say(ada, ada, "after it", 3*time.Hour, read)
		f.say(ada, ada, "came live", time.Minute, read)
		f.gaps = []client.Gap{{ID: 1, Since: night.Add(-5 * time.Hour), Until: night.Add(-4 * time.Hour), After: f.msgs[ada][0].ID}, {ID: 2, Since: night.Add(-2 * time.Hour)}}
		f.state.CatchUp = client.CatchUp{Active: true, Count: 3200, At: night.Add(-29 * time.Hour)}
	}, func(*Model) {}, nil},
	{"gap-chosen", func(f *fake) {
		f.say(ada, ada, "before it", 6*time.Hour, read)
		f.say(ada, ada, "after it", 3*time.Hour, read)
		f.gaps = []client.Gap{{ID: 1, Since: night.Add(-5 * time.Hour), Until: night.Add(-4 * time.Hour), After: f.msgs[ada][0].ID}}
	}, func(m *Model) { m.choose(-1); m.choose(-1); feed(m, tickMsg{}) }, nil},
	{"about", aboutMessages, func(*Model) {}, nil},
	{"answering", aboutMessages, func(m *Model) {
		for range 5 {
			m.choose(-1)
		}
		m.reply()
		m.composer().paste("Yes, 10.")
		feed(m, tickMsg{})
	}, nil},
	{"chosen", (*fake).ward, func(m *Model) { m.choose(-1); m.choose(-1); feed(m, tickMsg{}) }, nil},
	{"recalled", func(f *fake) {
		f.ward()
		gone := f.say(ada, "", "", 30*time.Second, func(m *client.Message) {
			m.Gone, m.GoneAt, m.GoneBy, m.State, m.Carried, m.CarriedOf = store.Recalled, night, text.Line(self), store.Read, 1, 4
		})
		name := text.Line("Okafor, Ada")
		f.fates = map[int64]client.Fate{gone.ID: {Recall: []client.Recalled{
			{Address: self, Own: true, Device: 8, Name: text.Line("ng"), Outcome: store.CarriedOut, Time: night},
			{Address: ada, Device: 71, Name: name, Outcome: store.CarriedOut, Time: night}, {Address: ada, Device: 72, Name: name},
			{Address: ada, Device: 73, Name: name, Outcome: store.Refused, Time: night},
		}}}
	}, func(m *Model) { m.choose(-1); run(m, m.showFate()) }, nil},
	{"who", func(f *fake) {
		f.ward()
		m := f.say(ada, "", "!stat All to bay 3", 30*time.Second, wasRead)
		f.fates = map[int64]client.Fate{m.ID: {Recipients: []client.Recipient{
			{Address: ada, Name: text.Line("Okafor, Ada"), State: store.Read, Time: night}, {Address: per, Name: text.Line("Lind, Per"), State: store.Delivered, Time: night},
			{Address: rana, Name: text.Line("Haddad, Rana"), State: store.Failed, Time: night},
		}}}
	}, func(m *Model) { run(m, m.showFate()) }, nil},
	{"switcher", (*fake).ward, func(m *Model) { m.push(&switcher{}); feedKey(m, "l") }, nil},
	{"list", (*fake).ward, func(m *Model) { _, _ = m.act(showList, "f2"); feed(m, tickMsg{}) }, nil},
	{"help", (*fake).ward, func(m *Model) { m.push(&helpDialog{}); feed(m, tickMsg{}) }, nil},
	{"devices", func(f *fake) {
		f.ward()
		f.devices[ada] = append(f.devices[ada], device(99, store.Undecided))
	}, func(m *Model) { run(m, m.showDevices()) }, nil},
	{"members", func(f *fake) {
		f.ward()
		n := &client.NewReaders{Peer: icu, Readers: []client.Reader{{Address: rana, Name: text.Line("Haddad, Rana")}}}
		f.security[icu] = client.Security{Room: true, New: n, Warn: true, Words: text.Line("Haddad can read here now and could not before: /members")}
		f.members = []client.Member{
			{Address: rana, Name: text.Line("Haddad, Rana"), Affiliation: "member", New: true, Devices: []client.Device{device(9, store.FirstUse)}},
			{Address: per, Name: text.Line("Lind, Per"), Affiliation: "admin", Devices: []client.Device{device(10, store.Verified), device(11, store.Undecided)}},
			{Address: self, Name: text.Line("Ng"), Affiliation: "owner", Own: true, Devices: []client.Device{f.devices[self][0]}},
			{Address: ada, Name: text.Line("Okafor, Ada"), Affiliation: "member", Devices: []client.Device{device(71, store.Verified), device(72, store.FirstUse)}},
		}
	}, func(m *Model) {
		run(m, m.openPeer(icu))
		run(m, m.showDevices())
	}, nil},
	{"own-devices", func(f *fake) {
		f.ward()
		gone, new := device(6, store.FirstUse), device(7, store.Undecided)
		gone.Active = false
		f.devices[self] = append(f.devices[self], gone, new, device(8, store.Verified))
	}, func(m *Model) {
		run(m, m.openPeer(icu))
		_, cmd := m.commandDevices("")
		run(m, cmd)
		feedKey(m, "r")
	}, nil},
	{"code", (*fake).ward, func(m *Model) { run(m, m.showCode()); feed(m, tickMsg{}) }, nil},
	{"empty", func(f *fake) { f.convs = nil }, func(*Model) {}, nil},
	{"covered", (*fake).ward, func(m *Model) {
		m.composer().paste("Given 19:08, rhythm unchanged. Second dose in ten minutes if the QRS stays wide.\nRana has the sample.")
		feed(m, tea.BlurMsg{})
	}, curtained},
	{"covered-switcher", (*fake).ward, func(m *Model) {
		m.push(&switcher{})
		feedKey(m, "l")
		feed(m, tea.BlurMsg{})
	}, curtained},
	{"covered-list", (*fake).ward, func(m *Model) {
		_, _ = m.act(showList, "f2")
		feed(m, tea.BlurMsg{})
	}, curtained},
	{"reveal", (*fake).ward, func(m *Model) {
		m.choose(1)
		feed(m, tickMsg{})
	}, revealing},
	{"reveal-none", (*fake).ward, func(*Model) {}, revealing},
	{"files", withFiles, func(*Model) {}, nil},
	{"files-chosen", withFiles, func(m *Model) { m.choose(-1); m.choose(-3); feed(m, tickMsg{}) }, nil},
	{"files-hidden", withFiles, func(m *Model) {}, revealing},
	{"viewer", (*fake).ecg, func(m *Model) { feed(m, enterKey) }, nil},
	{"viewer-zoomed", (*fake).ecg, func(m *Model) { feed(m, enterKey); feedKey(m, "+", "+", "l") }, nil},
	{"viewer-text", func(f *fake) {
		f.file(ada, ada, "labs.txt", "text/plain", 4000, store.Done, []byte("K\t6.8\nNa\t140\n\x1b[2Jgone?\n"+strings.Repeat("a line of a report\n", 60)), 0, read)
	}, func(m *Model) { feed(m, enterKey) }, nil},
	{"viewer-other", func(f *fake) {
		f.file(ada, ada, "report.pdf", "application/pdf", 212_000, store.Offered, nil, 0, read)
	}, func(m *Model) { m.choose(-1); feed(m, enterKey) }, nil},
	{"viewer-arriving", func(f *fake) {
		f.file(ada, ada, "ecg.png", "image/png", 212_000, store.Downloading, nil, 0, read, func(m *client.Message) { m.Files[0].Done, m.Files[0].Host = 100_000, text.Line("files.mercy.example") })
	}, func(m *Model) { feed(m, enterKey) }, nil},
	{"viewer-covered", (*fake).ecg, func(m *Model) { feed(m, enterKey); feed(m, tea.BlurMsg{}) }, curtained},
	{"reveal-help", (*fake).ward, func(m *Model) { m.push(&helpDialog{}); feed(m, tickMsg{}) }, func(c *Config) { c.Reveal, c.Mouse = true, true }},
}

// searchable is the ward with something to find.
func searchable(f *fake) {
	f.ward()
	f.say(icu, per, "!stat bed 4 potassium is 6.1", 22*time.Hour, read)
	f.say(icu, rana, "Potassium of bed 7 and bed 9 again at six, with the rest of the bloods, if the night team has not sent them by then", 26*time.Hour, read)
	f.say(icu, "", "who has the potassium chart?", 40*time.Hour, wasRead)
	for i := range 40 {
		f.say(per, per, fmt.Sprintf("pharmacy round %d", i), time.Duration(50+i)*time.Hour, read)
	}
	f.say(per, per, "the bloods of last month are here: <potassium> 4.1", 800*time.Hour, read)
}

// searchFor opens the search for a text.
func (m *Model) searchFor(text string) tea.Cmd {
	_, cmd := m.commandSearch(text)
	return cmd
}

func curtained(c *Config) { c.Curtain = true }
func revealing(c *Config) { c.Reveal = true }

func TestFrames(t *testing.T) {
	for _, scene := range scenes {
		for _, size := range [][2]int{{80, 24}, {120, 30}, {40, 12}, {20, 5}} {
			if size[0] == 20 && scene.name != "conversation" {
				continue // too small for anything
			}
			name := fmt.Sprintf("%s-%dx%d", scene.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				m := scene.still(t, size[0], size[1], nil, "dark")
				golden(t, name, plain(m))
				within(t, m, size[0], size[1])
			})
		}
	}
}

func TestFrameStyles(t *testing.T) {
	for _, look := range []struct {
		name, theme string
		env         []string
	}{
		{"dark", "dark", []string{"TERM=xterm-256color", "LANG=C.UTF-8"}},
		{"light", "light", []string{"TERM=xterm-256color", "LANG=C.UTF-8"}},
		{"no-color", "dark", []string{"TERM=xterm-256color", "LANG=C.UTF-8", "NO_COLOR=1"}},
		{"linux", "dark", []string{"TERM=linux", "LANG=C.UTF-8"}},
		{"dumb", "dark", []string{"TERM=dumb"}},
	} {
		for _, scene := range scenes {
			switch scene.name {
			case "conversation", "marks", "switcher", "covered", "reveal":
			default:
				continue
			}
			name := scene.name + "-80x24-" + look.name
			t.Run(name, func(t *testing.T) {
				m := scene.still(t, 80, 24, look.env, look.theme)
				got := styled(t, m)
				golden(t, name, got)
				if look.name == "linux" || look.name == "dumb" {
					for _, g := range []string{unicodeGlyphs.rule, unicodeGlyphs.bar, unicodeGlyphs.dot, unicodeGlyphs.more, unicodeGlyphs.topLeft} {
						if strings.Contains(got, g) {
							t.Errorf("%q is drawn on a simple terminal", g)
						}
					}
				}
			})
		}
	}
}

// still draws a scene.
func (s *scene) still(t *testing.T, w, h int, env []string, theme string) *Model {
	t.Helper()
	f := newFake(newWristwatch().now)
	s.fill(f)
	open := ada
	if len(f.convs) == 0 {
		open = ""
	}
	cfg := Config{Open: open, Environ: env, Theme: theme}
	if s.set != nil {
		s.set(&cfg)
	}
	m := still(t, w, h, cfg, f)
	if m.frame.fits {
		s.act(m)
	}
	return m
}

// within holds a picture to its size.
func within(t *testing.T, m *Model, w, h int) {
	t.Helper()
	ls := lines(m)
	if len(ls) > h {
		t.Errorf("%d lines on %d rows", len(ls), h)
	}
	for i, l := range ls {
		if got := m.look.m.StringWidth(l); got > w {
			t.Errorf("line %d is %d columns wide, of %d: %q", i+1, got, w, l)
		}
	}
	if c := m.frame.cursor; c != nil && (c.x >= w || c.y >= h || c.x < 0 || c.y < 0) {
		t.Errorf("the cursor stands at %d,%d", c.x, c.y)
	}
}

// TestEverySize draws every scene in every size: nothing may stick out, and
// nothing may panic.
func TestEverySize(t *testing.T) {
	for _, scene := range scenes {
		m := scene.still(t, 80, 24, nil, "dark")
		for w := 1; w < 130; w += 7 {
			for _, h := range []int{1, 2, 5, 8, 9, 13, 14, 24, 60} {
				m.width, m.height = w, h
				m.draw()
				within(t, m, w, h)
				if t.Failed() {
					t.Fatalf("%s at %dx%d:\n%s", scene.name, w, h, plain(m))
				}
			}
		}
	}
}

// keyOf is a key without a character.
func keyOf(name string) tea.KeyPressMsg {
	return tea.KeyPressMsg{Code: map[string]rune{"enter": tea.KeyEnter, "down": tea.KeyDown, "up": tea.KeyUp, "esc": tea.KeyEscape}[name]}
}
