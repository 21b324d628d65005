package relaycheck

import (
	"encoding/xml"
	"io"

	"sotto/internal/doctor"
)

// The form that build servers read: a suite for each group, a case for each
// check. What is bad fails; what is weak passes, and is told beside it.
type (
	suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Suites   []*suite `xml:"testsuite"`
	}
	suite struct {
		Name     string  `xml:"name,attr"`
		Tests    int     `xml:"tests,attr"`
		Failures int     `xml:"failures,attr"`
		Skipped  int     `xml:"skipped,attr"`
		Cases    []tcase `xml:"testcase"`
	}
	tcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Failure *outcome `xml:"failure"`
		Skipped *outcome `xml:"skipped"`
		Out     string   `xml:"system-out,omitempty"`
	}
	outcome struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the result for build servers.
func (r Result) JUnit(w io.Writer) error {
	all := suites{Name: "sotto relay check"}
	for _, c := range r.Checks {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != c.Group {
			all.Suites = append(all.Suites, &suite{Name: c.Group})
		}
		s := all.Suites[len(all.Suites)-1]
		t := tcase{Name: c.ID, Class: "relay." + c.Group}
		words := join(c.Found, c.Meaning, c.Remedy)
		switch c.Verdict {
		case doctor.Bad:
			t.Failure = &outcome{c.Found, join(c.Meaning, c.Remedy)}
			s.Failures++
		case doctor.Skipped:
			t.Skipped = &outcome{Message: c.Found}
			s.Skipped++
		case doctor.Weak:
			t.Out = "weak: " + words
		default:
			t.Out = words
		}
		s.Tests++
		s.Cases = append(s.Cases, t)
	}
	for _, s := range all.Suites {
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// join puts sentences after one another.
func join(parts ...string) string {
	s := ""
	for _, p := range parts {
		if p != "" && s != "" {
			s += " - "
		}
		s += p
	}
	return s
}
