package audit_test

import (
	"bytes"
	"crypto"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
	"sotto/client/store"
)

const cryptoHash0 = crypto.Hash(0)

// chain writes a file of n events, with a checkpoint behind every so many.
func chain(t testing.TB, n, every int) (file []byte, last audit.Checkpoint) {
	t.Helper()
	var f audit.Frontier
	for i := range n {
		line, err := entry(int64(i), audit.Event{Kind: audit.MessageReceived, Peer: ben, Message: some, Device: uint32(i + 1)}).Line()
		if err != nil {
			t.Fatal(err)
		}
		f.Add(tlog.RecordHash(line))
		file = append(append(file, line...), '\n')
		if (i+1)%every == 0 || i == n-1 {
			last = audit.Checkpoint{Device: alice, Tree: tlog.Tree{N: f.Size(), Hash: f.Root()}, Time: noon, Of: f.Size()}
			file = audit.AppendCheckpoint(file, signed(t, last))
		}
	}
	return file, last
}

func verify(t testing.TB, file []byte, known ...audit.Checkpoint) *audit.Report {
	t.Helper()
	r, err := audit.Verify(bytes.NewReader(file), audit.Verifying{Device: alice, Key: public(deviceKey), Known: known})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify(t *testing.T) {
	file, last := chain(t, 50, 7)
	n := 0
	r, err := audit.Verify(bytes.NewReader(file), audit.Verifying{Device: alice, Key: public(deviceKey), Known: []audit.Checkpoint{last}, Each: func(e audit.Entry) {
		if e.Seq != int64(n) {
			t.Errorf("event %d is number %d", n, e.Seq)
		}
		n++
	}})
	if err != nil || !r.Sound() || r.Size != 50 || n != 50 || r.Last != last || r.Uncovered != 0 || !strings.Contains(r.Words(), "nothing changed") {
		t.Errorf("%s %v, %d events", r.Words(), err, n)
	}
	// What the device writes itself is the same form.
	g := newRig(t)
	g.grow(30)
	if r := verify(t, g.file()); !r.Sound() || r.Size != 31 {
		t.Error(r.Words())
	}
}

// harmless are the files that are as good as the one given: those without one of the
// checkpoints before its last. A later one covers the same events.
func harmless(t testing.TB, file []byte) map[string]bool {
	t.Helper()
	list, f := make(map[string]bool), audit.NewFileReader(bytes.NewReader(file))
	for from := int64(0); ; {
		_, checkpoint, err := f.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		to, _ := f.Read()
		if checkpoint != nil && to < int64(len(file)) {
			list[string(file[:from])+string(file[to:])] = true
		}
		from = to
	}
}

// TestTampering flips bits and cuts off, each a thousand times. The last
// checkpoint is known, as the collector's answer or seal, or from the device.
func TestTampering(t *testing.T) {
	file, last := chain(t, 60, 13)
	if r := verify(t, file, last); !r.Sound() {
		t.Fatal(r.Words())
	}
	same := harmless(t, file)
	for x := range same {
		if r := verify(t, []byte(x), last); !r.Sound() || len(same) != 4 {
			t.Fatalf("without one of %d earlier checkpoints: %s", len(same), r.Words())
		}
	}
	for range 1000 {
		i := rand.IntN(len(file))
		bad := bytes.Clone(file)
		bad[i] ^= 1 << rand.IntN(8)
		if verify(t, bad, last).Sound() {
			t.Errorf("byte %d was %q and is %q, and nobody noticed", i, file[i], bad[i])
		}
		if verify(t, bad).Sound() { // what is there is wrong, whatever is known
			t.Errorf("byte %d was %q and is %q, and nobody noticed without knowing the end", i, file[i], bad[i])
		}
		cut := rand.IntN(len(file))
		if verify(t, file[:cut], last).Sound() {
			t.Errorf("cut off at %d of %d, and nobody noticed", cut, len(file))
		}
		from, to := rand.IntN(len(file)), rand.IntN(len(file))
		if from > to {
			from, to = to, from
		}
		if from < to {
			bad = append(bytes.Clone(file[:from]), file[to:]...)
			if verify(t, bad, last).Sound() && !same[string(bad)] {
				t.Errorf("%d to %d taken out, and nobody noticed", from, to)
			}
		}
	}
}

// TestTamperingByLines does what somebody would who knows the form.
func TestTamperingByLines(t *testing.T) {
	file, last := chain(t, 40, 100)
	lines := bytes.SplitAfter(file, []byte("\n"))
	join := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	at := func(seq int) []byte {
		line, err := entry(int64(seq), audit.Event{Kind: audit.Unlocked}).Line()
		if err != nil {
			t.Fatal(err)
		}
		return append(line, '\n')
	}
	swapped := append([][]byte{}, lines...)
	swapped[3], swapped[4] = swapped[4], swapped[3]
	older, _ := chain(t, 39, 100)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"a line replaced by a good one":                 {join(join(lines[:5]...), at(5), join(lines[6:]...)), "not the events that the device signed"},
		"a line taken out":                              {join(join(lines[:5]...), join(lines[6:]...)), "event 6 stands in its place"},
		"a line doubled":                                {join(join(lines[:6]...), join(lines[5:]...)), "event 5 stands in its place"},
		"two lines changed places":                      {join(swapped...), "event 4 stands in its place"},
		"a line added at the end":                       {append(bytes.Clone(file), at(40)...), "no checkpoint stands behind the last 1"},
		"the end taken away, an older checkpoint there": {older, "the end is missing"},
		"nothing left":                                  {nil, "the log is empty"},
		"no checkpoint left":                            {join(lines[:40]...), "no checkpoint"},
		"a checkpoint doubled":                          {append(bytes.Clone(file), join(lines[40:]...)...), ""},
	} {
		r := verify(t, c.file, last)
		if c.want == "" {
			if !r.Sound() {
				t.Errorf("%s: %s", name, r.Words()) // a sign of life: harmless
			}
			continue
		}
		if !strings.Contains(r.Words(), c.want) {
			t.Errorf("%s: %s", name, r.Words())
		}
	}
	// Somebody with another key signs anew.
	forged, _ := audit.Checkpoint{Device: alice, Tree: last.Tree, Time: noon}.Sign(key(8))
	if r := verify(t, audit.AppendCheckpoint(join(lines[:40]...), forged), last); r.Sound() {
		t.Error("signed by somebody else, and nobody noticed")
	}
	// The device itself signs a line of another.
	line, err := audit.Entry{Seq: 0, Time: noon, Device: audit.Device{Owner: ben, ID: 5}, Event: audit.Event{Kind: audit.Unlocked}}.Line()
	if err != nil {
		t.Fatal(err)
	}
	other := signed(t, audit.Checkpoint{Device: alice, Tree: tlog.Tree{N: 1, Hash: tlog.RecordHash(line)}, Time: noon})
	if r := verify(t, audit.AppendCheckpoint(append(line, '\n'), other)); !strings.Contains(r.Words(), "of another device") {
		t.Error(r.Words())
	}
	// Every line wrong: the report stays short.
	if r := verify(t, bytes.Repeat([]byte("x\n"), 100_000)); len(r.Problems) > 20 || r.More == 0 {
		t.Errorf("%d problems", len(r.Problems))
	}
}

