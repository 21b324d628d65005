package relaycheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sotto/client/link"
	"sotto/client/stanza"
)

// scene is who takes part after a login, and what the relay has.
type scene struct {
	*examination
	one, two *session // both of As
	other    *session // of And; nil if there is none

	server, account stanza.Info
	rooms, files    string // the addresses of the services; "" if there is none
	fileLimit       int64  // bytes; 0 if the service does not say
	closed          bool   // a node that nobody else may read was made
	relayKeeps      kept   // as far as the relay says
}

// part is one part of what is looked at after a login. needs is the check
// without which it makes no sense. groups are those of its checks, or the checks.
type part struct {
	needs  string
	groups []string
	run    func(*scene, context.Context)
}

// parts are run one after the other, so that none disturbs what another measures.
var parts = []part{
	{"features.pep", []string{"pep"}, (*scene).pep},
	{"features.archive", []string{"archive.retention"}, (*scene).retention},
	{"features.archive", []string{"archive"}, (*scene).archive},
	{"features.upload", []string{"upload"}, (*scene).upload},
	{"features.resumption", []string{"session.kept", "session.cut"}, (*scene).resumption},
	{"", []string{"session"}, (*scene).session},
	{"features.rooms", []string{"rooms"}, (*scene).room},
	{"", []string{"secrecy"}, (*scene).secrecy},
	{"", []string{"speed"}, (*scene).speed},
	{"", []string{"limits"}, (*scene).limits},
}

var afterLogin = []string{"features", "pep", "archive", "upload", "session", "rooms", "speed", "limits", "secrecy"}

// inside looks at what a relay does for somebody who is logged in.
func (x *examination) inside(ctx context.Context) {
	switch {
	case !x.reached:
		return
	case x.As == nil:
		x.set("login.account", skip("needs an account: --as ADDRESS"))
		x.skipAll("needs an account: --as ADDRESS", afterLogin...)
		return
	case x.found["login.mechanisms"].verdict == "bad" && !strings.HasPrefix(x.found["login.mechanisms"].found, "SCRAM-SHA-1"):
		x.set("login.account", skip("there is no safe way to log in"))
		x.skipAll("not logged in", afterLogin...)
		return
	}
	s := &scene{examination: x}
	defer s.leave(ctx)
	if !s.enter(ctx) {
		x.skipAll("not logged in", afterLogin...)
		return
	}
	s.features(ctx)
	if s.Quick {
		x.skipAll("--quick", "speed", "limits")
	}
	for _, p := range parts {
		if s.Quick && (p.groups[0] == "speed" || p.groups[0] == "limits") {
			continue
		}
		if p.needs != "" && x.found[p.needs].verdict != "good" {
			x.skipAll("not offered", p.groups...)
			continue
		}
		within, cancel := context.WithTimeout(ctx, s.limit(partLimit))
		p.run(s, within)
		cancel()
		if within.Err() != nil {
			x.skipAll("no time was left for it", p.groups...)
		} else {
			x.skipAll("not reached", p.groups...)
		}
	}
}

// enter logs everybody in.
func (s *scene) enter(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, s.limit(partLimit))
	defer cancel()
	var err error
	if s.one, err = s.login(ctx, s.As); err == nil {
		s.two, err = s.login(ctx, s.As)
	}
	if err != nil {
		s.set("login.account", bad(s.As.Address.String()+" does not get in", link.Words(err), ""))
		return false
	}
	if s.And != nil {
		if s.other, err = s.login(ctx, s.And); err != nil {
			s.set("login.account", bad(s.And.Address.String()+" does not get in", link.Words(err), ""))
			return false
		}
		s.set("login.account", good("%s and %s", s.As.Address, s.And.Address))
		return true
	}
	s.set("login.account", good("%s", s.As.Address))
	return true
}

// leave removes what was made, and logs everybody out.
func (s *scene) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limit(cleanLimit))
	defer cancel()
	for _, f := range slices.Backward(s.clean) {
		f(ctx)
	}
	for _, x := range []*session{s.one, s.two, s.other} {
		if x != nil {
			x.close()
		}
	}
}

// need is an extension that sotto uses, and what is missing without it.
type need struct {
	id, xep string
	there   func(*scene) bool
	without finding
}

func onServer(f string) func(*scene) bool  { return func(s *scene) bool { return s.server.Has(f) } }
func onAccount(f string) func(*scene) bool { return func(s *scene) bool { return s.account.Has(f) } }

