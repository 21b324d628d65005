package relay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"mellium.im/sasl"
	"sotto/client/stanza"
)

// residentMiB is the memory of a process that is in RAM.
func residentMiB(b *testing.B, pid int) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	f := strings.Fields(string(data))
	if err != nil || len(f) < 2 {
		b.Fatalf("the memory of the relay cannot be measured here: %v", err)
	}
	pages, err := strconv.Atoi(f[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}

// BenchmarkIdle measures what b.N idle people cost a relay that is a process of
// its own; for 2,000 of them say -benchtime 2000x. All have logged in and asked
// for stream management. "quiet" ones have not sent presence; "present" ones
// have, so that everyone has heard of everyone, and acknowledge what they get.
func BenchmarkIdle(b *testing.B) {
	for _, present := range []bool{false, true} {
		name := "quiet"
		if present {
			name = "present"
		}
		b.Run(name, func(b *testing.B) { idle(b, present) })
	}
}

func idle(b *testing.B, present bool) {
	dir := b.TempDir()
	a, err := OpenAccounts(dir, domain)
	if err != nil {
		b.Fatal(err)
	}
	creds, err := newCredentials([]byte("the password of all"), minIterations)
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		if err := a.store.addUser(fmt.Sprint("u", i), "", "", creds, b.N); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.store.commit(); err != nil {
		b.Fatal(err)
	}
	a.Close()

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), relayFolder+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	before := residentMiB(b, cmd.Process.Pid)
	var heard atomic.Int64
	b.ResetTimer()
	for i := range b.N {
		ws, err := logInQuietly(strings.TrimSpace(addr), fmt.Sprint("u", i))
		if err != nil {
			b.Fatal(err)
		}
		defer ws.CloseNow()
		if present {
			ws.Write(context.Background(), websocket.MessageText, []byte(`<presence xmlns="jabber:client"/>`))
			go acknowledge(ws, &heard)
		}
	}
	for deadline := time.Now().Add(5 * time.Minute); present && heard.Load() < int64(b.N)*int64(b.N-1); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d presences of %d were heard", heard.Load(), b.N*(b.N-1))
		}
	}
	b.StopTimer()
	now := residentMiB(b, cmd.Process.Pid)
	b.ReportMetric(now, "MiB")
	b.ReportMetric((now-before)*1024/float64(b.N), "KiB/connection")
}

// acknowledge reads what a client is sent, and acknowledges it.
func acknowledge(ws *websocket.Conn, heard *atomic.Int64) {
	n := 0
	for {
		_, data, err := ws.Read(context.Background())
		switch {
		case err != nil:
			return
		case bytes.HasPrefix(data, []byte("<r ")):
			ws.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `<a xmlns="%s" h="%d"/>`, stanza.NSSM, n))
		case bytes.HasPrefix(data, []byte("<presence")):
			n++
			heard.Add(1)
		}
	}
}

// logInQuietly logs in, binds and enables stream management, without anything
// that would stay behind but the WebSocket.
func logInQuietly(addr, user string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{Subprotocols: []string{"xmpp"}})
	if err != nil {
		return nil, err
	}
	say := func(s string, answers int) (last *stanza.Element) {
		if err == nil {
			err = ws.Write(ctx, websocket.MessageText, []byte(s))
		}
		for range answers {
			if err == nil {
				var data []byte
				if _, data, err = ws.Read(ctx); err == nil {
					last, err = stanza.Parse(data)
				}
			}
		}
		return last
	}
	const open = `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="` + domain + `" version="1.0"/>`
	say(open, 2)
	neg := sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() ([]byte, []byte, []byte) {
		return []byte(user), []byte("the password of all"), nil
	}))
	_, msg, stepErr := neg.Step(nil)
	e := say(`<auth xmlns="`+stanza.NSSASL+`" mechanism="SCRAM-SHA-256">`+base64.StdEncoding.EncodeToString(msg)+`</auth>`, 1)
	if stepErr == nil && err == nil {
		var data []byte
		if data, err = base64.StdEncoding.DecodeString(e.Text()); err == nil {
			_, msg, err = neg.Step(data)
		}
	}
	say(`<response xmlns="`+stanza.NSSASL+`">`+base64.StdEncoding.EncodeToString(msg)+`</response>`, 1)
	say(open, 2)
	say(`<iq xmlns="jabber:client" type="set" id="b"><bind xmlns="`+stanza.NSBind+`"/></iq>`, 1)
	if e := say(`<enable xmlns="`+stanza.NSSM+`" resume="true"/>`, 1); err == nil && e.Local != "enabled" {
		err = fmt.Errorf("%s: %s", user, e)
	}
	return ws, err
}
