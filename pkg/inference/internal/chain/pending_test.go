package chain

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestPendingFlowsAreWorkedOutOnce(t *testing.T) {
	var none *Pending
	if none.Flows() != nil {
		t.Error("nothing has flows")
	}
	known := Flows{{From: Node{Kind: Waits, Number: 1}, To: Node{Kind: Storage}}: {Time: 5, Waits: 1}}
	var trace Trace
	trace.Wake(1, &threadtrace.Waking{Time: 9e6, Start: 2e6, Number: 202, By: threadtrace.WakerInterrupt})
	p := NewPending(known, trace, 0)
	first := p.Flows()
	if len(first) != 2 || p.trace != nil {
		t.Fatalf("%v, and the trace is kept: %v", first, p.trace != nil)
	}
	if again := p.Flows(); len(again) != 2 {
		t.Errorf("asked again it is %v", again)
	}
}
