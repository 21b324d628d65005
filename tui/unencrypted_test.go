package tui

import (
	"strings"
	"testing"
	"time"

	"sotto/client"
)

// What anybody on its way could have written acknowledges nothing.
func TestUnencryptedAcknowledgesNothing(t *testing.T) {
	f := newFake(newWristwatch().now)
	f.say(ada, ada, "!ack on my way", 2*time.Minute, read)
	f.say(ada, ada, "!ack forged", 0, read, func(m *client.Message) { m.Encrypted = false })
	page := plain(still(t, 80, 24, Config{Open: ada}, f))
	if strings.Count(page, "ACK") != 1 || !strings.Contains(page, "ACK  on my way") || !strings.Contains(page, "!ack forged") || strings.Count(page, "not encrypted") != 1 {
		t.Errorf("shown:\n%s", page)
	}
}
