package memory

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/store"
	"sotto/internal/role/roletest"
	"sotto/test/headless"
)

// proof searches the memory of one sotto, again and again.
type proof struct {
	*sotto
	canaries []Canary
	changed  string // the name of the PIN that was chosen last
}

// look searches every process. What is not allowed for a role must not be there.
func (p *proof) look(moment string, may Allowed) {
	p.t.Helper()
	for _, wrong := range p.wrong(moment, may) {
		p.t.Errorf("%s: %s", moment, wrong)
	}
}

// wrong is what look complains about.
func (p *proof) wrong(moment string, may Allowed) []string {
	p.t.Helper()
	sight, err := Look(p.PID, p.canaries...)
	if err != nil {
		p.t.Fatalf("%s: %v", moment, err)
	}
	p.t.Logf("%s: %v", moment, sight)
	return sight.Wrong(may)
}

// TestLockedMeansGone is invariant 1: locked, there is no key, no PIN and no text
// in the memory of any process of sotto, however it came to be locked. Only the
// link has the relay's password, until it ends too.
func TestLockedMeansGone(t *testing.T) {
	t.Parallel()
	r, people := startRelay(t, "Okafor, Ada", "Lind, Per")
	ada, per := people[0], people[1]

	const (
		sent, received, waiting, draft = "sent text", "received text", "waiting text", "draft"
		pin, password                  = "PIN", "relay password"
	)
	p := &proof{sotto: newSotto(t, ada)}
	texts := map[string]string{}
	for _, name := range []string{sent, received, waiting, draft} {
		texts[name] = secret("Kestrel")
		p.canaries = append(p.canaries, TextCanary(name, texts[name]))
	}
	p.canaries = append(p.canaries, TextCanary(pin, p.pin), TextCanary(password, ada.password))

	// Joining: what is typed is in the gate, and nowhere else.
	gate := func(what string) Allowed {
		if what == "PIN" {
			return Allowed{pin: {"+gate"}, password: {"gate", "link"}}
		}
		return Allowed{password: {"+gate"}}
	}
	p.join(r.url, func(what string) { p.look("typing the "+what+" to join", gate(what)) })
	p.look("joined", Allowed{password: {"desk", "link"}})

	// Talking.
	peer := talker(t, r, per, ada)
	p.See("Lind, Per")
	p.say(texts[sent])
	peer.say(texts[received])
	p.See(texts[received])
	p.Type(texts[draft])
	p.See(">  " + texts[draft])
	inDesk := Allowed{password: {"desk", "link"}, sent: {"+desk"}, received: {"+desk"}, draft: {"+desk"}}
	p.look("talking", inDesk)

	// Locked by hand. The keys are known from here on.
	linkOnly := Allowed{password: {"link"}}
	p.lock()
	p.look("locked with Ctrl+L", linkOnly)
	keys, _ := p.keys(per.address)
	keys = append(keys, p.missing(per.address))
	p.canaries = append(p.canaries, keys...)
	late := peer.send(texts[waiting])
	p.See("1 waiting")
	p.look("locked with Ctrl+L, a message waits", linkOnly)
	p.typed(p.pin)
	p.look("the PIN stands there", Allowed{password: {"link"}, pin: {"+gate"}})
	p.Type("\x15") // Ctrl+U
	p.SeeGone("•")
	p.look("the PIN is taken back", linkOnly)

	// Unlocked: what comes from the database is in the desk, the keys with it.
	p.unlock()
	p.See(texts[sent], texts[received], texts[waiting], texts[draft])
	peer.delivered(late)
	inDesk[waiting] = []string{"+desk"}
	for _, k := range keys {
		inDesk[k.Name] = []string{"+desk"}
	}
	inDesk["master key"] = nil // has never left the gate
	for _, name := range []string{"receiving chain key", "seed of the next message", "key of the next message"} {
		inDesk[name] = []string{"desk"} // used up by the message that waited
	}
	p.look("unlocked again", inDesk)
	if wrong := p.wrong("unlocked, and judged as if locked", linkOnly); len(wrong) < len(texts)+len(keys)-4 {
		t.Errorf("unlocked, this proof finds no more than %q: it could not fail", wrong)
	}

	// Crashed.
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGABRT} {
		desk := p.Role("desk")
		signal(t, desk, s)
		p.locked(desk)
		p.See("ended unexpectedly")
		p.look(fmt.Sprintf("the desk got signal %d, %v", s, s), linkOnly)
		p.unlock()
		p.See(texts[waiting], texts[draft])
	}

	// Locked from outside; the second time the desk does not answer.
	desk := p.Role("desk")
	p.outside("lock")
	p.locked(desk)
	p.look("locked by sotto lock", linkOnly)
	p.unlock()
	p.See(texts[waiting], texts[draft])
	desk = p.Role("desk")
	signal(t, desk, syscall.SIGSTOP)
	p.outside("lock")
	p.locked(desk)
	p.look("locked by sotto lock, with a desk that hangs", linkOnly)

	// A wrong PIN.
	const wrong = "wrong PIN"
	mistaken := secret("mist")
	p.canaries = append(p.canaries, TextCanary(wrong, mistaken))
	p.typed(mistaken)
	p.look("a wrong PIN stands there", Allowed{password: {"link"}, wrong: {"+gate"}})
	p.Type("\r")
	p.See("That PIN is not right", "PIN  _")
	p.look("the PIN was wrong", linkOnly)

	// Another PIN.
	p.unlock()
	p.See(texts[waiting])
	p.changePIN("second PIN", linkOnly)
	p.unlock()
	p.See(texts[waiting])

	// Stopped, as with Ctrl+Z.
	desk, link := p.Role("desk"), p.Role("link")
	signal(t, p.PID, syscall.SIGTSTP)
	p.Wait("sotto is stopped", func() bool { return roletest.Gone(desk) && stopped(p.PID) })
	p.look("stopped", linkOnly)
	signal(t, p.PID, syscall.SIGCONT)
	p.unlock()
	p.See(texts[waiting])

	// Logged off from outside; then the terminal is lost.
	p.outside("lock", "--log-off")
	p.Wait("logged off", func() bool { return roletest.Gone(link) })
	p.See("PIN  _")
	p.look("logged off by sotto lock --log-off", Allowed{})
	p.unlock()
	p.See(texts[waiting])
	var family []Process
	p.Wait("only watch, link and desk run", func() bool { // the gate ends after the desk has begun
		all, err := Family(p.PID)
		family = all
		return err == nil && len(all) == 3
	})
	signal(t, p.PID, syscall.SIGHUP)
	p.Exit()
	for _, f := range family {
		p.Wait("the "+f.Role+" has ended", func() bool { return roletest.Gone(f.PID) })
	}

	// The other roles crash. Idle, and then logged off.
	config := p.profile()
	c, err := config.Load()
	if err != nil {
		t.Fatal(err)
	}
	c.LockAfter, c.LogoffAfter = 20*time.Second, 2*time.Second // time enough to be told who runs
	if err := config.Save(c); err != nil {
		t.Fatal(err)
	}
	p.own()
	p.run()
	p.See("PIN  _")
	gatePID := p.Role("gate")
	p.typed(p.pin)
	signal(t, gatePID, syscall.SIGSEGV)
	p.Wait("another lock screen", func() bool { g := p.Role("gate"); return g != 0 && g != gatePID })
	p.See("ended unexpectedly", "PIN  _")
	p.look("the lock screen crashed with the PIN standing there", Allowed{})
	p.unlock()
	signal(t, p.Role("link"), syscall.SIGABRT)
	p.See("connection process ended unexpectedly", "PIN  _")
	p.look("the link crashed", Allowed{})
	p.unlock()
	p.See(texts[waiting])
	desk, link = p.Role("desk"), p.Role("link")
	p.locked(desk)
	p.look("locked when idle", linkOnly)
	p.Wait("logged off", func() bool { return roletest.Gone(link) })
	p.See("logged off")
	p.look("logged off", Allowed{})
	p.quit()

	p.run("pin")
	p.changePIN("third PIN", nil)
	if code := p.Exit(); code != 0 {
		t.Errorf("sotto pin ended with %d", code)
	}
}

