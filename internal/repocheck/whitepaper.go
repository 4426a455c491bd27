package repocheck

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

var (
	whitepaperRow = regexp.MustCompile(`(?m)^\| *([0-9.]+) *\|[^|]*\|([^|]*)\|([^|]*)\|`)
	quoted        = regexp.MustCompile("`([^`]+)`")
)

// DeclaredTests returns the names of all tests, fuzz targets, benchmarks and
// examples in files.
func DeclaredTests(files []File) map[string]bool {
	names := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Path, "_test.go") {
			continue
		}
		for _, decl := range f.Syntax.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil {
				names[d.Name.Name] = true
			}
		}
	}
	return names
}

// CheckWhitepaper reads the table of docs/whitepaper.md. A row says "not yet"
// or "no code", or names paths that exist and at least one test that exists.
// A test is the name of a Go function or the path of a file.
func CheckWhitepaper(doc []byte, tests map[string]bool, exists func(path string) bool) []string {
	rows := whitepaperRow.FindAllSubmatch(doc, -1)
	if len(rows) == 0 {
		return []string{"docs/whitepaper.md has no rows | section | title | code | test |"}
	}
	var found []string
	for _, row := range rows {
		section, code, test := string(row[1]), strings.TrimSpace(string(row[2])), string(row[3])
		if code == "not yet" || code == "no code" {
			continue
		}
		paths := quoted.FindAllStringSubmatch(code, -1)
		named := quoted.FindAllStringSubmatch(test, -1)
		if len(paths) == 0 || len(named) == 0 {
			found = append(found, fmt.Sprintf("docs/whitepaper.md: section %s names code and a test, or says \"not yet\" or \"no code\"", section))
		}
		for _, p := range paths {
			if !exists(p[1]) {
				found = append(found, fmt.Sprintf("docs/whitepaper.md: section %s names %s, which does not exist", section, p[1]))
			}
		}
		for _, n := range named {
			if !tests[n[1]] && !(strings.Contains(n[1], "/") && exists(n[1])) {
				found = append(found, fmt.Sprintf("docs/whitepaper.md: section %s names the test %s, which does not exist", section, n[1]))
			}
		}
	}
	return found
}
