package profanity

import (
	"context"
	"testing"

	"sotto/test/server"
)

// TestTalk holds that two profanities understand each other through each
// server: where they do not, a failure with sotto says nothing about sotto.
func TestTalk(t *testing.T) {
	for _, start := range []func(context.Context, string) (*server.Server, error){server.StartProsody, server.StartEjabberd} {
		s, err := start(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Cleanup(func() {
				s.Stop()
				if t.Failed() {
					t.Log(s.Log(25))
				}
			})
			ada := server.Person{Name: "ada", Display: "Okafor, Ada", Password: "Pw-Ada-1"}
			per := server.Person{Name: "per", Display: "Lind, Per", Password: "Pw-Per-1"}
			if err := s.AddTeam(t.Context(), "Cardiology", ada, per); err != nil {
				t.Fatal(err)
			}
			one, two := Start(t, s, ada), Start(t, s, per)
			want := two.Fingerprint()
			if got := one.Secure(two.Address); len(got) != 1 || got[0] != want {
				t.Errorf("ada sees per's fingerprint as %v, per as %s", got, want)
			}
			two.Secure(one.Address)
			one.Say("Bed 9 potassium came back 6.8")
			two.Hear("Bed 9 potassium came back 6.8")
			two.Say("ECG?")
			one.Hear("ECG?")
			one.Quit()
		})
	}
}
