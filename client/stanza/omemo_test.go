package stanza

import (
	"bytes"
	"encoding/base64"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func parseOmemo(t testing.TB, s string) *Element {
	t.Helper()
	e, err := Parse([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return e
}

const omemoMessage = `<encrypted xmlns='eu.siacs.conversations.axolotl'>
  <header sid='27183'>
    <key rid='31415'>QUJD</key>
    <key prekey='true' rid='12321'>REVG</key>
    <key prekey='1' rid='2147483647'>R0hJ</key>
    <key prekey='false' rid='1'>SktM</key>
    <key rid='0'>TU5P</key>
    <key rid='2147483648'>TU5P</key>
    <key rid='x'>TU5P</key>
    <iv>MDEyMzQ1Njc4OWFi</iv>
  </header>
  <payload>
    Y2lwaGVy
    dGV4dA==
  </payload>
  <store xmlns='urn:xmpp:hints'/>
</encrypted>`

func TestReadEncrypted(t *testing.T) {
	x, err := ReadEncrypted(parseOmemo(t, omemoMessage))
	if err != nil {
		t.Fatal(err)
	}
	want := &Encrypted{SID: 27183, IV: []byte("0123456789ab"), Payload: []byte("ciphertext"), Keys: []EncKey{
		{RID: 31415, Data: []byte("ABC")},
		{RID: 12321, PreKey: true, Data: []byte("DEF")},
		{RID: 2147483647, PreKey: true, Data: []byte("GHI")},
		{RID: 1, Data: []byte("JKL")},
	}}
	if !reflect.DeepEqual(x, want) {
		t.Errorf("got %+v", x)
	}
	written := x.Element().String()
	if strings.Contains(written, "false") || strings.Count(written, `prekey="true"`) != 2 {
		t.Errorf("prekey attributes in %s", written)
	}
	again, err := ReadEncrypted(parseOmemo(t, written))
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("round trip: %+v, %v", again, err)
	}
}

func TestEmptyPayloadIsNotNoPayload(t *testing.T) {
	for _, payload := range [][]byte{nil, {}} {
		x := &Encrypted{SID: 1, IV: make([]byte, 12), Keys: []EncKey{{RID: 2, Data: []byte{1}}}, Payload: payload}
		got, err := ReadEncrypted(parseOmemo(t, x.Element().String()))
		if err != nil || (got.Payload == nil) != (payload == nil) {
			t.Errorf("payload %#v gives %#v, %v", payload, got, err)
		}
	}
}

func TestReadEncryptedRefuses(t *testing.T) {
	if _, err := ReadEncrypted(nil); !errors.Is(err, ErrOmemo) {
		t.Errorf("nil: %v", err)
	}
	long := base64.StdEncoding.EncodeToString(make([]byte, MaxKeySize+1))
	for what, change := range map[string][2]string{
		"other namespace": {"eu.siacs.conversations.axolotl'", "urn:xmpp:omemo:2'"},
		"other name":      {"encrypted", "message"},
		"no header":       {"header", "head"},
		"no sid":          {"sid='27183'", ""},
		"sid zero":        {"sid='27183'", "sid='0'"},
		"sid negative":    {"sid='27183'", "sid='-1'"},
		"sid with sign":   {"sid='27183'", "sid='+1'"},
		"sid too large":   {"sid='27183'", "sid='2147483648'"},
		"no iv":           {"<iv>MDEyMzQ1Njc4OWFi</iv>", ""},
		"two ivs":         {"<iv>", "<iv>MDEyMzQ1Njc4OWFi</iv><iv>"},
		"short iv":        {"MDEyMzQ1Njc4OWFi", "MDEyMzQ1Njc4OWE="},
		"long iv":         {"MDEyMzQ1Njc4OWFi", strings.Repeat("A", 24)},
		"two payloads":    {"<payload>", "<payload/><payload>"},
		"bad base64":      {"QUJD", "QUJ!"},
		"no padding":      {"dGV4dA==", "dGV4dA"},
		"stray bits":      {"dGV4dA==", "dGV4dB=="},
		"long key":        {"QUJD", long},
	} {
		s := strings.ReplaceAll(omemoMessage, change[0], change[1])
		if s == omemoMessage {
			t.Fatalf("%s: nothing to change", what)
		}
		if x, err := ReadEncrypted(parseOmemo(t, s)); !errors.Is(err, ErrOmemo) {
			t.Errorf("%s: %+v, %v", what, x, err)
		}
	}
	many := &Encrypted{SID: 1, IV: make([]byte, 12), Keys: slices.Repeat([]EncKey{{RID: 1}}, MaxKeys+1)}
	if _, err := ReadEncrypted(many.Element()); !errors.Is(err, ErrOmemo) {
		t.Errorf("too many keys: %v", err)
	}
}

func TestDeviceList(t *testing.T) {
	ids := []uint32{1, 2147483647, 5}
	got, err := ReadDeviceList(parseOmemo(t, DeviceList(ids).String()))
	if err != nil || !slices.Equal(got, ids) {
		t.Errorf("round trip: %v, %v", got, err)
	}
	got, err = ReadDeviceList(parseOmemo(t, `<list xmlns='eu.siacs.conversations.axolotl'> <device id='7'/>
		<device id='0'/><device/><device id='7'/><device id='x'/><device id='4294967296'/><other id='9'/><device id='8' label='phone'/></list>`))
	if err != nil || !slices.Equal(got, []uint32{7, 8}) {
		t.Errorf("list with junk: %v, %v", got, err)
	}
	if got, err := ReadDeviceList(New(NSOmemo, "list")); err != nil || got != nil {
		t.Errorf("empty list: %v, %v", got, err)
	}
	var many []uint32
	for id := range uint32(MaxDevices + 1) {
		many = append(many, id+1)
	}
	for _, e := range []*Element{nil, New(NSOmemo, "bundle"), DeviceList(many)} {
		if _, err := ReadDeviceList(e); !errors.Is(err, ErrOmemo) {
			t.Errorf("%v: %v", e, err)
		}
	}
	if NodeBundle(31415) != "eu.siacs.conversations.axolotl.bundles:31415" {
		t.Error(NodeBundle(31415))
	}
}

func testBundle() Bundle {
	return Bundle{
		IdentityKey:    bytes.Repeat([]byte{1}, 33),
		SignedPreKeyID: 4294967295,
		SignedPreKey:   bytes.Repeat([]byte{2}, 33),
		Signature:      bytes.Repeat([]byte{3}, 64),
		PreKeys:        []PreKey{{0, bytes.Repeat([]byte{4}, 33)}, {77, bytes.Repeat([]byte{5}, 33)}},
	}
}

func TestBundle(t *testing.T) {
	want := testBundle()
	written := want.Element().String()
	got, err := ReadBundle(parseOmemo(t, written))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("round trip: %+v, %v", got, err)
	}
	identity := base64.StdEncoding.EncodeToString(want.IdentityKey)
	for what, change := range map[string][2]string{
		"no identity":       {"identityKey", "identity"},
		"no signature":      {"signedPreKeySignature", "signature"},
		"no signed prekey":  {"signedPreKeyPublic", "public"},
		"no signed id":      {`signedPreKeyId="4294967295"`, ""},
		"signed id too big": {"4294967295", "4294967296"},
		"no prekeys":        {"prekeys", "keys"},
		"prekey without id": {`preKeyId="77"`, ""},
		"short identity":    {identity, "AQEB"},
		"long identity":     {identity, base64.StdEncoding.EncodeToString(make([]byte, 34))},
		"not base64":        {identity, "?"},
		"not a bundle":      {"bundle", "list"},
	} {
		s := strings.ReplaceAll(written, change[0], change[1])
		if s == written {
			t.Fatalf("%s: nothing to change", what)
		}
		if _, err := ReadBundle(parseOmemo(t, s)); !errors.Is(err, ErrOmemo) {
			t.Errorf("%s: %v", what, err)
		}
	}
	twice := testBundle()
	twice.PreKeys = append(twice.PreKeys, PreKey{77, bytes.Repeat([]byte{6}, 33)})
	if got, err := ReadBundle(twice.Element()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("prekey id twice: %+v, %v", got, err)
	}
	many := testBundle()
	for id := range uint32(MaxPreKeys + 1) {
		many.PreKeys = append(many.PreKeys, PreKey{id + 100, want.IdentityKey})
	}
	if _, err := ReadBundle(many.Element()); !errors.Is(err, ErrOmemo) {
		t.Errorf("too many prekeys: %v", err)
	}
}

// FuzzOmemo reads any element as each of the three; what is accepted is within
// bounds and survives being written and read again.
func FuzzOmemo(f *testing.F) {
	b := testBundle()
	f.Add([]byte(omemoMessage))
	f.Add(b.Element().Bytes())
	f.Add(DeviceList([]uint32{1, 2}).Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Parse(raw)
		if err != nil {
			return
		}
		if x, err := ReadEncrypted(e); err == nil {
			again, err := ReadEncrypted(parseOmemo(t, x.Element().String()))
			if err != nil || !reflect.DeepEqual(x, again) || len(x.Keys) > MaxKeys {
				t.Fatalf("%+v becomes %+v, %v", x, again, err)
			}
		}
		if b, err := ReadBundle(e); err == nil {
			again, err := ReadBundle(parseOmemo(t, b.Element().String()))
			if err != nil || !reflect.DeepEqual(b, again) || len(b.PreKeys) > MaxPreKeys {
				t.Fatalf("%+v becomes %+v, %v", b, again, err)
			}
		}
		if ids, err := ReadDeviceList(e); err == nil {
			again, err := ReadDeviceList(parseOmemo(t, DeviceList(ids).String()))
			if err != nil || !slices.Equal(ids, again) || len(ids) > MaxDevices {
				t.Fatalf("%v becomes %v, %v", ids, again, err)
			}
		}
	})
}
