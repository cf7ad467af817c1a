package scenario

import (
	"testing"
	"time"
)

func init() {
	addCheck("postgres-spill", slow(1.2))
	// A factor would ask for a quiet machine: the trigger adds 30 ms to one
	// request of four, whatever the others take.
	addCheck("postgres-sleep", func(t *testing.T, _, after state) {
		if after.figures.P99 < 30*time.Millisecond {
			t.Errorf("the 99th percentile is %s", after.figures.P99)
		}
	})
}
