package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sotto/client/audit"
	"sotto/client/audit/export"
)

var (
	alice = audit.Device{Owner: audit.PersonOf("alice@hospital.example"), ID: 27183}
	ben   = audit.PersonOf("ben@hospital.example")
	some  = audit.IDOf("0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11")
	noon  = time.Date(2026, 11, 22, 12, 8, 3, 123_000_000, time.UTC)
)

func entry(e audit.Event) audit.Entry {
	return audit.Entry{Seq: 42, Time: noon, Device: alice, Event: e}
}

// every is an entry of each kind, with all that it must have and most that it may.
func every(t testing.TB) (list []audit.Entry) {
	t.Helper()
	full := audit.Event{By: audit.PersonOf("carla@hospital.example"), Peer: ben, Room: ben, Device: 5, Message: some, Ref: some, Count: 2, Serial: 3}
	for _, k := range audit.Kinds() {
		var best *audit.Event
		most := -1
		for set := range 256 {
			for r := audit.Reason(0); r < 80; r++ {
				e := full
				n := 0
				for i, drop := range []func(){func() { e.By = audit.Person{} }, func() { e.Peer = audit.Person{} }, func() { e.Device = 0 }, func() { e.Message = audit.ID{} },
					func() { e.Ref = audit.ID{} }, func() { e.Count = 0 }, func() { e.Serial = 0 }, func() { e.Room = audit.Person{} }} {
					if set&(1<<i) == 0 {
						drop()
					} else {
						n++
					}
				}
				if e.Kind, e.Reason = k, r; r != 0 {
					n++
				}
				if n > most && e.Check() == nil {
					most, best = n, &e
				}
			}
		}
		if best == nil {
			t.Fatalf("%s cannot be written", k)
		}
		list = append(list, entry(*best))
	}
	return list
}

func TestSyslog(t *testing.T) {
	s := export.Syslog{Version: "1.2"}
	got := string(s.Message(entry(audit.Event{Kind: audit.UnlockFailed, Reason: audit.WrongPIN, Count: 3})))
	want := `<108>1 2026-11-22T12:08:03.123Z hospital.example sotto 27183 unlock-failed [audit@32473 seq="42" device="alice@hospital.example/27183" who="alice@hospital.example" reason="wrong-pin" count="3" outcome="failure"][origin software="sotto" swVersion="1.2"][timeQuality tzKnown="1"] ` + "\ufeffunlock failed on alice@hospital.example/27183: wrong pin (3)"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := export.Frame([]byte("häh")); string(got) != "4 häh" {
		t.Errorf("%q", got)
	}
}

// syslogForm is the grammar of RFC 5424, section 6, for what is written here.
var syslogForm = regexp.MustCompile(`^<([0-9]{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z [!-~]{1,255} [!-~]{1,48} [!-~]{1,128} [!-~]{1,32} (\[[!#-<>-\\^-~]{1,32}( [!#-<>-\\^-~]{1,32}="([^"\\\]]|\\["\\\]])*")*\])+ \x{FEFF}[^\x00-\x1f]*$`)

