// Package org is how an organisation speaks: its key, and statements that it signs.
//
// An organisation is an Ed25519 key with a name. What it says are signed notes
// (golang.org/x/mod/sumdb/note): a text that a person can read, and a line with the
// signature of the whole text. Any relay can carry them, and none can change them:
//
//	sotto head v1
//	organisation: hospital.example
//	number: 1234
//	issued: 2026-11-22T12:00:00Z
//	…
//
//	— hospital.example iV3tTJvq…
//
// The first line says what kind of statement it is, so that a signature made for one
// never counts for another. The second names the organisation. The rest depends on
// the kind, and each kind has its package beneath this one: head, directory, policy,
// order, partner and invitation. What a relay can do with statements, and what each
// package holds against it, is in docs/organisation.md.
//
// Reading is strict. A statement has one form: what is read is written again and
// compared, so that nothing hides between the lines. Sizes, counts and lines are
// bounded, and every line is one that may be shown on a terminal as it stands. A
// note counts only if all those signed it who must, and nobody else.
//
// The package and those of head and order import nothing that holds keys, texts or
// a database: the link uses them while sotto is locked.
package org

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/text"
)

// Bounds of statements.
const (
	MaxText  = 60 << 10 // bytes of a statement's text: with the signature below the 64 KiB that some relays take
	MaxNote  = MaxText + 1<<10
	MaxLine  = 4096 // bytes of a line
	MaxLines = 4096
)

// Why a statement is refused. Errors of this package and those beneath it wrap one
// of these, or are errors of their packages.
var (
	ErrMalformed = errors.New("this is no statement of an organisation")
	ErrSignature = errors.New("the signature is not the organisation's: somebody has changed or forged this")
	ErrRollback  = errors.New("this is older than what is known already: somebody is playing back what was")
	ErrFork      = errors.New("two different statements have the same number: the organisation's key is in two hands, or somebody lies")
	ErrGap       = errors.New("something before this is missing: somebody is holding it back")
)

// Kind is what a statement is about.
type Kind string

// The kinds of statements. Acknowledgements, delegations and requests are signed by
// devices, all others by organisations.
const (
	KindHead            Kind = "head"
	KindKey             Kind = "key"
	KindUpdate          Kind = "directory-update"
	KindSnapshot        Kind = "directory-snapshot"
	KindPolicy          Kind = "policy"
	KindOrder           Kind = "order"
	KindPartner         Kind = "partner"
	KindPartnerEnd      Kind = "partner-end"
	KindAnswer          Kind = "join-answer"
	KindRequest         Kind = "join-request"
	KindAcknowledgement Kind = "acknowledgement"
	KindDelegation      Kind = "delegation"
)

// Statement is a text of which a key has been found to have signed it.
type Statement struct {
	Kind         Kind
	Organisation string // as its second line has it; Open has compared it
	Text         string
}

// Hash returns the digest by which other statements name this one.
func (s *Statement) Hash() Hash { return HashOf(s.Text) }

// Seal signs a text and returns the note. The text is checked as Open would.
func Seal(text string, signers ...note.Signer) ([]byte, error) {
	if _, _, err := head(text); err != nil {
		return nil, fmt.Errorf("signing a statement: %w", err)
	}
	if len(signers) == 0 {
		return nil, errors.New("signing a statement: nobody to sign it")
	}
	b, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return nil, fmt.Errorf("signing a statement: %w", err)
	}
	return b, nil
}

