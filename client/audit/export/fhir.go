package export

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"sotto/client/audit"
)

// Code systems.
const (
	dcm         = "http://dicom.nema.org/resources/ontology/DCM"
	lifecycle   = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
	sourceType  = "http://terminology.hl7.org/CodeSystem/security-source-type"
	entityType  = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	objectRole  = "http://terminology.hl7.org/CodeSystem/object-role"
	actReason   = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	participant = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	sottoKind   = "urn:sotto:audit:kind"
	sottoDevice = "urn:sotto:audit:device"
	sottoID     = "urn:sotto:audit:id"
	absent      = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

	// DisclosureSource and DisclosureRecipient are the profiles of IHE BALP 1.1.3
	// that messages and files sent and received conform to.
	DisclosureSource    = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source"
	DisclosureRecipient = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Recipient"
)

// auditEvent is a FHIR R4 AuditEvent (https://hl7.org/fhir/R4/auditevent.html), as
// far as it is used here. The order of its elements is FHIR's.
type auditEvent struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id"`
	Meta         *meta             `json:"meta,omitempty"`
	Type         coding            `json:"type"`
	Subtype      []coding          `json:"subtype"`
	Action       string            `json:"action"`
	Recorded     string            `json:"recorded"`
	Outcome      string            `json:"outcome"`
	OutcomeDesc  string            `json:"outcomeDesc,omitempty"`
	Purpose      []codeableConcept `json:"purposeOfEvent,omitempty"`
	Agent        []agent           `json:"agent"`
	Source       source            `json:"source"`
	Entity       []entity          `json:"entity,omitempty"`
}

type meta struct {
	Profile []string `json:"profile"`
}

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type codeableConcept struct {
	Coding []coding `json:"coding"`
}

type identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

