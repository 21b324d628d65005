package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"mellium.im/xmpp/jid"

	"sotto/client/org"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// Status codes of HTTP (RFC 9110 section 15). The desk, which has no network, must not
// contain a package that does: net/http.
const (
	statusOK           = 200
	statusUnauthorized = 401
	statusForbidden    = 403
	statusNotFound     = 404
	statusConflict     = 409
)

// Where an administrator has set it so, accounts are made by ejabberd's HTTP API
// (mod_http_api) instead: then the organisation's account needs no rights at the relay,
// and another account, which can make accounts and set their passwords and nothing else,
// has those. Its password or token is in the encrypted database only.

// valueWeb is where the settings are kept.
const valueWeb = "admin.web"

// maxCredential bounds a password or token in bytes.
const maxCredential = 1024

// Web is how accounts are made over HTTP.
type Web struct {
	URL  string // of the API: the commands are beneath it
	User string // the bare address of the account that may; "" with a token

	secret []byte
}

// What says that an HTTP interface does not accept who asks.
var (
	ErrCaller = errors.New("the relay's HTTP interface does not accept the account that was set for it: its password is another one, or it may not make accounts from here. Set it again: sotto org accounts --http ... --as ADDRESS")
	ErrToken  = errors.New("the relay's HTTP interface does not accept the token that was set for it: it has run out, was revoked, or may not make accounts. Have the relay issue another one, and set that: sotto org accounts --http ... --token")
)

// CheckWeb returns why an address or account cannot be that of an HTTP interface. http
// is taken here for the relay on the same computer only, which the link holds to.
func CheckWeb(w Web) error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil, len(w.URL) > wire.MaxURL/2, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "", u.Opaque != "":
		return fmt.Errorf("%q is not the address of an HTTP interface, such as https://relay.hospital.example:5443/api", w.URL)
	case u.Scheme == "http" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return errors.New("the HTTP interface has to be reached by https: passwords go there")
	case w.User != "" && !org.ValidAddress(w.User):
		return fmt.Errorf("%q is not an address", w.User)
	}
	return nil
}

// SetWeb has accounts be made over HTTP from now on, and keeps secret, which is cleared.
// The zero Web ends it.
func (o *Organisation) SetWeb(ctx context.Context, w Web, secret []byte) error {
	defer clear(secret)
	if w.URL != "" {
		if err := CheckWeb(w); err != nil {
			return err
		}
		if len(secret) == 0 || len(secret) > maxCredential || !utf8.Valid(secret) || slices.ContainsFunc(secret, func(b byte) bool { return b < ' ' || b == 0x7f }) {
			return fmt.Errorf("the password or token has 1 to %d bytes, and is one line", maxCredential)
		}
	}
	return o.st.Update(ctx, func(tx *store.Tx) error {
		if w.URL == "" {
			return tx.SetValue(valueWeb, nil)
		}
		var l org.Writer
		l.Line("url", w.URL)
		l.Optional("user", w.User)
		b := append([]byte(l.String()), '\n')
		b = append(slices.Grow(b, len(secret)), secret...)
		defer clear(b)
		return tx.SetValue(valueWeb, b)
	})
}

// Web returns how accounts are made over HTTP, without the secret; false if they are not.
func (o *Organisation) Web(ctx context.Context) (w Web, ok bool, err error) {
	w, ok, err = o.web(ctx)
	w.clear()
	return w, ok, err
}

func (w *Web) clear() {
	clear(w.secret)
	w.secret = nil
}

func (o *Organisation) web(ctx context.Context) (w Web, ok bool, err error) {
	err = o.st.View(ctx, func(tx *store.Tx) error {
		b, err := tx.Value(valueWeb)
		if err != nil || b == nil {
			return err
		}
		defer clear(b)
		i := bytes.Index(b, []byte("\n\n"))
		if i < 0 {
			return errors.New("the settings of the relay's HTTP interface are damaged. Set them again: sotto org accounts")
		}
		r := org.NewLines(string(b[:i+1]))
		w.URL, w.User = r.Line("url", wire.MaxURL), r.Optional("user", org.MaxAddress)
		if err := r.End(); err != nil {
			return err
		}
		w.secret, ok = slices.Clone(b[i+2:]), true
		return nil
	})
	return w, ok, err
}

// Caller is who posts to an HTTP interface: client.Client.
type Caller interface {
	Call(ctx context.Context, url string, auth, body []byte) (status int, reply []byte, err error)
}

// auth is the value of the header field Authorization.
func (w *Web) auth() []byte {
	if w.User == "" {
		return append([]byte("Bearer "), w.secret...)
	}
	plain := append([]byte(w.User+":"), w.secret...)
	defer clear(plain)
	return base64.StdEncoding.AppendEncode([]byte("Basic "), plain)
}

// MakeAccountByWeb is MakeAccount over HTTP. ok is false where that was not set.
func (o *Organisation) MakeAccountByWeb(ctx context.Context, c Caller, v *Invited) (ok bool, err error) {
	return o.byWeb(ctx, c, v, "register", "password", "make the account")
}

// ResetAccountByWeb is ResetAccount over HTTP. ok is false where that was not set.
func (o *Organisation) ResetAccountByWeb(ctx context.Context, c Caller, v *Invited) (ok bool, err error) {
	return o.byWeb(ctx, c, v, "change_password", "newpass", "set the password of")
}

func (o *Organisation) byWeb(ctx context.Context, c Caller, v *Invited, command, field, doing string) (ok bool, err error) {
	w, ok, err := o.web(ctx)
	if err != nil || !ok {
		return ok, err
	}
	defer w.clear()
	if err = w.run(ctx, c, v, command, field); err != nil {
		err = fmt.Errorf("%s %s: %w", doing, v.Person.Address, err)
	}
	return true, err
}

// run runs a command that gives the invitation's password in a field.
func (w *Web) run(ctx context.Context, c Caller, v *Invited, command, field string) error {
	j, err := jid.Parse(v.Person.Address)
	if err != nil {
		return err
	}
	user, err := json.Marshal(j.Localpart())
	if err != nil {
		return err
	}
	host, err := json.Marshal(j.Domainpart())
	if err != nil {
		return err
	}
	password := v.Keys.Password() // letters and digits
	defer password.Destroy()
	body := make([]byte, 0, wire.MaxCall)
	body = fmt.Appendf(body, `{"user":%s,"host":%s,"%s":"`, user, host, field)
	body = append(append(body, password.Bytes()...), `"}`...)
	status, reply, err := c.Call(ctx, strings.TrimSuffix(w.URL, "/")+"/"+command, w.auth(), body)
	if err != nil {
		return err
	}
	switch status {
	case statusOK:
		// register says a sentence, change_password 0, or "" in some versions: 1 is that
		// it has failed.
		if said := strings.TrimSpace(string(reply)); command == "change_password" && said != "0" && said != `""` && said != "" {
			return errors.New("the relay's HTTP interface did not set the password, and does not say why")
		}
		return nil
	case statusConflict:
		return ErrAccountExists
	case statusUnauthorized, statusForbidden:
		if w.User == "" {
			return ErrToken
		}
		return ErrCaller
	case statusNotFound:
		return errors.New("the relay has no such command at the address of its HTTP interface. Set it again: sotto org accounts")
	}
	var said struct{ Message string }
	if json.Unmarshal(reply, &said) != nil || said.Message == "" {
		return fmt.Errorf("the relay's HTTP interface has answered with status %d", status)
	}
	return fmt.Errorf("the relay's HTTP interface says (status %d): %s", status, text.Line(said.Message))
}
