package gate

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"sotto/internal/role"
)

func sample() view {
	now := time.Date(2026, 11, 21, 19, 10, 0, 0, time.Local)
	return view{
		label: "Mercy General", user: "a.ng", prompt: "PIN", dots: 4,
		status: role.Status{Words: "relay online", Online: true, Waiting: 3, Stat: 1, Since: now.Add(-6 * time.Minute)},
		locked: now.Add(-6 * time.Minute), now: now,
	}
}

func TestViewSaysWhatAndNotWho(t *testing.T) {
	rows, column, row := sample().rows(80, 24)
	screen := strings.Join(rows, "\n")
	for _, want := range []string{"s o t t o", "Mercy General · a.ng", "PIN  • • • • _", "3 waiting · 1 STAT · since 19:04", "relay online · locked 6 min"} {
		if !strings.Contains(screen, want) {
			t.Errorf("no %q in\n%s", want, screen)
		}
	}
	if !strings.HasSuffix(rows[23], "relay online · locked 6 min") {
		t.Errorf("the last row is %q", rows[23])
	}
	if got := []rune(rows[row]); column >= len(got) || got[column] != '_' {
		t.Errorf("the caret is at %d of %q", column, rows[row])
	}
}

func TestViewFitsEveryScreen(t *testing.T) {
	v := sample()
	v.note = "That PIN is not right. It is a long sentence, so that it has to be broken on all but the widest screens."
	v.hint = "demo PIN 246810"
	for _, ascii := range []bool{false, true} {
		for width := 1; width <= 130; width++ {
			for height := 1; height <= 40; height++ {
				v.ascii = ascii
				v.dots = width % 70
				rows, column, row := v.rows(width, height)
				if len(rows) != height {
					t.Fatalf("%dx%d: %d rows", width, height, len(rows))
				}
				for _, r := range rows {
					if n := ansi.StringWidth(r); n > width {
						t.Fatalf("%dx%d: a row of %d columns: %q", width, height, n, r)
					}
					if ascii && strings.IndexFunc(r, func(c rune) bool { return c > 0x7e }) >= 0 {
						t.Fatalf("not ASCII: %q", r)
					}
				}
				if column < 0 || column >= width || row < 0 || row >= height {
					t.Fatalf("%dx%d: the caret is outside, at %d, %d", width, height, column, row)
				}
				if width >= 9 && !strings.Contains(rows[row], "PIN") {
					t.Fatalf("%dx%d: no prompt:\n%s", width, height, strings.Join(rows, "\n"))
				}
			}
		}
	}
}

func TestViewTinyKeepsPromptAndNote(t *testing.T) {
	v := sample()
	v.note = "Wrong."
	rows, _, _ := v.rows(20, 5)
	screen := strings.Join(rows, "\n")
	for _, want := range []string{"PIN", "Wrong.", "relay online"} {
		if !strings.Contains(screen, want) {
			t.Errorf("no %q in\n%s", want, screen)
		}
	}
}

func TestScreenSendsOnlyWhatChanged(t *testing.T) {
	var s screen
	v := sample()
	first := s.draw(v, 80, 24)
	if !strings.Contains(first, "\x1b[2J") {
		t.Error("the first frame does not clear what stood there")
	}
	v.dots++
	second := s.draw(v, 80, 24)
	if strings.Contains(second, "Mercy") || !strings.Contains(second, "PIN") {
		t.Errorf("a key sends %q", second)
	}
	if third := s.draw(v, 80, 24); strings.Contains(third, "PIN") {
		t.Errorf("nothing changed, and it sends %q", third)
	}
	s.forget()
	again := s.draw(v, 80, 24)
	if !strings.Contains(again, "Mercy") || strings.Count(again, "\x1b[K") != 24 || strings.Contains(again, "\x1b[2J") {
		t.Errorf("after a disturbance it sends %q, which is not every row", again)
	}
	if fourth := s.draw(v, 80, 24); strings.Contains(fourth, "Mercy") {
		t.Errorf("and again %q", fourth)
	}
	if resized := s.draw(v, 40, 10); !strings.Contains(resized, "Mercy") {
		t.Errorf("after a resize it sends %q", resized)
	}
}

func TestASCIIOnly(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{"LANG": "en_GB.UTF-8"}, false},
		{map[string]string{"LC_ALL": "C", "LANG": "en_GB.UTF-8"}, true},
		{map[string]string{"LC_CTYPE": "C.utf8", "LANG": "C"}, false},
		{map[string]string{"LANG": "en_GB.UTF-8", "TERM": "dumb"}, true},
		{map[string]string{}, true},
	} {
		if got := asciiOnly(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%v: %v", c.env, got)
		}
	}
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "just now", 59 * time.Second: "just now", 6 * time.Minute: "6 min",
		5 * time.Hour: "5 h", 80 * time.Hour: "3 days",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1 s", 1500 * time.Millisecond: "2 s", 119 * time.Second: "119 s",
		119*time.Second + 1: "2 min 0 s", 127 * time.Second: "2 min 7 s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
