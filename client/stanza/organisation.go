package stanza

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"
)

// NSOrganisation is in front of what an organisation says (docs/organisation.md).
// Its statements are signed notes, and the XML around them only carries them:
// whoever reads one checks the signature and believes nothing else.
const NSOrganisation = "urn:sotto:organisation:0"

// The nodes (XEP-0163, access model open) of an organisation's account. NodeHead and
// NodePolicy have one item, ItemCurrent. The items of NodeOrders, NodeKeys and
// NodeDirectory have the number of the order, of the change of key and the serial of
// the update as ids (NumberItem), those of NodeSnapshot the numbers of its parts,
// from 1. The items of NodePartners are PartnerItem and PartnerEndItem.
const (
	NodeHead      = NSOrganisation + ":head"
	NodePolicy    = NSOrganisation + ":policy"
	NodeOrders    = NSOrganisation + ":orders"
	NodeKeys      = NSOrganisation + ":keys"
	NodeDirectory = NSOrganisation + ":directory"
	NodeSnapshot  = NSOrganisation + ":snapshot"
	NodePartners  = NSOrganisation + ":partners"

	// ItemCurrent is the id of the only item of a node.
	ItemCurrent = "current"
)

// MaxNoteSize bounds a signed note, in bytes (org.MaxNote).
const MaxNoteSize = 61 << 10

// ErrOrganisation is what reading any element of this file fails with, wrapped in
// what was wrong.
var ErrOrganisation = errors.New("malformed statement of an organisation")

// NodeFor returns the name of the node with what an organisation shows to a partner
// in place of NodeHead, NodeDirectory or NodeSnapshot.
func NodeFor(partner, node string) string {
	return NSOrganisation + ":for:" + partner + strings.TrimPrefix(node, NSOrganisation)
}

// NumberItem returns the id of the item with a number.
func NumberItem(n uint64) string { return strconv.FormatUint(n, 10) }

// ReadNumberItem reads an id as NumberItem writes it.
func ReadNumberItem(id string) (uint64, bool) {
	n, err := strconv.ParseUint(id, 10, 64)
	return n, err == nil && n > 0 && NumberItem(n) == id
}

// PartnerItem returns the id of the item with the agreement with a partner.
func PartnerItem(partner string) string { return partner }

// PartnerEndItem returns the id of the item with the end of one. No name of an
// organisation ends in it: "end" is no domain that anybody has.
func PartnerEndItem(partner string) string { return partner + ".end" }

// OpenNode returns options that make a node readable for everybody and keep as many
// of its items as a directory needs (XEP-0060 section 7.1.5). Relays that know no
// such number ("max" of XEP-0060 1.20) refuse it: many says how many at most.
func OpenNode(many int) []Field {
	return append(AccessOpen(), Field{"pubsub#max_items", strconv.Itoa(many)}, Field{"pubsub#send_last_published_item", "never"})
}

// Note builds the payload of an item with a signed note.
func Note(note []byte) *Element { return organisationNote("note", note) }

// PartnerNote builds the payload of an item with an agreement. contact is the
// account of the partner, where its directory is; it is not signed, and who asks
// there finds out whether it is right.
func PartnerNote(note []byte, contact string) *Element {
	e := Note(note)
	if contact != "" {
		e.Set("contact", contact)
	}
	return e
}

// ReadNote reads what Note has built.
func ReadNote(e *Element) ([]byte, error) { return readNote(e, "note") }

// ReadPartnerNote reads what PartnerNote has built. contact is "" where there is
// none, or none that is a bare address.
func ReadPartnerNote(e *Element) (note []byte, contact string, err error) {
	if note, err = ReadNote(e); err != nil {
		return nil, "", err
	}
	if s := e.Get("contact"); len(s) <= 1023 {
		if j, err := jid.Parse(s); err == nil && j.Localpart() != "" && j.Resourcepart() == "" {
			contact = j.String()
		}
	}
	return note, contact, nil
}

func organisationNote(local string, note []byte) *Element {
	return TextElement(NSOrganisation, local, string(note))
}

func readNote(e *Element, local string) ([]byte, error) {
	if !e.Is(NSOrganisation, local) {
		return nil, fmt.Errorf("%w: not <%s/>", ErrOrganisation, local)
	}
	s := e.Text()
	if s == "" || len(s) > MaxNoteSize {
		return nil, fmt.Errorf("%w: <%s/> of %d bytes", ErrOrganisation, local, len(s))
	}
	return []byte(s), nil
}

