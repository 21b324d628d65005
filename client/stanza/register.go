package stanza

// NSRegister is XEP-0077.
const NSRegister = "jabber:iq:register"

// AppendChangePassword appends the whole IQ stanza that sets another password
// for the account user at domain (XEP-0077 section 3.3). It writes bytes, not
// an Element, so that the password never becomes a string; the caller clears
// the result. The capacity of dst should be enough for it, or the slice that
// append leaves behind holds a part of the password: 256 bytes and six times
// the length of the password are.
func AppendChangePassword(dst []byte, domain, id, user string, password []byte) []byte {
	dst = append(dst, `<iq xmlns="jabber:client" type="set" to="`...)
	dst = escape(dst, domain, true)
	dst = append(dst, `" id="`...)
	dst = escape(dst, id, true)
	dst = append(dst, `"><query xmlns="`+NSRegister+`"><username>`...)
	dst = escape(dst, user, false)
	dst = append(dst, `</username><password>`...)
	dst = appendSecret(dst, password)
	return append(dst, `</password></query></iq>`...)
}
