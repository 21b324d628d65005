package shares

// Arithmetic without tables and without branches on secrets: how long it takes,
// and which memory it touches, says nothing about them.

// times multiplies in GF(2⁸) with the polynomial of AES, x⁸+x⁴+x³+x+1.
func times(a, b byte) (p byte) {
	for range 8 {
		p ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return p
}

// inverse returns 1/a, and 0 for 0: a²⁵⁴.
func inverse(a byte) byte {
	r := byte(1)
	for bit := 7; bit >= 0; bit-- {
		r = times(r, r)
		if 254>>bit&1 == 1 { // of a number that everybody knows
			r = times(r, a)
		}
	}
	return r
}

// times32 multiplies in GF(2⁵) with x⁵+x²+1.
func times32(a, b byte) (p byte) {
	for range 5 {
		p ^= a & -(b & 1)
		a = (a<<1 ^ 0x05&-(a>>4&1)) & 31
		b >>= 1
	}
	return p
}
