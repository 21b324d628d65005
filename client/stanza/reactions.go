package stanza

import (
	"slices"
	"strings"
)

// NSReactions is XEP-0444.
const NSReactions = "urn:xmpp:reactions:0"

const (
	maxReactions    = 32
	maxReactionText = 64 // bytes: the longest emoji sequences stay below 40
)

// Reactions says all reactions that the sender has to a message now; none takes
// back what there was. In a room id is the one that the room gave the message.
func Reactions(id string, emoji ...string) *Element {
	e := New(NSReactions, "reactions").With("id", id)
	for _, s := range emoji {
		e.Add(TextElement(NSReactions, "reaction", s))
	}
	return e
}

// ReadReactions reads the reactions of a message stanza, without repeats. They
// are texts of the other side, at most 32 of at most 64 bytes: not yet fit for a
// screen, and not known to be emoji.
func ReadReactions(e *Element) (id string, emoji []string, ok bool) {
	x := e.Child(NSReactions, "reactions")
	id = readID(x.Get("id"))
	if !e.Is(NSClient, "message") || e.Get("type") == "error" || id == "" {
		return "", nil, false
	}
	for c := range x.Elements() {
		s := strings.TrimSpace(c.Text())
		if c.Is(NSReactions, "reaction") && s != "" && len(s) <= maxReactionText && len(emoji) < maxReactions && !slices.Contains(emoji, s) {
			emoji = append(emoji, s)
		}
	}
	return id, emoji, true
}
