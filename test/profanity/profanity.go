// Package profanity drives the terminal messenger profanity, with OMEMO, as
// the other end of a conversation with sotto: another program, by other
// people, on another library. It keeps to folders of its own.
package profanity

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/test/server"
	"sotto/test/terminal"
)

// Client is a profanity that is online with an OMEMO device of its own.
type Client struct {
	t       testing.TB
	Screen  *terminal.Terminal
	Address string
	Log     string // what it sent and received, stanza by stanza
}

// Version returns profanity's version, or server.ErrMissing.
func Version() (string, error) {
	out, err := exec.Command("profanity", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("profanity: %w", server.ErrMissing)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(first, "Profanity, version "), nil
}

// account: the certificate is the test's own, which profanity's library would
// look up in the system's store; "trust" keeps TLS and takes it as it is.
const account = `[%[1]s]
enabled=true
jid=%[1]s
server=127.0.0.1
port=%[2]d
tls.policy=trust
password=%[3]s
resource=profanity
`

const preferences = `[ui]
splash=false
roster=false
[omemo]
trustmode=manual
`

// emptyDeviceList: before it makes keys, profanity 0.13 asks for its own list
// of devices, and adds itself to what it gets. On Prosody a list that was never
// there is an error, at which it gives up: its keys are then published, but
// nobody knows that they exist. So there has to be a list, if an empty one.
const emptyDeviceList = `<iq type='set' id='first-list'><pubsub xmlns='http://jabber.org/protocol/pubsub'>` +
	`<publish node='eu.siacs.conversations.axolotl.devicelist'><item id='current'>` +
	`<list xmlns='eu.siacs.conversations.axolotl'/></item></publish>` +
	`<publish-options><x xmlns='jabber:x:data' type='submit'>` +
	`<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>` +
	`<field var='pubsub#access_model'><value>open</value></field></x></publish-options></pubsub></iq>`

// listStored looks in the log: on the screen the answer scrolls away at once.
var listStored = regexp.MustCompile(`RECV: <iq[^>]*(id="first-list"[^>]*type="result"|type="result"[^>]*id="first-list")`)

// Start logs a person in over TCP with STARTTLS and makes an OMEMO device.
func Start(t testing.TB, s *server.Server, p server.Person) *Client {
	t.Helper()
	home, address := t.TempDir(), s.Address(p)
	c := &Client{t: t, Address: address, Log: filepath.Join(home, "log")}
	for name, text := range map[string]string{
		"data/profanity/accounts": fmt.Sprintf(account, address, s.Client, p.Password),
		"config/profanity/profrc": preferences,
	} {
		name = filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Wide enough that a fingerprint or a message is never broken over two lines.
	c.Screen = terminal.Start(t, "profanity of "+p.Name, terminal.Options{
		Width: 160, Height: 40, Dir: home,
		Env: []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home + "/config", "XDG_DATA_HOME=" + home + "/data", "XDG_CACHE_HOME=" + home + "/cache"},
	}, "profanity", "-l", "DEBUG", "-f", c.Log, "-a", address)
	c.Screen.See("logged in successfully")
	// It answers a request for a receipt only when told to.
	c.Screen.Enter("/receipts send on")
	c.Screen.Enter("/receipts request on")
	// What is typed in the window of the XML console is sent as it stands.
	c.Screen.Enter("/xmlconsole")
	c.Screen.See("XML Console")
	c.Screen.Enter(emptyDeviceList)
	c.Screen.Until("being told that the list was stored", func(string) bool {
		log, _ := os.ReadFile(c.Log)
		return listStored.Match(log)
	})
	c.Screen.Enter("/win 1")
	c.Screen.Enter("/omemo gen")
	c.Screen.See("OMEMO crytographic materials generated", "Going to publish own device ID")
	return c
}

var fingerprint = regexp.MustCompile(`\b[0-9a-f]{8}(?:-[0-9a-f]{8}){7}\b`)

// Fingerprint returns the fingerprint of its own device as it shows it: eight
// groups of eight digits.
func (c *Client) Fingerprint() string {
	c.t.Helper()
	c.Screen.Enter("/win 1")
	c.Screen.Enter("/omemo fingerprint")
	var found string
	c.Screen.Until("showing its own fingerprint", func(screen string) bool {
		found = fingerprint.FindString(screen)
		return found != ""
	})
	return found
}

// Open goes to the conversation with someone.
func (c *Client) Open(peer string) {
	c.t.Helper()
	c.Screen.Enter("/msg " + peer)
	c.Screen.SeeMatch(`(?m)\[(unencrypted|OMEMO)\]`)
}

// Secure goes to the conversation with someone, turns OMEMO on and trusts the
// devices that the other side has, whose fingerprints it returns.
func (c *Client) Secure(peer string) []string {
	c.t.Helper()
	c.Open(peer)
	// Trusting before starting has no effect: it is the start that fetches the
	// other side's devices.
	c.Screen.Enter("/omemo start")
	c.Screen.See("[OMEMO]")
	var found []string
	asked, started := time.Time{}, time.Now()
	c.Screen.Until("showing a fingerprint of "+peer, func(screen string) bool {
		// The devices come in after the start; ask again until they are there. Where
		// they were not published yet, only another start fetches them.
		if time.Since(started) > 10*time.Second {
			c.Screen.Enter("/omemo end")
			c.Screen.Enter("/omemo start")
			started = time.Now()
		}
		if time.Since(asked) > time.Second {
			c.Screen.Enter("/omemo fingerprint " + peer)
			asked = time.Now()
		}
		found = fingerprint.FindAllString(screen, -1)
		return len(found) > 0
	})
	var trusted []string
	for _, fp := range found {
		if slices.Contains(trusted, fp) {
			continue
		}
		c.Screen.Enter("/omemo trust " + fp)
		c.Screen.See(fp + " (trusted)")
		trusted = append(trusted, fp)
	}
	return trusted
}

// Say sends a line in the conversation that is open.
func (c *Client) Say(line string) {
	c.t.Helper()
	c.Screen.Enter(line)
	said := time.Now()
	c.Screen.Until("saying "+line, func(screen string) bool {
		// It refuses to send until the other side's keys have come, which it
		// asks for at the start and does not wait for.
		if strings.Contains(screen, "cannot be decrypted for any recipient") && time.Since(said) > time.Second {
			c.Screen.Enter("/clear")
			c.Screen.SeeGone("cannot be decrypted for any recipient")
			c.Screen.Enter(line)
			said = time.Now()
		}
		// The tilde is its mark for OMEMO.
		return strings.Contains(screen, "~ me: "+line)
	})
}

// Hear waits for an encrypted message in the conversation that is open.
func (c *Client) Hear(line string) {
	c.t.Helper()
	c.Screen.SeeMatch(`(?m)^\d\d:\d\d:\d\d ~ .*: ` + regexp.QuoteMeta(line) + `\s*$`)
}

// Quit logs off and ends it.
func (c *Client) Quit() {
	c.t.Helper()
	c.Screen.Enter("/quit")
	c.Screen.Exit()
}

// SecureRoom enters a room that it belongs to and turns OMEMO on there. It trusts
// the devices of everybody in it as they come.
func (c *Client) SecureRoom(room string) {
	c.t.Helper()
	c.Screen.Enter("/omemo trustmode blind")
	c.Screen.Enter("/join " + room)
	c.Screen.See("-> You have joined the room")
	c.Screen.Enter("/occupants hide") // they stand at the end of each line
	// It does not know at once what the room is, and refuses until it does.
	asked := time.Time{}
	c.Screen.Until("turning OMEMO on in "+room, func(screen string) bool {
		if time.Since(asked) > time.Second {
			c.Screen.Enter("/omemo start")
			asked = time.Now()
		}
		return strings.Contains(screen, "[OMEMO]")
	})
}

// SayInRoom sends a line in the room that is open.
func (c *Client) SayInRoom(line string) {
	c.t.Helper()
	c.Screen.Enter(line)
	c.Hear(line)
}
