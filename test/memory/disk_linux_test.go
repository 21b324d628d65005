package memory

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/link"
	"sotto/client/wire"
	"sotto/internal/frame"
	"sotto/test/server"
)

// outside is all that is outside of the processes of some people's sottos: what
// they write to disk, the relay with its disk and memory, and the wire.
type outside struct {
	t       *testing.T
	relay   *relay
	tap     *Tap
	sottos  []*sotto
	secrets []Canary   // nowhere outside
	typed   []Canary   // not on disks; the relay's memory has them from making the accounts
	names   [][]Canary // whom each of the sottos knows: not on its disk; the relay has them
}

// find searches all of it. Each hit says where.
func (o *outside) find(moment string) (hits []Hit) {
	o.t.Helper()
	var sizes []string
	add := func(place string, canaries [][]Canary, search func(s *Search) ([]Hit, int64, error)) {
		o.t.Helper()
		found, size, err := search(NewSearch(slices.Concat(canaries...)...))
		if err != nil {
			o.t.Fatalf("%s: %s: %v", moment, place, err)
		}
		if size > 0 {
			sizes = append(sizes, fmt.Sprintf("%d kB of %s", size>>10, place))
		}
		for _, h := range found {
			h.Place = place + ": " + h.Place
			hits = append(hits, h)
		}
	}
	all := [][]Canary{o.secrets, o.typed}
	for i, s := range o.sottos {
		name := nameOf(s.user.display)
		all := all
		if o.names != nil {
			all = append(slices.Clone(all), o.names[i])
		}
		add(name+"'s folders", all, func(search *Search) ([]Hit, int64, error) { return search.Folder(s.home) })
		add("what "+name+"'s sotto has open", all, func(search *Search) (hits []Hit, size int64, err error) {
			family, err := Family(s.PID)
			if errors.Is(err, ErrGone) {
				return nil, 0, nil
			}
			files := 0
			for _, p := range family {
				found, n, failed := search.OpenFiles(p.PID)
				files += n
				if hits = append(hits, found...); failed != nil && !errors.Is(failed, ErrGone) {
					err = failed
				}
			}
			sizes = append(sizes, fmt.Sprintf("%d files that %s's sotto has open", files, name))
			return hits, 0, err
		})
	}
	inFolder := all
	if o.relay.told {
		inFolder = all[:1]
	}
	add("the relay's folder", inFolder, func(search *Search) ([]Hit, int64, error) { return search.Folder(o.relay.dir) })
	add("the relay's memory", all[:1], func(search *Search) (hits []Hit, size int64, err error) {
		for _, pid := range o.relay.processes() {
			found, n, failed := search.Memory(pid)
			if hits, size = append(hits, found...), size+n; failed != nil {
				err = failed
			}
		}
		return hits, size, err
	})
	add("the wire", all, func(search *Search) ([]Hit, int64, error) {
		hits, size, messages, err := search.Wire(o.tap)
		sizes = append(sizes, fmt.Sprintf("%d messages", messages))
		return hits, int64(size), err
	})
	o.t.Logf("%s: %d canaries in %s: %d found", moment, len(slices.Concat(slices.Concat(all...), slices.Concat(o.names...))), strings.Join(sizes, ", "), len(hits))
	return hits
}

// none holds that nothing is found.
func (o *outside) none(moment string) {
	o.t.Helper()
	hits := o.find(moment)
	for _, c := range slices.Concat(o.secrets, o.typed, slices.Concat(o.names...)) {
		if Count(hits, c.Name) > 0 {
			o.t.Errorf("%s: the %s can be read: %s", moment, c.Name, Describe(hits, c.Name))
		}
	}
}

func (o *outside) secret(name, what string) string {
	o.secrets = append(o.secrets, TextCanary(name, what))
	return what
}

// onEachRelay runs a test with each relay, without TLS.
func onEachRelay(t *testing.T, test func(t *testing.T, r *relay, people []user)) {
	displays := []string{"Okafor" + secret("") + ", Ada", "Lind" + secret("") + ", Per"}
	t.Run("sotto_relay", func(t *testing.T) {
		t.Parallel()
		r, people := startRelay(t, displays...)
		test(t, r, people)
	})
	for name, start := range map[string]func(context.Context, string) (*server.Server, error){
		"Prosody": server.StartProsody, "ejabberd": server.StartEjabberd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, people := startServer(t, start, displays...)
			test(t, r, people)
		})
	}
}

