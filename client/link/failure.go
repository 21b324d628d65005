package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"sotto/client/stanza"
)

// course says how the link goes on after a failure.
type course byte

const (
	soon  course = iota // retry with the usual backoff
	later               // a person has to act first: retry rarely
	never               // retrying does harm: wait for the next Login
)

// failure is why a connection could not be made or has ended.
type failure struct {
	words  string // one sentence for people, with what to do; nothing a server wrote is in it
	course course
	fresh  bool   // the session must not be resumed
	reply  string // the stream error to answer with; empty: none
	cause  error  // for the log; may be nil
}

func (f *failure) Error() string {
	if f.cause == nil {
		return f.words
	}
	return fmt.Sprintf("%s (%v)", f.words, f.cause)
}

func (f *failure) Unwrap() error { return f.cause }

// asFailure returns the failure in err, or makes one of a broken connection.
func asFailure(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	words := "The connection to the relay broke."
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		words = "The relay took too long to answer. Check the network."
	case websocket.CloseStatus(err) == websocket.StatusPolicyViolation:
		words = "The relay ended the connection because of its policy. Tell your administrator if it happens again."
	case errors.Is(err, io.EOF), websocket.CloseStatus(err) != -1:
		words = "The relay ended the connection."
	}
	return &failure{words: words, cause: err}
}

// signIn is for what a network does that wants something from a person first.
const signIn = " If this network has a page to sign in on, do that first."

