package stanza

// NSOccupantID is XEP-0421: a name that a room gives a person and that stays
// when the nick changes. It is the room's word.
const NSOccupantID = "urn:xmpp:occupant-id:0"

// OccupantID builds the element that a room adds to presence and messages.
func OccupantID(id string) *Element { return New(NSOccupantID, "occupant-id").With("id", id) }

// ReadOccupantID returns the occupant id inside e, or "". Only a room that
// announces the feature removes what people put there themselves.
func ReadOccupantID(e *Element) string {
	return readID(e.Child(NSOccupantID, "occupant-id").Get("id"))
}
