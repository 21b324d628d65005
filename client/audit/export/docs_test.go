package export

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sotto/client/audit"
)

// TestTableOfFHIR holds that docs/audit.md has the mapping as the code does.
func TestTableOfFHIR(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| event | type | subtype | action | syslog |\n|---|---|---|---|---|\n")
	severities := map[int]string{alert: "alert", warning: "warning", notice: "notice", info: "info"}
	for _, k := range audit.Kinds() {
		f, ok := fhirKinds[k]
		if !ok || dicom[f.typ] == "" || f.subtype != "" && dicom[f.subtype] == "" {
			t.Errorf("%s has no codes, or codes without names", k)
		}
		e := audit.Entry{Event: audit.Event{Kind: k}}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s | %s |\n", k, f.typ, dicom[f.typ], strings.TrimSpace(f.subtype+" "+dicom[f.subtype]), f.action, severities[severity(&e)])
	}
	if !strings.Contains(string(doc), b.String()) {
		t.Errorf("docs/audit.md has another table than:\n%s", b.String())
	}
}
