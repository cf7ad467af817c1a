package scenario

import (
	"fmt"
	"time"
)

func init() {
	addCheck("postgres-spill", slow(1.2))
	// A factor would ask for a quiet machine: the trigger adds 30 ms to one
	// request of four, whatever the others take.
	addCheck("postgres-sleep", func(_, after state) error {
		if after.figures.P99 < 30*time.Millisecond {
			return fmt.Errorf("the 99th percentile is %s", after.figures.P99)
		}
		return nil
	})
}
