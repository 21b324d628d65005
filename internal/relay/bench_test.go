package relay

import (
	"fmt"
	"strings"
	"testing"

	"sotto/client/stanza"
)

// BenchmarkRoute routes messages of the size of an OMEMO message over real
// WebSockets, from several pairs of people at once, archived twice and put into
// the mailbox, on disk.
func BenchmarkRoute(b *testing.B) {
	for _, where := range []string{"memory", "disk"} {
		b.Run(where, func(b *testing.B) {
			cfg := Config{Limits: Limits{StanzasPerSecond: 1 << 30, BytesPerSecond: 1 << 40, StanzaBurst: 1 << 30, ByteBurst: 1 << 40}}
			if where == "disk" {
				cfg.Store = b.TempDir()
			}
			const pairs = 4
			var users []string
			for i := range pairs {
				users = append(users, fmt.Sprint("from", i), fmt.Sprint("to", i))
			}
			s := startRelay(b, cfg, users...)
			payload := `<encrypted xmlns="eu.siacs.conversations.axolotl">` + strings.Repeat("x", 1500) + `</encrypted>`
			done := make(chan struct{})
			var from, to []*client
			for i := range pairs {
				from, to = append(from, s.online(users[2*i], "x")), append(to, s.online(users[2*i+1], "x"))
				to[i].enable(true)
			}
			b.ResetTimer()
			for i := range pairs {
				n := b.N/pairs + 1
				go func() {
					for range n {
						from[i].send(`<message type="chat" to="` + to[i].bare + `">` + payload + `</message>`)
					}
				}()
				go func() {
					for got := 0; got < n; {
						e := <-to[i].in
						switch {
						case e.Is(stanza.NSSM, "r"):
							to[i].ack(to[i].handled)
						case e.Space == stanza.NSClient:
							to[i].handled++
							if e.Local == "message" {
								got++
							}
						}
					}
					done <- struct{}{}
				}()
			}
			for range pairs {
				<-done
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkRoom sends messages to a room of ten, each with one device, on disk:
// every message is archived once and reaches ten people.
func BenchmarkRoom(b *testing.B) {
	const people = 10
	cfg := Config{Store: b.TempDir(), Limits: Limits{GroupMessagesPerSecond: 1 << 30, GroupMessageBurst: 1 << 30, StanzasPerSecond: 1 << 30, BytesPerSecond: 1 << 40, StanzaBurst: 1 << 30, ByteBurst: 1 << 40}}
	var users []string
	for i := range people {
		users = append(users, fmt.Sprint("user", i))
	}
	s := startRelay(b, cfg, users...)
	in := newRoom(s, users...)
	payload := `<encrypted xmlns="eu.siacs.conversations.axolotl">` + strings.Repeat("x", 1500) + `</encrypted>`
	done := make(chan struct{})
	b.ResetTimer()
	for _, c := range in {
		go func() {
			for got := 0; got < b.N; {
				if e := <-c.in; e.Local == "message" {
					got++
				}
			}
			done <- struct{}{}
		}()
	}
	for i := range b.N {
		in[i%2].send(`<message type="groupchat" to="` + ward3 + `">` + payload + `</message>`)
	}
	for range in {
		<-done
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(people*float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
