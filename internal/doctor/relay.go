package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/link"
	"sotto/internal/profile"
)

// The days that a certificate should have left.
const (
	fewDays = 14
	oneDay  = 24 * time.Hour
)

// relayGroup looks at the relay that is named, or else at that of the profile's
// address. Whether it resumes streams and keeps an archive it says only after a
// login.
func relayGroup(c Config, p place, settings profile.Config) group {
	ids := []string{"address", "tls", "certificate", "login"}
	t := link.Target{Relay: c.Relay, CA: c.CA}
	if a, err := jid.Parse(settings.Address); err == nil && settings.Address != "" {
		t.Domain = a.Domainpart()
	}
	if c.Relay != "" && t.Domain != "" && !p.there {
		t.Domain = ""
	}
	why := ""
	switch {
	case c.Offline:
		why = "--offline"
	case c.Relay == "" && t.Domain == "":
		why = "no address is known: name a relay with --relay wss://..."
	}
	run := func(ctx context.Context) []finding {
		// A moment before the examination is given up, so that its words are told.
		end, _ := ctx.Deadline()
		ctx, cancel := context.WithDeadline(ctx, end.Add(-200*time.Millisecond))
		defer cancel()
		return judgeRelay(link.Inspect(ctx, t), c.Relay != "", time.Now())
	}
	if why != "" {
		run = func(context.Context) []finding {
			return slices.Repeat([]finding{skipped(why)}, len(ids))
		}
	}
	return group{"relay", []examination{{ids, relayLimit, run}}}
}

// judgeRelay gives a verdict on each step that was reached, and says at the
// first that was not why.
func judgeRelay(i link.Inspection, named bool, now time.Time) []finding {
	f := make([]finding, 4)
	for n := range f {
		f[n] = skipped("not reached")
	}
	failed := func(meaning string) finding {
		return finding{verdict: Bad, found: "failed", meaning: i.Words, remedy: meaning}
	}
	if i.Step < link.Discovered {
		f[0] = failed("")
		f[0].found = "not found"
		if !named {
			f[0].verdict = Weak
			f[0].remedy = "If this profile was set up with --relay, name it here too: sotto doctor --relay wss://..."
		}
		return f
	}
	f[0] = judgeAddress(i)
	if i.Step < link.Reached {
		return f
	}
	local := i.TLS == 0 && i.Step >= link.Secured
	f[1] = judgeTLS(i, local)
	if local {
		f[2] = skipped("none: the relay is on this computer")
	} else if !i.Expires.IsZero() {
		f[2] = judgeCertificate(i, now)
	}
	if i.Step >= link.Secured {
		f[3] = judgeLogin(i)
	}
	return f
}

func judgeAddress(i link.Inspection) finding {
	found := i.URL
	if u, err := url.Parse(i.URL); err == nil {
		u.RawQuery = ""
		found = u.String()
	}
	if i.Step < link.Reached {
		if len(i.Addresses) > 0 {
			found += ", " + addresses(i.Addresses)
		}
		return finding{Bad, found, i.Words, ""}
	}
	return good(found + ", " + reached(i))
}

// reached names the address that answered.
func reached(i link.Inspection) string {
	if i.Address != "" {
		return i.Address
	}
	return addresses(i.Addresses)
}

func addresses(a []string) string {
	const most = 3
	s := strings.Join(a[:min(len(a), most)], " ")
	if len(a) > most {
		s += fmt.Sprintf(" and %d more", len(a)-most)
	}
	return s
}

func judgeTLS(i link.Inspection, local bool) finding {
	switch {
	case local:
		return good("none needed: the relay is on this computer")
	case i.TLS == 0 && i.Expires.IsZero():
		return finding{Bad, "failed", i.Words, ""}
	case i.TLS == 0:
		return skipped("given up for the certificate")
	case i.TLS < tls.VersionTLS13:
		return finding{Weak, tls.VersionName(i.TLS), "sotto asks for TLS 1.3, and does not log in here unless it is allowed to use less.", "Ask your administrator to enable TLS 1.3 on the relay."}
	}
	return good(tls.VersionName(i.TLS))
}

func judgeCertificate(i link.Inspection, now time.Time) finding {
	left := i.Expires.Sub(now)
	found := fmt.Sprintf("valid until %s, %d days", i.Expires.UTC().Format("2 Jan 2006"), int(left/oneDay))
	switch {
	case left <= 0:
		return finding{Bad, "expired " + i.Expires.UTC().Format("2 Jan 2006 15:04 MST"), i.Words, "Renew the relay's certificate; check this computer's clock."}
	case i.TLS == 0:
		return finding{Bad, found + ", not accepted", i.Words, ""}
	case left < fewDays*oneDay:
		return finding{Weak, found, "It has to be renewed soon; once it has expired nobody gets in.", "Tell your administrator."}
	}
	return good(found)
}

func judgeLogin(i link.Inspection) finding {
	if i.Step < link.Greeted {
		return finding{Bad, "failed", i.Words, ""}
	}
	found := offered(i.Mechanisms)
	switch {
	case i.Mechanism == "" || i.Legacy && i.TLS >= tls.VersionTLS13:
		return finding{Bad, found, i.Refused, ""}
	case i.Legacy:
		return finding{Weak, found, i.Refused, ""}
	}
	if len(i.Mechanisms) == 1 {
		return good(i.Mechanism + ", the only way offered")
	}
	return good(fmt.Sprintf("%s, of %d ways offered", i.Mechanism, len(i.Mechanisms)))
}

// offered names the mechanisms that people know; a relay can call others what
// it likes.
func offered(mechanisms []string) string {
	var known []string
	others := 0
	for _, m := range mechanisms {
		switch m {
		case "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-512-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN",
			"EXTERNAL", "ANONYMOUS", "DIGEST-MD5", "X-OAUTH2", "OAUTHBEARER", "GSSAPI":
			known = append(known, m)
		default:
			others++
		}
	}
	switch {
	case others > 0 && len(known) == 0:
		return fmt.Sprintf("only ways that sotto does not know, %d", others)
	case others > 0:
		return strings.Join(known, " ") + fmt.Sprintf(" and %d more", others)
	case len(known) == 0:
		return "nothing offered"
	}
	return strings.Join(known, " ")
}
