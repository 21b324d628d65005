package ratchet

import "crypto/sha256"

// key is a symmetric secret: a root key, a chain key or the seed of message keys.
type key [32]byte

const blockSize = 64 // of SHA-256, in bytes

// hmacSHA256 computes HMAC-SHA256 (RFC 2104) of message into out. It clears what
// it wrote, which crypto/hmac does not.
func hmacSHA256(out *key, k *key, message []byte) {
	var outer [blockSize + sha256.Size]byte
	var small [blockSize + 192]byte
	inner := small[:0]
	if len(message) > 192 {
		inner = make([]byte, 0, blockSize+len(message))
	}
	inner = inner[:blockSize]
	for i := range blockSize {
		var b byte
		if i < len(k) {
			b = k[i]
		}
		inner[i] = b ^ 0x36
		outer[i] = b ^ 0x5c
	}
	inner = append(inner, message...)
	digest := sha256.Sum256(inner)
	copy(outer[blockSize:], digest[:])
	*out = sha256.Sum256(outer[:])
	clear(inner)
	clear(outer[:])
	clear(digest[:])
}

// deriveKeys is HKDF-SHA256 (RFC 5869): it fills out, at most 96 bytes, from
// secret, salt and info.
func deriveKeys(out []byte, secret []byte, salt *key, info string) {
	var extracted, block key
	hmacSHA256(&extracted, salt, secret)
	var buffer [len(block) + 32]byte // previous block, info, counter
	input := buffer[:0]
	for counter := byte(1); len(out) > 0; counter++ {
		input = append(append(input, info...), counter)
		hmacSHA256(&block, &extracted, input)
		n := copy(out, block[:])
		out = out[n:]
		input = append(input[:0], block[:]...)
	}
	clear(buffer[:])
	clear(block[:])
	clear(extracted[:])
}

// chain derives the keys of successive messages; n is the number of the next.
type chain struct {
	key key
	n   uint32
}

// seed computes what the keys of the chain's next message are derived from.
func (c *chain) seed(out *key) { hmacSHA256(out, &c.key, []byte{1}) }

// advance moves the chain on; the key of the message before cannot be found from it.
func (c *chain) advance() {
	hmacSHA256(&c.key, &c.key, []byte{2})
	c.n++
}

// messageKeys are the keys of one message.
type messageKeys struct {
	cipher [32]byte // AES-256
	mac    key
	iv     [16]byte
}

func (m *messageKeys) derive(seed *key) {
	var out [80]byte
	deriveKeys(out[:], seed[:], new(key), "WhisperMessageKeys")
	copy(m.cipher[:], out[:32])
	copy(m.mac[:], out[32:64])
	copy(m.iv[:], out[64:])
	clear(out[:])
}

func (m *messageKeys) wipe() { *m = messageKeys{} }

// rootStep mixes a Diffie-Hellman result into the root key and begins a chain.
func rootStep(root *key, c *chain, private *PrivateKey, public *PublicKey) error {
	var shared [32]byte
	if err := dh(&shared, private, public); err != nil {
		return err
	}
	var out [64]byte
	deriveKeys(out[:], shared[:], root, "WhisperRatchet")
	copy(root[:], out[:32])
	*c = chain{key: key(out[32:])}
	clear(shared[:])
	clear(out[:])
	return nil
}

// exchange is one Diffie-Hellman computation of X3DH.
type exchange struct {
	private *PrivateKey
	public  *PublicKey
}

// x3dh computes the first root key from the three or four exchanges, in the order
// of the X3DH specification, section 3.3, and the chain key that Signal derives
// beside it and never uses, since the first message always turns the ratchet.
func x3dh(root, unused *key, exchanges ...exchange) error {
	var buffer [5 * 32]byte
	defer clear(buffer[:])
	secret := buffer[:32]
	for i := range secret {
		secret[i] = 0xff
	}
	var shared [32]byte
	defer clear(shared[:])
	for _, e := range exchanges {
		if err := dh(&shared, e.private, e.public); err != nil {
			return err
		}
		secret = append(secret, shared[:]...)
	}
	var out [64]byte
	deriveKeys(out[:], secret, new(key), "WhisperText")
	copy(root[:], out[:32])
	copy(unused[:], out[32:])
	clear(out[:])
	return nil
}
