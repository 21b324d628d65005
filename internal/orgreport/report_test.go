package orgreport

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/admin/console"
	"sotto/client/audit"
	"sotto/client/audit/collect"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// ward is a hospital in which much is as it should not be.
func ward(t *testing.T) Known {
	t.Helper()
	log := func(device string, to time.Time, problems ...audit.Problem) *audit.Report {
		d, err := audit.ParseDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		return &audit.Report{Device: d, Size: 10, From: to, To: to, Problems: problems}
	}
	return Known{
		Now:    noon,
		Status: console.Status{Name: "hospital.example", Contact: "sotto@hospital.example", Active: 3, Devices: 3, Serving: true},
		Policy: &console.Policy{Serial: 7, Issued: noon, Body: "lock-after = \"1m\"\nauditor = \"auditor@hospital.example\"\ntrust = \"directory\"\ntpm = \"required\"\nretention = \"30d\"\nrelay-retention = \"30d\"\n"},
		People: []console.Person{
			{Address: "ada@hospital.example", Name: "Okafor <b>, Ada", State: "active", Devices: []console.Device{{ID: 31415, Added: noon.Add(-1000 * time.Hour)}}},
			{Address: "per@hospital.example", Name: "Lind, Per", State: "active", Devices: []console.Device{{ID: 27183, Added: noon.Add(-1000 * time.Hour)}}},
			{Address: "new@hospital.example", Name: "Sato, Yuki", State: "active", Devices: []console.Device{{ID: 11, Added: noon.Add(-time.Minute)}}},
			{Address: "nobody@hospital.example", Name: "Nobody", State: "active"},
		},
		Orders: []console.Order{{Number: 3, Do: "wipe", For: "person per@hospital.example", InForce: true, Issued: noon,
			Devices: []console.Carried{{Address: "per@hospital.example", Device: 27183, Result: "waiting"}}}},
		Folder: "/srv/audit",
		Audit:  &collect.FolderReport{Logs: []*audit.Report{log("ada@hospital.example/31415", noon.Add(-1000*time.Hour))}, Problems: []string{"the seal is older than the logs"}},
	}
}

func TestReport(t *testing.T) {
	r, err := Make(ward(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"The audit logs are not sound: see there.",
		"Order 3 (wipe) is not carried out on per@hospital.example/27183: waiting.",
		"ada@hospital.example/31415 was heard last on 2026-10-11.",
		"There is no audit log of per@hospital.example/27183.",
		"nobody@hospital.example has no device.",
		"Policy: nobody can open a vault in an emergency (recovery-key).",
	}
	if !slices.Equal(r.Exceptions, want) {
		t.Errorf("exceptions:\n%s", strings.Join(r.Exceptions, "\n"))
	}
	var text, page, data bytes.Buffer
	for _, err := range []error{r.Text(&text), r.HTML(&page), r.JSON(&data)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{"hospital.example", "lock-after", "1m", "recovery-key", "left to people", "27183", "waiting", "the seal is older than the logs"} {
		for what, out := range map[string]string{"text": text.String(), "HTML": page.String()} {
			if !strings.Contains(out, s) {
				t.Errorf("%q is not in the %s:\n%s", s, what, out)
			}
		}
	}
	if strings.Contains(page.String(), "<b>") || strings.Contains(page.String(), "http://") || strings.Contains(page.String(), "src=") {
		t.Errorf("a name acts in the page, or it loads something:\n%s", page.String())
	}
	var again Report
	if err := json.Unmarshal(data.Bytes(), &again); err != nil || !slices.Equal(again.Exceptions, want) || len(again.People) != 4 {
		t.Errorf("%v\n%s", err, data.String())
	}
}

// What is as it should be is no exception; what was not looked at is.
func TestReportExceptions(t *testing.T) {
	k := ward(t)
	k.Policy.Body += "recovery-key = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"\n"
	k.Orders, k.People, k.Audit.Problems = nil, k.People[2:3], nil
	if r, err := Make(k); err != nil || len(r.Exceptions) != 0 {
		t.Errorf("%v, %q", err, r.Exceptions)
	}
	k.Audit, k.Policy, k.Status.Serving = nil, nil, false
	r, err := Make(k)
	if err != nil || !slices.Equal(r.Exceptions, []string{"Nobody serves: devices lock when the lease is over (sotto org serve).",
		"The audit logs were not looked at (--audit FOLDER).", "No policy is in force."}) {
		t.Errorf("%v, %q", err, r.Exceptions)
	}
	k.Policy = &console.Policy{Body: "nonsense"}
	if _, err := Make(k); err == nil {
		t.Error("a policy that is none is reported")
	}
}
