package orgreport

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sotto/client/org/policy"
)

// TestClauses holds that the report and docs/hipaa.md name the same clause for the
// same settings, and that a report says it in all its forms.
func TestClauses(t *testing.T) {
	b, err := os.ReadFile("../../docs/hipaa.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := documentedClauses(t, string(b))
	for name := range clauses {
		if _, ok := documented[name]; !ok {
			t.Errorf("the report has a clause for %s, docs/hipaa.md has none", name)
		}
	}
	for name := range documented {
		if !slices.ContainsFunc(policy.Settings(), func(s policy.Setting) bool { return s.Name == name }) {
			t.Errorf("docs/hipaa.md has a setting %s, and there is none", name)
		}
	}
	if len(documented) < 20 {
		t.Errorf("the table has %d settings only: it is not read as it should be", len(documented))
	}
	r, err := Make(ward(t))
	if err != nil {
		t.Fatal(err)
	}
	var text, page, data bytes.Buffer
	for _, err := range []error{r.Text(&text), r.HTML(&page), r.JSON(&data)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var again Report
	if err := json.Unmarshal(data.Bytes(), &again); err != nil || len(again.Policy.Settings) != len(policy.Settings()) {
		t.Fatalf("%v in %s", err, data.String())
	}
	for _, s := range again.Policy.Settings {
		if s.Clause != documented[s.Name] {
			t.Errorf("the report has %q for %s, docs/hipaa.md %q", s.Clause, s.Name, documented[s.Name])
		}
		clause := orNone(s.Clause)
		line := regexp.MustCompile(`(?m)^  ` + s.Name + `  .* ` + regexp.QuoteMeta(clause) + `$`)
		if !line.MatchString(text.String()) {
			t.Errorf("the text has no line of %s that ends with %s:\n%s", s.Name, clause, text.String())
		}
		row := regexp.MustCompile(`<tr><td>` + s.Name + `</td>.*<td>` + regexp.QuoteMeta(clause) + `</td>`)
		if !row.MatchString(page.String()) {
			t.Errorf("the page has no row of %s with %s:\n%s", s.Name, clause, page.String())
		}
	}
}

// documentedClauses reads the table "Settings to decide": which clause each setting
// belongs to. A setting or a clause that cannot be told fails the test.
func documentedClauses(t *testing.T, page string) map[string]string {
	t.Helper()
	clause := regexp.MustCompile(`\b164\.\d{3}(\([0-9a-zA-Z]+\))+`)
	setting := regexp.MustCompile("`([a-z-]+)`")
	_, section, _ := strings.Cut(page, "\n## Settings to decide\n")
	section, _, _ = strings.Cut(section, "\n## ")
	found := map[string]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		if !strings.HasPrefix(line, "|") || len(cells) < 3 || strings.HasPrefix(line, "|---") || cells[0] == "clause" {
			continue
		}
		c := clause.FindString(cells[0])
		if c == "" {
			t.Errorf("a row names no clause: %s", line)
		}
		for _, s := range setting.FindAllStringSubmatch(cells[1], -1) {
			if before, twice := found[s[1]]; twice {
				t.Errorf("%s stands twice: %s and %s", s[1], before, c)
			}
			found[s[1]] = c
		}
	}
	return found
}
