package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The forms of docs/threat-model.md.
var (
	// tests are cited by their names and the file where they are.
	citation = regexp.MustCompile("((?:`\\w+`, )*`\\w+`) in `([^`]+)`")
	testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
)

// TestThreatModel holds that there is no claim without its test: each row of the
// tables in docs/threat-model.md that say what holds cites tests, and every test
// that the page names is in the file that it names.
func TestThreatModel(t *testing.T) {
	page, err := os.ReadFile("../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	claims, wrong := cited(string(page), "..")
	for _, w := range wrong {
		t.Error(w)
	}
	if claims < 30 {
		t.Errorf("there are only %d claims: the tables are not found", claims)
	}
	t.Logf("%d claims", claims)
}

// cited counts the claims of a page and says what is wrong with it.
func cited(page, root string) (claims int, wrong []string) {
	functions := map[string][]string{} // by file
	inTable := false
	for number, line := range strings.Split(page, "\n") {
		says := func(format string, values ...any) {
			wrong = append(wrong, fmt.Sprintf("line %d: ", number+1)+fmt.Sprintf(format, values...))
		}
		rest := line
		names := 0
		for _, c := range citation.FindAllStringSubmatch(line, -1) {
			file := c[2]
			if _, read := functions[file]; !read {
				list, err := functionsOf(filepath.Join(root, file))
				if err != nil {
					says("%v", err)
				}
				functions[file] = list
			}
			for _, name := range strings.Split(c[1], ", ") {
				name = strings.Trim(name, "`")
				names++
				if !testName.MatchString(name) {
					says("%s is no test", name)
				} else if !slices.Contains(functions[file], name) {
					says("there is no %s in %s", name, file)
				}
			}
			rest = strings.Replace(rest, c[0], "", 1)
		}
		if name := testName.FindString(rest); name != "" {
			says("%s is named without its file", name)
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case strings.TrimSpace(cells[len(cells)-1]) == "shown by":
			inTable = true
		case strings.Trim(line, "|- ") == "": // below the head of a table
		case inTable:
			claims++
			if len(cells) != 3 {
				says("a row has %d cells: claim, how, shown by", len(cells))
			}
			if names == 0 {
				says("a claim without a test")
			}
			if left := strings.Trim(citation.ReplaceAllString(cells[len(cells)-1], ""), " ;,"); left != "" {
				says("this is no test and its file: %s", left)
			}
		}
	}
	return claims, wrong
}

// functionsOf returns the names of the functions in a Go file.
func functionsOf(file string) (names []string, err error) {
	if !strings.HasSuffix(file, "_test.go") {
		return nil, fmt.Errorf("%s is no file of tests", file)
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range f.Decls {
		if f, is := d.(*ast.FuncDecl); is && f.Recv == nil {
			names = append(names, f.Name.Name)
		}
	}
	return names, nil
}

// TestThreatModelCanFail shows that a claim without a test is found.
func TestThreatModelCanFail(t *testing.T) {
	const head = "| claim | how | shown by |\n|---|---|---|\n"
	for row, want := range map[string]string{
		"| it holds | so | `TestThreatModel`, `TestThreatModelCanFail` in `test/threatmodel_test.go`; `TestImports` in `test/imports_test.go` |": "",
		"| it holds | so | |": "a claim without a test",
		"| it holds | so | `TestNothing` in `test/threatmodel_test.go` |":       "there is no TestNothing in",
		"| it holds | so | `TestThreatModel` in `test/nothing_test.go` |":       "no such file",
		"| it holds | so | `TestThreatModel` in `test/doc.go` |":                "is no file of tests",
		"| it holds | so | `cited` in `test/threatmodel_test.go` |":             "cited is no test",
		"| it holds | so | by hand; `TestImports` in `test/imports_test.go` |":  "this is no test and its file: by hand",
		"| it holds | `TestImports` in `test/imports_test.go` |":                "a row has 2 cells",
		"\nAs TestImports shows.":                                               "TestImports is named without its file",
		"\nAs `TestNothing` in `test/imports_test.go` shows, there are claims.": "there is no TestNothing in",
	} {
		_, wrong := cited(head+row, "..")
		found := strings.Join(wrong, "\n")
		if want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%s: found %q, want %q", row, found, want)
		}
	}
}