// TestTamperingInTheDatabase changes what is stored, as somebody with the key of
// the database would.
func TestTamperingInTheDatabase(t *testing.T) {
	r := newRig(t)
	r.grow(20)
	r.checkpoint()
	if rep := r.verify(); !rep.Sound() {
		t.Fatal(rep.Words())
	}
	for name, storage := range map[string]func(*store.Tx) audit.Storage{
		"a line replaced":    func(tx *store.Tx) audit.Storage { return tampered{Tx: tx, at: 5, line: mustLine(t, 5)} },
		"a hash replaced":    func(tx *store.Tx) audit.Storage { return tampered{Tx: tx, at: 5, hashes: bytes.Repeat([]byte{1}, 64)} },
		"a line left out":    func(tx *store.Tx) audit.Storage { return tampered{Tx: tx, at: 5, out: true} },
		"the end left out":   func(tx *store.Tx) audit.Storage { return tampered{Tx: tx, at: 100, short: 3} },
		"another checkpoint": func(tx *store.Tx) audit.Storage { return tampered{Tx: tx, at: 100, state: true} },
	} {
		r.update(func(tx *store.Tx) error {
			rep, err := r.log.Verify(storage(tx), public(deviceKey), collector)
			if err != nil || rep.Sound() {
				t.Errorf("%s: %v %s", name, err, rep.Words())
			}
			return nil
		})
	}
}

