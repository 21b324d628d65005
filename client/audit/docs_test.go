package audit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTableOfEvents holds that docs/audit.md has the table of kinds as the code
// does.
func TestTableOfEvents(t *testing.T) {
	doc, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| event | must say | may say | reasons |\n|---|---|---|---|\n")
	for _, k := range Kinds() {
		s := shapes[k]
		reasons := make([]string, len(s.reasons))
		for i, r := range s.reasons {
			reasons[i] = r.String()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.name, strings.Join(s.must.names(), ", "), strings.Join(s.may.names(), ", "), strings.Join(reasons, ", "))
	}
	if !strings.Contains(string(doc), b.String()) {
		t.Errorf("docs/audit.md has another table than:\n%s", b.String())
	}
}
