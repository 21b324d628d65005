package stanza

// Open starts, or restarts, a stream to a domain (RFC 7395 section 3.4).
func Open(to string) *Element {
	return New(NSFraming, "open").With("to", to).With("version", "1.0")
}

// Close ends a stream (RFC 7395 section 3.6).
func Close() *Element { return New(NSFraming, "close") }

// Features are the parts of <stream:features/> (RFC 6120 section 4.3.2) that
// sotto acts on.
type Features struct {
	Mechanisms []string // SASL mechanisms, RFC 6120 section 6.4.1
	Bindings   []string // SASL channel binding types, XEP-0440; nil when not said
	Bind       bool
	SM         bool // XEP-0198 version 3
	CSI        bool // XEP-0352
}

// maxMechanisms bounds the lists in Features; what is beyond is left out.
const maxMechanisms = 64

// ReadFeatures reads <stream:features/>; ok is false if e is something else.
func ReadFeatures(e *Element) (f Features, ok bool) {
	if !e.Is(NSStream, "features") {
		return f, false
	}
	for m := range e.Child(NSSASL, "mechanisms").Elements() {
		if m.Is(NSSASL, "mechanism") && len(f.Mechanisms) < maxMechanisms {
			f.Mechanisms = append(f.Mechanisms, m.Text())
		}
	}
	for b := range e.Child(NSBindings, "sasl-channel-binding").Elements() {
		if b.Is(NSBindings, "channel-binding") && len(f.Bindings) < maxMechanisms {
			f.Bindings = append(f.Bindings, b.Get("type"))
		}
	}
	f.Bind = e.Child(NSBind, "bind") != nil
	f.SM = e.Child(NSSM, "sm") != nil
	f.CSI = e.Child(NSCSI, "csi") != nil
	return f, true
}

// StreamErrorCondition returns the condition of a <stream:error/> (RFC 6120
// section 4.9.3); ok is false if e is something else. A condition that is
// missing reads as "undefined-condition".
func StreamErrorCondition(e *Element) (condition string, ok bool) {
	if !e.Is(NSStream, "error") {
		return "", false
	}
	for c := range e.Elements() {
		if c.Space == NSStreams && c.Local != "text" {
			return c.Local, true
		}
	}
	return "undefined-condition", true
}

// StreamError builds a <stream:error/> with a condition.
func StreamError(condition string) *Element {
	return New(NSStream, "error", New(NSStreams, condition))
}