// changePIN is the one moment when the master key is in the open for longer than
// an instant: while its new wrapping is derived from the next PIN. With a lock
// screen to come, after is what may be there then; the change begins in the desk.
func (p *proof) changePIN(name string, after Allowed) {
	p.t.Helper()
	next := secret("next")
	p.canaries = append(p.canaries, TextCanary(name, next))
	const password = "relay password"
	last := p.changed // the name of the PIN as it is now
	if last == "" {
		last = "PIN"
	}
	if after != nil {
		p.Type("\x15/pin\r")
	}
	p.See("PIN as it is now  _")
	p.Type(p.pin + "\r")
	p.See("New PIN  _")
	p.typed(next)
	who := []string{"gate", "link"} // who has the relay's password
	p.look("the "+name+" stands there", Allowed{name: {"+gate"}, last: {"gate"}, password: who})
	p.Type("\r")
	p.See("Again  _")
	// On a busy machine it shall be the gate that waits, and not this test.
	gate := p.Role("gate")
	lastInTurn(p.t, gate)
	begun := ticks(p.t, gate)
	p.Type(next + "\r")
	p.See("changing the PIN")
	// The words stand there before the work has begun.
	p.Wait("the gate derives a key", func() bool { return ticks(p.t, gate) >= begun+3 })
	signal(p.t, gate, syscall.SIGSTOP)
	p.look("changing to the "+name+", stopped there", Allowed{
		"master key": {"+gate"}, last: {"gate"}, name: {"+gate"}, password: append(who, "+gate"), "database key": {"gate"},
	})
	signal(p.t, gate, syscall.SIGCONT)
	p.pin, p.changed = next, name
	if after != nil {
		p.See("PIN  _")
		p.Wait("the gate has ended", func() bool { return roletest.Gone(gate) })
		p.look("changed to the "+name, after)
	}
}

