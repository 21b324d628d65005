package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"sotto/client/admin"
	"sotto/client/org/directory"
	"sotto/client/text"
)

// Request is what is to be done, and what with. Fields that an act does not know are
// not looked at.
type Request struct {
	Do    string `json:"do"`
	Check bool   `json:"check,omitempty"` // do nothing: say whether there is whom it is about

	Name       string        `json:"name,omitempty"` // of an organisation or a person
	Relay      string        `json:"relay,omitempty"`
	Address    string        `json:"address,omitempty"`
	Roles      []string      `json:"roles,omitempty"`
	Department *string       `json:"department,omitempty"` // nil leaves it
	SetRoles   bool          `json:"set-roles,omitempty"`
	Device     uint32        `json:"device,omitempty"`
	For        time.Duration `json:"for,omitempty"`
	Another    bool          `json:"another,omitempty"`
	Reset      bool          `json:"reset,omitempty"`   // an account that exists gets the invitation's password
	ByHand     bool          `json:"by-hand,omitempty"` // the account is somebody else's to make
	Query      string        `json:"query,omitempty"`
	Most       int           `json:"most,omitempty"`
	Body       string        `json:"body,omitempty"`
	Action     string        `json:"action,omitempty"`
	Role       string        `json:"role,omitempty"` // an order is for
	Author     string        `json:"author,omitempty"`
	ID         string        `json:"id,omitempty"`
	Reason     string        `json:"reason,omitempty"`
	Key        string        `json:"key,omitempty"`
	Opens      []string      `json:"opens,omitempty"`
	Note       string        `json:"note,omitempty"`
	Contact    string        `json:"contact,omitempty"`
	URL        string        `json:"url,omitempty"` // of the relay's HTTP interface
	User       string        `json:"user,omitempty"`
	Secret     Secret        `json:"secret,omitempty"` // password of User, or a token
	Off        bool          `json:"off,omitempty"`
}

// Answer is what came of a request. Error is a sentence for people, or "".
type Answer struct {
	Error  string `json:"error,omitempty"`
	Exists bool   `json:"exists,omitempty"` // there is an account already: Reset takes it

	Left     *Left     `json:"left,omitempty"` // after what was published
	Status   *Status   `json:"status,omitempty"`
	People   []Person  `json:"people,omitempty"`
	Invited  *Invited  `json:"invited,omitempty"`
	Policy   *Policy   `json:"policy,omitempty"`
	Diff     []string  `json:"diff,omitempty"`
	Route    *Route    `json:"route,omitempty"`
	Orders   []Order   `json:"orders,omitempty"`
	Partners []Partner `json:"partners,omitempty"`
	Happened []string  `json:"happened,omitempty"`
	Key      string    `json:"key,omitempty"`
	Print    string    `json:"fingerprint,omitempty"` // of a key
	Note     string    `json:"note,omitempty"`
	Void     []string  `json:"void,omitempty"` // invitations that a new key has ended
	Anew     []string  `json:"anew,omitempty"` // partners to agree with again
	Web      *Web      `json:"accounts-by-http,omitempty"`
	Found    bool      `json:"found,omitempty"`
	Agreed   bool      `json:"agreed,omitempty"` // both have signed
}

// Left is what the relay does not have yet, and why.
type Left struct {
	Items   int    `json:"items"`
	Answers int    `json:"answers"`
	Reason  string `json:"reason,omitempty"`
}

// Status is how an organisation stands.
type Status struct {
	Name        string        `json:"name"`
	Contact     string        `json:"contact"`
	Relay       string        `json:"relay,omitempty"`
	Key         string        `json:"key"`
	Fingerprint string        `json:"fingerprint"`
	Keys        uint64        `json:"keys"` // changes of the key
	Head        uint64        `json:"head"`
	HeadIssued  time.Time     `json:"head-issued"`
	Lease       time.Duration `json:"lease"` // ns
	Directory   uint64        `json:"directory"`
	Policy      uint64        `json:"policy"`
	Active      int           `json:"active"`
	Suspended   int           `json:"suspended"`
	Removed     int           `json:"removed"`
	Devices     int           `json:"devices"`
	Without     int           `json:"without-device"` // active people
	Invitations []Invitation  `json:"invitations"`
	Orders      int           `json:"orders-in-force"`
	Partners    int           `json:"partners"`
	Letters     int           `json:"letters"` // that wait to be looked at
	Left        Left          `json:"left"`
	Serving     bool          `json:"serving"`
	Online      bool          `json:"online"`
}

