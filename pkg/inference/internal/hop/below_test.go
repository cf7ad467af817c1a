package hop

import (
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestWhatIsCalledOfPackagesIsBounded(t *testing.T) {
	var merged *Closed
	for i := range uint32(2 * mostMerged) {
		h := NewOpen(start+int64(i)*length, start+int64(i+1)*length, 10)
		h.Cover(&threadtrace.Coverage{Start: h.Start, End: h.End, Traced: time.Duration(length)})
		often := Cell{Stack: 1, Waiting: true, Number: 7}
		h.CallsPackages(often, 0, second)
		h.CallsPackages(often, 9, second)
		for n := range uint32(3 * maxBelow) {
			h.CallsPackages(Cell{Stack: 2 + 3*maxBelow*i + n}, 1, 1000)
			h.CallsPackages(often, 9, 1000)
		}
		c := closed(t, h)
		if len(c.Below) != maxBelow || c.Below[Below{Place{1, 7}, 9, true}] == 0 || h.Len() < maxBelow {
			t.Fatalf("%d are kept of a hop", len(c.Below))
		}
		merged = Merge(merged, c)
	}
	if len(merged.Below) != mostMerged*maxBelow || merged.Below[Below{Place{1, 7}, 9, true}] < 1e8 {
		t.Errorf("%d are kept of several hops, of what lasts %v", len(merged.Below), merged.Below[Below{Place{1, 7}, 9, true}])
	}
}
