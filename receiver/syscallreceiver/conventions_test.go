package syscallreceiver

import (
	"testing"

	"github.com/perfscope/perfscope/internal/doctest"
)

// TestConventions holds docs/semantic-conventions.md against the resource of
// the records; pkg/threadtrace/tracelog does it for the records themselves.
func TestConventions(t *testing.T) {
	doctest.HasAll(t, doctest.Conventions, "resource.go")
	doctest.HasAll(t, "README.md", "resource.go")
}
