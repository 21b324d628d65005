package audit_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
	"sotto/client/store"
)

func key(fill byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var (
	deviceKey    = key(1)
	collectorKey = key(2)
	collector    = func() *audit.CollectorKey {
		k, err := audit.NewCollectorKey("audit.hospital.example", public(collectorKey))
		if err != nil {
			panic(err)
		}
		return k
	}()
)

// rig is a log in a database in memory.
type rig struct {
	t   testing.TB
	s   *store.Store
	log *audit.Log
}

func newRig(t testing.TB) *rig {
	t.Helper()
	s, err := store.OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l, err := audit.New(alice)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, s, l}
}

func (r *rig) update(fn func(*store.Tx) error) {
	r.t.Helper()
	if err := r.s.Update(context.Background(), fn); err != nil {
		r.t.Fatal(err)
	}
}

// grow appends n events, a second apart.
func (r *rig) grow(n int) {
	r.t.Helper()
	r.update(func(tx *store.Tx) error {
		for range n {
			size, err := tx.AuditSize()
			if err != nil {
				return err
			}
			if _, err := r.log.Append(tx, noon.Add(time.Duration(size)*time.Second), audit.Event{Kind: audit.MessageShown, Peer: ben, Message: some}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *rig) checkpoint() (msg []byte) {
	r.t.Helper()
	r.update(func(tx *store.Tx) (err error) {
		msg, err = r.log.Checkpoint(tx, noon, deviceKey)
		return err
	})
	return msg
}

func (r *rig) state() (s audit.State) {
	r.update(func(tx *store.Tx) (err error) { s, err = tx.AuditState(); return err })
	return s
}

func (r *rig) size() (n int64) {
	r.update(func(tx *store.Tx) (err error) { n, err = tx.AuditSize(); return err })
	return n
}

func (r *rig) verify() (report *audit.Report) {
	r.t.Helper()
	r.update(func(tx *store.Tx) (err error) {
		report, err = r.log.Verify(tx, public(deviceKey), collector)
		return err
	})
	return report
}

func (r *rig) batch(limit int) (b *audit.Batch, more bool) {
	r.t.Helper()
	r.update(func(tx *store.Tx) (err error) {
		b, more, err = r.log.Batch(tx, noon, deviceKey, limit)
		return err
	})
	return b, more
}

// confirm answers a batch as a collector does.
func (r *rig) confirm(checkpoint []byte) error {
	signed, err := collector.Cosign(checkpoint, collectorKey, noon)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.s.Update(context.Background(), func(tx *store.Tx) error {
		return r.log.Confirm(tx, &audit.Answer{Checkpoint: signed}, public(deviceKey), collector)
	})
}

func (r *rig) file() []byte {
	r.t.Helper()
	var out bytes.Buffer
	msg := r.checkpoint()
	r.update(func(tx *store.Tx) error { return r.log.WriteTo(&out, tx, msg) })
	return out.Bytes()
}

// TestLogIsATree compares the log with what tlog says of its lines, at every size.
func TestLogIsATree(t *testing.T) {
	r := newRig(t)
	var f audit.Frontier
	var lines [][]byte
	for n := int64(0); n < 70; n++ {
		if n > 0 {
			r.grow(1)
		} else {
			r.update(func(tx *store.Tx) error {
				_, err := r.log.Append(tx, noon, audit.Event{Kind: audit.LogStarted})
				return err
			})
		}
		r.update(func(tx *store.Tx) error {
			return tx.AuditLines(n, 1, func(seq int64, line, hashes []byte) {
				lines = append(lines, line)
				var want []byte
				for _, h := range f.Add(tlog.RecordHash(line)) {
					want = append(want, h[:]...)
				}
				if seq != n || !bytes.Equal(hashes, want) {
					t.Errorf("event %d has the hashes %x, want %x", seq, hashes, want)
				}
			})
		})
		c, err := audit.OpenCheckpoint(r.checkpoint(), alice, public(deviceKey), nil)
		if err != nil || c.Tree.N != n+1 || c.Tree.Hash != f.Root() || c.Of != n+1 || !c.Time.Equal(noon) {
			t.Fatalf("%+v %v, want %d events with the root %v", c, err, n+1, f.Root())
		}
		r.update(func(tx *store.Tx) error {
			for i := int64(0); i <= n; i++ {
				p, err := r.log.ProveEvent(tx, n+1, i)
				if err != nil {
					return err
				}
				if err := tlog.CheckRecord(p, n+1, f.Root(), i, tlog.RecordHash(lines[i])); err != nil {
					t.Errorf("event %d of %d: %v", i, n+1, err)
				}
			}
			if _, err := r.log.ProveEvent(tx, n+1, n+1); err == nil {
				t.Error("proved an event that there is not")
			}
			return nil
		})
	}
	if rep := r.verify(); !rep.Sound() || rep.Size != 70 || rep.Uncovered != 0 || !rep.To.Equal(noon.Add(69*time.Second)) {
		t.Errorf("%+v", rep)
	}
}

func TestFirstEventIsTheStart(t *testing.T) {
	r := newRig(t)
	r.grow(1)
	if r.size() != 2 {
		t.Fatalf("%d events", r.size())
	}
	r.update(func(tx *store.Tx) error {
		return tx.AuditLines(0, 1, func(_ int64, line, _ []byte) {
			if !bytes.Contains(line, []byte(" log-started")) {
				t.Errorf("%s", line)
			}
		})
	})
}

// TestUndoneWithItsCause holds that an event goes with the transaction.
func TestUndoneWithItsCause(t *testing.T) {
	r := newRig(t)
	r.grow(3)
	no := errors.New("no")
	err := r.s.Update(context.Background(), func(tx *store.Tx) error {
		if _, err := r.log.Append(tx, noon, audit.Event{Kind: audit.Unlocked}); err != nil {
			return err
		}
		return no
	})
	if !errors.Is(err, no) || r.size() != 4 {
		t.Errorf("%v, and %d events", err, r.size())
	}
	r.grow(1)
	if rep := r.verify(); !rep.Sound() || rep.Uncovered != 5 || !strings.Contains(rep.Words(), "no checkpoint") {
		t.Error(rep.Words())
	}
	r.checkpoint()
	r.grow(2)
	if rep := r.verify(); !rep.Sound() || rep.Uncovered != 2 || !strings.Contains(rep.Words(), "and 2 since then") {
		t.Error(rep.Words())
	}
}

// TestPruneKeepsWhatProofsNeed prunes at every size and proves, from every later
// size to every other.
func TestPruneKeepsWhatProofsNeed(t *testing.T) {
	const most = 40
	whole := newRig(t)
	whole.grow(most)
	roots := map[int64]tlog.Hash{}
	whole.update(func(tx *store.Tx) error {
		var f audit.Frontier
		roots[0] = f.Root()
		return tx.AuditLines(0, most+1, func(seq int64, line, _ []byte) {
			f.Add(tlog.RecordHash(line))
			roots[seq+1] = f.Root()
		})
	})
	for cut := int64(1); cut <= most; cut += 3 {
		r := newRig(t)
		r.grow(most)
		b, more := r.batch(int(cut))
		if more != (cut < most+1) || int64(len(b.Lines)) != cut {
			t.Fatalf("%d lines, more %v", len(b.Lines), more)
		}
		if err := r.confirm(b.Checkpoint); err != nil {
			t.Fatal(err)
		}
		for _, before := range []time.Time{noon.Add(time.Duration(cut/2) * time.Second), noon.Add(time.Hour)} { // in two goes
			r.update(func(tx *store.Tx) error {
				_, err := r.log.Prune(tx, noon, before)
				return err
			})
		}
		if s := r.state(); s.First != cut || s.Confirmed != cut {
			t.Fatalf("first %d, confirmed %d, want %d", s.First, s.Confirmed, cut)
		}
		r.update(func(tx *store.Tx) error {
			for from := cut; from <= most+1; from++ {
				for to := from; to <= most+1; to++ {
					p, err := r.log.ProveGrowth(tx, from, to)
					if err != nil {
						return fmt.Errorf("cut %d, %d to %d: %w", cut, from, to, err)
					}
					if err := tlog.CheckTree(p, to, roots[to], from, roots[from]); err != nil {
						t.Errorf("cut %d, %d to %d: %v", cut, from, to, err)
					}
				}
			}
			if _, err := r.log.ProveEvent(tx, most, 0); cut > 1 && !errors.Is(err, audit.ErrPruned) {
				t.Errorf("proved an event whose neighbours are gone: %v", err)
			}
			n := 0
			err := tx.AuditLines(0, 100, func(seq int64, _, _ []byte) {
				if n++; seq < cut {
					t.Errorf("line %d is still there", seq)
				}
			})
			return err
		})
		r.checkpoint()
		if rep := r.verify(); !rep.Sound() || rep.First != cut {
			t.Errorf("cut %d: %s", cut, rep.Words())
		}
	}
}

// TestNothingUnconfirmedIsRemoved tries to, on every way there is.
func TestNothingUnconfirmedIsRemoved(t *testing.T) {
	r := newRig(t)
	r.grow(20)
	prune := func() (n int) {
		r.update(func(tx *store.Tx) (err error) { n, err = r.log.Prune(tx, noon, noon.Add(time.Hour)); return err })
		return n
	}
	if n := prune(); n != 0 {
		t.Errorf("%d removed, and nobody has them", n)
	}
	b, _ := r.batch(10)
	if err := r.confirm(b.Checkpoint); err != nil {
		t.Fatal(err)
	}
	for what, fn := range map[string]func(*store.Tx) error{
		"more than is confirmed":        func(tx *store.Tx) error { return tx.PruneAudit(11, nil) },
		"an event again":                func(tx *store.Tx) error { return tx.AppendAudit(20, []byte("x"), []byte("x")) },
		"an event further on":           func(tx *store.Tx) error { return tx.AppendAudit(22, []byte("x"), []byte("x")) },
		"an event that cannot be there": func(tx *store.Tx) error { return tx.AppendAudit(-1, []byte("x"), []byte("x")) },
	} {
		if err := r.s.Update(context.Background(), fn); err == nil {
			t.Errorf("%s: done", what)
		}
	}
	if n := prune(); n != 10 {
		t.Errorf("%d removed, want 10", n)
	}
	if r.size() != 22 { // and one that says so
		t.Errorf("%d events", r.size())
	}
	// Younger ones stay, whatever is confirmed.
	r.update(func(tx *store.Tx) error {
		b, _, err := r.log.Batch(tx, noon, deviceKey, 100)
		if err == nil && b.From != 10 {
			t.Errorf("from %d", b.From)
		}
		return err
	})
	b, _ = r.batch(100)
	if err := r.confirm(b.Checkpoint); err != nil {
		t.Fatal(err)
	}
	var n int
	r.update(func(tx *store.Tx) (err error) {
		n, err = r.log.Prune(tx, noon, noon.Add(15*time.Second))
		return err
	})
	if n != 5 {
		t.Errorf("%d removed, want those of seconds 10 to 14", n)
	}
}

// TestAnswers takes answers of collectors that are honest, late, and neither.
func TestAnswers(t *testing.T) {
	r := newRig(t)
	r.grow(30)
	first, _ := r.batch(10)
	if err := r.confirm(first.Checkpoint); err != nil {
		t.Fatal(err)
	}
	second, _ := r.batch(10)
	if second.From != 10 || len(second.Proof) == 0 {
		t.Fatalf("from %d with a proof of %d", second.From, len(second.Proof))
	}
	if err := r.confirm(second.Checkpoint); err != nil {
		t.Fatal(err)
	}
	want := func(confirmed, next int64) {
		t.Helper()
		if s := r.state(); s.Confirmed != confirmed || s.Next != next {
			t.Errorf("confirmed %d, next %d, want %d and %d", s.Confirmed, s.Next, confirmed, next)
		}
	}
	want(20, 20)
	if err := r.confirm(first.Checkpoint); err != nil { // late, or of a collector that lost some
		t.Fatal(err)
	}
	want(20, 10)
	if err := r.confirm(second.Checkpoint); err != nil {
		t.Fatal(err)
	}
	want(20, 20)

	other := newRig(t)
	other.grow(5)
	other.update(func(tx *store.Tx) error {
		_, err := other.log.Append(tx, noon, audit.Event{Kind: audit.Unlocked})
		return err
	})
	other.grow(18)
	fork, _ := other.batch(25)
	sign := func(msg []byte, by *audit.CollectorKey, k crypto.Signer) []byte {
		out, err := by.Cosign(msg, k, noon)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	stranger, _ := audit.NewCollectorKey("audit.hospital.example", public(key(9)))
	cut := sign(second.Checkpoint, collector, collectorKey)
	for what, c := range map[string]struct {
		answer []byte
		want   error
	}{
		"another history":              {sign(fork.Checkpoint, collector, collectorKey), audit.ErrForked},
		"more than there is":           {sign(larger(t), collector, collectorKey), audit.ErrForked},
		"signed by the device alone":   {second.Checkpoint, audit.ErrSignature},
		"signed by another collector":  {sign(second.Checkpoint, stranger, key(9)), audit.ErrSignature},
		"signed by both":               {sign(sign(second.Checkpoint, collector, collectorKey), stranger, key(9)), audit.ErrSignature},
		"without the device's":         {bytes.Replace(cut, []byte("— sotto"), []byte("— xotto"), 1), audit.ErrSignature},
		"cut off":                      {cut[:len(cut)-1], audit.ErrSignature},
		"nothing, of one that had all": {nil, audit.ErrForked},
	} {
		err := r.s.Update(context.Background(), func(tx *store.Tx) error {
			return r.log.Confirm(tx, &audit.Answer{Checkpoint: c.answer}, public(deviceKey), collector)
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		want(20, 20)
	}
	empty := newRig(t)
	empty.grow(3)
	if err := empty.s.Update(context.Background(), func(tx *store.Tx) error {
		return empty.log.Confirm(tx, &audit.Answer{}, public(deviceKey), collector)
	}); err != nil {
		t.Error(err)
	}
}

// larger is a genuine checkpoint of 99 events that the device never had.
func larger(t *testing.T) []byte {
	msg, err := audit.Checkpoint{Device: alice, Tree: tlog.Tree{N: 99}, Time: noon}.Sign(deviceKey)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestBatches(t *testing.T) {
	r := newRig(t)
	if b, more := r.batch(10); len(b.Lines) != 0 || more {
		t.Errorf("an empty log sent %d events", len(b.Lines))
	}
	r.grow(24)
	b, _ := r.batch(0)
	if len(b.Lines) != 0 || b.From != 0 {
		t.Errorf("%+v", b)
	}
	b, more := r.batch(10)
	if !more {
		t.Error("no more")
	}
	if err := r.confirm(b.Checkpoint); err != nil {
		t.Fatal(err)
	}
	b, more = r.batch(1 << 30)
	if more || len(b.Lines) != 15 {
		t.Errorf("%d, more %v", len(b.Lines), more)
	}
	data := b.Marshal()
	back, err := audit.ParseBatch(data)
	if err != nil || back.From != 10 || len(back.Lines) != 15 || len(back.Proof) != len(b.Proof) || !bytes.Equal(back.Checkpoint, b.Checkpoint) {
		t.Fatalf("%+v %v", back, err)
	}
	for name, bad := range map[string]string{
		"empty":              "",
		"another thing":      "hello",
		"no numbers":         "sotto audit batch 1\n\n",
		"too many lines":     "sotto audit batch 1\n0 2001 0\n",
		"too long a proof":   "sotto audit batch 1\n0 0 129\n",
		"from below":         "sotto audit batch 1\n-1 0 0\n\nx",
		"from beyond":        "sotto audit batch 1\n9223372036854775807 0 0\n\nx",
		"no checkpoint":      "sotto audit batch 1\n0 0 0\n\n",
		"a number with zero": strings.Replace(string(data), "10 15", "10 015", 1),
		"a line too many":    strings.Replace(string(data), "10 15", "10 14", 1),
		"a line too few":     strings.Replace(string(data), "10 15", "10 16", 1),
		"too long":           string(data) + strings.Repeat("x", audit.MaxBatch),
		"cut off":            string(data[:len(data)/2]),
	} {
		if _, err := audit.ParseBatch([]byte(bad)); !errors.Is(err, audit.ErrBatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string]string{"empty": "", "another": "sotto audit answer 2\n\n", "long": "sotto audit answer 1\n\n" + strings.Repeat("x", audit.MaxCheckpoint+1)} {
		if _, err := audit.ParseAnswer([]byte(bad)); !errors.Is(err, audit.ErrBatch) {
			t.Errorf("an answer, %s: %v", name, err)
		}
	}
	if a, err := audit.ParseAnswer((&audit.Answer{}).Marshal()); err != nil || a.Checkpoint != nil {
		t.Errorf("%+v %v", a, err)
	}
}

// TestBatchIsBounded has events that are as long as they get.
func TestBatchIsBounded(t *testing.T) {
	r := newRig(t)
	long := audit.PersonOf(strings.Repeat("a", 300) + "@hospital.example")
	r.update(func(tx *store.Tx) error {
		for range audit.MaxLines + 100 {
			if _, err := r.log.Append(tx, noon, audit.Event{Kind: audit.MessageReceived, By: long, Peer: long, Device: 1<<31 - 1, Message: some}); err != nil {
				return err
			}
		}
		return nil
	})
	b, more := r.batch(1 << 30)
	data := b.Marshal()
	if !more || len(b.Lines) == 0 || len(data) > audit.MaxText {
		t.Errorf("%d lines, %d bytes, more %v", len(b.Lines), len(data), more)
	}
	if _, err := audit.ParseBatch(data); err != nil {
		t.Error(err)
	}
}

func FuzzParseBatch(f *testing.F) {
	r := newRig(f)
	r.grow(5)
	b, _ := r.batch(3)
	f.Add(b.Marshal())
	if err := r.confirm(b.Checkpoint); err != nil {
		f.Fatal(err)
	}
	b, _ = r.batch(3)
	f.Add(b.Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := audit.ParseBatch(data); err == nil && !bytes.Equal(b.Marshal(), data) {
			t.Fatalf("%q is written as %q", data, b.Marshal())
		}
		if a, err := audit.ParseAnswer(data); err == nil && !bytes.Equal(a.Marshal(), data) {
			t.Fatalf("%q is written as %q", data, a.Marshal())
		}
	})
}