// outside runs another sotto of the same person, without a terminal.
func (p *proof) outside(arguments ...string) {
	p.t.Helper()
	cmd := p.command(arguments...)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("sotto %s: %v: %s", strings.Join(arguments, " "), err, out)
	}
}

// stopped says whether a process is stopped, as by job control.
func stopped(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "T")
}

// other is the person at the other end, without a terminal.
type other struct {
	*headless.Sotto
	t    *testing.T
	ctx  context.Context
	with string
}

func talker(t *testing.T, r *relay, who, with user) *other {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute) // all of a test
	st, err := store.OpenMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s, err := headless.Start(headless.Account{Address: who.address, Password: who.password, Relay: r.url}, st)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		cancel()
	})
	o := &other{s, t, ctx, with.address}
	if err := s.Online(ctx); err != nil {
		t.Fatal(err)
	}
	o.until("a device to encrypt to", func() (bool, error) {
		security, err := s.Security(ctx, o.with)
		return security.Devices > 0, err
	})
	return o
}

func (o *other) until(what string, so func() (bool, error)) {
	o.t.Helper()
	if err := o.Until(o.ctx, what, so); err != nil {
		o.t.Fatal(err)
	}
}

// send sends and does not wait.
func (o *other) send(text string) (id int64) {
	o.t.Helper()
	m, err := o.Send(o.ctx, o.with, text)
	if err != nil {
		o.t.Fatal(err)
	}
	return m.ID
}

// say sends and waits for the receipt.
func (o *other) say(text string) {
	o.t.Helper()
	o.delivered(o.send(text))
}

// delivered waits for the receipt of a message.
func (o *other) delivered(id int64) {
	o.t.Helper()
	o.until("having delivered", func() (bool, error) {
		all, err := o.Conversation(o.ctx, o.with)
		return slices.ContainsFunc(all, func(m client.Message) bool {
			return m.ID == id && (m.State == store.Delivered || m.State == store.Read)
		}), err
	})
}
