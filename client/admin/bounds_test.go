package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/partner"
	"sotto/client/org/signer"
	"sotto/client/stanza"
)

// TestBoundsOfRelays: nothing is signed that a relay would drop, or a device could not
// fetch.
func TestBoundsOfRelays(t *testing.T) {
	o := found(t, database(t))
	propose := func(i, opens int) ([]byte, org.Key) {
		t.Helper()
		key, err := signer.Generate(fmt.Sprintf("clinic%d.example", i))
		if err != nil {
			t.Fatal(err)
		}
		a := partner.Agreement{Proposer: key.Public(), Partner: o.Anchor().Key, Serial: 1, Issued: time.Now(), Expires: time.Now().Add(time.Hour)}
		for j := range opens {
			a.Opens = append(a.Opens, partner.Opening{Organisation: "hospital.example", Person: fmt.Sprintf("%s%d@hospital.example", strings.Repeat("a", 150), j)})
		}
		b, err := a.Propose(key)
		if err != nil {
			t.Fatal(err)
		}
		return b, key.Public()
	}
	var last []byte
	for i := range maxPartners {
		last, _ = propose(i, 1)
		if _, err := o.Accept(t.Context(), last, ""); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	b, key := propose(maxPartners, 1)
	if _, err := o.Accept(t.Context(), b, ""); err == nil || !strings.Contains(err.Error(), "agreements with 32 organisations") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := o.Propose(t.Context(), Proposal{With: key, Opens: []partner.Opening{{Organisation: "hospital.example", Role: "nurse"}}}); err == nil {
		t.Error("one too many is proposed")
	}
	if list, err := o.Partners(t.Context()); err != nil || len(list) != maxPartners {
		t.Errorf("%d agreements, %v", len(list), err)
	}

	o = found(t, database(t))
	for i := range maxPartners {
		b, _ := propose(i, 256)
		if _, err := o.Accept(t.Context(), b, ""); err != nil {
			if !strings.Contains(err.Error(), "512 KiB") {
				t.Fatal(err)
			}
			if i*len(b) > maxAgreementsBytes || (i+1)*len(b) < maxAgreementsBytes*9/10 {
				t.Errorf("refused is the agreement after %d of %d bytes", i, len(b))
			}
			break
		} else if i == maxPartners-1 {
			t.Error("nothing is too long")
		}
	}
}

// TestManyChangesOfTheKey: the oldest are not shown any more before a relay drops them.
func TestManyChangesOfTheKey(t *testing.T) {
	o, c := found(t, database(t)), newCarrier()
	for range maxChanges + 1 {
		if _, err := o.Rotate(t.Context(), "again"); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, o, c)
	for n, there := range map[uint64]bool{1: false, 2: true, maxChanges + 1: true} {
		if (c.items["keys/"+stanza.NumberItem(n)] != nil) != there {
			t.Errorf("change %d is shown: %v", n, !there)
		}
	}
}
