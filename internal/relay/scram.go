package relay

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/pbkdf2"
	"golang.org/x/text/secure/precis"
)

// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, server side (RFC 5802, 7677, 9266).
//
// The SASL library that the client uses has a server as well, but it wants the
// salted password, with which one can log in; it tells unknown users apart at
// the first step; and it has no channel binding. What is stored here lets
// nobody log in: salt, iterations, StoredKey and ServerKey.

// credentials are what the relay keeps of a password.
type credentials struct {
	salt, stored, server []byte
	iterations           int
}

// newCredentials derives credentials from a password, which takes milliseconds
// to tenths of a second. The password is not kept.
func newCredentials(password []byte, iterations int) (credentials, error) {
	prepared, err := preparePassword(password)
	if err != nil {
		return credentials{}, err
	}
	defer clear(prepared)
	salt := make([]byte, 16)
	rand.Read(salt)
	salted := pbkdf2.Key(prepared, salt, iterations, sha256.Size, sha256.New)
	defer clear(salted)
	clientKey := mac(salted, []byte("Client Key"))
	stored := sha256.Sum256(clientKey)
	clear(clientKey)
	return credentials{salt, stored[:], mac(salted, []byte("Server Key")), iterations}, nil
}

// Bounds of a password, in bytes.
const (
	minPassword = 8
	maxPassword = 1024
)

// CheckPassword says what is wrong with a password somebody wants to use, as far
// as that can be told from the password alone.
func CheckPassword(password []byte) error {
	prepared, err := preparePassword(password)
	clear(prepared)
	return err
}

// preparePassword applies the OpaqueString profile of RFC 8265, as clients do.
func preparePassword(password []byte) ([]byte, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return nil, fmt.Errorf("a password needs %d to %d characters", minPassword, maxPassword)
	}
	prepared, err := precis.OpaqueString.Bytes(password)
	if err != nil || !utf8.Valid(password) {
		return nil, errors.New("the password contains characters that cannot be used in one")
	}
	if &prepared[0] == &password[0] {
		prepared = bytes.Clone(prepared) // the caller clears its own
	}
	return prepared, nil
}

// unknownCredentials are shown for a name that does not exist: always the same
// for one name, so that asking twice does not tell either. Nobody has their password.
func unknownCredentials(secret []byte, name string, iterations int) credentials {
	return credentials{mac(secret, []byte("salt "+name))[:16], mac(secret, []byte("stored "+name)), mac(secret, []byte("server "+name)), iterations}
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// Why an exchange failed: conditions of RFC 6120 section 6.5.
type saslError string

func (e saslError) Error() string { return "authentication failed: " + string(e) }

const (
	errMalformedRequest  saslError = "malformed-request"
	errIncorrectEncoding saslError = "incorrect-encoding"
	errInvalidMechanism  saslError = "invalid-mechanism"
	errInvalidAuthzid    saslError = "invalid-authzid"
	errNotAuthorized     saslError = "not-authorized"
	errAborted           saslError = "aborted"
)

// scram is one exchange. binding is the exported keying material of the TLS
// connection, nil where there is none; plus says that a -PLUS mechanism was chosen.
type scram struct {
	binding []byte
	plus    bool

	gs2, bare, serverFirst, nonce string
	user, authzid                 string
	creds                         credentials
}

const maxScram = 4096 // bytes of one SCRAM message

// first reads the client's first message and sets user and authzid. The caller
// then looks the user up and calls challenge.
func (x *scram) first(msg []byte) error {
	if len(msg) > maxScram {
		return errMalformedRequest
	}
	parts := strings.SplitN(string(msg), ",", 3)
	if len(parts) != 3 {
		return errMalformedRequest
	}
	switch flag := parts[0]; {
	case x.plus && flag == "p=tls-exporter":
	case !x.plus && flag == "n":
	case !x.plus && flag == "y" && x.binding == nil:
	case flag == "y":
		// The client thinks we offer no binding, but we did: somebody in between
		// took it out of the list (RFC 5802 section 6).
		return errNotAuthorized
	default:
		return errMalformedRequest
	}
	var err error
	if parts[1] != "" {
		if x.authzid, err = saslname(parts[1], "a="); err != nil {
			return err
		}
	}
	x.gs2, x.bare = parts[0]+","+parts[1]+",", parts[2]
	fields := strings.Split(x.bare, ",")
	if len(fields) < 2 { // a mandatory extension (m=) is not a name either
		return errMalformedRequest
	}
	if x.user, err = saslname(fields[0], "n="); err != nil {
		return err
	}
	clientNonce, ok := strings.CutPrefix(fields[1], "r=")
	if !ok || len(clientNonce) < 8 || len(clientNonce) > 256 {
		return errMalformedRequest
	}
	x.nonce = clientNonce + randomID()
	return nil
}

// saslname undoes the quoting of RFC 5802 section 5.1.
func saslname(field, prefix string) (string, error) {
	s, ok := strings.CutPrefix(field, prefix)
	if !ok || s == "" {
		return "", errMalformedRequest
	}
	if n := strings.Count(s, "="); n != strings.Count(s, "=2C")+strings.Count(s, "=3D") {
		return "", errMalformedRequest
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "=2C", ","), "=3D", "="), nil
}

// challenge returns the server's first message.
func (x *scram) challenge(c credentials) []byte {
	x.creds = c
	x.serverFirst = "r=" + x.nonce + ",s=" + base64.StdEncoding.EncodeToString(c.salt) + ",i=" + strconv.Itoa(c.iterations)
	return []byte(x.serverFirst)
}

// final checks the client's proof and returns the server's signature.
func (x *scram) final(msg []byte) ([]byte, error) {
	if len(msg) > maxScram {
		return nil, errMalformedRequest
	}
	i := bytes.LastIndex(msg, []byte(",p="))
	if i < 0 {
		return nil, errMalformedRequest
	}
	proof, err := base64.StdEncoding.DecodeString(string(msg[i+3:]))
	if err != nil || len(proof) != sha256.Size {
		return nil, errMalformedRequest
	}
	withoutProof := string(msg[:i])
	wantBinding := []byte(x.gs2)
	if x.plus {
		wantBinding = append(wantBinding, x.binding...)
	}
	want := "c=" + base64.StdEncoding.EncodeToString(wantBinding) + ",r=" + x.nonce
	bound := subtle.ConstantTimeCompare([]byte(withoutProof), []byte(want)) == 1
	authMessage := []byte(x.bare + "," + x.serverFirst + "," + withoutProof)
	clientKey := make([]byte, sha256.Size)
	subtle.XORBytes(clientKey, proof, mac(x.creds.stored, authMessage))
	stored := sha256.Sum256(clientKey)
	clear(clientKey)
	if subtle.ConstantTimeCompare(stored[:], x.creds.stored) != 1 || !bound {
		return nil, errNotAuthorized
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(x.creds.server, authMessage))), nil
}

// randomID returns 144 random bits as text that is safe everywhere.
func randomID() string {
	var b [18]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