// Route is how the organisation's own account finds its relay.
type Route struct {
	Domain string `json:"domain"`
	Relay  string `json:"relay,omitempty"` // URL; "" where it is discovered
	CA     []byte `json:"ca,omitempty"`    // PEM
}

// Web says which HTTP interface makes accounts.
type Web struct {
	URL  string `json:"url"`
	User string `json:"user,omitempty"` // "" with a token
}

// Invitation is one that was issued.
type Invitation struct {
	ID      string    `json:"id"`
	Address string    `json:"address"`
	Name    string    `json:"name"`
	Expires time.Time `json:"expires"`
	Wrong   int       `json:"wrong"` // PINs so far
}

// Invited is an invitation as it is to be handed over. Code and PIN go by two ways.
type Invited struct {
	Address  string    `json:"address"`
	Name     string    `json:"name"`
	Expires  time.Time `json:"expires"`
	Code     Secret    `json:"code"`
	PIN      Secret    `json:"pin"`
	Password Secret    `json:"password,omitempty"` // that the account has to be given by hand
	Account  string    `json:"account"`            // what was done about it
	Why      string    `json:"why,omitempty"`      // why the account is to be made by hand
}

// Secret is text that is cleared once it was shown, and so is no string.
type Secret []byte

// MarshalJSON writes it as a string of JSON.
func (s Secret) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 2*len(s)+2), '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = fmt.Appendf(b, "\\u%04x", c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"'), nil
}

// UnmarshalJSON reads a string of JSON.
func (s *Secret) UnmarshalJSON(b []byte) error {
	if len(b) >= 2 && b[0] == '"' && !bytes.ContainsRune(b, '\\') {
		*s = bytes.Clone(b[1 : len(b)-1])
		return nil
	}
	var text string
	err := json.Unmarshal(b, &text)
	*s = Secret(text)
	return err
}

// Person is an entry of the directory.
type Person struct {
	Address    string   `json:"address"`
	Name       string   `json:"name"`
	Roles      []string `json:"roles,omitempty"`
	Department string   `json:"department,omitempty"`
	State      string   `json:"state"`
	Devices    []Device `json:"devices,omitempty"`
	Changed    uint64   `json:"changed"`
}

// Device is a device of somebody.
type Device struct {
	ID          uint32    `json:"id"`
	Fingerprint string    `json:"fingerprint"`
	Added       time.Time `json:"added"`
}

// Policy is the policy in force.
type Policy struct {
	Serial uint64    `json:"serial"`
	Issued time.Time `json:"issued"`
	Body   string    `json:"body"`
}

// Order is an order and what became of it.
type Order struct {
	Number  uint64    `json:"number"`
	Do      string    `json:"do"`
	For     string    `json:"for"`
	Author  string    `json:"author,omitempty"`
	Message string    `json:"message,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	InForce bool      `json:"in-force"`
	Devices []Carried `json:"devices"`
}

// Carried says how far an order has come on a device.
type Carried struct {
	Address string    `json:"address"`
	Name    string    `json:"name"`
	Device  uint32    `json:"device"`
	Result  string    `json:"result"` // "waiting" until something was heard
	Words   string    `json:"words,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// Partner is an agreement with another organisation.
type Partner struct {
	Name    string    `json:"name"`
	Contact string    `json:"contact,omitempty"`
	Key     string    `json:"key"`
	Serial  uint64    `json:"serial"`
	Expires time.Time `json:"expires"`
	Opens   []string  `json:"opens"`
	State   string    `json:"state"` // "in force", "ended", "expired"
}

// clear forgets what is secret in an answer that was written.
func (a *Answer) clear() {
	if a.Invited != nil {
		clear(a.Invited.Code)
		clear(a.Invited.PIN)
		clear(a.Invited.Password)
	}
}

// Clear forgets what is secret in an answer that was shown.
func (a *Answer) Clear() { a.clear() }

func happened(h admin.Happening) string { return text.Line(h.String()).String() }

func person(e *directory.Entry) Person {
	p := Person{Address: e.Address, Name: text.Line(e.Name).String(), Roles: e.Roles, Department: text.Line(e.Department).String(), State: string(e.State), Changed: e.Changed}
	for _, d := range e.Devices {
		p.Devices = append(p.Devices, Device{ID: d.ID, Fingerprint: shown(d.Fingerprint), Added: d.Added})
	}
	return p
}
