package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sotto/client"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/quote"
	"sotto/client/store"
	"sotto/client/text"
)

// fakePolicy is what the fake knows of an organisation.
type fakePolicy struct {
	wishes  map[string]policy.Value
	policy  *policy.Policy
	people  []client.Person
	stands  client.Organisation
	tried   []string // attempts
	seen    int      // of them, by tests
	lookups int      // in the directory
}

// decides puts a policy in force.
func (f *fake) decides(serial uint64, body string) {
	p, err := policy.New("mercy.example", serial, orgtest.Noon, body)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	before := policy.Merge(f.org.policy, f.org.wishes)
	f.org.policy = p
	changes := policy.Changes(before, policy.Merge(p, f.org.wishes))
	f.mu.Unlock()
	f.events <- client.PolicyChanged{Serial: serial, Changes: changes}
}

// employs adds somebody to the directory.
func (f *fake) employs(address, name, role, department, state string) {
	p := client.Person{Address: address, Name: text.Line(name), Roles: []text.Safe{text.Line(role)}, Department: text.Line(department), State: state, Devices: 1}
	if state != "active" {
		p.Why = text.Line(name + " is suspended")
	}
	f.org.people = append(f.org.people, p)
}

func (f *fake) InForce() []policy.Decided {
	f.mu.Lock()
	defer f.mu.Unlock()
	return policy.Merge(f.org.policy, f.org.wishes)
}

func (f *fake) Policy() *policy.Policy { f.mu.Lock(); defer f.mu.Unlock(); return f.org.policy }

func (f *fake) Organisation() client.Organisation {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.org.stands
}

func (f *fake) People(query string, most int) (list []client.Person) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.org.lookups++
	for _, p := range f.org.people {
		all := " " + strings.ToLower(p.Name.String()+" "+strings.Join(p.About(), " "))
		if !slices.ContainsFunc(strings.Fields(strings.ToLower(query)), func(w string) bool { return !strings.Contains(all, " "+w) }) {
			list = append(list, p)
		}
	}
	return list[:min(most, len(list))]
}

func (f *fake) Person(address string) (client.Person, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.org.people, func(p client.Person) bool { return p.Address == address })
	if i < 0 {
		return client.Person{}, false
	}
	return f.org.people[i], true
}

func (f *fake) MayTalk(address string) error {
	p, ok := f.Person(address)
	switch {
	case f.Policy() == nil || ok && p.Why.Empty():
		return nil
	case ok:
		return errors.New(p.Why.String())
	}
	return fmt.Errorf("%s is not in the directory", address)
}

func (f *fake) Forward(ctx context.Context, id int64, to, comment string) (client.Message, error) {
	if f.Policy().Value("forwarding").Text() == "organisation" {
		if err := f.MayTalk(to); err != nil {
			return client.Message{}, fmt.Errorf("%w. Messages are forwarded inside your organisation only. Nothing was sent", err)
		}
	}
	f.mu.Lock()
	var old client.Message
	for _, list := range f.msgs {
		for _, m := range list {
			if m.ID == id && m.Gone == store.Here {
				old = m
			}
		}
	}
	f.mu.Unlock()
	return f.Send(ctx, to, quote.Forward(old.Sender.String(), old.Time.Format("2 Jan 15:04"), old.Body.String(), comment))
}

func (f *fake) Attempted(_ context.Context, what client.Attempt, peer string, id int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.org.tried = append(f.org.tried, fmt.Sprintf("%s %s %d", [...]string{"copy", "save", "forward", "attach"}[what], peer, id))
	return f.broken
}

func (f *fake) attempts() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.org.tried) }

// tried waits until one more attempt is noted: this one.
func (term *terminal) tried(want string) *terminal {
	term.t.Helper()
	term.until("noted: "+want, func() bool {
		term.fake.mu.Lock()
		defer term.fake.mu.Unlock()
		n := len(term.fake.org.tried)
		if n == term.fake.org.seen {
			return false
		}
		term.fake.org.seen = n
		return term.fake.org.tried[n-1] == want
	})
	return term
}
