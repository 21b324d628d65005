package policy

import (
	"strings"

	"sotto/client/org"
)

// Lines writes values as a policy has them, a line each in the order of the
// settings, for ParseLines: so a person's values go from one process to another. A
// line that would be longer than a statement's is left out.
func Lines(values map[string]Value) string {
	var b strings.Builder
	for _, s := range Settings() {
		v := values[s.Name]
		if !v.Set() {
			continue
		}
		if line := s.Name + " = " + s.Format(v); len(line) <= org.MaxLine {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// ParseLines reads what Lines has written. Settings that are not known are left out.
func ParseLines(s string) (map[string]Value, error) {
	values, _, err := parseBody(s)
	return values, err
}
