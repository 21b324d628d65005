package client

import (
	"strings"
	"testing"

	"sotto/client/omemo"
	"sotto/client/store"
)

func TestParseCode(t *testing.T) {
	const f = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"
	for s, want := range map[string]string{
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f:                       "okafor@mercy.example 1",
		" XMPP:Okafor@Mercy.Example?omemo-sid-4294967295=" + f + "\n":      "okafor@mercy.example 1",
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f + ";omemo-sid-2=" + f: "okafor@mercy.example 2",
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f + "&omemo-sid-2=" + f: "okafor@mercy.example 2",
		"":                                    "",
		"xmpp:okafor@mercy.example":           "",
		"xmpp:okafor@mercy.example?":          "",
		"xmpp:okafor@mercy.example?join":      "",
		"xmpp:mercy.example?omemo-sid-1=" + f: "",
		"xmpp:okafor@mercy.example/phone?omemo-sid-1=" + f:                        "",
		"mailto:okafor@mercy.example?omemo-sid-1=" + f:                            "",
		"xmpp:okafor@mercy.example?omemo-sid-0=" + f:                              "",
		"xmpp:okafor@mercy.example?omemo-sid-01=" + f:                             "",
		"xmpp:okafor@mercy.example?omemo-sid--1=" + f:                             "",
		"xmpp:okafor@mercy.example?omemo-sid-4294967296=" + f:                     "",
		"xmpp:okafor@mercy.example?omemo-sid-=" + f:                               "",
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f[1:]:                          "",
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f + "00":                       "",
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f[1:] + "g":                    "",
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f + ";omemo-sid-1=" + f:        "",
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f + ";message":                 "",
		"xmpp:okafor@mercy.example?omemo-sid-1=" + f + strings.Repeat(";", 10000): "",
	} {
		c, err := ParseCode(s)
		got := ""
		if err == nil {
			got = c.Address + " " + string(rune('0'+len(c.Devices)))
		}
		if got != want {
			t.Errorf("%q: %q %v", s, got, err)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	f.Add("xmpp:okafor@mercy.example?omemo-sid-1=" + strings.Repeat("0a", 32))
	f.Add("xmpp:a@b?omemo-sid-1=" + strings.Repeat("0a", 32) + ";omemo-sid-2=" + strings.Repeat("FF", 32))
	f.Add("xmpp:?")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCode(s)
		if err != nil {
			return
		}
		again, err := ParseCode(c.String())
		if err != nil || again.String() != c.String() || len(c.Devices) == 0 || len(c.Devices) > maxCodeDevices {
			t.Errorf("%q became %q: %v", s, c, err)
		}
	})
}

func TestVerifyCode(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	if own := c.Code(); own.Address != me || own.Devices[c.device.ID()] != c.device.Fingerprint() {
		t.Errorf("own code: %s", own)
	}
	if _, err := c.VerifyCode(ctx, c.Code()); err == nil {
		t.Error("it has compared itself with itself")
	}
	trust := func(id uint32) (out store.Trust) {
		c.store.View(ctx, func(tx *store.Tx) (err error) {
			out, err = trustIn(tx, omemo.Address{JID: ada, Device: id})
			return err
		})
		return out
	}
	code := func(x *remote, f omemo.Fingerprint) Code {
		c, err := ParseCode(Code{ada, map[uint32]omemo.Fingerprint{x.dev.ID(): f}}.String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// Before anything is known of her.
	if n, err := c.VerifyCode(ctx, code(r, r.dev.Fingerprint())); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	c.Send(ctx, ada, "one")
	if got, err := r.read(d.sent(hasPayload)); got != "one" || err != nil {
		t.Fatal(got, err)
	}
	if s, err := c.Security(ctx, ada); s.Verified != 1 || s.Warn || err != nil {
		t.Errorf("%+v %v", s, err)
	}
	// A device that appears later is not trusted for that, until its code is taken.
	second := newRemote(t, d, ada)
	d.deliver(listFrom(ada, r.dev.ID(), second.dev.ID()))
	wait(t, c, func(e NoticeEvent) bool { return strings.Contains(e.Text.String(), "new device") })
	eventually(t, "its key is known", func() bool {
		list, _ := c.Devices(ctx, ada)
		return len(list) == 2 && list[0].Known && list[1].Known
	})
	// The relay has given another key for it than her screen shows.
	if n, err := c.VerifyCode(ctx, code(second, r.dev.Fingerprint())); n != 0 || err == nil || !strings.Contains(err.Error(), "NOT") {
		t.Errorf("%d %v", n, err)
	}
	if got := trust(second.dev.ID()); got != store.Distrusted {
		t.Errorf("trust %v", got)
	}
	if n, err := c.VerifyCode(ctx, code(second, second.dev.Fingerprint())); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if got := trust(second.dev.ID()); got != store.Verified {
		t.Errorf("trust %v", got)
	}
	// A wrong code never undoes what another device is trusted for.
	both := Code{ada, map[uint32]omemo.Fingerprint{r.dev.ID(): r.dev.Fingerprint(), second.dev.ID(): {1}}}
	if _, err := c.VerifyCode(ctx, both); err == nil || trust(r.dev.ID()) != store.Verified || trust(second.dev.ID()) != store.Distrusted {
		t.Errorf("%v: %v, %v", err, trust(r.dev.ID()), trust(second.dev.ID()))
	}
}
