package stanza

import (
	"strconv"

	"mellium.im/xmpp/jid"
)

// NSBookmarks is XEP-0402: the rooms a person is in, one item of a private PEP
// node each, with the room's address as the item's id.
const (
	NSBookmarks     = "urn:xmpp:bookmarks:1"
	NotifyBookmarks = NSBookmarks + "+notify" // the feature that asks for their changes
)

// maxBookmarks bounds the rooms that are read from one answer or event.
const maxBookmarks = 1024

// Bookmark is one room of a person. Name and Nick are as they were stored.
type Bookmark struct {
	Room     jid.JID // bare
	Name     string
	Nick     string
	Autojoin bool
	// Extensions is what other clients keep with a bookmark; it has to be sent
	// back (section 4). May be nil.
	Extensions *Element
}

// Element builds the payload of the item.
func (b Bookmark) Element() *Element {
	e := New(NSBookmarks, "conference").With("autojoin", strconv.FormatBool(b.Autojoin))
	if b.Name != "" {
		e.Set("name", b.Name)
	}
	if b.Nick != "" {
		e.Add(TextElement(NSBookmarks, "nick", b.Nick))
	}
	return e.Add(b.Extensions)
}

// PublishBookmark stores b (payload of an IQ set to the own account), on a node
// that nobody else can read.
func PublishBookmark(b Bookmark) *Element {
	return Publish(NSBookmarks, b.Room.Bare().String(), b.Element(),
		Field{"pubsub#persist_items", "true"}, Field{"pubsub#max_items", "max"},
		Field{"pubsub#send_last_published_item", "never"}, Field{"pubsub#access_model", "whitelist"})
}

// RemoveBookmark removes that of a room (payload of an IQ set).
func RemoveBookmark(room jid.JID) *Element {
	return New(NSPubSub, "pubsub", New(NSPubSub, "retract",
		New(NSPubSub, "item").With("id", room.Bare().String())).With("node", NSBookmarks).With("notify", "true"))
}

// ReadBookmarks reads items of the node, from ReadItems or ReadEvent. Items
// that are none are left out; there are at most 1,024.
func ReadBookmarks(items []Item) []Bookmark {
	var all []Bookmark
	for _, it := range items {
		room, err := jid.Parse(it.ID)
		if err != nil || room.Localpart() == "" || room.Resourcepart() != "" ||
			!it.Payload.Is(NSBookmarks, "conference") || len(all) == maxBookmarks {
			continue
		}
		p := it.Payload
		auto := p.Get("autojoin")
		all = append(all, Bookmark{Room: room, Name: p.Get("name"), Nick: p.Child(NSBookmarks, "nick").Text(),
			Autojoin: auto == "true" || auto == "1", Extensions: p.Child(NSBookmarks, "extensions")})
	}
	return all
}

// RemovedBookmarks returns the rooms whose bookmarks an event says are gone.
func RemovedBookmarks(e *Element) []jid.JID {
	items := e.Child(NSPubSubEvent, "event").Child(NSPubSubEvent, "items")
	if items.Get("node") != NSBookmarks {
		return nil
	}
	var rooms []jid.JID
	for c := range items.Elements() {
		if room, err := jid.Parse(c.Get("id")); c.Is(NSPubSubEvent, "retract") && err == nil && len(rooms) < maxBookmarks {
			rooms = append(rooms, room.Bare())
		}
	}
	return rooms
}
