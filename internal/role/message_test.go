package role

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sotto/internal/frame"
)

func samples() []Message {
	at := time.Unix(1_795_300_000, 0)
	p := Profile{Name: "default", Vault: "/d/vault", DeviceKey: "/s/device.key", Data: "/d/data", Database: "/d/data/sotto.db"}
	return []Message{
		&Note{"The disk is full. Free some space."}, &Quit{}, &Activity{}, &Ready{}, &Locking{}, &Locked{ChangePIN: true, Why: "It is 90 days old."}, &InForce{Rules{time.Minute, time.Hour, 10, true, true, 8, true, Relays{"wss://b/ws\nwss://c/ws", "cGlu"}}},
		&Unlocked{}, &Stop{}, &Outcome{Refused, 7, "no device is trusted"}, &NeedLink{}, &Status{"relay online", true, 3, 1, at, true}, &Status{}, &Attach{}, &Logoff{}, &Logoff{time.Minute}, &End{}, &Lock{}, &Redraw{},
		&GateSetup{
			Mode: Join, Profile: p, Label: "Mercy General", User: "a.ng", Hint: "h", Note: "n", Wait: 4 * time.Second,
			Failures: 4, SignedIn: true, LockedAt: at, Terminal: []byte{0, 1, 2}, LockAfter: time.Minute, DestroyAfter: 10, NoTPM: true, NeedTPM: true, PINLength: 8, PINMixed: true, Address: "a@b", Relay: "wss://b/ws", CAFile: "/ca.pem", Relays: Relays{"wss://b/ws\nwss://c/ws", "cGlu"}, Rotate: true, Invited: Invited{[]byte("a@b,04KQX"), true},
			Rescue: Rescue{[]string{"/a", "/b"}, 2, "Dr Who", true, true}, Warrant: Warrant{[]byte("key: h.example\n"), "a@b", 7, []string{"on-call"}, at, true}, Proof: Proof{[]byte("an order\n"), [][]byte{[]byte("a key\n")}},
		},
		&DeskSetup{Profile: p, Label: "Mercy General", Terminal: []byte{9}, Open: "a@b", Check: true, ComparedOnly: true, Wishes: []byte("paste = false\n"),
			Task: Task{Job: Trusting, Peer: "a@b", Urgency: 2, Wait: time.Second, Once: true, Ack: true, JSON: true, Through: true, File: "ecg.png", Fingerprint: "00", Archive: Archive{[]string{"age1x"}, true, true, 3, "0a", 4, true}, Silence: time.Hour}, Reading: true, Recovered: true,
			Display: Display{Theme: "auto", LockAfter: 2 * time.Minute, LockUnfocused: time.Minute, Curtain: true, Reveal: true, Mouse: true, Paste: true, Quiet: true,
				AttachFrom: []Folder{{"~/Pictures", "/home/ng/Pictures", 254 << 8, ""}, {"~/stick", "/media/x", 7, "is on a removable disk"}, {"~/gone", "", 0, ""}}},
			Dealt: []Dealt{{1, make([]byte, 32)}, {2, make([]byte, 32)}}},
		&Archived{5, 4, 3, 1 << 40, "0a", 2, 1}, &WardSetup{Profile: p, Dir: "/tmp/x"}, &LinkSetup{},
		&Ordered{ToWipe, Dealt{12, make([]byte, 32)}, Proof{[]byte("an order\n"), [][]byte{{1}, {2}}}, "It was left on a train."}, &Warrant{Anchor: []byte("k"), Address: "a@b", Device: 1<<32 - 1},
		&ProbeSetup{As: Desk, Dir: "/tmp/x"}, &Confined{7, true}, &Tried{"run a program", "processes", "seccomp", "operation not permitted"}, &Checked{4, 3, 2, "row 1 missing from index x"},
	}
}

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	kinds := map[byte]bool{}
	for _, m := range samples() {
		typ, fields, err := encode(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		got, err := decode(typ, fields)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%+v came back as %+v", m, got)
		}
		kinds[typ] = true
	}
	for kind := byte(1); blank(kind) != nil; kind++ {
		if !kinds[kind] {
			t.Errorf("no sample of %T", blank(kind))
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	for name, f := range map[string]func() (byte, [][]byte){
		"a number too large":    func() (byte, [][]byte) { return kindLocked, [][]byte{frame.Uint64(2), nil} },
		"a short number":        func() (byte, [][]byte) { return kindLocked, [][]byte{{1}, nil} },
		"a field too many":      func() (byte, [][]byte) { return kindQuit, [][]byte{nil} },
		"a field missing":       func() (byte, [][]byte) { return kindNote, nil },
		"no such kind":          func() (byte, [][]byte) { return 200, nil },
		"kind 0":                func() (byte, [][]byte) { return 0, nil },
		"a long text":           func() (byte, [][]byte) { return kindNote, [][]byte{make([]byte, maxText+1)} },
		"a control in a text":   func() (byte, [][]byte) { return kindNote, [][]byte{[]byte("a\x1b[2Jb")} },
		"a C1 control":          func() (byte, [][]byte) { return kindNote, [][]byte{[]byte("a\u009b2Jb")} },
		"a turned direction":    func() (byte, [][]byte) { return kindNote, [][]byte{[]byte("a\u202eb")} },
		"no UTF-8":              func() (byte, [][]byte) { return kindNote, [][]byte{{0xff}} },
		"a probe of nothing":    func() (byte, [][]byte) { return kindProbeSetup, [][]byte{[]byte("ward"), nil} },
		"a path with a NUL":     func() (byte, [][]byte) { return wardSetup("/a\x00b") },
		"a path that is long":   func() (byte, [][]byte) { return wardSetup(strings.Repeat("a", maxPath+1)) },
		"more than is possible": func() (byte, [][]byte) { return kindNote, [][]byte{make([]byte, maxControl+1)} },
	} {
		if m, err := decode(f()); err == nil {
			t.Errorf("%s is taken for %+v", name, m)
		}
	}
}

func wardSetup(path string) (byte, [][]byte) {
	return kindWardSetup, [][]byte{nil, nil, nil, nil, nil, []byte(path)}
}

func TestTextIsMadePrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                      "plain",
		"two\nlines\tand a tab":      "two lines and a tab",
		"\x1b[31mred\x1b[0m":         "[31mred[0m",
		"a\u202eb\u200bc\u009bd":     "abcd",
		"\xff\xfeß":                  "ß",
		strings.Repeat("€", maxText): strings.Repeat("€", maxText/3),
	} {
		got := line(in)
		if got != want {
			t.Errorf("%.20q becomes %.20q, want %.20q", in, got, want)
		}
		typ, fields, err := encode(&Note{Text: in})
		if err != nil {
			t.Errorf("%.20q: %v", in, err)
		} else if _, err := decode(typ, fields); err != nil {
			t.Errorf("%.20q: what was sent is not taken: %v", in, err)
		}
	}
}

