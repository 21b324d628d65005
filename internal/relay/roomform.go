package relay

import (
	"strconv"

	"sotto/client/stanza"
)

// The configuration of a room (XEP-0045 section 10.2).

const (
	fieldTitle   = "muc#roomconfig_roomname"
	fieldAbout   = "muc#roomconfig_roomdesc"
	fieldPublic  = "muc#roomconfig_publicroom"
	fieldInvites = "muc#roomconfig_allowinvites"
	fieldTopics  = "muc#roomconfig_changesubject"
)

// fixedFields are what a room here always is. A form may say so; one that asks
// for something else is refused, because who configures a room has to be able
// to rely on it.
var fixedFields = []struct {
	name, typ, label string
	value            string
	shown            bool
}{
	{"muc#roomconfig_persistentroom", "boolean", "The room stays when everyone has left", "1", true},
	{"muc#roomconfig_membersonly", "boolean", "Only members enter", "1", true},
	{"muc#roomconfig_whois", "list-single", "Who sees people's addresses", "anyone", true},
	{"muc#roomconfig_moderatedroom", "boolean", "Only some may speak", "0", true},
	{"muc#roomconfig_enablearchiving", "boolean", "The room has an archive for its members", "1", true},
	{"muc#roomconfig_passwordprotectedroom", "boolean", "", "0", false},
	{"muc#roomconfig_roomsecret", "text-private", "", "", false},
	{"muc#roomconfig_enablelogging", "boolean", "", "0", false},
	{"muc#roomconfig_allowpm", "list-single", "", "none", false},
	{"mam", "boolean", "", "1", false},
}

// form shows the configuration of r.
func (r *room) form() stanza.DataForm {
	boolean := func(name, label string, v bool) stanza.FormField {
		return stanza.FormField{Var: name, Type: "boolean", Label: label, Values: []string{strconv.Itoa(flag(v))}}
	}
	f := stanza.DataForm{Type: "form", FormType: stanza.FormRoomConfig, Title: "Configuration of " + r.label(), Fields: []stanza.FormField{
		{Var: fieldTitle, Type: "text-single", Label: "Name", Values: []string{r.title}},
		{Var: fieldAbout, Type: "text-single", Label: "Description", Values: []string{r.about}},
		boolean(fieldPublic, "People who are not members see that there is this room", r.public),
		boolean(fieldInvites, "Members invite others", r.invites),
		boolean(fieldTopics, "Members change the topic", r.topics),
	}}
	for _, x := range fixedFields {
		if x.shown {
			field := stanza.FormField{Var: x.name, Type: x.typ, Label: x.label, Values: []string{x.value}}
			if x.typ == "list-single" {
				field.Options = []stanza.FormOption{{Label: "Everyone in the room", Value: x.value}}
			}
			f.Fields = append(f.Fields, field)
		}
	}
	return f
}

// same compares values of a field; a boolean is written in two ways.
func same(typ, a, b string) bool {
	if typ == "boolean" {
		norm := func(s string) string {
			switch s {
			case "true":
				return "1"
			case "false", "":
				return "0"
			}
			return s
		}
		return norm(a) == norm(b)
	}
	return a == b
}

// configure takes a form. Fields that are left out stay as they are.
func (c *core) configure(q *request, r *room, x *stanza.Element) {
	f, err := stanza.ReadDataForm(x)
	if err != nil || f.Type != "submit" || f.FormType != "" && f.FormType != stanza.FormRoomConfig {
		c.no(q, "modify", "bad-request", "this is not the form of a room")
		return
	}
	n := *r
	for _, field := range f.Fields {
		if why := n.set(field); why != "" {
			c.no(q, "modify", "not-acceptable", why)
			return
		}
	}
	r.fresh = false
	c.yes(q)
	if n.title == r.title && n.about == r.about && n.public == r.public && n.invites == r.invites && n.topics == r.topics {
		return
	}
	r.title, r.about, r.public, r.invites, r.topics = n.title, n.about, n.public, n.invites, n.topics
	c.store.saveRoom(r)
	c.tell(r, stanza.New(stanza.NSClient, "message", stanza.RoomUser{Status: []int{stanza.StatusConfigured}}.Element()).
		With("type", "groupchat").With("from", r.bare).With("id", randomID()))
}

// set changes one field of r, or says why it cannot.
func (r *room) set(f stanza.FormField) string {
	v := f.Value()
	switch f.Var {
	case fieldTitle:
		if len(v) > maxRoomTitle {
			return "the name is too long"
		}
		r.title = v
	case fieldAbout:
		if len(v) > maxRoomAbout {
			return "the description is too long"
		}
		r.about = v
	case fieldPublic:
		r.public = f.Bool()
	case fieldInvites:
		r.invites = f.Bool()
	case fieldTopics:
		r.topics = f.Bool()
	default:
		for _, x := range fixedFields {
			if x.name == f.Var {
				if !same(x.typ, v, x.value) {
					return clip(f.Var, 64) + " cannot be changed here: rooms are for members, who see each other's addresses"
				}
				return ""
			}
		}
		return "there is no setting " + clip(f.Var, 64) + " here"
	}
	return ""
}
