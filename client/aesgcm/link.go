package aesgcm

import (
	"encoding/hex"
	"errors"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// Bounds of a link, in bytes.
const (
	MaxURL  = 4096
	MaxName = 255

	maxLink = MaxURL + 1 + 2*(OldNonce+KeySize)
	maxBody = 64 << 10 // with the thumbnail that some apps send
)

const scheme = "aesgcm"

// Link is a file that somebody offers.
type Link struct {
	URL  string // https, without the key
	Host string // of the URL, with its port
	Name string // from its last part, as its sender says: make it safe before it is shown
	Type string // media type, by the name's ending
	Key  *Key
}

// ParseLink reads the text of a message. False means that it is not a link and
// nothing else: then it is a text. Some apps add a thumbnail as a data: URL in a
// second line, which is left out.
func ParseLink(body string) (Link, bool) {
	if len(body) > maxBody || !strings.HasPrefix(body, scheme+"://") {
		return Link{}, false
	}
	body = strings.TrimRight(body, "\r\n")
	first, rest, more := strings.Cut(body, "\n")
	if more && (!strings.HasPrefix(rest, "data:") || strings.ContainsAny(rest, " \t\r\n")) {
		return Link{}, false
	}
	if first = strings.TrimSuffix(first, "\r"); len(first) > maxLink || strings.Count(first, "#") != 1 {
		return Link{}, false
	}
	for _, r := range first {
		if r <= ' ' || r == utf8.RuneError || r >= 0x7f && r < 0xa0 || strings.ContainsRune(`"<>\^`+"`{|}", r) {
			return Link{}, false
		}
	}
	address, fragment, _ := strings.Cut(strings.TrimPrefix(first, scheme), "#")
	u, err := url.Parse("https" + address)
	if err != nil || len(address) > MaxURL-len("https") || u.Hostname() == "" || u.User != nil || u.Opaque != "" || !plainHost(u.Host) {
		return Link{}, false
	}
	b, err := hex.DecodeString(fragment)
	if err != nil {
		return Link{}, false
	}
	defer clear(b)
	k, err := ReadKey(b)
	if err != nil {
		return Link{}, false
	}
	l := Link{URL: u.String(), Host: u.Host, Key: k}
	if len(l.URL) > MaxURL {
		return Link{}, false
	}
	l.Name = nameIn(u, k)
	l.Type = TypeOf(l.Name)
	return l, true
}

// plainHost reports whether a host is written in the letters that host names,
// addresses and ports are made of.
func plainHost(h string) bool {
	for i := range len(h) {
		c := h[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._:[]", c) >= 0) {
			return false
		}
	}
	return len(h) <= 259
}

// nameIn is what a file is called by its URL.
func nameIn(u *url.URL, k *Key) string {
	name := path.Base(u.Path)
	if hidden, ok := k.revealName(name); ok {
		name = hidden
	}
	if name == "." || name == "/" || !utf8.ValidString(name) {
		name = ""
	}
	if name = strings.TrimSpace(name); name == "" {
		return "file"
	}
	return shorten(name, MaxName)
}

// ErrURL is returned for an address that no link can be made of.
var ErrURL = errors.New("not an address that a file can be fetched from")

// Link returns the text of the message that offers a file: get is where its
// ciphertext can be fetched.
func (k *Key) Link(get string) (string, error) {
	u, err := url.Parse(get)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Fragment != "" || len(get) > MaxURL {
		return "", ErrURL
	}
	u.Scheme = scheme
	b := k.Bytes()
	defer clear(b)
	link := u.String() + "#" + hex.EncodeToString(b)
	l, ok := ParseLink(link)
	if !ok { // we would not take it ourselves
		return "", ErrURL
	}
	l.Key.Wipe()
	return link, nil
}