func mustLine(t testing.TB, seq int64) []byte {
	line, err := entry(seq, audit.Event{Kind: audit.Unlocked}).Line()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// tampered is a database whose content is another.
type tampered struct {
	*store.Tx
	at           int64
	line, hashes []byte
	out, state   bool
	short        int64
}

func (x tampered) AuditSize() (int64, error) {
	n, err := x.Tx.AuditSize()
	return n - x.short, err
}

func (x tampered) AuditLines(from int64, limit int, fn func(int64, []byte, []byte)) error {
	size, _ := x.AuditSize()
	return x.Tx.AuditLines(from, limit, func(seq int64, line, hashes []byte) {
		if seq == x.at {
			if x.out {
				return
			}
			if x.line != nil {
				line = x.line
			}
			if x.hashes != nil {
				hashes = x.hashes
			}
		}
		if seq < size {
			fn(seq, line, hashes)
		}
	})
}

func (x tampered) AuditState() (audit.State, error) {
	s, err := x.Tx.AuditState()
	if x.state {
		s.Checkpoint[len(s.Checkpoint)-5] ^= 1
	}
	return s, err
}

func TestFilter(t *testing.T) {
	e := entry(1, audit.Event{Kind: audit.MessageReceived, By: audit.PersonOf("carla@hospital.example"), Peer: ben, Message: some})
	for name, c := range map[string]struct {
		f    audit.Filter
		want bool
	}{
		"all":            {audit.Filter{}, true},
		"since then":     {audit.Filter{Since: noon}, true},
		"since later":    {audit.Filter{Since: noon.Add(1)}, false},
		"until then":     {audit.Filter{Until: noon}, false},
		"until later":    {audit.Filter{Until: noon.Add(1)}, true},
		"of the owner":   {audit.Filter{Person: alice.Owner}, true},
		"of the peer":    {audit.Filter{Person: ben}, true},
		"of who did it":  {audit.Filter{Person: e.By}, true},
		"of another":     {audit.Filter{Person: audit.PersonOf("dora@hospital.example")}, false},
		"of the device":  {audit.Filter{Device: alice}, true},
		"of another one": {audit.Filter{Device: audit.Device{Owner: alice.Owner, ID: 1}}, false},
		"the message":    {audit.Filter{Message: some}, true},
		"another":        {audit.Filter{Message: audit.IDOf("x")}, false},
		"kinds":          {audit.Filter{Kinds: []audit.Kind{audit.Locked, audit.MessageReceived}}, true},
		"other kinds":    {audit.Filter{Kinds: []audit.Kind{audit.Locked}}, false},
		"what failed":    {audit.Filter{Failed: true}, false},
	} {
		if got := c.f.Match(&e); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzVerify(f *testing.F) {
	file, last := chain(f, 12, 5)
	f.Add(file)
	f.Add([]byte("\n\n\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r := verify(t, data, last); r.Sound() && !bytes.HasPrefix(data, file) {
			t.Fatalf("%q is sound", data)
		}
	})
}
