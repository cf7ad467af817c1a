package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheInferenceStartsNoGoroutine: `make test` leaves the race detector out for it,
// and the same records must give the same result each time.
func TestTheInferenceStartsNoGoroutine(t *testing.T) {
	var files []string
	err := filepath.WalkDir(filepath.Join("..", "..", "pkg", "inference"), func(file string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(file, ".go") {
			files = append(files, file)
		}
		return err
	})
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v: the test looks in the wrong place", len(files), err)
	}
	positions := token.NewFileSet()
	for _, file := range files {
		parsed, err := parser.ParseFile(positions, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			if strings.HasPrefix(spec.Path.Value, `"sync`) {
				t.Errorf("%s imports %s", positions.Position(spec.Pos()), spec.Path.Value)
			}
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", positions.Position(n.Pos()))
			case *ast.SelectorExpr:
				if n.Sel.Name == "Parallel" {
					t.Errorf("%s runs tests in parallel", positions.Position(n.Pos()))
				}
			}
			return true
		})
	}
}
