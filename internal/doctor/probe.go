package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"sotto/internal/harden"
	"sotto/internal/role"
	"sotto/internal/role/probe"
)

// Trial is what came of probing the confinement of every role.
type Trial struct {
	Results []probe.Result // one a role, in the order of probe.Roles
	Free    probe.Result   // the same without any confinement: that the trial can fail
	Missing []string       // what this system lacks, in words
}

// probeLimit is for the probe of one role. It takes a fraction of a second.
const probeLimit = 20 * time.Second

// Try probes every role. Call it on the main goroutine, see role.Spawn.
func Try(ctx context.Context) (Trial, error) {
	t := Trial{Missing: harden.Offered().Missing()}
	for _, as := range append([]role.Name{role.Free}, probe.Roles...) {
		r, err := tryOne(ctx, as)
		if err != nil {
			return t, err
		}
		if as == role.Free {
			t.Free = r
			continue
		}
		t.Results = append(t.Results, r)
	}
	return t, nil
}

func tryOne(ctx context.Context, as role.Name) (probe.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	return probe.Run(ctx, as)
}

// counts over all roles
type counts struct{ tried, refused, needed, allowed int }

func (t Trial) count() (c counts) {
	for _, r := range t.Results {
		for _, a := range r.Tried {
			c.tried++
			switch {
			case !a.Allowed:
				c.refused++
			case a.Needed:
				c.needed++
			default:
				c.allowed++
			}
		}
	}
	return c
}

// Code is the exit code: 1 if a role was allowed what it does not need, or if
// nothing could be tried.
func (t Trial) Code() int {
	if c := t.count(); c.allowed > 0 || c.tried == 0 {
		return 1
	}
	return 0
}

// The columns of the table.
const (
	nameWidth = 44
	byWidth   = 9
)

// Table writes what was tried, and who refused it to which role, 80 columns wide.
func (t Trial) Table(w io.Writer, color bool) error {
	var b strings.Builder
	if c := t.count(); c.tried > 0 {
		kind := ""
		for i, row := range t.Results[0].Tried {
			if row.Kind != kind {
				kind = row.Kind
				t.heading(&b, kind)
			}
			fmt.Fprintf(&b, " %-*s", nameWidth-1, clip(row.Name, nameWidth-1))
			for _, r := range t.Results {
				b.WriteByte(' ')
				b.WriteString(t.cell(r, i, row.Name, color))
			}
			trim(&b)
		}
		b.WriteByte('\n')
	}
	t.legend(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (t Trial) heading(b *strings.Builder, kind string) {
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%-*s", nameWidth, kind)
	for _, r := range t.Results {
		fmt.Fprintf(b, " %-*s", byWidth-1, r.As)
	}
	trim(b)
}

// trim ends a row, without the blanks at its end.
func trim(b *strings.Builder) {
	s := strings.TrimRight(b.String(), " ")
	b.Reset()
	b.WriteString(s + "\n")
}

// cell is who refused one attempt to one role.
func (t Trial) cell(r probe.Result, i int, name string, color bool) string {
	pad := func(s string) string { return fmt.Sprintf("%-*s", byWidth-1, s) }
	if i >= len(r.Tried) || r.Tried[i].Name != name {
		return pad("not tried")
	}
	switch a := r.Tried[i]; {
	case a.By == "the system":
		return pad("system")
	case !a.Allowed:
		return pad(clip(a.By, byWidth-1))
	case a.Needed && r.As == role.Watch:
		return pad("kept")
	case a.Needed:
		return pad("needed")
	case color:
		return "\x1b[31;1m" + pad("ALLOWED") + "\x1b[0m"
	}
	return pad("ALLOWED")
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

// legend says what the table comes to.
func (t Trial) legend(b *strings.Builder) {
	c := t.count()
	if c.tried == 0 {
		fmt.Fprintf(b, "Nothing was tried: %s.\n", strings.Join(t.Missing, "; "))
		return
	}
	hang(b, "", 0, fmt.Sprintf("%d attempts by %d roles: %d refused, %d needed or kept, %d allowed.",
		c.tried, len(t.Results), c.refused, c.needed, c.allowed), 80)
	free := 0
	for _, a := range t.Free.Tried {
		if a.Allowed {
			free++
		}
	}
	hang(b, "", 0, fmt.Sprintf("To compare: a process of yours without the sandbox gets through with %d of %d.", free, len(t.Free.Tried)), 80)
	hang(b, "", 0, `"needed": the role's own work. "kept": a role cannot have what the watch gave up, so it keeps files, the network and starting them. "system": refused with or without sotto's layers.`, 80)
	for _, m := range t.Missing {
		hang(b, "", 0, strings.ToUpper(m[:1])+m[1:]+".", 80)
	}
}

// JSON writes the trial for programs.
func (t Trial) JSON(w io.Writer, sotto string) error {
	type attempt struct {
		Name   string `json:"name"`
		Kind   string `json:"kind"`
		Result string `json:"result"`
		By     string `json:"by,omitempty"`
		Error  string `json:"error,omitempty"`
	}
	type tried struct {
		Role     string    `json:"role"`
		Landlock int       `json:"landlock"`
		Seccomp  bool      `json:"seccomp"`
		Attempts []attempt `json:"attempts"`
	}
	c := t.count()
	d := struct {
		Version int      `json:"version"`
		Sotto   string   `json:"sotto"`
		System  string   `json:"system"`
		Refused int      `json:"refused"`
		Needed  int      `json:"needed"`
		Allowed int      `json:"allowed"`
		Missing []string `json:"missing"`
		Roles   []tried  `json:"roles"`
	}{Version, sotto, runtime.GOOS + "/" + runtime.GOARCH, c.refused, c.needed, c.allowed, append([]string{}, t.Missing...), []tried{}}
	for _, r := range t.Results {
		role := tried{Role: string(r.As), Landlock: r.Layers.Landlock, Seccomp: r.Layers.Seccomp, Attempts: []attempt{}}
		for _, a := range r.Tried {
			result := "refused"
			switch {
			case a.Allowed && a.Needed:
				result = "needed"
			case a.Allowed:
				result = "allowed"
			}
			role.Attempts = append(role.Attempts, attempt{a.Name, a.Kind, result, a.By, a.Error})
		}
		d.Roles = append(d.Roles, role)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(d)
}