// startServer starts a relay of others, with accounts for people who are each
// other's colleagues.
func startServer(t *testing.T, start func(context.Context, string) (*server.Server, error), displays ...string) (*relay, []user) {
	t.Helper()
	s, err := start(t.Context(), t.TempDir())
	if errors.Is(err, server.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: %v; test/install installs it", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Log(s.Log(25))
		}
	})
	var team []server.Person
	var users []user
	for _, display := range displays {
		p := server.Person{Name: nameOf(display), Display: display, Password: secret("pass")}
		team = append(team, p)
		users = append(users, user{s.Address(p), display, p.Password})
	}
	if err := s.AddTeam(t.Context(), "ICU", team...); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(s.PlainURL, "://")
	addr, _, _ := strings.Cut(rest, "/")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return &relay{dir: s.Dir, url: s.PlainURL, addr: "127.0.0.1:" + port, pid: s.PID(), told: s.Name == "ejabberd"}, users
}

// TestNothingReadableOutside is invariants 2 and 3, with each relay: what two
// people write to each other and have half written, their PINs, passwords and
// keys are nowhere in what their sottos wrote to disk, not in what the relay
// stores, logs and has in memory, and not on the wire, although there was no TLS
// to hide it. Who they talk with is not on their disks.
func TestNothingReadableOutside(t *testing.T) {
	t.Parallel()
	onEachRelay(t, func(t *testing.T, r *relay, people []user) {
		o := &outside{t: t, relay: r, tap: NewTap(t, r.addr)}
		ada, per := newSotto(t, people[0]), newSotto(t, people[1])
		o.sottos = []*sotto{ada, per}
		for i, s := range o.sottos {
			name, other := nameOf(people[i].display), people[1-i]
			o.secret("PIN of "+name, s.pin)
			o.typed = append(o.typed, TextCanary("password of "+name, people[i].password))
			o.names = append(o.names, []Canary{
				TextCanary("name of "+nameOf(other.display), other.display[:16]), TextCanary("address of "+nameOf(other.display), other.address),
			})
			s.join(strings.Replace(r.url, r.url[len("ws://"):][:strings.Index(r.url[len("ws://"):], "/")], o.tap.Addr(), 1), func(string) {})
		}

		// They talk; each has something half written.
		ada.See("Lind")
		per.See("Okafor")
		first, second := o.secret("text of ada", secret("Kestrel")), o.secret("text of per", secret("Heron"))
		ada.say(first)
		per.See(first)
		per.say(second)
		ada.See(second)
		for i, s := range o.sottos {
			draft := o.secret("draft of "+nameOf(people[i].display), secret("Draft"))
			s.Type(draft)
			s.See(">  " + draft)
		}
		o.none("talking")

		// One desk crashes, the other locks; a message waits for it.
		desk := per.Role("desk")
		signal(t, desk, syscall.SIGSEGV)
		per.locked(desk)
		ada.lock()
		per.unlock()
		per.Type("\x15") // the draft, if there was the time to keep it
		third := o.secret("text that waits", secret("Curlew"))
		per.Type(third + "\r")
		ada.See("1 waiting")
		o.none("one desk crashed, the other locked")
		ada.unlock()
		ada.See(third)
		signal(t, ada.Role("desk"), syscall.SIGKILL)
		ada.See("ended unexpectedly", "PIN  _")
		per.lock()

		var ids []Canary
		for i, s := range o.sottos {
			keys, known := s.keys(people[1-i].address)
			for _, k := range keys {
				k.Name += " of " + nameOf(people[i].display)
				o.secrets = append(o.secrets, k)
			}
			ids = append(ids, known...)
		}
		ada.quit()
		per.quit()
		o.none("at the end")
		o.couldFail(people, first, ids)
	})
}

