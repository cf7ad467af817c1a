package hop

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestALookStandsForARecord: what one look finds is taken for the whole of a record.
func TestALookStandsForARecord(t *testing.T) {
	const second = int64(1e9)
	for length, want := range map[int64]float64{second: 0.2e9, second / 2: 0.1e9, 5 * second: 1e9, 10 * second: 1e9} {
		h := &Open{Start: 0, End: 5 * second}
		for at := int64(0); at < h.End; at += length {
			h.AddMachine(&threadtrace.Machine{Start: at, End: at + length})
		}
		sums := h.machine.perSecond()
		if got := sums.Look(); got != want {
			t.Errorf("records of %d ns: a look stands for %g, not %g", length, got, want)
		}
	}
}
