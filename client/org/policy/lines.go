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

// Changes says in a line each what is different between two results of Merge, for
// the person for whom they were made.
func Changes(from, to []Decided) (lines []string) {
	for _, b := range to {
		a := Find(from, b.Setting.Name)
		if a.equal(b.Value) {
			continue
		}
		s := b.Setting
		switch {
		case !b.Value.Set():
			lines = append(lines, s.Name+" is not decided any more")
		case !a.Set():
			lines = append(lines, s.Name+" is "+s.Format(b.Value))
		default:
			how := ""
			if s.Kind != Text {
				_, toB := s.stricter(b.Value, a)
				_, toA := s.stricter(a, b.Value)
				switch {
				case toB && !toA:
					how = ", which is stricter"
				case toA && !toB:
					how = ", which is looser"
				}
			}
			lines = append(lines, s.Name+" is "+s.Format(b.Value)+how)
		}
	}
	return lines
}