var needs = []need{
	{"features.pep", "XEP-0163", func(s *scene) bool {
		return slices.ContainsFunc(s.account.Identities, func(i stanza.Identity) bool { return i.Category == "pubsub" && i.Type == "pep" })
	}, bad("missing", "Keys of devices are published there: without it nobody can be written to.", "Enable personal eventing (XEP-0163).")},
	{"features.archive", "XEP-0313", onAccount(stanza.NSMAM), bad("missing", "What comes while a device is off is lost to it, and devices miss each other's messages.", "Enable the message archive (XEP-0313).")},
	{"features.stable-ids", "XEP-0359", onAccount(stanza.NSStanzaID), weak("missing", "Where the archive and what came live overlap cannot be told for sure.", "Enable stable stanza ids (XEP-0359).")},
	{"features.carbons", "XEP-0280", func(s *scene) bool { return s.server.Has(stanza.NSCarbons) || s.account.Has(stanza.NSCarbons) }, weak("missing", "A person's other devices learn of messages late.", "Enable message carbons (XEP-0280).")},
	{"features.resumption", "XEP-0198", func(s *scene) bool { return s.one.p.Features.SM }, weak("missing", "Each break of the network is a new login, and lost connections are noticed late.", "Enable stream management (XEP-0198).")},
	{"features.idle", "XEP-0352", func(s *scene) bool { return s.one.p.Features.CSI }, weak("missing", "A locked device is sent all that can wait.", "Enable client state indication (XEP-0352).")},
	{"features.ping", "XEP-0199", onServer(stanza.NSPing), weak("missing", "Whether the connection still stands is told by other means.", "Enable ping (XEP-0199).")},
	{"features.blocking", "XEP-0191", onServer(stanza.NSBlocking), weak("missing", "Nobody can be blocked.", "Enable the blocking command (XEP-0191).")},
	{"features.upload", "XEP-0363", func(s *scene) bool { return s.files != "" }, weak("missing", "Files and images cannot be sent.", "Enable HTTP file upload (XEP-0363).")},
	{"features.rooms", "XEP-0045", func(s *scene) bool { return s.rooms != "" }, weak("missing", "There are no groups.", "Enable a service for rooms (XEP-0045).")},
	{"features.vcard", "XEP-0054", func(s *scene) bool { return s.server.Has("vcard-temp") || s.account.Has("vcard-temp") }, weak("missing", "Names that people gave themselves are not shown.", "Enable vcard-temp (XEP-0054).")},
}

// features asks what there is.
func (s *scene) features(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.limit(partLimit))
	defer cancel()
	domain, own := s.As.Address.Domainpart(), s.As.Address.String()
	e, err := s.one.get(ctx, domain, stanza.InfoQuery(""))
	if err == nil {
		s.server, err = stanza.ReadInfo(e)
		s.relayKeeps.keep, s.relayKeeps.said = stanza.ReadRetention(e)
	}
	if err == nil {
		if e, err = s.one.get(ctx, own, stanza.InfoQuery("")); err == nil {
			s.account, err = stanza.ReadInfo(e)
		}
	}
	if err != nil {
		s.set("features.discovery", bad("failed", "What the relay can do is not known: "+why(err)+".", "Enable service discovery (XEP-0030)."))
		s.skipAll("not known without features.discovery", "features")
		return
	}
	s.services(ctx, domain)
	s.set("features.discovery", good("XEP-0030, %d features", len(s.server.Features)+len(s.account.Features)))
	for _, n := range needs {
		if n.there(s) {
			s.set(n.id, good("%s", n.xep))
		} else {
			s.set(n.id, n.without)
		}
	}
	if !s.account.Has(stanza.NSMAM) && !s.account.Has(stanza.NSStanzaID) {
		s.set("features.stable-ids", skip("they come with the archive"))
	}
	if s.rooms != "" {
		s.set("features.rooms", good("XEP-0045 at %s", s.rooms))
	}
	if s.files != "" {
		s.set("features.upload", good("XEP-0363 at %s", s.files))
	}
	s.changing(ctx, domain)
}

