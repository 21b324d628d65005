//go:build unix

package gate

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// byteByByte is a file that is read as the gate reads one.
func byteByByte(s string) func([]byte) (int, error) {
	r := strings.NewReader(s)
	interrupted := false
	return func(b []byte) (int, error) {
		if interrupted = !interrupted; interrupted {
			return -1, unix.EINTR
		}
		if n, err := r.Read(b[:1]); err != io.EOF {
			return n, err
		}
		return 0, nil
	}
}

func TestReadPIN(t *testing.T) {
	long := strings.Repeat("7", maxPIN)
	for in, want := range map[string]any{
		"493817":                  "493817",
		"493817\n":                "493817",
		"493817\r\n":              "493817",
		" 4938 17 \n":             " 4938 17 ",
		"grüße-93":                "grüße-93",
		long:                      long,
		long + "\n":               long,
		long + "\r\n":             long,
		"":                        errNoPIN,
		"\n":                      errNoPIN,
		"\r\n":                    errNoPIN,
		"12345":                   errShortPIN,
		long + "8":                errLongPIN,
		long + "88\n":             errLongPIN,
		"493817\n\n":              errLongPIN,
		"493817\n493817":          errLongPIN,
		strings.Repeat("9", 4096): errLongPIN,
	} {
		memory := make([]byte, maxPassword+1)
		pin, err := readPIN(memory, byteByByte(in))
		switch want := want.(type) {
		case error:
			if !errors.Is(err, want) || pin != nil {
				t.Errorf("%.20q: %v, not %v", in, err, want)
			}
		case string:
			if err != nil || string(pin.Bytes()) != want {
				t.Errorf("%.20q: %v", in, err)
			} else {
				pin.Destroy()
			}
		}
		if !bytes.Equal(memory, make([]byte, len(memory))) {
			t.Errorf("%.20q is still in the memory it was read into", in)
		}
	}
	failing := errors.New("no")
	if _, err := readPIN(make([]byte, maxPassword+1), func([]byte) (int, error) { return -1, failing }); !errors.Is(err, failing) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

func FuzzReadPIN(f *testing.F) {
	f.Add("493817\n")
	f.Add("\r\r\r\r\r\r\r\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		memory := make([]byte, maxPassword+1)
		pin, err := readPIN(memory, byteByByte(in))
		if err == nil {
			if got := string(pin.Bytes()); !strings.HasPrefix(in, got) || len(got) > maxPIN || strings.Contains(got, "\n") {
				t.Errorf("%q is read as %q", in, got)
			}
			pin.Destroy()
		}
		if !bytes.Equal(memory, make([]byte, len(memory))) {
			t.Error("something stayed in memory")
		}
	})
}
