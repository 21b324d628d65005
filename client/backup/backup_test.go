package backup

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// written is a small backup.
func written(t testing.TB, id *age.X25519Identity) ([]byte, [32]byte) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, []age.Recipient{id.Recipient()}, Header{Address: "a@h.example", Series: "s", Made: noon})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Record{
		{Conversation: &Conversation{Peer: "b@h.example", Draft: "half a thought"}},
		{Message: &Message{Sender: "b@h.example", Origin: "1", Body: "hello\nworld <é>", Time: noon, Stored: noon}},
		{Conversation: &Conversation{Peer: "c@h.example"}},
		{File: &File{Name: make([]byte, 16), Size: ChunkSize + 3}},
		{Data: make([]byte, ChunkSize)}, {Data: []byte{1, 2, 3}},
	} {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), sum
}

func all(b []byte, id age.Identity) (list []*Record, err error) {
	r, err := NewReader(bytes.NewReader(b), id)
	if err != nil {
		return nil, err
	}
	for {
		x, err := r.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		list = append(list, x)
	}
}

func TestRoundTrip(t *testing.T) {
	id := identity(t)
	b, sum := written(t, id)
	if err := Verify(bytes.NewReader(b), id, sum); err != nil {
		t.Error(err)
	}
	list, err := all(b, id)
	if err != nil || len(list) != 7 || list[1].Message.Body != "hello\nworld <é>" || list[6].End.Messages != 1 || list[6].End.Files != 1 {
		t.Errorf("%d records, %v", len(list), err)
	}
	if bytes.Contains(b, []byte("hello")) || bytes.Contains(b, []byte("h.example")) {
		t.Error("it can be read without the key")
	}
	if _, err := all(b, identity(t)); !errors.Is(err, ErrKey) {
		t.Errorf("with another key: %v", err)
	}
}

// TestAltered changes, cuts off and repeats bytes everywhere.
func TestAltered(t *testing.T) {
	id := identity(t)
	b, sum := written(t, id)
	try := func(what string, i int, bad []byte) {
		if _, err := all(bad, id); err == nil {
			t.Errorf("%s at %d: it is read", what, i)
		} else if !errors.Is(err, ErrAltered) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrKey) {
			t.Errorf("%s at %d: %v", what, i, err)
		}
		if Verify(bytes.NewReader(bad), id, sum) == nil {
			t.Errorf("%s at %d: it is verified", what, i)
		}
	}
	for i := 0; i < len(b); i += 1 + i/40 {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		try("changed", i, bad)
		try("cut off", i, b[:i])
	}
	try("appended", len(b), append(bytes.Clone(b), 0))
	if Verify(bytes.NewReader(b), id, [32]byte{}) == nil {
		t.Error("another content is verified")
	}
}

// sealed are lines that somebody else has written to the same key.
func sealed(t testing.TB, id *age.X25519Identity, lines string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, lines)
	w.Close()
	return b.Bytes()
}

const head = `{"header":{"sotto-backup":1,"address":"a@h.example","series":"s","segment":0,"made":"2026-11-22T12:00:00Z"}}` + "\n"

func TestForeign(t *testing.T) {
	id := identity(t)
	end := `{"end":{"messages":0,"files":0}}` + "\n"
	if _, err := all(sealed(t, id, head+end), id); err != nil {
		t.Fatalf("as it should be: %v", err)
	}
	message := `{"message":{"sender":"b","time":"2026-11-22T12:00:00Z","stored":"2026-11-22T12:00:00Z"}}` + "\n"
	for what, lines := range map[string]string{
		"nothing":                 "",
		"words":                   "hello\n",
		"no header":               end,
		"two headers":             head + head + end,
		"no end":                  head,
		"no end of the last line": head + strings.TrimSpace(end),
		"after the end":           head + end + end,
		"another number":          head + `{"end":{"messages":1,"files":0}}` + "\n",
		"a message of nobody's":   head + message + `{"end":{"messages":1,"files":0}}` + "\n",
		"data of no file":         head + `{"data":"AAAA"}` + "\n" + end,
		"a file without data":     head + `{"file":{"name":"AAAAAAAAAAAAAAAAAAAAAA==","size":3}}` + "\n" + `{"end":{"messages":0,"files":1}}` + "\n",
		"a file of nothing":       head + `{"file":{"name":"AAAAAAAAAAAAAAAAAAAAAA==","size":0}}` + "\n" + `{"end":{"messages":0,"files":1}}` + "\n",
		"more than a file":        head + `{"file":{"name":"AAAAAAAAAAAAAAAAAAAAAA==","size":1}}` + "\n" + `{"data":"AAAA"}` + "\n" + `{"end":{"messages":0,"files":1}}` + "\n",
		"a short name":            head + `{"file":{"name":"AAAA","size":1}}` + "\n" + `{"data":"AA=="}` + "\n" + `{"end":{"messages":0,"files":1}}` + "\n",
		"two things in a line":    head + `{"conversation":{"peer":"x"},"end":{"messages":0,"files":0}}` + "\n",
		"two objects in a line":   head + `{"conversation":{"peer":"x"}}{}` + "\n" + end,
		"an unknown thing":        head + `{"ratchet":{}}` + "\n" + end,
		"an empty object":         head + "{}\n" + end,
		"a long line":             head + `{"conversation":{"peer":"` + strings.Repeat("x", MaxLine) + `"}}` + "\n" + end,
		"without an address":      strings.Replace(head, "a@h.example", "", 1) + end,
		"a segment below 0":       strings.Replace(head, `"segment":0`, `"segment":-1`, 1) + end,
	} {
		if _, err := all(sealed(t, id, lines), id); !errors.Is(err, ErrForeign) && !errors.Is(err, ErrAltered) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := all(sealed(t, id, strings.Replace(head, `backup":1`, `backup":2`, 1)+end), id); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer one: %v", err)
	}
	if _, err := all([]byte("hello"), id); !errors.Is(err, ErrForeign) {
		t.Errorf("no age file: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	id := identity(f)
	f.Add([]byte(head + `{"end":{"messages":0,"files":0}}` + "\n"))
	f.Add([]byte(head + `{"conversation":{"peer":"x"}}` + "\n" + `{"message":{"sender":"b","time":"2026-11-22T12:00:00Z","stored":"2026-11-22T12:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, lines []byte) {
		list, err := all(sealed(t, id, string(lines)), id)
		if err == nil && (len(list) == 0 || list[len(list)-1].End == nil) {
			t.Error("a backup without an end")
		}
	})
}