// changing looks whether people can change their password.
func (s *scene) changing(ctx context.Context, domain string) {
	e, err := s.one.get(ctx, domain, stanza.New(stanza.NSRegister, "query"))
	if err != nil || e.Child(stanza.NSRegister, "query") == nil {
		s.set("features.password", weak("missing", "People cannot change their password with sotto.", "Enable changing of passwords (XEP-0077), without registration."))
		return
	}
	s.set("features.password", good("XEP-0077"))
}

// services looks for rooms and upload, on the domain and on what it names.
func (s *scene) services(ctx context.Context, domain string) {
	at := []string{domain}
	if e, err := s.one.get(ctx, domain, stanza.ItemsQuery("")); err == nil {
		items, _ := stanza.ReadDiscoItems(e)
		for _, i := range items[:min(len(items), 16)] {
			at = append(at, i.JID)
		}
	}
	for _, address := range at {
		e, err := s.one.get(ctx, address, stanza.InfoQuery(""))
		if err != nil {
			continue
		}
		if limit, ok := stanza.ReadUploadLimit(e); ok && s.files == "" {
			s.files, s.fileLimit = address, limit
		}
		info, err := stanza.ReadInfo(e)
		conference := func(i stanza.Identity) bool { return i.Category == "conference" && i.Type == "text" }
		if err == nil && s.rooms == "" && info.Has(stanza.NSMUC) && slices.ContainsFunc(info.Identities, conference) {
			s.rooms = address
		}
	}
}

// pep publishes to a node of its own as OMEMO does, and makes a closed one open.
func (s *scene) pep(ctx context.Context) {
	own := s.As.Address.String()
	node := "urn:sotto:" + s.run + ":open"
	s.later(func(ctx context.Context) { _, _ = s.two.set(ctx, "", deleteNode(node)) })
	payload := stanza.TextElement("urn:sotto:relaycheck", "check", "sotto relay check")
	if _, err := s.one.set(ctx, "", stanza.Publish(node, "current", payload, stanza.AccessOpen()...)); err != nil {
		s.set("pep.open", bad("refused", "Keys of devices cannot be published for everybody: "+why(err)+".", "Let people publish with publish-options and access_model open (XEP-0060 section 7.1.5)."))
		return
	}
	e, err := s.two.get(ctx, own, stanza.ItemsRequest(node))
	items, ok := stanza.ReadItems(e, node)
	if err != nil || !ok || len(items) != 1 || items[0].ID != "current" {
		s.set("pep.open", bad("nothing is kept", "What is published is not there afterwards.", "Keep items of personal eventing (persist_items)."))
		return
	}
	s.set("pep.open", good("published and read"))
	publish := func(name string) (string, error) {
		node := "urn:sotto:" + s.run + ":" + name
		s.later(func(ctx context.Context) { _, _ = s.two.set(ctx, "", deleteNode(node)) })
		_, err := s.one.set(ctx, "", stanza.Publish(node, "current", payload,
			stanza.Field{Var: "pubsub#persist_items", Value: "true"}, stanza.Field{Var: "pubsub#access_model", Value: "whitelist"}))
		return node, err
	}
	_, err = publish("closed")
	s.closed = err == nil
	reopened, err := publish("reopened")
	if err == nil {
		_, err = s.one.set(ctx, "", stanza.Configure(reopened, stanza.AccessOpen()...))
	}
	if err != nil {
		s.set("pep.reopen", weak("refused", "A node that another client left closed cannot be opened: "+why(err)+".", "Let people configure their nodes (XEP-0060 section 8.2)."))
		return
	}
	s.set("pep.reopen", good("a closed node is opened"))
}

func deleteNode(node string) *stanza.Element {
	return stanza.New(stanza.NSPubSubOwner, "pubsub", stanza.New(stanza.NSPubSubOwner, "delete").With("node", node))
}

