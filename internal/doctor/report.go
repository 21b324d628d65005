package doctor

import (
	"encoding/json"
	"io"
	"runtime"
)

// Version is the version of the JSON form. It changes when a field changes its
// meaning or goes; new fields and new checks do not change it.
const Version = 1

// Report is all that was looked at.
type Report struct {
	Checks []Check
}

func report(checks []Check) Report { return Report{checks} }

// Count is how many checks came to a verdict.
func (r Report) Count(v Verdict) int {
	n := 0
	for _, c := range r.Checks {
		if c.Verdict == v {
			n++
		}
	}
	return n
}

// Code is the exit code: 1 if something is bad, else 0.
func (r Report) Code() int {
	if r.Count(Bad) > 0 {
		return 1
	}
	return 0
}

// JSON writes the report for programs, see Schema.
func (r Report) JSON(w io.Writer, sotto string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document{
		Version: Version, Sotto: sotto, System: runtime.GOOS + "/" + runtime.GOARCH,
		Good: r.Count(Good), Weak: r.Count(Weak), Bad: r.Count(Bad), Skip: r.Count(Skipped), Checks: r.Checks,
	})
}

// document is the JSON form of a report.
type document struct {
	Version int     `json:"version"`
	Sotto   string  `json:"sotto"`
	System  string  `json:"system"`
	Good    int     `json:"good"`
	Weak    int     `json:"weak"`
	Bad     int     `json:"bad"`
	Skip    int     `json:"skip"`
	Checks  []Check `json:"checks"`
}

// Schema describes the JSON form, for the command's help.
const Schema = `  version   1; changes when a field changes its meaning or goes
  sotto     which sotto said this
  system    operating system and architecture, such as linux/amd64
  good, weak, bad, skip   how many checks came to each verdict
  checks    in the order of the page, each with
    id        stable name, such as memory.swap
    group     its heading on the page, such as memory
    verdict   good, weak, bad, or skip for what could not be looked at
    found     what is there
    meaning   what that means; left out if all is well
    remedy    what to do about it; left out if there is nothing to do`