// ItemRequest asks for one item of a node (payload of an IQ get, XEP-0060 section
// 6.5.8). ReadItems reads the answer.
func ItemRequest(node, id string) *Element {
	return New(NSPubSub, "pubsub", New(NSPubSub, "items",
		New(NSPubSub, "item").With("id", id)).With("node", node))
}

// RetractItem removes one item of an own node (payload of an IQ set, XEP-0060
// section 7.2).
func RetractItem(node, id string) *Element {
	return New(NSPubSub, "pubsub", New(NSPubSub, "retract",
		New(NSPubSub, "item").With("id", id)).With("node", node))
}

// ReadItemNote reads the note of the item with an id out of the answer to
// ItemRequest. It is nil, without an error, where there is no such item.
func ReadItemNote(iq *Element, node, id string) ([]byte, error) {
	items, ok := ReadItems(iq, node)
	if !ok {
		return nil, fmt.Errorf("%w: not the items that were asked for", ErrOrganisation)
	}
	for _, item := range items {
		if item.ID == id {
			return ReadNote(item.Payload)
		}
	}
	return nil, nil
}

// Nudge builds the message that tells somebody that there is a new head. It says
// nothing that the head does not prove, so whoever sends it does not matter.
func Nudge(to string, head []byte) *Element {
	return New(NSClient, "message", organisationNote("head", head), NoStoreHint()).With("type", "headline").With("to", to)
}

// ReadNudge returns the head in a message, or nil if there is none.
func ReadNudge(e *Element) []byte {
	note, err := readNote(e.Child(NSOrganisation, "head"), "head")
	if err != nil {
		return nil
	}
	return note
}

// JoinRequest builds the message with which a device asks an organisation's account
// to be let in.
func JoinRequest(to, id string, request []byte) *Element {
	return organisationMessage(to, id, organisationNote("join", request))
}

// ReadJoin returns the request to join in a message, or nil if there is none.
func ReadJoin(e *Element) []byte {
	note, err := readNote(e.Child(NSOrganisation, "join"), "join")
	if err != nil {
		return nil
	}
	return note
}

// JoinAnswer builds the message that answers a request to join.
func JoinAnswer(to, id string, answer []byte) *Element {
	return organisationMessage(to, id, organisationNote("answer", answer))
}

// ReadAnswer returns the answer to a request to join in a message, or nil if there
// is none.
func ReadAnswer(e *Element) []byte {
	note, err := readNote(e.Child(NSOrganisation, "answer"), "answer")
	if err != nil {
		return nil
	}
	return note
}

// Acknowledgement is what a device did about an order.
type Acknowledgement struct {
	Note       []byte
	Delegation []byte // nil unless the link has signed, for the device
}

// Message builds the message that tells the organisation's account.
func (a Acknowledgement) Message(to, id string) *Element {
	e := New(NSOrganisation, "acknowledgement", organisationNote("note", a.Note))
	if a.Delegation != nil {
		e.Add(organisationNote("delegation", a.Delegation))
	}
	return organisationMessage(to, id, e)
}

// ReadAcknowledgement reads the acknowledgement in a message, if there is one.
func ReadAcknowledgement(e *Element) (a Acknowledgement, ok bool) {
	e = e.Child(NSOrganisation, "acknowledgement")
	var err error
	if a.Note, err = readNote(e.Child(NSOrganisation, "note"), "note"); err != nil {
		return Acknowledgement{}, false
	}
	if d := e.Child(NSOrganisation, "delegation"); d != nil {
		if a.Delegation, err = readNote(d, "delegation"); err != nil {
			return Acknowledgement{}, false
		}
	}
	return a, true
}

// ForOrganisation reports whether a message belongs between a device and its
// organisation, and is no line of a conversation.
func ForOrganisation(e *Element) bool {
	return e.Is(NSClient, "message") && e.Child(NSOrganisation, "") != nil
}

func organisationMessage(to, id string, payload *Element) *Element {
	return New(NSClient, "message", payload, StoreHint()).With("type", "normal").With("to", to).With("id", id)
}
