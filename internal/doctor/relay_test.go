package doctor

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"sotto/client/link"
	"sotto/internal/profile"
)

func TestJudgeRelay(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	full := link.Inspection{
		Step: link.Greeted, URL: "wss://relay.example/ws?token=1", Address: "192.0.2.7:443", TLS: tls.VersionTLS13, Expires: now.Add(90 * oneDay),
		Mechanisms: []string{"SCRAM-SHA-256-PLUS", "\x1b[2Jnew"}, Mechanism: "SCRAM-SHA-256-PLUS",
	}
	with := func(f func(*link.Inspection)) link.Inspection { i := full; f(&i); return i }
	stop := func(s link.Step, words string) link.Inspection {
		return with(func(i *link.Inspection) {
			i.Step, i.Words = s, words
			if s < link.Secured {
				i.TLS, i.Expires = 0, time.Time{}
			}
		})
	}
	for name, c := range map[string]struct {
		i     link.Inspection
		named bool
		want  string // the verdicts
		says  string
	}{
		"good":          {full, true, "good good good good", "of 2 ways"},
		"not found":     {stop(link.Nowhere, "No."), false, "weak skip skip skip", "--relay"},
		"a bad address": {stop(link.Nowhere, "No."), true, "bad skip skip skip", "No."},
		"refused":       {stop(link.Discovered, "It refused."), true, "bad skip skip skip", "It refused."},
		"no TLS":        {stop(link.Reached, "No TLS there."), true, "good bad skip skip", "No TLS there."},
		"expired": {with(func(i *link.Inspection) {
			i.Step, i.TLS, i.Expires, i.Words = link.Reached, 0, now.Add(-oneDay), "It ended."
		}), true, "good skip bad skip", "It ended."},
		"not trusted":      {with(func(i *link.Inspection) { i.Step, i.TLS, i.Words = link.Reached, 0, "Not trusted here." }), true, "good skip bad skip", "Not trusted here."},
		"soon":             {with(func(i *link.Inspection) { i.Expires = now.Add(5 * oneDay) }), true, "good good weak good", "5 days"},
		"TLS 1.2":          {with(func(i *link.Inspection) { i.TLS, i.Legacy, i.Refused = tls.VersionTLS12, true, "Old." }), true, "good weak good weak", "Old."},
		"only SCRAM-SHA-1": {with(func(i *link.Inspection) { i.Legacy, i.Refused = true, "Only SCRAM-SHA-1." }), true, "good good good bad", "Only SCRAM-SHA-1."},
		"no safe way":      {with(func(i *link.Inspection) { i.Mechanism, i.Refused = "", "Only PLAIN." }), true, "good good good bad", "Only PLAIN."},
		"another protocol": {stop(link.Secured, "No XMPP."), true, "good good good bad", "No XMPP."},
		"on this computer": {with(func(i *link.Inspection) { i.TLS, i.Expires = 0, time.Time{} }), true, "good good skip good", "none needed"},
	} {
		var got []string
		all := ""
		for _, f := range judgeRelay(c.i, c.named, now) {
			got = append(got, string(f.verdict))
			all += f.found + " " + f.meaning + " " + f.remedy + " "
		}
		if s := strings.Join(got, " "); s != c.want || !strings.Contains(all, c.says) {
			t.Errorf("%s: %s: %q", name, s, all)
		}
		if strings.Contains(all, "\x1b") || strings.Contains(all, "token") {
			t.Errorf("%s: %q", name, all)
		}
	}
}

func TestOffered(t *testing.T) {
	for want, in := range map[string][]string{
		"nothing offered":                       nil,
		"PLAIN SCRAM-SHA-1":                     {"PLAIN", "SCRAM-SHA-1"},
		"PLAIN and 2 more":                      {"X\x1b", "PLAIN", "Y"},
		"only ways that sotto does not know, 1": {"hostile"},
	} {
		if got := offered(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Without an address, or told so, nobody is asked.
func TestRelaySkipped(t *testing.T) {
	for name, c := range map[string]Config{"nothing known": {}, "offline": {Relay: "wss://relay.example/ws", Offline: true}} {
		g := relayGroup(c, place{}, profile.Defaults())
		for _, f := range g.of[0].within(t.Context()) {
			if f.verdict != Skipped {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}
