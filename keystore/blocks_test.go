package keystore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// cutTally takes the tally off the end of a file's content.
func cutTally(b []byte) (content []byte, t tally, ok bool) {
	n := max(0, len(b)-tallySize)
	t, ok = parseTally(b[n:])
	return b[:n:n], t, ok
}

// TestCountingStaysInItsBlock compares the files before and after each PIN: what
// is written is within the one block of the tally that does not count yet. An
// opened vault, an account that is stored and another PIN leave whole blocks.
func TestCountingStaysInItsBlock(t *testing.T) {
	p := limitedPlace(t, 10)
	o, err := p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.SaveAccount(&Account{Address: "alice@hospital.example", CA: make([]byte, 5000), Password: o.Account().Password}); err != nil {
		t.Fatal(err)
	}
	if err := o.ChangePIN(locked(t, "135791")); err != nil {
		t.Fatal(err)
	}
	o.Close()
	writes := 0
	p.record = func(f *os.File, n tally) error {
		before := keep(t, f.Name())
		content, counts, ok := cutTally(before)
		if len(before)%blockSize != 0 || !ok || counts.offset() == n.offset() {
			t.Errorf("%s: %d bytes, sound %v, %+v is followed by %+v", filepath.Base(f.Name()), len(before), ok, counts, n)
		}
		if err := record(f, n); err != nil {
			return err
		}
		after := keep(t, f.Name())
		writes++
		start := len(content) + n.offset()
		if len(after) != len(before) || !bytes.Equal(after[:start], before[:start]) || !bytes.Equal(after[start+blockSize:], before[start+blockSize:]) {
			t.Errorf("%s: something outside of its block was written", filepath.Base(f.Name()))
		}
		if bytes.Equal(before, after) {
			t.Errorf("%s: nothing was written", filepath.Base(f.Name()))
		}
		return nil
	}
	tryWrong(t, p, 3)
	if o, err = p.Open(locked(t, "135791")); err != nil {
		t.Fatal(err)
	}
	o.Close()
	if writes != 2*(3+2) {
		t.Errorf("%d writes", writes)
	}
}

// TestRuinedBlock ruins one whole block of a tally after the other, in either
// file, as a write does that fails half way: what counts is the other block, or
// the other file, and the vault opens. A ruined block of what is before the tally
// is damage, so this test shows something.
func TestRuinedBlock(t *testing.T) {
	for _, tried := range []int{4, 5} { // one block counts, or the other
		p := limitedPlace(t, 10)
		tryWrong(t, p, tried)
		vault, device := keep(t, p.vault), keep(t, p.device)
		for name, content := range map[string][]byte{p.vault: vault, p.device: device} {
			for i := range 2 {
				start := len(content) - (i+1)*blockSize
				for _, garbage := range []byte{0, 0xff, 'S'} {
					putBack(t, p.vault, vault)
					putBack(t, p.device, device)
					ruined := bytes.Clone(content)
					copy(ruined[start:], bytes.Repeat([]byte{garbage}, blockSize))
					putBack(t, name, ruined)
					wantTried(t, p, tried) // the other file knows
					// What this file says by itself: what it said, or one less.
					_, own, ok := cutTally(ruined)
					if n := int(own.tried); !ok || n != tried && n != tried-1 {
						t.Errorf("%s, block %d: %d tried, sound %v", filepath.Base(name), i, n, ok)
					}
					tryWrong(t, p, 1)
					wantTried(t, p, tried+1)
					wantOpen(t, p)
					wantTried(t, p, 0)
				}
			}
			putBack(t, p.vault, vault)
			putBack(t, p.device, device)
			ruined := bytes.Clone(content)
			clear(ruined[len(ruined)-3*blockSize:][:blockSize])
			putBack(t, name, ruined)
			if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrDevice) {
				t.Errorf("%s, with its content ruined: %v", filepath.Base(name), err)
			}
		}
	}
}

// TestOlderAndNewer opens vaults of other versions.
func TestOlderAndNewer(t *testing.T) {
	p := limitedPlace(t, 10)
	good := keep(t, p.vault)
	version := func(b []byte, n uint16) []byte {
		b = bytes.Clone(b)
		binary.BigEndian.PutUint16(b[len(vaultMagic):], n)
		return b
	}
	content, _, _ := cutTally(good)
	end := good[len(content):]
	for name, test := range map[string]struct {
		content []byte
		want    error
	}{
		"short, of version 2":           {version(good[:2400], 2), ErrOlder},
		"long, of version 2":            {version(append(bytes.Clone(good), good[:2400]...), 2), ErrOlder},
		"short, of this one":            {good[:2400], ErrDamaged},
		"short, of a newer one":         {version(good[:2400], vaultVersion+1), ErrDamaged},
		"whole, of a newer one":         {append(rehash(version(content, vaultVersion+1)), end...), ErrNewer},
		"whole, of an older one":        {append(rehash(version(content, oldestVault-1)), end...), ErrOlder},
		"its version damaged":           {append(version(content, vaultVersion-1), end...), ErrDamaged},
		"nothing but a tally":           {end, ErrDamaged},
		"nothing but what begins it":    {[]byte(vaultMagic), ErrDamaged},
		"larger than any can be":        {make([]byte, maxVault+1), ErrDamaged},
		"with a block of zeros between": {append(append(bytes.Clone(content), make([]byte, blockSize)...), end...), ErrDamaged},
	} {
		putBack(t, p.vault, test.content)
		if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := p.Status(); !errors.Is(err, test.want) {
			t.Errorf("%s: the status: %v", name, err)
		}
		if _, err := p.Check(); !errors.Is(err, test.want) {
			t.Errorf("%s: the check: %v", name, err)
		}
	}
	putBack(t, p.vault, good)
	wantOpen(t, p)
}
