package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sotto/client/stanza"
	"sotto/client/text"
)

// Accounts are ended by the command of XEP-0133 that deletes them, or where a relay has
// only that, by the one that disables them; or by ejabberd's HTTP API, with ban_account:
// that ends what is signed in and sets a password that nobody knows, which gives whoever
// may set passwords there no right more, and leaves the archive to its retention.

// banReason is what ejabberd keeps about it.
const banReason = "removed from the organisation"

// later is an error that may pass.
type later struct{ error }

func (e later) Unwrap() error { return e.error }

func passes(err error) bool {
	_, ok := errors.AsType[later](err)
	return ok
}

// saying is what a relay says against it in its own words.
type saying struct{ error }

func (e saying) Unwrap() error { return e.error }

// noAccount says that there is no such account.
type noAccount struct{ error }

func (e noAccount) Unwrap() error { return e.error }

// errNotEnded is for a relay that does not say why.
var errNotEnded = errors.New("the relay says that it could not delete the account, and not why")

// endAccount has the relay end an account. One that is not there has ended. The error is
// or wraps a later where it may pass, and otherwise says why the relay does not do it.
func (o *Organisation) endAccount(ctx context.Context, r Relay, address string) error {
	w, ok, err := o.web(ctx)
	if err != nil {
		return err
	}
	defer w.clear()
	if !ok {
		return endByCommand(ctx, r, address)
	}
	c, ok := r.(Caller)
	if !ok {
		return errors.New("there is nothing here that reaches the relay's HTTP interface")
	}
	err = w.run(ctx, c, address, "ban_account", "reason", []byte(banReason))
	if errors.Is(err, ErrCaller) || errors.Is(err, ErrToken) {
		return fmt.Errorf("%w. It has to be allowed ban_account (docs/relays/ejabberd-accounts.yml)", err)
	}
	return err
}

func endByCommand(ctx context.Context, r Relay, address string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	for _, node := range []string{stanza.CommandDeleteUser, stanza.CommandDisableUser} {
		domain, c, err := begin(ctx, r, address, node)
		switch {
		case errors.Is(err, ErrNoCommands):
			continue
		case err != nil:
			return passing(ctx, err)
		case !has(c, "accountjids"):
			return stanza.ErrCommand
		}
		done, err := complete(ctx, r, domain, c, []stanza.Field{{Var: "accountjids", Value: address}}, nil)
		if no, ok := errors.AsType[*stanza.StanzaError](err); ok && no.Condition == "item-not-found" {
			return nil
		}
		if _, gone := errors.AsType[noAccount](err); gone {
			return nil
		}
		if err != nil {
			return passing(ctx, understood(err))
		}
		// Prosody completes what it has not done, and says so to people only.
		if words := strings.ToLower(done.Noted); strings.Contains(words, "could not be") || strings.Contains(words, "failed") {
			return passing(ctx, isGone(ctx, r, address))
		}
		return nil
	}
	return ErrNoCommands
}

// isGone returns nil if there is no account with this address.
func isGone(ctx context.Context, r Relay, address string) error {
	domain, c, err := begin(ctx, r, address, stanza.CommandUserRoster)
	if err == nil {
		_, err = complete(ctx, r, domain, c, []stanza.Field{{Var: "accountjid", Value: address}}, nil)
	}
	if _, gone := errors.AsType[noAccount](err); gone {
		return nil
	}
	if err == nil || ctx.Err() == nil {
		return errNotEnded
	}
	return err
}

// passing marks an error of the relay that may pass.
func passing(ctx context.Context, err error) error {
	no, refused := errors.AsType[*stanza.StanzaError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, refused && no.Type == "wait":
		return later{err}
	case refused, errors.Is(err, ErrNotAdmin), errors.Is(err, ErrNoCommands), errors.Is(err, stanza.ErrCommand), errors.Is(err, errNotEnded), errors.Is(err, ErrAccountExists):
		return err
	}
	if _, said := errors.AsType[saying](err); said {
		return err
	}
	return later{err} // the connection has ended, say
}

// maxWords bounds what is kept of an error, in bytes.
const maxWords = 512

// line are the words of an error as a line that can be kept.
func line(err error) string {
	s := strings.ReplaceAll(text.Line(err.Error()).String(), "\ufffd", "?")
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "")
	}
	return strings.Trim(s, " .")
}
