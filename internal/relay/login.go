package relay

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

const maxLogins = 3 // attempts on one connection

// login opens the stream (RFC 7395 section 3.4), authenticates the client
// (RFC 6120 section 6) and opens the stream again with what it can do then.
func (k *socket) login(ctx context.Context) (*account, error) {
	mechanisms := stanza.New(stanza.NSSASL, "mechanisms")
	offer := []*stanza.Element{mechanisms}
	if k.binding != nil {
		mechanisms.Add(stanza.TextElement(stanza.NSSASL, "mechanism", "SCRAM-SHA-256-PLUS"))
		offer = append(offer, stanza.New(nsBinding, "sasl-channel-binding", // XEP-0440
			stanza.New(nsBinding, "channel-binding").With("type", "tls-exporter")))
	}
	mechanisms.Add(stanza.TextElement(stanza.NSSASL, "mechanism", "SCRAM-SHA-256"))
	if err := k.open(ctx, offer...); err != nil {
		return nil, err
	}
	for range maxLogins {
		acc, err := k.authenticate(ctx)
		var cond saslError
		switch {
		case err == nil:
			return acc, k.open(ctx,
				stanza.New(stanza.NSBind, "bind"),
				stanza.New(nsSession, "session", stanza.New(nsSession, "optional")),
				stanza.New(stanza.NSSM, "sm"),
				stanza.New(nsCSI, "csi"),
				stanza.New(nsRosterVersion, "ver"))
		case !errors.As(err, &cond):
			return nil, err
		}
		if werr := k.write(ctx, stanza.New(stanza.NSSASL, "failure", stanza.New(stanza.NSSASL, string(cond))).Bytes()); werr != nil {
			return nil, werr
		}
	}
	k.write(ctx, streamError("policy-violation", "too many failed logins"))
	k.write(ctx, closeFrame)
	return nil, errNotAuthorized
}

// next reads one element of the login; what cannot be read ends the stream.
func (k *socket) next(ctx context.Context) (*stanza.Element, error) {
	el, _, err := k.read(ctx)
	if bad, ok := err.(badElement); ok {
		k.write(ctx, streamError(parseCondition(bad.error), ""))
		k.write(ctx, closeFrame)
	}
	return el, err
}

// open answers the client's <open/> with ours and the stream's features.
func (k *socket) open(ctx context.Context, features ...*stanza.Element) error {
	el, err := k.next(ctx)
	if err != nil {
		return err
	}
	domain := k.relay.cfg.Domain
	answer := stanza.New(stanza.NSFraming, "open").With("from", domain).With("id", randomID()).With("version", "1.0")
	answer.Attrs = append(answer.Attrs, stanza.Attr{Space: stanza.NSXML, Local: "lang", Value: "en"})
	if err := k.write(ctx, answer.Bytes()); err != nil {
		return err
	}
	condition := ""
	if !el.Is(stanza.NSFraming, "open") {
		condition = "invalid-namespace"
	} else if to := el.Get("to"); to != "" {
		if j, err := jid.Parse(to); err != nil || j.String() != domain {
			condition = "host-unknown"
		}
	}
	if condition != "" {
		k.write(ctx, streamError(condition, ""))
		k.write(ctx, closeFrame)
		return fmt.Errorf("stream refused: %s", condition)
	}
	return k.write(ctx, stanza.New(stanza.NSStream, "features", features...).Bytes())
}

// authenticate runs one SCRAM exchange. Errors of type saslError are for the client.
func (k *socket) authenticate(ctx context.Context) (*account, error) {
	el, err := k.next(ctx)
	if err != nil {
		return nil, err
	}
	if !el.Is(stanza.NSSASL, "auth") {
		return nil, errMalformedRequest
	}
	x := scram{binding: k.binding}
	switch m := el.Get("mechanism"); {
	case m == "SCRAM-SHA-256":
	case m == "SCRAM-SHA-256-PLUS" && k.binding != nil:
		x.plus = true
	default:
		return nil, errInvalidMechanism
	}
	msg, err := payload(el)
	if err != nil {
		return nil, err
	}
	if err := x.first(msg); err != nil {
		return nil, err
	}
	name, creds, err := k.relay.lookUp(ctx, x.user)
	if err != nil {
		return nil, err
	}
	keys := []string{"address " + k.remote, "name " + name}
	if d := k.relay.throttle.delay(keys...); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	challenge := stanza.TextElement(stanza.NSSASL, "challenge", base64.StdEncoding.EncodeToString(x.challenge(creds)))
	if err := k.write(ctx, challenge.Bytes()); err != nil {
		return nil, err
	}
	if el, err = k.next(ctx); err != nil {
		return nil, err
	}
	if el.Is(stanza.NSSASL, "abort") {
		return nil, errAborted
	}
	if !el.Is(stanza.NSSASL, "response") {
		return nil, errMalformedRequest
	}
	if msg, err = payload(el); err != nil {
		return nil, err
	}
	signature, err := x.final(msg)
	if err != nil {
		k.relay.throttle.failed(keys...)
		return nil, err
	}
	acc, err := k.relay.account(ctx, name)
	if err != nil {
		return nil, err
	}
	if acc == nil { // unknownCredentials have no password, so somebody was just removed
		return nil, errNotAuthorized
	}
	if x.authzid != "" && x.authzid != acc.bare {
		return nil, errInvalidAuthzid
	}
	k.relay.throttle.succeeded("name " + name)
	success := stanza.TextElement(stanza.NSSASL, "success", base64.StdEncoding.EncodeToString(signature))
	return acc, k.write(ctx, success.Bytes())
}

// payload decodes the base64 text of a SASL element (RFC 6120 section 6.4.2).
func payload(el *stanza.Element) ([]byte, error) {
	text := el.Text()
	if text == "=" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errIncorrectEncoding
	}
	return b, nil
}
