package test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ofSotto are the commands that a page names: `sotto relay check --policy FILE`.
var ofSotto = regexp.MustCompile("`sotto ([a-z][^`]*)`")

// technical are the clauses of 45 CFR 164.312, each of which has its row.
var technical = []string{
	"(a)(1)", "(a)(2)(i)", "(a)(2)(ii)", "(a)(2)(iii)", "(a)(2)(iv)", "(b)", "(c)(1)", "(c)(2)", "(d)", "(e)(1)", "(e)(2)(i)", "(e)(2)(ii)",
}

// TestHIPAA holds that docs/hipaa.md has every clause of 164.312, that each row says
// what shows it, or that nothing does, and that all tests and commands that the
// page names exist.
func TestHIPAA(t *testing.T) {
	b, err := os.ReadFile("../docs/hipaa.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	_, wrong := cited(page, "..")
	clauses, unshown := mapped(page)
	for _, w := range append(wrong, unshown...) {
		t.Error(w)
	}
	for _, c := range technical {
		if !slices.ContainsFunc(clauses, func(s string) bool { return strings.HasPrefix(s, c+" ") }) {
			t.Errorf("164.312%s has no row", c)
		}
	}
	named := ofSotto.FindAllStringSubmatch(page, -1)
	if len(named) < 10 || len(clauses) < 40 {
		t.Errorf("only %d commands and %d clauses: the page is not read as it should be", len(named), len(clauses))
	}
	for _, c := range named {
		if err := hasCommand(c[1]); err != nil {
			t.Error(err)
		}
	}
}

// mapped returns the first cells of the tables that map clauses, and what is wrong
// with their rows: each names tests or commands, or says "nothing".
func mapped(page string) (clauses, wrong []string) {
	column := -1 // of "shown by"
	for number, line := range strings.Split(page, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case !strings.HasPrefix(line, "|"):
			column = -1
		case strings.HasPrefix(line, "| clause"):
			column = slices.Index(cells, "shown by")
		case column < 0 || strings.Trim(line, "|- ") == "":
		case column >= len(cells):
			wrong = append(wrong, fmt.Sprintf("line %d: a row has %d cells only", number+1, len(cells)))
		default:
			clauses = append(clauses, cells[0])
			rest := ofSotto.ReplaceAllString(citation.ReplaceAllString(cells[column], ""), "")
			if cells[column] != "nothing" && (rest == cells[column] || strings.Trim(rest, " ;,") != "") {
				wrong = append(wrong, fmt.Sprintf("line %d: this shows nothing: %s", number+1, rest))
			}
		}
	}
	return clauses, wrong
}

// hasCommand asks sotto for the help of a command, and of its flags.
func hasCommand(line string) error {
	var words, flags []string
	for _, w := range strings.Fields(line) {
		switch {
		case strings.HasPrefix(w, "-"):
			flags = append(flags, w)
		case len(flags) == 0 && strings.ToLower(w) == w:
			words = append(words, w)
		}
	}
	out, err := exec.Command(binary, append(slices.Clone(words), "--help")...).CombinedOutput()
	last := words[len(words)-1]
	if err != nil || !strings.Contains(string(out), "Help for "+last) {
		return fmt.Errorf("there is no command sotto %s: %v", strings.Join(words, " "), err)
	}
	for _, f := range flags {
		if !regexp.MustCompile(regexp.QuoteMeta(f) + `\b`).Match(out) {
			return fmt.Errorf("sotto %s has no %s", strings.Join(words, " "), f)
		}
	}
	return nil
}

// TestHIPAACanFail shows that what is wrong is found.
func TestHIPAACanFail(t *testing.T) {
	const head = "| clause | what sotto does | shown by | stays with the hospital |\n|---|---|---|---|\n"
	for row, want := range map[string]string{
		"| (b) Audit | it does | `TestHIPAA` in `test/hipaa_test.go`; `sotto doctor` | |": "",
		"| (b) Audit | it does | nothing | all |":                                         "",
		"| (b) Audit | it does | | all |":                                                 "only",
		"| (b) Audit | it does | we looked | all |":                                       "this shows nothing: we looked",
		"| (b) Audit | it does |":                                                         "cells only",
	} {
		_, wrong := mapped(head + row)
		if found := strings.Join(wrong, "\n"); want == "" && found != "" || !strings.Contains(found, want) && !(want == "only" && found != "") {
			t.Errorf("%s: found %q, want %q", row, found, want)
		}
	}
	for line, there := range map[string]bool{"doctor": true, "relay check --policy FILE": true, "relay chek": false, "nothing": false, "relay check --polic": false} {
		if err := hasCommand(line); (err == nil) != there {
			t.Errorf("sotto %s: %v", line, err)
		}
	}
}
