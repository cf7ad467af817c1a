// Package doctest lets tests compare a document with the code it describes. Of
// Markdown it knows headings and tables only.
package doctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Conventions is the document of the names that leave the components, as seen
// from a package two levels below the root.
const Conventions = "../../docs/semantic-conventions.md"

// Table reads the tables below the heading that ends with a name in backquotes,
// up to the next heading. It returns their second column (the type) by the name
// in backquotes of the first.
func Table(t testing.TB, document, heading string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	rows, inside := map[string]string{}, false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			inside = strings.HasSuffix(line, "`"+heading+"`")
			continue
		}
		cells := strings.Split(line, "|")
		if !inside || len(cells) < 4 {
			continue
		}
		name, quoted := strings.CutPrefix(strings.TrimSpace(cells[1]), "`")
		name, ended := strings.CutSuffix(name, "`")
		if quoted && ended && !strings.Contains(name, "`") {
			rows[name] = strings.TrimSpace(cells[2])
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no table below a heading that ends with `%s`", document, heading)
	}
	return rows
}

var attribute = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\.?$`)

// Names returns the strings in a Go file that look like the name of an
// attribute or event: words in lower case with dots between them.
func Names(t testing.TB, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	imports := map[*ast.BasicLit]bool{}
	for _, spec := range parsed.Imports {
		imports[spec.Path] = true
	}
	var names []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && !imports[lit] {
			if text, err := strconv.Unquote(lit.Value); err == nil && attribute.MatchString(text) {
				names = append(names, text)
			}
		}
		return true
	})
	if len(names) == 0 {
		t.Fatalf("%s names no attribute: the test looks in the wrong place", file)
	}
	return names
}

// HasAll fails the test when the document does not have a name that the file
// holds, in backquotes. A name that ends with a dot stands for all that begin
// with it.
func HasAll(t testing.TB, document, file string) {
	t.Helper()
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names(t, file) {
		end := "`"
		if strings.HasSuffix(name, ".") {
			end = ""
		}
		if !strings.Contains(string(data), "`"+name+end) {
			t.Errorf("%s of %s is missing in %s", name, file, document)
		}
	}
}