func TestOutOfBoundsIsNotSent(t *testing.T) {
	for _, m := range []Message{
		&Status{Waiting: -1}, &Status{Stat: maxCount + 1}, &GateSetup{Mode: 17}, &GateSetup{Wait: -time.Second}, &GateSetup{DestroyAfter: 1001},
		&WardSetup{Dir: strings.Repeat("a", maxPath+1)}, &DeskSetup{Terminal: make([]byte, maxTermios+1)},
		&Ordered{Do: ToLock}, &Ordered{Do: ToWipe, Dealt: Dealt{1, make([]byte, 32)}}, &Ordered{Dealt: Dealt{1, make([]byte, 33)}}, &Ordered{Dealt: Dealt{1, make([]byte, 32)}, Proof: Proof{Note: make([]byte, maxNote+1)}}, &Ordered{Dealt: Dealt{1, make([]byte, 32)}, Proof: Proof{Keys: make([][]byte, maxKeys+1)}}, &Warrant{Device: 1 << 32}, &Warrant{Roles: make([]string, maxRoles+1)},
	} {
		if _, _, err := encode(m); err == nil {
			t.Errorf("%+v was sent", m)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		typ, fields, _ := encode(m)
		var b []byte
		for _, field := range fields {
			b = append(b, 0, 0, byte(len(field)>>8), byte(len(field)))
			b = append(b, field...)
		}
		f.Add(typ, b)
	}
	f.Fuzz(func(t *testing.T, typ byte, b []byte) {
		fields, err := frame.Fields(b)
		if err != nil {
			return
		}
		m, err := decode(typ, fields)
		if err != nil {
			return
		}
		if n, ok := m.(*Note); ok && (!utf8.ValidString(n.Text) || strings.ContainsFunc(n.Text, unprintable)) {
			t.Fatalf("a note that is not printable: %q", n.Text)
		}
		// What was taken can be said again, and means the same.
		typ2, fields2, err := encode(m)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		again, err := decode(typ2, fields2)
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func TestNamed(t *testing.T) {
	for argv0, want := range map[string]Name{
		"sotto-link": Link, "sotto-gate": Gate, "sotto-desk": Desk, "sotto-ward": Ward,
		"sotto": "", "sotto-": "", "sotto-nonsense": "", "/usr/bin/sotto-gate": "", "gate": "", "": "",
	} {
		if got, ok := Named(argv0); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v", argv0, got, ok)
		}
	}
}

func TestEnvironment(t *testing.T) {
	env := []string{
		"TERM=xterm", "COLORTERM=truecolor", "NO_COLOR=1", "LANG=C.UTF-8", "LC_TIME=de_DE", "TZ=Europe/Berlin", "TMUX=/tmp/x,1,0",
		"SSH_TTY=/dev/pts/1", "SSL_CERT_FILE=/etc/ca.pem",
		"HOME=/home/a", "PATH=/bin", "LC_API_TOKEN=x", "SSH_AUTH_SOCK=/tmp/agent", "AWS_SECRET_ACCESS_KEY=x", "LD_PRELOAD=/tmp/evil.so", "LD_LIBRARY_PATH=/tmp",
		"GODEBUG=http2debug=2", "GOTRACEBACK=all", "GOGC=1", "TEA_TRACE=/tmp/t", "TEA_DEBUG=1", "HTTPS_PROXY=http://evil",
		"SSLKEYLOGFILE=/tmp/keys", "XDG_RUNTIME_DIR=/run/user/1", "SQLITE_TMPDIR=/tmp", "TMPDIR=/tmp", "no equals sign", "=x",
	}
	for name, want := range map[Name]string{
		Gate: "TERM COLORTERM NO_COLOR LANG LC_TIME TZ TMUX SSH_TTY GOTRACEBACK",
		Desk: "TERM COLORTERM NO_COLOR LANG LC_TIME TZ TMUX SSH_TTY GOTRACEBACK",
		Link: "LANG LC_TIME TZ SSL_CERT_FILE GOTRACEBACK",
		Ward: "LANG LC_TIME TZ GOTRACEBACK",
	} {
		var got []string
		trace := ""
		for _, kv := range Environment(name, env) {
			key, value, _ := strings.Cut(kv, "=")
			got = append(got, key)
			if key == "GOTRACEBACK" {
				trace = value
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("the %s sees %v", name, got)
		}
		if trace != "none" {
			t.Errorf("GOTRACEBACK of the %s is %q: a crash would print memory", name, trace)
		}
	}
}