// dialFailure puts into words why host could not be reached. Until a certificate
// has proved who answers, that may be anybody between here and there, such as a
// guest network before one has signed in. So none of it is a reason not to try
// again soon.
func dialFailure(host string, err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	if w := certificateWords(host, err); w != "" {
		return &failure{words: w, cause: err}
	}
	var (
		dns    *net.DNSError
		alert  tls.AlertError
		record tls.RecordHeaderError
		text   = err.Error()
		words  string
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		words = fmt.Sprintf("The host %s is not known. Check its name, and the network.", host)
	case errors.As(err, &dns):
		words = fmt.Sprintf("The host %s could not be looked up. Check the network.", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		words = fmt.Sprintf("%s refused the connection. Check the address and port, or ask your administrator whether the relay runs.", host)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		words = fmt.Sprintf("There is no way to %s from this network. Check the network.", host)
	// The standard library has no error value for a version that it gives up on.
	case errors.As(err, &alert) && alert == 70, strings.Contains(text, "unsupported protocol version"), strings.Contains(text, "protocol version not supported"):
		words = fmt.Sprintf("%s speaks only an old version of TLS. Ask your administrator to enable TLS 1.3 there, or for leave to use TLS 1.2."+signIn, host)
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		words = fmt.Sprintf("%s does not speak TLS on this port. Check the relay's address."+signIn, host)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		words = fmt.Sprintf("%s does not answer. Check the network, or ask your administrator whether the relay runs.", host)
	case errors.As(err, &alert):
		words = fmt.Sprintf("%s broke off the TLS handshake. Tell your administrator if it lasts."+signIn, host)
	default:
		words = fmt.Sprintf("%s could not be reached. Check the network and the relay's address.", host)
	}
	return &failure{words: words, cause: err}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// certificateWords says what is wrong with host's certificate; "" if err is
// about something else.
func certificateWords(host string, err error) string {
	const day = "2 January 2006"
	var (
		verify  *tls.CertificateVerificationError
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	if errors.Is(err, errPin) {
		return fmt.Sprintf("The certificate of %s has another key than the one pinned for it. Nothing was sent. Tell your administrator.", host)
	}
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
		return fmt.Sprintf("The certificate of %s is valid only from %s. Nothing was sent. Check this computer's clock, or tell your administrator.", host, invalid.Cert.NotBefore.Format(day))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return fmt.Sprintf("The certificate of %s ended on %s. Nothing was sent. Tell your administrator, unless this computer's clock is wrong.", host, invalid.Cert.NotAfter.Format(day))
	case errors.As(err, &name):
		return fmt.Sprintf("The certificate that %s showed is for another name. Nothing was sent. Check the relay's address, or tell your administrator."+signIn, host)
	case errors.As(err, &unknown) && unknown.Cert != nil && string(unknown.Cert.RawIssuer) == string(unknown.Cert.RawSubject):
		return fmt.Sprintf("The certificate of %s is self-signed and not trusted here. Nothing was sent. Ask your administrator for its CA file."+signIn, host)
	case errors.As(err, &unknown):
		return fmt.Sprintf("The certificate of %s is from an authority that is not trusted here. Nothing was sent. Ask your administrator for the CA file."+signIn, host)
	case errors.As(err, &verify), errors.As(err, &invalid):
		return fmt.Sprintf("The certificate of %s cannot be accepted. Nothing was sent. Tell your administrator."+signIn, host)
	}
	return ""
}

// saslFailure puts the condition of a SASL failure into words.
func saslFailure(address, condition string) *failure {
	f := &failure{course: never, cause: fmt.Errorf("sasl failure %q", clip(condition))}
	switch condition {
	case "not-authorized", "invalid-authzid":
		f.words = fmt.Sprintf("The relay does not accept the password of %s. Check it, or ask your administrator for a new one.", address)
		f.cause = errWrongPassword
	case "account-disabled":
		f.words = fmt.Sprintf("The account %s is disabled. Ask your administrator.", address)
	case "credentials-expired":
		f.words = fmt.Sprintf("The password of %s has expired. Ask your administrator for a new one.", address)
	case "encryption-required", "mechanism-too-weak", "invalid-mechanism", "incorrect-encoding", "malformed-request":
		f.words = "The relay refuses the way sotto logs in. Ask your administrator to offer SCRAM-SHA-256 over TLS."
		f.course = later
	case "temporary-auth-failure", "aborted":
		f.words = "The relay cannot check passwords now."
		f.course = soon
	default:
		f.words = "The relay refused the login without saying why. Tell your administrator."
		f.course = later
	}
	return f
}

// errWrongPassword is the cause of the failure that another password may cure.
var errWrongPassword = errors.New("wrong password")

// errConflict is the cause of a failure by which another client took this one's place.
var errConflict = errors.New(`stream error "conflict"`)

// streamFailure puts a stream error (RFC 6120 section 4.9.3) into words.
func streamFailure(domain, condition string) *failure {
	f := &failure{cause: fmt.Errorf("stream error %q", clip(condition)), fresh: true}
	switch condition {
	case "conflict":
		f.words = "Another sotto logged in with this device's name and took its place. Unlock here to take it back."
		f.course, f.cause = never, errConflict
	case "not-authorized":
		f.words = "The relay ended the login. Check the password, or ask your administrator."
		f.course = later
	case "host-unknown", "host-gone", "improper-addressing":
		f.words = fmt.Sprintf("This relay does not serve %s. Check the address and the relay.", domain)
		f.course = later
	case "policy-violation":
		f.words = "The relay says that its policy was violated and ended the connection. Tell your administrator if it happens again."
	case "resource-constraint":
		f.words = "The relay has no room for another connection now."
	case "system-shutdown":
		f.words = "The relay is being shut down or restarted."
		f.fresh = false
	case "connection-timeout":
		f.words = "The relay did not hear from here for too long. Check the network."
		f.fresh = false
	case "internal-server-error", "remote-connection-failed":
		f.words = "The relay has a problem of its own. Tell your administrator if it lasts."
	case "see-other-host":
		f.words = "The relay wants sotto to use another relay. Ask your administrator for the new address."
		f.course = later
	case "reset":
		f.words = "The relay asks for a new login."
	default:
		f.words = "The relay ended the connection with an error. Tell your administrator if it happens again."
	}
	return f
}

// violation is the failure of a relay that sent what the protocol forbids. The
// session is given up: resumed, it would bring the same again.
func violation(err error) *failure {
	words, reply := "The relay sent something that XMPP does not allow, so the connection was ended. Tell your administrator.", "policy-violation"
	switch {
	case errors.Is(err, stanza.ErrTooLarge):
		words = "The relay sent a stanza larger than 1 MiB, so the connection was ended. Tell your administrator."
	case errors.Is(err, stanza.ErrTooDeep), errors.Is(err, stanza.ErrTooMany):
		words = "The relay sent a stanza that is nested too deeply or has too many parts, so the connection was ended. Tell your administrator."
	case errors.Is(err, stanza.ErrRestricted):
		words, reply = "The relay sent XML that XMPP forbids, so the connection was ended. Tell your administrator.", "restricted-xml"
	case errors.Is(err, stanza.ErrMalformed):
		words, reply = "The relay sent broken XML, so the connection was ended. Tell your administrator.", "not-well-formed"
	case errors.Is(err, errHandled):
		words, reply = "The relay acknowledged messages that were never sent, so the connection was ended. Tell your administrator.", "undefined-condition"
	}
	return &failure{words: words, fresh: true, reply: reply, cause: err}
}

// clip shortens what a server wrote before it goes into the log.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