type reference struct {
	Extension  []extension `json:"extension,omitempty"`
	Type       string      `json:"type,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

type extension struct {
	URL       string `json:"url"`
	ValueCode string `json:"valueCode"`
}

type network struct {
	Address string `json:"address"`
	Type    string `json:"type"`
}

type agent struct {
	Type      *codeableConcept `json:"type,omitempty"`
	Who       reference        `json:"who"`
	Requestor bool             `json:"requestor"`
	Network   *network         `json:"network,omitempty"`
}

type source struct {
	Site     string    `json:"site,omitempty"`
	Observer reference `json:"observer"`
	Type     []coding  `json:"type"`
}

type entity struct {
	What   reference `json:"what"`
	Type   coding    `json:"type"`
	Role   *coding   `json:"role,omitempty"`
	Detail []detail  `json:"detail,omitempty"`
}

type detail struct {
	Type        string `json:"type"`
	ValueString string `json:"valueString"`
}

// fhirKind is what a kind is in FHIR.
type fhirKind struct {
	typ     string // of DICOM's audit event ids
	subtype string // of DICOM, too; "" for none
	action  string // C, R, U, D, E
}

// DICOM PS3.16, CID 400 (types) and 401 (subtypes).
var dicom = map[string]string{
	"110101": "Audit Log Used", "110106": "Export", "110107": "Import", "110110": "Patient Record",
	"110112": "Query", "110113": "Security Alert", "110114": "User Authentication",
	"110122": "Login", "110123": "Logout", "110127": "Emergency Override Started", "110129": "Security Configuration",
	"110132": "Use of Restricted Function", "110134": "Audit Recording Started",
	"110136": "Security Roles Changed", "110137": "User security Attributes Changed",
	"110152": "Destination Role ID", "110153": "Source Role ID",
}

var fhirKinds = map[audit.Kind]fhirKind{
	audit.LogStarted:        {"110113", "110134", "E"},
	audit.Unlocked:          {"110114", "110122", "E"},
	audit.UnlockFailed:      {"110114", "110122", "E"},
	audit.Locked:            {"110114", "110123", "E"},
	audit.LoggedOff:         {"110114", "110123", "E"},
	audit.PINChanged:        {"110113", "110137", "U"},
	audit.Joined:            {"110113", "110137", "C"},
	audit.MessageSent:       {"110106", "", "R"},
	audit.MessageNotSent:    {"110106", "", "R"},
	audit.MessageDelivered:  {"110110", "", "U"},
	audit.MessageReceived:   {"110107", "", "C"},
	audit.MessageRefused:    {"110107", "", "C"},
	audit.MessageShown:      {"110110", "", "R"},
	audit.MessageForwarded:  {"110106", "", "R"},
	audit.MessageCorrected:  {"110110", "", "U"},
	audit.MessageRecalled:   {"110110", "", "D"},
	audit.MessageExpired:    {"110110", "", "D"},
	audit.FileSent:          {"110106", "", "R"},
	audit.FileReceived:      {"110107", "", "C"},
	audit.FileOpened:        {"110110", "", "R"},
	audit.Searched:          {"110112", "", "E"},
	audit.CopyAttempted:     {"110113", "110132", "E"},
	audit.SaveAttempted:     {"110113", "110132", "E"},
	audit.ForwardAttempted:  {"110113", "110132", "E"},
	audit.AttachAttempted:   {"110113", "110132", "E"},
	audit.PolicyApplied:     {"110113", "110129", "U"},
	audit.PolicyRefused:     {"110113", "110129", "U"},
	audit.OrderObeyed:       {"110113", "110132", "E"},
	audit.OrderRefused:      {"110113", "110132", "E"},
	audit.DirectoryChanged:  {"110113", "110136", "U"},
	audit.DirectoryRefused:  {"110113", "110136", "U"},
	audit.DeviceNew:         {"110113", "110137", "C"},
	audit.DeviceTrusted:     {"110113", "110137", "U"},
	audit.DeviceDistrusted:  {"110113", "110137", "U"},
	audit.RoomJoined:        {"110113", "110136", "U"},
	audit.RoomLeft:          {"110113", "110136", "U"},
	audit.RoomMemberAdded:   {"110113", "110136", "U"},
	audit.RoomMemberRemoved: {"110113", "110136", "U"},
	audit.AdminActed:        {"110113", "110136", "U"},
	audit.EmergencyAccess:   {"110113", "110127", "E"},
	audit.BackupMade:        {"110106", "", "R"},
	audit.BackupRefused:     {"110106", "", "R"},
	audit.Restored:          {"110107", "", "C"},
	audit.Exported:          {"110101", "", "R"},
	audit.AuditPruned:       {"110101", "", "D"},
	audit.AuditRefused:      {"110101", "", "E"},
	audit.ClockChanged:      {"110113", "110129", "U"},
	audit.Wiped:             {"110113", "110137", "D"},
}

// FHIR returns the entry as a FHIR R4 AuditEvent in JSON, on one line.
//
// Messages and files that were sent to or received from a named peer conform to
// the Privacy Disclosure profiles of IHE BALP. Those want a patient: sotto does not
// record whom a message is about, so that reference says "masked".
func FHIR(e audit.Entry) ([]byte, error) {
	k, ok := fhirKinds[e.Kind]
	if !ok {
		return nil, fmt.Errorf("writing FHIR: %w: kind %d", audit.ErrEvent, e.Kind)
	}
	a := auditEvent{
		ResourceType: "AuditEvent",
		ID:           resourceID(&e),
		Type:         dicomCode(k.typ),
		Action:       k.action,
		Recorded:     timestamp(&e),
		Outcome:      "0",
		Source: source{
			Site:     e.Device.Owner.Domain(),
			Observer: deviceRef(e.Device),
			Type:     []coding{{sourceType, "1", "User Device"}},
		},
	}
	if k.subtype != "" {
		a.Subtype = append(a.Subtype, dicomCode(k.subtype))
	}
	a.Subtype = append(a.Subtype, coding{sottoKind, e.Kind.String(), strings.ReplaceAll(e.Kind.String(), "-", " ")})
	if e.Kind.Failed() {
		a.Outcome = "4" // minor failure: the action was not completed
		if e.Kind == audit.UnlockFailed && e.Reason == audit.TooMany {
			a.Outcome = "8"
		}
	}
	if e.Reason != 0 {
		a.OutcomeDesc = e.Reason.String()
	}
	if e.Kind == audit.EmergencyAccess && e.Reason == audit.Emergency {
		a.Purpose = []codeableConcept{{[]coding{{actReason, "BTG", "break the glass"}}}}
	}
	a.Agent = []agent{{
		Type: &codeableConcept{[]coding{{participant, "IRCP", "information recipient"}}},
		Who:  personRef(who(&e)), Requestor: true,
	}}
	switch e.Kind {
	case audit.MessageSent, audit.MessageForwarded, audit.FileSent:
		a.disclose(&e, DisclosureSource, deviceAgent(e.Device, "110153"), personAgent(e.Peer, "110152"))
		a.Agent[0].Type.Coding[0] = coding{participant, "AUT", "author (originator)"}
	case audit.MessageReceived, audit.FileReceived:
		from := e.Peer
		if (e.By != audit.Person{}) {
			from = e.By
		}
		a.Agent[0].Who = personRef(e.Device.Owner)
		a.disclose(&e, DisclosureRecipient, personAgent(from, "110153"), deviceAgent(e.Device, "110152"))
	default:
		a.Agent = append(a.Agent, deviceAgent(e.Device, "110153"))
		if (e.Peer != audit.Person{}) {
			a.Agent = append(a.Agent, personAgent(e.Peer, "110152"))
		}
	}
	a.entities(&e)
	return json.Marshal(a)
}

// disclose makes the event one of BALP's Privacy Disclosure profiles.
func (a *auditEvent) disclose(e *audit.Entry, profile string, from, to agent) {
	a.Meta = &meta{[]string{profile}}
	a.Subtype = append([]coding{{lifecycle, "disclose", "Disclose Record Lifecycle Event"}}, a.Subtype...)
	a.Agent = append(a.Agent, from, to)
	a.Entity = append(a.Entity, entity{
		What: reference{Extension: []extension{{absent, "masked"}}, Type: "Patient", Display: "not recorded by sotto"},
		Type: coding{entityType, "1", "Person"},
		Role: &coding{objectRole, "1", "Patient"},
	})
}

// entities adds what the event is about.
func (a *auditEvent) entities(e *audit.Entry) {
	what := identifier{sottoID, e.Device.Origin() + "/" + strconv.FormatInt(e.Seq, 10)}
	if (e.Message != audit.ID{}) {
		what = identifier{sottoID, e.Message.String()}
	} else if (e.Ref != audit.ID{}) {
		what = identifier{sottoID, e.Ref.String()}
	}
	d := entity{What: reference{Identifier: &what}, Type: coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "3", "Report"}}
	switch {
	case e.Kind == audit.Searched:
		d.Role = &coding{objectRole, "24", "Query"}
	case (e.Message == audit.ID{}):
		d.Role = &coding{objectRole, "13", "Security Resource"}
	}
	for _, f := range fields(e) {
		if f[0] != "outcome" {
			d.Detail = append(d.Detail, detail{f[0], f[1]})
		}
	}
	a.Entity = append(a.Entity, d)
}

func dicomCode(code string) coding { return coding{dcm, code, dicom[code]} }

// resourceID is the same for the same event, whoever exports it: 64 characters
// at most, of letters, digits, - and . (FHIR's id).
func resourceID(e *audit.Entry) string {
	owner := audit.IDOf(e.Device.String()).String()[len("sha256~"):]
	return fmt.Sprintf("%s-%d", owner, e.Seq)
}

func deviceRef(d audit.Device) reference {
	return reference{Type: "Device", Identifier: &identifier{sottoDevice, d.String()}, Display: "sotto " + d.String()}
}

// personRef names a person by the XMPP address (RFC 5122).
func personRef(p audit.Person) reference {
	return reference{Identifier: &identifier{"urn:ietf:rfc:3986", xmpp(p)}, Display: p.String()}
}

func deviceAgent(d audit.Device, role string) agent {
	return agent{&codeableConcept{[]coding{dicomCode(role)}}, deviceRef(d), false, &network{xmpp(d.Owner), "5"}}
}

func personAgent(p audit.Person, role string) agent {
	return agent{&codeableConcept{[]coding{dicomCode(role)}}, personRef(p), false, &network{xmpp(p), "5"}}
}

// xmpp is an address as a URI: what a URI cannot have is percent-encoded
// (RFC 5122, section 2.2).
func xmpp(p audit.Person) string {
	var b strings.Builder
	b.WriteString("xmpp:")
	for _, c := range []byte(p.String()) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~@!$()*,;=+:[]", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
