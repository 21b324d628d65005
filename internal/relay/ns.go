package relay

// Namespaces beyond those of package stanza.
const (
	nsBinding       = "urn:xmpp:sasl-cb:0"                     // XEP-0440
	nsBlocking      = "urn:xmpp:blocking"                      // XEP-0191
	nsBlockingError = "urn:xmpp:blocking:errors"               // XEP-0191
	nsCaps          = "http://jabber.org/protocol/caps"        // XEP-0115
	nsCarbons       = "urn:xmpp:carbons:2"                     // XEP-0280
	nsChatStates    = "http://jabber.org/protocol/chatstates"  // XEP-0085
	nsConference    = "jabber:x:conference"                    // XEP-0249
	nsCommands      = "http://jabber.org/protocol/commands"    // XEP-0050
	nsCorrect       = "urn:xmpp:message-correct:0"             // XEP-0308
	nsCSI           = "urn:xmpp:csi:0"                         // XEP-0352
	nsData          = "jabber:x:data"                          // XEP-0004
	nsDelay         = "urn:xmpp:delay"                         // XEP-0203
	nsDiscoInfo     = "http://jabber.org/protocol/disco#info"  // XEP-0030
	nsDiscoItems    = "http://jabber.org/protocol/disco#items" // XEP-0030
	nsForward       = "urn:xmpp:forward:0"                     // XEP-0297
	nsHints         = "urn:xmpp:hints"                         // XEP-0334
	nsMAM           = "urn:xmpp:mam:2"                         // XEP-0313
	nsMarkers       = "urn:xmpp:chat-markers:0"                // XEP-0333
	nsPing          = "urn:xmpp:ping"                          // XEP-0199
	nsPubSub        = "http://jabber.org/protocol/pubsub"      // XEP-0060
	nsPubSubErrors  = nsPubSub + "#errors"
	nsPubSubEvent   = nsPubSub + "#event"
	nsPubSubOptions = nsPubSub + "#publish-options"
	nsPubSubConfig  = nsPubSub + "#node_config"
	nsPubSubOwner   = nsPubSub + "#owner"
	nsReceipts      = "urn:xmpp:receipts"                         // XEP-0184
	nsRegister      = "jabber:iq:register"                        // XEP-0077
	nsRoster        = "jabber:iq:roster"                          // RFC 6121 section 2
	nsRosterVersion = "urn:xmpp:features:rosterver"               // RFC 6121 section 2.6
	nsRSM           = "http://jabber.org/protocol/rsm"            // XEP-0059
	nsSession       = "urn:ietf:params:xml:ns:xmpp-session"       // RFC 3921, still asked for
	nsStanzaID      = "urn:xmpp:sid:0"                            // XEP-0359
	nsTime          = "urn:xmpp:time"                             // XEP-0202
	nsVCard         = "vcard-temp"                                // XEP-0054
	nsVersion       = "jabber:iq:version"                         // XEP-0092
	nsXRD           = "http://docs.oasis-open.org/ns/xri/xrd-1.0" // XEP-0156
)
