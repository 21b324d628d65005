package recovery

// Bech32 (BIP 173) on bytes that stay where they are: no table is looked up, and
// nothing branches, by what is secret.

const (
	charset   = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	checkSize = 6
)

func polymod(sum uint32, v byte) uint32 {
	top := sum >> 25
	sum = sum&0x1ffffff<<5 ^ uint32(v)
	for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
		sum ^= g & -(top >> i & 1)
	}
	return sum
}

// begin is the checksum after the part that is no secret.
func begin(prefix string) uint32 {
	sum := uint32(1)
	for i := range len(prefix) {
		sum = polymod(sum, prefix[i]>>5)
	}
	sum = polymod(sum, 0)
	for i := range len(prefix) {
		sum = polymod(sum, prefix[i]&31)
	}
	return sum
}

// appendBech32 writes data in small letters.
func appendBech32(dst []byte, prefix string, data []byte) []byte {
	dst = append(append(dst, prefix...), '1')
	sum := begin(prefix)
	put := func(d byte) {
		sum = polymod(sum, d)
		var c byte
		for i := range len(charset) {
			c |= charset[i] & same(byte(i), d)
		}
		dst = append(dst, c)
	}
	rest, bits := uint32(0), 0
	for _, b := range data {
		rest, bits = rest<<8|uint32(b), bits+8
		for bits >= 5 {
			bits -= 5
			put(byte(rest>>bits) & 31)
		}
	}
	if bits > 0 {
		put(byte(rest<<(5-bits)) & 31)
	}
	check := sum
	for range checkSize {
		check = polymod(check, 0)
	}
	check ^= 1
	for i := range checkSize {
		put(byte(check>>(5*(checkSize-1-i))) & 31)
	}
	return dst
}

// readBech32 reads small letters into dst, which has the data's length.
func readBech32(dst []byte, prefix string, text []byte) bool {
	digits := (len(dst)*8 + 4) / 5
	if len(text) != len(prefix)+1+digits+checkSize || string(text[:len(prefix)]) != prefix || text[len(prefix)] != '1' {
		return false
	}
	sum, bad := begin(prefix), byte(0)
	rest, bits, n := uint32(0), 0, 0
	for i, c := range text[len(prefix)+1:] {
		var d byte
		unknown := byte(0xff)
		for j := range len(charset) {
			is := same(charset[j], c)
			d |= byte(j) & is
			unknown &^= is
		}
		bad |= unknown
		sum = polymod(sum, d)
		if i >= digits {
			continue
		}
		rest, bits = rest<<5|uint32(d), bits+5
		if bits >= 8 {
			bits -= 8
			dst[n] = byte(rest >> bits)
			n++
		}
	}
	left := byte(rest) & (1<<bits - 1) // what fills the last letter
	return bad|left == 0 && sum == 1
}

// same is 0xff where a is b, and else 0.
func same(a, b byte) byte { return byte((uint16(a^b) - 1) >> 8) }

func upper(b []byte) {
	for i, c := range b {
		b[i] = c ^ 0x20&within(c, 'a', 'z')
	}
}

func lower(b []byte) {
	for i, c := range b {
		b[i] = c ^ 0x20&within(c, 'A', 'Z')
	}
}

// within is 0xff where c is from low to high, and else 0.
func within(c, low, high byte) byte {
	return ^byte((uint16(c)-uint16(low))>>8) & ^byte((uint16(high)-uint16(c))>>8)
}
