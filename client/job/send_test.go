package job

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/picture"
	"sotto/client/store"
)

func TestMarked(t *testing.T) {
	for _, c := range []struct {
		text    string
		urgency int
		want    string
	}{
		{"K 6.8", store.Routine, "K 6.8"},
		{"K 6.8", store.Stat, "!stat K 6.8"},
		{"K 6.8", store.Urgent, "!urgent K 6.8"},
		{"!STAT K 6.8", store.Stat, "!STAT K 6.8"},
		{"!stat K 6.8", store.Urgent, "!stat K 6.8"},
		{"!urgent K 6.8", store.Stat, "!stat !urgent K 6.8"},
		{"status: fine", store.Stat, "!stat status: fine"},
	} {
		if got := marked([]byte(c.text), c.urgency); got != c.want || store.UrgencyOf(got) < c.urgency {
			t.Errorf("%q becomes %q", c.text, got)
		}
	}
}

func TestParseFingerprint(t *testing.T) {
	const shown = "0a1b2c3d 4e5f6071 8293a4b5 c6d7e8f9 0a1b2c3d 4e5f6071 8293a4b5 c6d7e8f9"
	for _, s := range []string{shown, strings.ReplaceAll(shown, " ", ""), strings.ToUpper(shown), strings.ReplaceAll(shown, " ", ":")} {
		if fp, err := ParseFingerprint(s); err != nil || fp.String() != shown {
			t.Errorf("%q: %v %v", s, fp, err)
		}
	}
	for _, s := range []string{"", shown[1:], shown + "00", strings.Replace(shown, "0a", "0g", 1), strings.Repeat("é", 64)} {
		if _, err := ParseFingerprint(s); err == nil {
			t.Errorf("%q is a fingerprint", s)
		}
	}
}

// An image whose camera's words cannot be taken out is not sent by a program either.
func TestImagesThatCannotBeCleaned(t *testing.T) {
	c, err := client.New(client.Config{Account: client.Account{Address: "alarm@mercy.example", Password: memguard.NewBufferFromBytes([]byte("pw"))}, Store: memoryStore(t), Link: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"photo.heic", "scan.tiff", "half.jpg"} {
		sent, err := Send(t.Context(), c, Sending{To: "okafor@mercy.example", Text: strings.NewReader(""), Name: name, File: strings.NewReader("....ftypheic GPS 52.5, 13.4")})
		if _, ok := errors.AsType[*picture.NotClean](err); !ok {
			t.Errorf("%s: %+v, %v", name, sent, err)
		}
	}
}

func memoryStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func quiet(t *testing.T) net.Conn {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return near
}
