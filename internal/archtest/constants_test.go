package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mostConstants is how many values the judgement may depend on.
const mostConstants = 25

// judging are the packages whose numbers decide what is told of an anomaly.
var judging = []string{".", "internal/attribute", "internal/baseline", "internal/cause", "internal/criteria", "internal/detect", "internal/hop", "internal/pattern"}

// derived are numbers that nothing is decided by (bounds of memory, units, numbers of
// the kernel, sizes of what is printed), or that follow from one of the table.
var derived = regexp.MustCompile(`^([mM]ax|most|per)[A-Z]\w*$|^e[a-z]+$|^(NearlyAll|PriorHops|Mostly|half|second|day|week|whole|Whole|various|blockBits|taken|above|doubtful|lasting|recent|listed|Moments|fewHops|scatter|minPast)$`)

// TestFewConstants counts the values of the table of docs/inference.md.
func TestFewConstants(t *testing.T) {
	values := 0
	for _, row := range tables(t, "../../docs/inference.md")[0] {
		values += len(strings.Split(strings.Split(row, "|")[2], ","))
	}
	if values > mostConstants || values < mostConstants/2 {
		t.Errorf("the table of docs/inference.md has %d values, not at most %d", values, mostConstants)
	}
}

// TestEveryConstantIsInATable: a number that decides and is in no table is not counted.
func TestEveryConstantIsInATable(t *testing.T) {
	var documented string
	for _, rows := range tables(t, "../../docs/inference.md") {
		documented += strings.Join(rows, "\n")
	}
	names := constants(t)
	if len(names) < mostConstants {
		t.Fatalf("only %d constants are in the code: the test looks in the wrong place", len(names))
	}
	for name, at := range names {
		word := regexp.MustCompile(`[.` + "`" + `]` + name + "`")
		if !derived.MatchString(name) && !word.MatchString(documented) {
			t.Errorf("%s: %s is in no table of docs/inference.md", at, name)
		}
	}
}

// tables are the rows of a document's tables that have constants in their first column.
func tables(t *testing.T, file string) (all [][]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(text), "\n\n") {
		rows := strings.Split(strings.TrimSpace(part), "\n")
		if strings.HasPrefix(rows[0], "| constant |") {
			all = append(all, rows[2:])
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no table of constants", file)
	}
	return all
}

// constants are the names of the judgement's numeric constants and where they are.
func constants(t *testing.T) map[string]token.Position {
	t.Helper()
	positions, names := token.NewFileSet(), map[string]token.Position{}
	for _, dir := range judging {
		files, err := filepath.Glob(filepath.Join("../../pkg/inference", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(positions, file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
					for _, spec := range d.Specs {
						addNumbers(names, positions, spec.(*ast.ValueSpec))
					}
				}
				return true
			})
		}
	}
	return names
}

// addNumbers adds the names of a declaration that have a number in their value.
func addNumbers(names map[string]token.Position, positions *token.FileSet, spec *ast.ValueSpec) {
	for i, value := range spec.Values {
		ast.Inspect(value, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && (l.Kind == token.INT || l.Kind == token.FLOAT) {
				names[spec.Names[i].Name] = positions.Position(l.Pos())
			}
			return true
		})
	}
}
