package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheFullDistributionHasTheSmallOne: what works with the one works with
// the other.
func TestTheFullDistributionHasTheSmallOne(t *testing.T) {
	small, full := parts(t, "builder-config.yaml"), parts(t, "builder-config-full.yaml")
	if len(small) < 10 {
		t.Fatalf("only %d parts found", len(small))
	}
	for _, part := range small {
		if !slices.Contains(full, part) {
			t.Errorf("%s is missing in builder-config-full.yaml", part)
		}
	}
}

// parts are the modules and imports of a manifest, with their versions.
func parts(t *testing.T, manifest string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", manifest))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
		if strings.HasPrefix(line, "gomod: ") || strings.HasPrefix(line, "import: ") {
			out = append(out, line)
		}
	}
	return out
}