// Open reads a note of one kind, about the organisation with the given name, that
// every one of keys has signed, and nobody else.
func Open(b []byte, kind Kind, organisation string, keys ...Key) (*Statement, error) {
	s, err := Peek(b)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Kind != kind:
		return nil, fmt.Errorf("%w of kind %s: it is of kind %s", ErrMalformed, kind, s.Kind)
	case s.Organisation != organisation:
		return nil, fmt.Errorf("%w: it is about %s and not %s", ErrSignature, s.Organisation, organisation)
	case len(keys) == 0:
		return nil, fmt.Errorf("%w: no key to check it with", ErrSignature)
	}
	known := make([]note.Verifier, len(keys))
	for i, k := range keys {
		known[i] = k
	}
	n, err := note.Open(b, note.VerifierList(known...))
	if err != nil || len(n.Sigs) != len(keys) || len(n.UnverifiedSigs) != 0 {
		return nil, ErrSignature
	}
	// The lines of signatures have one form, too: else a note could be changed
	// into another that reads the same.
	var again strings.Builder
	again.WriteString(n.Text + "\n")
	for i, sig := range n.Sigs {
		if sig.Name != keys[i].Name() || sig.Hash != keys[i].KeyHash() {
			return nil, ErrSignature
		}
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return nil, fmt.Errorf("%w: its signatures are not in their form", ErrMalformed)
		}
		again.WriteString("— " + sig.Name + " " + sig.Base64 + "\n")
	}
	if again.String() != string(b) || n.Text != s.Text {
		return nil, fmt.Errorf("%w: its signatures are not in their form", ErrMalformed)
	}
	return s, nil
}

// Peek reads a note without looking at who signed it. What it returns is worth
// nothing but to find the key to Open it with.
func Peek(b []byte) (*Statement, error) {
	if len(b) > MaxNote {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrMalformed, MaxNote)
	}
	i := strings.LastIndex(string(b), "\n\n")
	if i < 0 {
		return nil, fmt.Errorf("%w: it has no signature", ErrMalformed)
	}
	s := &Statement{Text: string(b[:i+1])}
	var err error
	if s.Kind, s.Organisation, err = head(s.Text); err != nil {
		return nil, err
	}
	return s, nil
}

// Title returns the first line of a statement of this kind.
func (k Kind) Title() string { return "sotto " + string(k) + " v1" }

// head checks what all statements have in common, and returns what their first two
// lines say.
func head(s string) (Kind, string, error) {
	if len(s) > MaxText {
		return "", "", fmt.Errorf("%w: its text is longer than %d bytes", ErrMalformed, MaxText)
	}
	if !strings.HasSuffix(s, "\n") {
		return "", "", fmt.Errorf("%w: its last line has no end", ErrMalformed)
	}
	var kind Kind
	var name string
	n := 0
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		if n++; n > MaxLines {
			return "", "", fmt.Errorf("%w: it has more than %d lines", ErrMalformed, MaxLines)
		}
		if !IsLine(line, MaxLine) {
			return "", "", fmt.Errorf("%w: line %d is too long or holds what cannot be shown", ErrMalformed, n)
		}
		var ok, end bool
		switch n {
		case 1:
			var rest string
			rest, ok = strings.CutPrefix(line, "sotto ")
			rest, end = strings.CutSuffix(rest, " v1")
			kind = Kind(rest)
			ok = ok && end && rest != "" && !strings.Contains(rest, " ")
		case 2:
			name, ok = strings.CutPrefix(line, "organisation: ")
			ok = ok && ValidName(name)
		default:
			ok = true
		}
		if !ok {
			return "", "", fmt.Errorf("%w: line %d is not its own", ErrMalformed, n)
		}
	}
	if n < 2 {
		return "", "", fmt.Errorf("%w: it has no name", ErrMalformed)
	}
	return kind, name, nil
}

// IsLine reports whether s is one line of at most max bytes that may be shown as it
// stands: nothing in it is a control, hides, or reorders what is around it, and it
// neither begins nor ends with a space.
func IsLine(s string, max int) bool {
	return len(s) <= max && text.Line(s).String() == s && strings.Trim(s, " ") == s && !strings.Contains(s, "\ufffd")
}

// ValidName reports whether s can be an organisation's name: a domain name in lower
// case, in the letters of ASCII (RFC 5890 section 2.3.2.1), of two labels or more.
func ValidName(s string) bool {
	return strings.Contains(s, ".") && validKeyName(s)
}

// validKeyName is ValidName for keys of devices, too, which have one label.
func validKeyName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
