package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sotto/client/store"
	"sotto/test/profanity"
	"sotto/test/server"
)

// TestFilesProfanity sends files to somebody who uses another program, and takes
// theirs.
func TestFilesProfanity(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		if s.Client == 0 {
			return // profanity does not speak WebSocket
		}
		needProfanity(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		people := team(t, s, "Okafor, Ada", "Lind, Per")
		a, p := s.Address(people[0]), s.Address(people[1])
		ada := start(t, s, people[0], s.WebSocket) // first: profanity asks for nobody's devices by itself
		per := profanity.Start(t, s, people[1])
		per.Secure(a)
		per.Say("Is there an ECG?")
		sees(t, ctx, ada, p, "Is there an ECG?")

		ecg, _ := content(212_345)
		m := give(t, ctx, ada, p, "ecg.png", ecg, "here it is")
		reaches(t, ctx, ada, m, store.Delivered)
		per.Hear("here it is")
		link := ""
		per.Screen.Until("showing a link", func(screen string) bool {
			link = aesgcmLink.FindString(strings.Join(strings.Fields(screen), "")) // it is longer than a line
			return link != ""
		})
		folder := t.TempDir()
		saved := filepath.Join(folder, "saved.png")
		per.Screen.Enter("/url save " + link + " " + saved)
		per.Screen.Until("having saved the file", func(string) bool {
			b, err := os.ReadFile(saved)
			return err == nil && string(b) == string(ecg)
		})

		film, _ := content(900_000)
		path := filepath.Join(folder, "film of bed 9.mp4")
		if err := os.WriteFile(path, film, 0o600); err != nil {
			t.Fatal(err)
		}
		per.Screen.Enter("/sendfile " + path)
		if err := ada.Until(ctx, "seeing a file", func() (bool, error) {
			all, err := ada.Conversation(ctx, p)
			return len(all) > 0 && len(all[len(all)-1].Files) == 1 && !all[len(all)-1].Outgoing, err
		}); err != nil {
			t.Fatalf("%v: %s\n%s", err, said(ada, p), per.Screen.Screen())
		}
		all, err := ada.Conversation(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		got := all[len(all)-1]
		if strings.Contains(got.Body.String(), "aesgcm") || !got.Encrypted {
			t.Errorf("it is shown as %+v", got)
		}
		if err := ada.Fetch(ctx, got.Files[0].ID); err != nil {
			t.Fatal(err)
		}
		has(t, ctx, ada, p, got.Files[0].ID, film)
		per.Quit()
		exercised(t, fmt.Sprintf("files with profanity over %s; its file is called %s", s.Name, got.Files[0].Name))
	})
}

var aesgcmLink = regexp.MustCompile(`aesgcm://localhost:\d+/[\w./-]+\.png#[0-9a-f]{88}`)