func TestSyslogOfEveryKind(t *testing.T) {
	hostile := audit.PersonOf(`we"ird\]` + "x@[::1]")
	awkward := audit.Device{Owner: audit.PersonOf("ärztin=x@krankenhaus-ä.example"), ID: 1}
	severities := map[string]bool{}
	for _, e := range every(t) {
		for _, by := range []audit.Person{e.By, hostile} {
			for _, d := range []audit.Device{alice, awkward} {
				if (e.By != audit.Person{}) {
					e.By = by
				}
				e.Device = d
				for _, s := range []export.Syslog{{}, {Hostname: "collector.hospital.example", Enterprise: 1, Version: `a"]\` + strings.Repeat("ä", 50)}, {Hostname: "no good"}, {Hostname: strings.Repeat("x", 300)}} {
					m := s.Message(e)
					parts := syslogForm.FindSubmatch(m)
					if parts == nil || !utf8.Valid(m) || len(m) > 2048 {
						t.Fatalf("not RFC 5424: %s", m)
					}
					severities[string(parts[1])] = true
				}
			}
		}
	}
	for _, pri := range []string{"105", "108", "109", "110"} { // log audit with alert, warning, notice, informational
		if !severities[pri] {
			t.Errorf("nothing has the priority %s", pri)
		}
	}
}

func TestCSV(t *testing.T) {
	var out bytes.Buffer
	c := export.NewCSV(&out)
	entries := every(t)
	for _, evil := range []string{"=cmd@x.example", "+1@x.example", "-1@x.example", "@SUM@x", "%x@x.example", "|x@x.example", `=HYPERLINK("http://x")@x`} {
		e := entry(audit.Event{Kind: audit.MessageReceived, Peer: audit.PersonOf(evil), Message: some})
		e.Device.Owner = audit.PersonOf(evil)
		if !e.Device.Valid() {
			e.Device = alice
		}
		entries = append(entries, e)
	}
	for _, e := range entries {
		if err := c.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if bytes.Count(out.Bytes(), []byte("\r\n")) != len(entries)+1 {
		t.Error("a record is not one line, as RFC 4180 ends them")
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != len(entries)+1 {
		t.Fatalf("%d rows %v", len(rows), err)
	}
	quoted := 0
	for i, row := range rows {
		for j, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@|%\t\r") {
				t.Errorf("row %d, column %s: a spreadsheet calculates %q", i, rows[0][j], cell)
			}
			if strings.HasPrefix(cell, "'") {
				quoted++
			}
		}
	}
	if quoted < 5 {
		t.Errorf("only %d cells were made harmless: this shows nothing", quoted)
	}
	if got := fmt.Sprint(rows[1][:7]); got != "[2026-11-22T12:08:03.123Z alice@hospital.example 27183 42 log-started success alice@hospital.example]" {
		t.Errorf("%s", got)
	}
	out.Reset()
	if err := export.NewCSV(&out).Flush(); err != nil || !strings.HasPrefix(out.String(), "time,owner,") {
		t.Errorf("%q %v", out.String(), err)
	}
}

type object = map[string]any

// at follows a path such as "source.observer" or "agent.1.who".
func at(v any, path string) any {
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case object:
			v = x[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// isCoding holds for a Coding with a system that is an absolute URI, and a code.
func isCoding(v any) bool {
	c, ok := v.(object)
	system, _ := c["system"].(string)
	code, _ := c["code"].(string)
	return ok && strings.Contains(system, ":") && code != "" && strings.TrimSpace(code) == code
}

func isReference(v any) bool {
	r, ok := v.(object)
	id, _ := at(v, "identifier.value").(string)
	return ok && (id != "" || r["extension"] != nil || r["reference"] != nil)
}

// checkR4 holds what FHIR R4 requires of an AuditEvent: cardinalities, codes of
// required bindings, formats.
func checkR4(t *testing.T, e object) {
	t.Helper()
	bad := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format+" in %v", append(args, e)...)
	}
	if e["resourceType"] != "AuditEvent" {
		bad("resourceType")
	}
	if id, _ := e["id"].(string); !regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`).MatchString(id) {
		bad("id %q", id)
	}
	if !isCoding(e["type"]) {
		bad("type 1..1")
	}
	for _, s := range e["subtype"].([]any) {
		if !isCoding(s) {
			bad("subtype")
		}
	}
	if a, _ := e["action"].(string); len(a) != 1 || !strings.Contains("CRUDE", a) {
		bad("action")
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["recorded"])); err != nil {
		bad("recorded 1..1")
	}
	if o, _ := e["outcome"].(string); o != "0" && o != "4" && o != "8" && o != "12" {
		bad("outcome")
	}
	agents, _ := e["agent"].([]any)
	if len(agents) == 0 {
		bad("agent 1..*")
	}
	for _, a := range agents {
		if _, ok := at(a, "requestor").(bool); !ok || !isReference(at(a, "who")) || !isCoding(at(a, "type.coding.0")) {
			bad("agent %v", a)
		}
		if n := at(a, "network"); n != nil && (!regexp.MustCompile(`^xmpp:[!-~]+$`).MatchString(fmt.Sprint(at(n, "address"))) || at(n, "type") != "5") {
			bad("network %v", n)
		}
	}
	if !isReference(at(e, "source.observer")) || !isCoding(at(e, "source.type.0")) {
		bad("source.observer 1..1")
	}
	entities, _ := e["entity"].([]any)
	for _, x := range entities {
		if !isReference(at(x, "what")) || !isCoding(at(x, "type")) {
			bad("entity %v", x)
		}
		details, _ := at(x, "detail").([]any)
		for _, d := range details {
			if name, _ := at(d, "type").(string); name == "" {
				bad("detail.type 1..1")
			}
			if value, _ := at(d, "valueString").(string); value == "" {
				bad("detail.value 1..1")
			}
		}
	}
}

// agentsOf returns those with a code of DICOM as their type.
func agentsOf(e object, code string) (list []any) {
	for _, a := range e["agent"].([]any) {
		if at(a, "type.coding.0.code") == code && at(a, "type.coding.0.system") == "http://dicom.nema.org/resources/ontology/DCM" {
			list = append(list, a)
		}
	}
	return list
}

// checkDisclosure holds what IHE BALP 1.1.3 requires of a Privacy Disclosure.
func checkDisclosure(t *testing.T, e object, typ, action, own string) {
	t.Helper()
	bad := func(what string) {
		t.Helper()
		t.Errorf("%s in %v", what, e)
	}
	if at(e, "type.system") != "http://dicom.nema.org/resources/ontology/DCM" || at(e, "type.code") != typ || e["action"] != action {
		bad("type and action")
	}
	if at(e, "subtype.0.system") != "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle" || at(e, "subtype.0.code") != "disclose" {
		bad("subtype:disclosure 1..1")
	}
	if _, ok := e["outcome"]; !ok || e["modifierExtension"] != nil {
		bad("outcome 1..1, modifierExtension 0..0")
	}
	for _, role := range []string{"110153", "110152"} {
		list := agentsOf(e, role)
		if len(list) != 1 || at(list[0], "who") == nil || at(list[0], "network") == nil {
			bad("agent " + role + " 1..1 with who and network")
			continue
		}
		if role == own && fmt.Sprint(at(list[0], "who")) != fmt.Sprint(at(e, "source.observer")) {
			bad("val-audit-source")
		}
	}
	patients, others := 0, 0
	for _, x := range e["entity"].([]any) {
		if at(x, "type.code") == "1" {
			if patients++; at(x, "role.code") != "1" || at(x, "what.type") != "Patient" || at(x, "what.extension.0.valueCode") != "masked" {
				bad("entity:patient")
			}
		} else {
			others++
		}
	}
	if patients != 1 || others < 1 {
		bad("entity 2..*, of which one is the patient")
	}
}

func TestFHIR(t *testing.T) {
	disclosures, ids := 0, map[string]bool{}
	for _, x := range every(t) {
		line, err := export.FHIR(x)
		if err != nil {
			t.Errorf("%s: %v", x.Kind, err)
			continue
		}
		var e object
		if err := json.Unmarshal(line, &e); err != nil || bytes.Contains(line, []byte("\n")) {
			t.Fatalf("%s: %v", line, err)
		}
		checkR4(t, e)
		switch at(e, "meta.profile.0") {
		case export.DisclosureSource:
			disclosures++
			checkDisclosure(t, e, "110106", "R", "110153")
		case export.DisclosureRecipient:
			disclosures++
			checkDisclosure(t, e, "110107", "C", "110152")
		}
		found := false
		for _, s := range e["subtype"].([]any) {
			found = found || at(s, "code") == x.Kind.String()
		}
		if !found {
			t.Errorf("%s is not in its subtypes", x.Kind)
		}
		if (e["outcome"] == "0") == x.Kind.Failed() {
			t.Errorf("%s has the outcome %v", x.Kind, e["outcome"])
		}
		// What DICOM does not name is in the details.
		if !strings.Contains(string(line), `"valueString":"42"`) {
			t.Errorf("%s: its number is nowhere", x.Kind)
		}
		x.Seq++
		other, _ := export.FHIR(x)
		var e2 object
		json.Unmarshal(other, &e2)
		ids[fmt.Sprint(e["id"])], ids[fmt.Sprint(e2["id"])] = true, true
	}
	if disclosures != 5 {
		t.Errorf("%d are disclosures: sent, forwarded and received messages, and files both ways", disclosures)
	}
	if len(ids) != 2 {
		t.Errorf("%d ids for two events of a device", len(ids))
	}
	// The emergency is one.
	line, err := export.FHIR(entry(audit.Event{Kind: audit.EmergencyAccess, Reason: audit.Emergency}))
	if err != nil || !bytes.Contains(line, []byte(`"110127"`)) || !bytes.Contains(line, []byte(`"BTG"`)) {
		t.Errorf("%s %v", line, err)
	}
	if _, err := export.FHIR(audit.Entry{}); err == nil {
		t.Error("wrote an event of no kind")
	}
}

// FuzzExport offers all lines that can be read to all that writes.
func FuzzExport(f *testing.F) {
	for _, e := range every(f) {
		line, err := e.Line()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := audit.ParseLine(line)
		if err != nil {
			return
		}
		if m := (&export.Syslog{}).Message(e); syslogForm.Find(m) == nil || len(m) > 8192 {
			t.Errorf("not RFC 5424: %s", m)
		}
		out, err := export.FHIR(e)
		var o object
		if err != nil || json.Unmarshal(out, &o) != nil {
			t.Fatalf("%s %v", out, err)
		}
		checkR4(t, o)
		var buffer bytes.Buffer
		c := export.NewCSV(&buffer)
		if err := c.Write(e); err != nil {
			t.Fatal(err)
		}
		c.Flush()
		rows, err := csv.NewReader(&buffer).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%v %v", rows, err)
		}
	})
}
