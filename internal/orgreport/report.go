// Package orgreport says how an organisation stands, for its risk analysis (45 CFR
// 164.308(a)(1)(ii)(A)): the settings in force, the people and their devices, when
// each was heard last, what is out of the ordinary, and what the audit logs say.
//
// It is made of what the organisation's account knows and, if the auditor's folder is
// there to be read, of that. It has no secret in it, but names people and devices.
package orgreport

import (
	"fmt"
	"slices"
	"time"

	"sotto/client/admin/console"
	"sotto/client/audit/collect"
	"sotto/client/org/policy"
)

// Known is what a report is made of.
type Known struct {
	Now      time.Time
	Status   console.Status
	Policy   *console.Policy // nil: none is in force
	People   []console.Person
	Orders   []console.Order
	Partners []console.Partner

	Folder string                // the auditor's; "" if it was not looked at
	Audit  *collect.FolderReport // of it
}

// Report is how an organisation stands, ready to be written.
type Report struct {
	Made         time.Time         `json:"made"`
	Organisation console.Status    `json:"organisation"`
	Policy       Policy            `json:"policy"`
	People       []Person          `json:"people"`
	Orders       []console.Order   `json:"orders"`
	Partners     []console.Partner `json:"partners"`
	Audit        *Audit            `json:"audit,omitempty"`
	Exceptions   []string          `json:"exceptions"` // what is out of the ordinary, in sentences
}

// Policy is what holds on every device.
type Policy struct {
	Serial   uint64    `json:"serial"` // 0 is none
	Issued   time.Time `json:"issued,omitzero"`
	Settings []Setting `json:"settings"`
}

// Setting is one of them, decided or not.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"` // "" if nothing holds
	Decided bool   `json:"decided"`
	Clause  string `json:"clause,omitempty"` // of 45 CFR, such as "164.312(b)": see docs/hipaa.md
	Help    string `json:"help"`
}

// Person is somebody in the directory.
type Person struct {
	Address    string   `json:"address"`
	Name       string   `json:"name"`
	Roles      []string `json:"roles,omitempty"`
	Department string   `json:"department,omitempty"`
	State      string   `json:"state"`
	Devices    []Device `json:"devices,omitempty"`
}

// Device is one of theirs.
type Device struct {
	ID          uint32    `json:"id"`
	Fingerprint string    `json:"fingerprint"`
	Added       time.Time `json:"added"`
	Contact     time.Time `json:"last-contact,omitzero"` // the newest event or answer that was heard of
}

// Audit is what the auditor's folder says.
type Audit struct {
	Folder   string    `json:"folder"`
	Sound    bool      `json:"sound"`
	Sealed   time.Time `json:"sealed,omitzero"`
	Logs     int       `json:"logs"`
	Events   int64     `json:"events"`
	Problems []string  `json:"problems,omitempty"`
}

// Quiet is how long a device may be without an event before that is an exception.
const Quiet = 30 * 24 * time.Hour

// Make puts a report together. A policy that cannot be read is an error.
func Make(k Known) (*Report, error) {
	r := &Report{Made: k.Now.UTC().Truncate(time.Second), Organisation: k.Status, Orders: k.Orders, Partners: k.Partners, Exceptions: []string{}}
	values := map[string]policy.Value{}
	if k.Policy != nil {
		var err error
		if values, err = policy.ParseLines(k.Policy.Body); err != nil {
			return nil, fmt.Errorf("read the policy: %w", err)
		}
		r.Policy.Serial, r.Policy.Issued = k.Policy.Serial, k.Policy.Issued
	}
	for _, s := range policy.Settings() {
		v, decided := values[s.Name], values[s.Name].Set()
		if !decided {
			v = s.Default
		}
		shown := ""
		if v.Set() {
			shown = s.Format(v)
		}
		r.Policy.Settings = append(r.Policy.Settings, Setting{s.Name, shown, decided, clauses[s.Name], s.Help})
	}
	heard := r.audit(&k)
	for _, o := range k.Orders {
		for _, c := range o.Devices {
			if at := heard[device{c.Address, c.Device}]; c.At.After(at) {
				heard[device{c.Address, c.Device}] = c.At
			}
		}
	}
	for _, p := range k.People {
		who := Person{Address: p.Address, Name: p.Name, Roles: p.Roles, Department: p.Department, State: p.State}
		for _, d := range p.Devices {
			who.Devices = append(who.Devices, Device{d.ID, d.Fingerprint, d.Added, heard[device{p.Address, d.ID}]})
		}
		r.People = append(r.People, who)
	}
	r.exceptions(&k, values)
	return r, nil
}

type device struct {
	owner string
	id    uint32
}

// audit takes what the auditor's folder says, and returns when each device was heard.
func (r *Report) audit(k *Known) map[device]time.Time {
	heard := map[device]time.Time{}
	if k.Audit == nil {
		return heard
	}
	a := &Audit{Folder: k.Folder, Sound: k.Audit.Sound(), Sealed: k.Audit.Sealed, Logs: len(k.Audit.Logs), Problems: slices.Clone(k.Audit.Problems)}
	for _, l := range k.Audit.Logs {
		a.Events += l.Size - l.First
		heard[device{l.Device.Owner.String(), l.Device.ID}] = l.To
		if !l.Sound() {
			a.Problems = append(a.Problems, l.Device.String()+": "+l.Words())
		}
	}
	r.Audit = a
	return heard
}
