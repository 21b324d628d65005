package export

import (
	"fmt"
	"strconv"
	"strings"

	"sotto/client/audit"
)

// Syslog writes entries as RFC 5424 messages. Its zero value is ready to use.
type Syslog struct {
	Hostname   string // 1 to 255 printable ASCII characters; "" for the domain of the device's owner, as far as it is ASCII
	Enterprise uint32 // private enterprise number in the name of structured data; 0 for 32473, which RFC 5612 has for examples
	Version    string // of sotto, for structured data; "" for none
}

// facility is "log audit" (RFC 5424, section 6.2.1).
const facility = 13

// The severities that are used.
const (
	alert   = 1
	warning = 4
	notice  = 5
	info    = 6
)

func severity(e *audit.Entry) int {
	switch e.Kind {
	case audit.EmergencyAccess, audit.Wiped:
		return alert
	case audit.AdminActed, audit.OrderObeyed, audit.Exported, audit.Restored, audit.AuditPruned, audit.PolicyApplied, audit.DeviceNew:
		return notice
	}
	if e.Kind.Failed() || e.Kind == audit.ClockChanged {
		return warning
	}
	return info
}

// Message returns the entry as one message, without an end of line. Every receiver
// must accept 480 bytes and should accept 2048 (RFC 5424, section 6.1); only
// addresses of hundreds of characters make it longer, and nothing longer than 8192.
func (s *Syslog) Message(e audit.Entry) []byte {
	host := printable(s.Hostname, 255)
	if host == "-" {
		host = printable(e.Device.Owner.Domain(), 255)
	}
	pen := s.Enterprise
	if pen == 0 {
		pen = 32473
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<%d>1 %s %s sotto %d %s", facility*8+severity(&e), timestamp(&e), host, e.Device.ID, e.Kind)
	fmt.Fprintf(&b, " [audit@%d", pen)
	for _, f := range fields(&e) {
		param(&b, f[0], f[1])
	}
	b.WriteString("][origin software=\"sotto\"")
	if s.Version != "" {
		param(&b, "swVersion", clip(s.Version, 32))
	}
	b.WriteString("][timeQuality tzKnown=\"1\"] \ufeff")
	b.WriteString(Words(e))
	return []byte(b.String())
}

// Frame returns a message as it goes over TLS: its length in bytes, a space, and
// the message (RFC 5425, section 4.3).
func Frame(message []byte) []byte {
	return append(append(strconv.AppendInt(nil, int64(len(message)), 10), ' '), message...)
}

func timestamp(e *audit.Entry) string { return e.Time.UTC().Format("2006-01-02T15:04:05.000Z") }

// printable is s as a header field, or "-" if it is none (RFC 5424, section 6).
func printable(s string, most int) string {
	if s == "" || len(s) > most {
		return "-"
	}
	for i := range len(s) {
		if s[i] < 33 || s[i] > 126 {
			return "-"
		}
	}
	return s
}

func clip(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// param writes a parameter of structured data (RFC 5424, section 6.3.3).
func param(b *strings.Builder, name, value string) {
	b.WriteByte(' ')
	b.WriteString(name)
	b.WriteString(`="`)
	for _, r := range value {
		if r == '"' || r == '\\' || r == ']' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
}

// fields are the names and values of what an entry has, in the order of columns.
func fields(e *audit.Entry) [][2]string {
	all := [][2]string{{"seq", strconv.FormatInt(e.Seq, 10)}, {"device", e.Device.String()}, {"who", who(e).String()}}
	for _, f := range [][2]string{
		{"peer", e.Peer.String()}, {"room", e.Room.String()}, {"other", number(uint64(e.Event.Device))}, {"message", e.Message.String()}, {"ref", e.Ref.String()},
		{"reason", reason(e)}, {"count", number(uint64(e.Count))}, {"serial", number(e.Serial)},
	} {
		if f[1] != "" {
			all = append(all, f)
		}
	}
	if e.Kind.Failed() {
		return append(all, [2]string{"outcome", "failure"})
	}
	return append(all, [2]string{"outcome", "success"})
}

// who did it: By, or else the device's owner.
func who(e *audit.Entry) audit.Person {
	if (e.By != audit.Person{}) {
		return e.By
	}
	return e.Device.Owner
}

func reason(e *audit.Entry) string {
	if e.Reason == 0 {
		return ""
	}
	return e.Reason.String()
}

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// Words says in a sentence what happened, for people. It has names, ids and
// numbers, and no text of any message.
func Words(e audit.Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s", strings.ReplaceAll(e.Kind.String(), "-", " "), e.Device)
	if (e.By != audit.Person{}) {
		fmt.Fprintf(&b, " by %s", e.By)
	}
	if (e.Peer != audit.Person{}) {
		fmt.Fprintf(&b, " with %s", e.Peer)
	}
	if (e.Room != audit.Person{}) {
		fmt.Fprintf(&b, " in %s", e.Room)
	}
	if e.Reason != 0 {
		fmt.Fprintf(&b, ": %s", strings.ReplaceAll(e.Reason.String(), "-", " "))
	}
	if e.Count != 0 {
		fmt.Fprintf(&b, " (%d)", e.Count)
	}
	return b.String()
}
