package orgreport

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// JSON writes a report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes it for people, in columns.
func (r *Report) Text(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	s := &r.Organisation
	fmt.Fprintf(w, "%s, %s\n\n", s.Name, day(r.Made))
	fmt.Fprintf(w, "account\t%s\nkey\t%s\npeople\t%d active, %d suspended, %d removed\ndevices\t%d\nhead\tnumber %d of %s\n", s.Contact, s.Fingerprint, s.Active, s.Suspended, s.Removed, s.Devices, s.Head, day(s.HeadIssued))
	fmt.Fprintf(w, "\nTo look at\n")
	for _, e := range r.Exceptions {
		fmt.Fprintf(w, "  %s\n", e)
	}
	if len(r.Exceptions) == 0 {
		fmt.Fprintf(w, "  Nothing.\n")
	}
	fmt.Fprintf(w, "\nPolicy, serial %d\n", r.Policy.Serial)
	for _, x := range r.Policy.Settings {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", x.Name, orNone(x.Value), by(x), orNone(x.Clause))
	}
	fmt.Fprintf(w, "\nPeople and devices\n")
	for _, p := range r.People {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", p.Address, p.Name, strings.Join(p.Roles, ", "), p.State)
		for _, d := range p.Devices {
			fmt.Fprintf(w, "    %d\tsince %s\theard %s\n", d.ID, day(d.Added), day(d.Contact))
		}
	}
	fmt.Fprintf(w, "\nOrders\n")
	for _, o := range r.Orders {
		fmt.Fprintf(w, "  %d\t%s for %s\t%s\t%s\n", o.Number, o.Do, o.For, day(o.Issued), o.Reason)
		for _, d := range o.Devices {
			fmt.Fprintf(w, "    %s/%d\t%s\t%s\n", d.Address, d.Device, d.Result, day(d.At))
		}
	}
	fmt.Fprintf(w, "\nPartners\n")
	for _, p := range r.Partners {
		fmt.Fprintf(w, "  %s\t%s\tuntil %s\n", p.Name, p.State, day(p.Expires))
	}
	fmt.Fprintf(w, "\nAudit\n")
	if a := r.Audit; a == nil {
		fmt.Fprintf(w, "  not looked at\n")
	} else {
		fmt.Fprintf(w, "  %s\t%d logs, %d events, %s\tsealed %s\n", a.Folder, a.Logs, a.Events, soundness(a), day(a.Sealed))
		for _, p := range a.Problems {
			fmt.Fprintf(w, "  %s\n", p)
		}
	}
	return w.Flush()
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func by(s Setting) string {
	if s.Decided {
		return "policy"
	}
	return "left to people"
}

func soundness(a *Audit) string {
	if a.Sound {
		return "sound"
	}
	return "NOT SOUND"
}

// HTML writes it as a page that loads nothing.
func (r *Report) HTML(w io.Writer) error { return page.Execute(w, r) }

var page = template.Must(template.New("report").Funcs(template.FuncMap{"day": day, "none": orNone, "by": by, "soundness": soundness}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Organisation.Name}}, {{day .Made}}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #ddd;vertical-align:top}h2{margin-top:2em}</style></head><body>
<h1>{{.Organisation.Name}}</h1>
<p>{{day .Made}}</p>
<table>
<tr><th>Account</th><td>{{.Organisation.Contact}}</td></tr>
<tr><th>Key</th><td>{{.Organisation.Fingerprint}}</td></tr>
<tr><th>People</th><td>{{.Organisation.Active}} active, {{.Organisation.Suspended}} suspended, {{.Organisation.Removed}} removed</td></tr>
<tr><th>Devices</th><td>{{.Organisation.Devices}}</td></tr>
<tr><th>Head</th><td>number {{.Organisation.Head}} of {{day .Organisation.HeadIssued}}</td></tr>
</table>
<h2>To look at</h2>
<ul>{{range .Exceptions}}<li>{{.}}</li>{{else}}<li>Nothing.</li>{{end}}</ul>
<h2>Policy, serial {{.Policy.Serial}}</h2>
<table><tr><th>Setting</th><th>Value</th><th>Decided by</th><th>45 CFR</th><th></th></tr>
{{range .Policy.Settings}}<tr><td>{{.Name}}</td><td>{{none .Value}}</td><td>{{by .}}</td><td>{{none .Clause}}</td><td>{{.Help}}</td></tr>
{{end}}</table>
<h2>People and devices</h2>
<table><tr><th>Address</th><th>Name</th><th>Roles</th><th>State</th><th>Devices</th></tr>
{{range .People}}<tr><td>{{.Address}}</td><td>{{.Name}}</td><td>{{range .Roles}}{{.}} {{end}}</td><td>{{.State}}</td><td>{{range .Devices}}{{.ID}}: since {{day .Added}}, heard {{day .Contact}}<br>{{end}}</td></tr>
{{end}}</table>
<h2>Orders</h2>
<table>{{range .Orders}}<tr><td>{{.Number}}</td><td>{{.Do}} for {{.For}}</td><td>{{day .Issued}}</td><td>{{.Reason}}</td><td>{{range .Devices}}{{.Address}}/{{.Device}}: {{.Result}}, {{day .At}}<br>{{end}}</td></tr>
{{end}}</table>
<h2>Partners</h2>
<table>{{range .Partners}}<tr><td>{{.Name}}</td><td>{{.State}}</td><td>until {{day .Expires}}</td></tr>
{{end}}</table>
<h2>Audit</h2>
{{with .Audit}}<p>{{.Folder}}: {{.Logs}} logs, {{.Events}} events, {{soundness .}}, sealed {{day .Sealed}}</p><ul>{{range .Problems}}<li>{{.}}</li>{{end}}</ul>{{else}}<p>Not looked at.</p>{{end}}
</body></html>
`))
