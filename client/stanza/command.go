package stanza

import "errors"

// Ad-hoc commands (XEP-0050), of which an organisation uses those with which accounts
// are managed (XEP-0133).
const (
	NSCommands = "http://jabber.org/protocol/commands"

	nsAdmin = "http://jabber.org/protocol/admin"

	CommandAddUser        = nsAdmin + "#add-user"
	CommandChangePassword = nsAdmin + "#change-user-password"
)

// ErrCommand is returned for an answer to a command that cannot be used.
var ErrCommand = errors.New("not a usable answer to a command")

// maxSession bounds the id of a command's session, in bytes, and of what it says.
const (
	maxSession = 1024
	maxNoted   = 1024
)

// Command is what a service answers to a step of a command.
type Command struct {
	Node    string
	Session string
	Status  string // "executing", "completed" or "canceled"
	Form    *DataForm
	Failed  string // what a note of the type error says; "" if there is none
}

// ExecuteCommand begins a command (payload of an IQ set).
func ExecuteCommand(node string) *Element {
	return New(NSCommands, "command").With("node", node).With("action", "execute")
}

// ReadCommand reads the answer to a step of a command.
func ReadCommand(iq *Element) (Command, error) {
	e := iq.Child(NSCommands, "command")
	c := Command{Node: e.Get("node"), Session: e.Get("sessionid"), Status: e.Get("status")}
	if e == nil || len(c.Session) > maxSession || c.Status != "executing" && c.Status != "completed" && c.Status != "canceled" {
		return Command{}, ErrCommand
	}
	for n := range e.Elements() {
		switch {
		case n.Is(NSCommands, "note") && n.Get("type") == "error" && c.Failed == "":
			if c.Failed = n.Text(); len(c.Failed) > maxNoted {
				c.Failed = c.Failed[:maxNoted]
			}
			if c.Failed == "" {
				c.Failed = "it was refused without a reason"
			}
		case n.Is(nsData, "x") && c.Form == nil:
			f, err := ReadDataForm(n)
			if err != nil {
				return Command{}, err
			}
			c.Form = &f
		}
	}
	return c, nil
}

// AppendCommand appends the whole IQ stanza with the last step of a command: the form
// filled in with the fields, and with secret for those that are named so. As
// AppendChangePassword it writes bytes, which the caller clears.
func AppendCommand(dst []byte, to, id string, c Command, fields []Field, secret []byte, secrets ...string) []byte {
	dst = append(dst, `<iq xmlns="jabber:client" type="set" to="`...)
	dst = escape(dst, to, true)
	dst = append(dst, `" id="`...)
	dst = escape(dst, id, true)
	dst = append(dst, `"><command xmlns="`+NSCommands+`" action="complete" node="`...)
	dst = escape(dst, c.Node, true)
	if c.Session != "" {
		dst = append(dst, `" sessionid="`...)
		dst = escape(dst, c.Session, true)
	}
	dst = append(dst, `"><x xmlns="`+nsData+`" type="submit"><field var="FORM_TYPE" type="hidden"><value>`...)
	dst = escape(dst, c.Form.FormType, false)
	dst = append(dst, `</value></field>`...)
	open := func(name string) {
		dst = append(dst, `<field var="`...)
		dst = escape(dst, name, true)
		dst = append(dst, `"><value>`...)
	}
	const end = `</value></field>`
	for _, f := range fields {
		open(f.Var)
		dst = append(escape(dst, f.Value, false), end...)
	}
	for _, name := range secrets {
		open(name)
		dst = append(appendSecret(dst, secret), end...)
	}
	return append(dst, `</x></command></iq>`...)
}

// appendSecret escapes bytes that must not become a string.
func appendSecret(dst, secret []byte) []byte {
	for _, c := range secret {
		switch c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
