package org

import (
	"strings"

	"mellium.im/xmpp/jid"
)

// Bounds of names, in bytes.
const (
	MaxAddress = 1023
	MaxRole    = 64
)

// ValidRole reports whether s can be a role: lower-case letters, digits and hyphens.
func ValidRole(s string) bool {
	if s == "" || len(s) > MaxRole || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// ValidAddress reports whether s is a bare address (RFC 7622) in its one form.
func ValidAddress(s string) bool {
	if len(s) > MaxAddress || !IsLine(s, MaxAddress) || strings.Contains(s, " ") {
		return false
	}
	if plainAddress(s) {
		return true
	}
	j, err := jid.Parse(s)
	return err == nil && j.Localpart() != "" && j.Resourcepart() == "" && j.String() == s
}

// plainAddress finds without more work what nearly all addresses are like.
func plainAddress(s string) bool {
	at := strings.IndexByte(s, '@')
	if at <= 0 || !ValidName(s[at+1:]) || strings.Contains(s[at+1:], "xn--") || strings.Contains(s[at+1:], "--") {
		return false
	}
	for _, c := range []byte(s[:at]) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}
