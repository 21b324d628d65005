package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"mellium.im/sasl"

	"sotto/client/stanza"
)

// Bounds of the SCRAM iteration count: RFC 7677 section 4 sets the least, and the
// most keeps a hostile relay from holding the processor for more than seconds.
const (
	minIterations = 4096
	maxIterations = 5_000_000
)

// mechanism chooses how to log in. Channel binding is used where TLS is 1.3 and
// the relay says that it can bind to tls-exporter (XEP-0440), or offers nothing
// without binding. PLAIN and anything else that shows the password to the relay
// is never used.
func mechanism(f stanza.Features, state *tls.ConnectionState, legacy bool) (sasl.Mechanism, error) {
	offers := func(name string) bool { return slices.Contains(f.Mechanisms, name) }
	exporter := state != nil && state.Version >= tls.VersionTLS13
	said := slices.Contains(f.Bindings, "tls-exporter")
	for _, c := range []struct {
		m    sasl.Mechanism
		when bool
	}{
		{sasl.ScramSha256Plus, exporter && said},
		{sasl.ScramSha256, true},
		{sasl.ScramSha256Plus, exporter && f.Bindings == nil},
		{sasl.ScramSha1Plus, legacy && exporter && said},
		{sasl.ScramSha1, legacy},
	} {
		if c.when && offers(c.m.Name) {
			return c.m, nil
		}
	}
	words := "The relay offers no safe way to log in. Ask your administrator to enable SCRAM-SHA-256."
	switch {
	case offers("SCRAM-SHA-1"):
		words = "The relay offers only SCRAM-SHA-1, which is outdated. Ask your administrator to enable SCRAM-SHA-256, or for leave to use the old one."
	case offers("PLAIN"):
		words = "The relay offers only PLAIN, which shows it your password, so nothing was sent. Ask your administrator to enable SCRAM-SHA-256."
	case len(f.Mechanisms) == 0:
		words = "The relay offers no way to log in here. Check the relay's address, or ask your administrator."
	}
	return sasl.Mechanism{}, &failure{words: words, course: later, cause: fmt.Errorf("%d mechanisms offered", len(f.Mechanisms))}
}

// authenticate logs in. It returns nil only once the relay has proved,
// by its signature, that it knows the password too (RFC 5802 section 3).
func (n *negotiation) authenticate(ctx context.Context, m sasl.Mechanism, state *tls.ConnectionState, offered []string) error {
	locked, err := n.password.Open()
	if err != nil {
		return fmt.Errorf("open the password: %w", err)
	}
	defer locked.Destroy()
	prepared, wipe := saslprep(locked.Bytes())
	defer wipe()
	opts := []sasl.Option{
		sasl.Credentials(func() ([]byte, []byte, []byte) { return []byte(n.address.Localpart()), prepared, nil }),
		sasl.RemoteMechanisms(offered...),
	}
	if state != nil {
		opts = append(opts, sasl.TLSState(*state))
	}
	client := sasl.NewClient(m, opts...)
	_, first, err := client.Step(nil)
	if err != nil {
		return fmt.Errorf("begin %s: %w", m.Name, err)
	}
	if err := n.send(ctx, stanza.Auth(m.Name, first)); err != nil {
		return err
	}
	answered, verified := false, false
	for {
		e, err := n.receive(ctx)
		if err != nil {
			return err
		}
		if e.Is(stanza.NSSASL, "failure") {
			return saslFailure(n.address.String(), stanza.SASLFailure(e))
		}
		challenge, success := e.Is(stanza.NSSASL, "challenge"), e.Is(stanza.NSSASL, "success")
		if !challenge && !success {
			return violation(errors.New("unexpected element while logging in"))
		}
		data, err := stanza.SASLData(e)
		if err != nil {
			return violation(err)
		}
		switch {
		case success && verified:
			return nil
		case success && !answered, challenge && verified:
			return impostor(errors.New("relay skipped a step"))
		case answered: // the relay's signature, in a challenge or with success
			if _, _, err := client.Step(data); err != nil {
				return impostor(err)
			}
			if verified = true; success {
				return nil
			}
			if err := n.send(ctx, stanza.Response(nil)); err != nil {
				return err
			}
		default:
			if err := serverFirst(data); err != nil {
				return violation(err)
			}
			_, out, err := client.Step(data)
			if err != nil {
				return violation(err)
			}
			if err := n.send(ctx, stanza.Response(out)); err != nil {
				return err
			}
			answered = true
		}
	}
}

func impostor(err error) *failure {
	return &failure{
		words:  "The relay could not prove that it knows your password: it may not be the real one. Nothing more was sent. Tell your administrator.",
		course: never, cause: fmt.Errorf("verify the relay's signature: %w", err),
	}
}

// serverFirst checks a SCRAM server-first-message (RFC 5802 section 7) before the
// library sees it, which would loop on some that are malformed, take the last of
// repeated attributes and compute any number of iterations.
func serverFirst(b []byte) error {
	bad := errors.New("malformed SCRAM challenge")
	parts := bytes.Split(b, []byte{','})
	if len(parts) < 3 || len(parts) > 16 {
		return bad
	}
	for i, p := range parts {
		if len(p) < 3 || p[1] != '=' || i >= 3 && bytes.IndexByte([]byte("rsim"), p[0]) >= 0 {
			return bad
		}
	}
	if parts[0][0] != 'r' || parts[1][0] != 's' || parts[2][0] != 'i' {
		return bad
	}
	if _, err := base64.StdEncoding.DecodeString(string(parts[1][2:])); err != nil {
		return bad
	}
	n, err := strconv.ParseUint(string(parts[2][2:]), 10, 32)
	if err != nil || n < minIterations || n > maxIterations {
		return fmt.Errorf("SCRAM iteration count is not between %d and %d", minIterations, maxIterations)
	}
	return nil
}

// saslprep prepares a password as SCRAM asks (RFC 4013): all of ASCII stays as it
// is, everything else is normalised with NFKC, some characters are left out and
// every space becomes the same one. wipe clears the copy, if one was made.
func saslprep(b []byte) (prepared []byte, wipe func()) {
	if !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 }) {
		return b, func() {}
	}
	mapped := make([]byte, 0, 4*len(b)+8)
	for rest := b; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case strings.ContainsRune(mappedToNothing, r):
		case r == 0x00A0 || r == 0x1680 || r >= 0x2000 && r <= 0x200B || r == 0x202F || r == 0x205F || r == 0x3000:
			mapped = append(mapped, ' ')
		default:
			mapped = append(mapped, rest[:size]...)
		}
		rest = rest[size:]
	}
	prepared = norm.NFKC.Append(make([]byte, 0, 20*len(mapped)), mapped...)
	clear(mapped)
	return prepared, func() { clear(prepared) }
}

// mappedToNothing is table B.1 of RFC 3454.
const mappedToNothing = "\u00AD\u034F\u1806\u180B\u180C\u180D\u200C\u200D\u2060" +
	"\uFE00\uFE01\uFE02\uFE03\uFE04\uFE05\uFE06\uFE07\uFE08\uFE09\uFE0A\uFE0B\uFE0C\uFE0D\uFE0E\uFE0F\uFEFF"