// couldFail shows that the same search finds what is there: a text in files, in
// some of the ways to keep it, and whom somebody knows; a text that somebody sends who does not encrypt;
// and the ids of the messages wherever the relay has the messages.
func (o *outside) couldFail(people []user, text string, ids []Canary) {
	t := o.t
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprintf(w, "%s ... %s ... %s", strings.Repeat("beat ", 50), text, strings.Repeat("beat ", 50))
	w.Close()
	planted := filepath.Join(o.sottos[0].tmp(), "planted")
	files := map[string]string{
		"plain": "... " + text + " ...", "base64": base64.StdEncoding.EncodeToString([]byte(text + "!")),
		"UTF-16": strings.Join(strings.Split(text, ""), "\x00") + "\x00", "gzip": packed.String(),
		"name": people[1].display, "address": "to=" + people[1].address,
	}
	for name, content := range files {
		if err := os.WriteFile(planted+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hits := o.find("planted")
	if len(hits) != len(files) {
		t.Errorf("what is in %d files is not all that is found: %v", len(files), hits)
	}
	for name := range files {
		canary := "text of ada"
		if name == "name" || name == "address" {
			canary = name + " of per"
		}
		if !slices.ContainsFunc(hits, func(h Hit) bool { return h.Canary == canary && strings.Contains(h.Place, planted+name) }) {
			t.Errorf("the %s in a file is not found as %s: %v", canary, name, hits)
		}
		if err := os.Remove(planted + name); err != nil {
			t.Fatal(err)
		}
	}

	open := o.secret("text that is not encrypted", secret("Dunlin"))
	o.plain(people[0], people[1].address, open)
	hits = o.find("sent without encryption")
	for _, place := range []string{"the relay's folder", "the relay's memory", "the wire: a message on the wire to the relay"} {
		if !slices.ContainsFunc(hits, func(h Hit) bool { return strings.HasPrefix(h.Place, place) }) {
			t.Errorf("a text that was sent without encryption is not found in %s: %s", place, Describe(hits, "text that is not encrypted"))
		}
	}
	if n := Count(hits, "text that is not encrypted"); n != len(hits) {
		t.Errorf("%d of the %d found are another", len(hits)-n, len(hits))
	}

	if len(ids) < 6 {
		t.Fatalf("of three messages, both have only %d", len(ids))
	}
	o.secrets, o.names, o.typed = ids, nil, nil
	hits = o.find("the ids of three messages")
	for _, id := range ids {
		for _, place := range []string{
			"the relay's folder", "the relay's memory", "the wire: a message on the wire to the relay", "the wire: a message on the wire from the relay",
		} {
			if !slices.ContainsFunc(hits, func(h Hit) bool { return h.Canary == id.Name && strings.HasPrefix(h.Place, place) }) {
				t.Errorf("the id of a message is not found in %s: %s", place, Describe(hits, id.Name))
			}
		}
	}
}

// plain sends a text as somebody who does not encrypt, and waits until the relay
// has it.
func (o *outside) plain(from user, to, text string) {
	o.t.Helper()
	l := link.New(link.Config{})
	ctx, cancel := context.WithTimeout(o.t.Context(), 3*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	near, far := net.Pipe()
	l.Attach(far)
	c := frame.NewConn(near)
	defer c.Close()
	password := memguard.NewBufferFromBytes([]byte(from.password))
	defer password.Destroy()
	url := strings.Replace(o.relay.url, strings.Split(o.relay.url, "/")[2], o.tap.Addr(), 1)
	if err := wire.Write(c, wire.Login{Address: from.address, Relay: url, Password: password.Bytes()}); err != nil {
		o.t.Fatal(err)
	}
	const id = "without-encryption"
	sent := false
	for {
		m, err := wire.Read(c)
		if err != nil {
			o.t.Fatal(err)
		}
		switch m := m.(type) {
		case wire.State:
			if m.Phase == wire.Refused {
				o.t.Fatal(m.Words)
			}
			if m.Phase == wire.Online && !sent {
				sent = true
				stanza := fmt.Sprintf(`<message xmlns='jabber:client' type='chat' id='%s' to='%s'><body>%s</body></message>`, id, to, text)
				go func() { // the link may want to say something first
					if err := wire.Write(c, wire.Send{ID: id, Stanza: []byte(stanza)}); err != nil {
						o.t.Error(err)
					}
				}()
			}
		case wire.Settled:
			if m.ID == id {
				cancel()
				c.Close()
				<-ended
				return
			}
		}
	}
}