// archive looks whether messages are kept, and pages through some.
func (s *scene) archive(ctx context.Context) {
	e, err := s.one.get(ctx, "", stanza.New(stanza.NSMAM, "prefs"))
	if by := e.Child(stanza.NSMAM, "prefs").Get("default"); err == nil && by != "always" {
		s.set("archive.always", bad("by default: "+clip(by), "Messages are not kept for devices that are off, unless each person asks for it.", "Archive by default for everybody."))
		s.skipAll("not everything is archived", "archive")
		return
	}
	start, _, reach, err := s.page(ctx, s.one, "", stanza.MAMQuery{Last: true, Max: 1})
	if err != nil {
		s.set("archive.always", bad("it cannot be read", "The archive fails: "+why(err)+".", "See the relay's log."))
		return
	}
	const count = 5
	for i := range count {
		m := stanza.NewChat(s.As.Address.String(), fmt.Sprintf("%s-m%d", s.run, i), stanza.StoreHint())
		if err := s.one.send(ctx, m); err != nil {
			return
		}
	}
	if _, err := s.one.get(ctx, s.As.Address.Domainpart(), stanza.Ping()); err != nil && !refused(err) {
		return // the relay has taken all messages once it answers
	}
	found, err := s.follow(ctx, start.Last, s.run+"-m", count)
	switch {
	case err != nil:
		s.set("archive.always", good("by default"))
		s.set("archive.paging", bad("failed", "What was missed cannot be fetched: "+why(err)+".", "See the relay's log."))
		return
	case len(found) == 0:
		s.set("archive.always", bad("messages are not kept", "Messages that were sent are not in the archive.", "Archive by default for everybody."))
		s.skipAll("nothing is archived", "archive")
		return
	}
	s.set("archive.always", good("by default"))
	unique := slices.Compact(slices.Clone(found))
	switch {
	case !slices.IsSorted(found) || len(unique) != count:
		s.set("archive.paging", bad(fmt.Sprintf("%d of %d messages, pages of 2", len(unique), count), "Page by page (XEP-0059) it is not the whole archive in its order: devices miss messages.", "See the relay's log."))
	default:
		s.set("archive.paging", good("%d messages in order, pages of 2", count))
	}
	s.reach(ctx, reach)
}

// page asks for one page of an archive and returns its end and its messages.
func (s *scene) page(ctx context.Context, who *session, at string, q stanza.MAMQuery) (fin stanza.MAMFin, ids []string, results []stanza.MAMResult, err error) {
	who.next++
	q.QueryID = fmt.Sprintf("%s-q%d", s.run, who.next)
	e, err := who.set(ctx, at, q.Element())
	if err != nil {
		return fin, nil, nil, err
	}
	if fin, err = stanza.ReadMAMFin(e); err != nil {
		return fin, nil, nil, err
	}
	for {
		m, err := who.within(ctx, 1, func(e *stanza.Element) bool {
			r := e.Child(stanza.NSMAM, "result")
			return r != nil && r.Get("queryid") == q.QueryID
		})
		if err != nil {
			break
		}
		if r, ok := stanza.ReadMAMResult(m); ok {
			ids, results = append(ids, r.Stanza.Get("id")), append(results, r)
		}
	}
	return fin, ids, results, nil
}

// follow pages from an archive id to the end and returns the ids of messages
// with a prefix. It waits for the relay to have stored them all, two seconds at most.
func (s *scene) follow(ctx context.Context, after, prefix string, count int) (found []string, err error) {
	late := time.Now().Add(s.limit(2 * time.Second))
	for range 400 { // pages, from a relay that never comes to an end
		fin, ids, _, err := s.page(ctx, s.one, "", stanza.MAMQuery{After: after, Max: 2})
		if err != nil {
			return found, err
		}
		for _, id := range ids {
			if strings.HasPrefix(id, prefix) {
				found = append(found, id)
			}
		}
		if fin.Last != "" {
			after = fin.Last
		}
		if len(ids) == 0 && (len(found) >= count || time.Now().After(late)) {
			break
		}
		if len(ids) == 0 {
			pause(ctx)
		}
	}
	return found, nil
}

// reach says how far back the archive goes. No extension says when messages are
// deleted, so the oldest one has to.
func (s *scene) reach(ctx context.Context, newest []stanza.MAMResult) {
	if len(newest) == 0 {
		s.set("archive.reach", skip("it was empty; a relay does not say when it deletes"))
		return
	}
	_, _, oldest, err := s.page(ctx, s.one, "", stanza.MAMQuery{Max: 1})
	if err != nil || len(oldest) == 0 || oldest[0].Time.IsZero() {
		s.set("archive.reach", skip("not told"))
		return
	}
	s.set("archive.reach", good("the oldest message is of %s; a relay does not say when it deletes", oldest[0].Time.UTC().Format("2 Jan 2006")))
}

// clip shortens what a server wrote.
func clip(s string) string {
	if s == "" {
		return "not said"
	}
	return s[:min(len(s), 32)]
}

var errWrong = errors.New("the answer was another one than was asked for")
