package threadtrace

import (
	"reflect"
	"testing"
)

// TestReleasedMemoryIsClean decodes into the memory of a batch whose events had
// every field set.
func TestReleasedMemoryIsClean(t *testing.T) {
	full, bare := &Batch{ThreadID: 1, Stacks: []Stack{{Complete: true}}}, &Batch{ThreadID: 1}
	for i := range pooledEvents {
		full.Events = append(full.Events, Event{Time: int64(i), Duration: 1, Elapsed: 2, Number: 3, Return: 4, Stack: 1, Kind: KindBlocked, Cut: true})
		bare.Events = append(bare.Events, Event{Time: int64(i)})
	}
	for _, batch := range []*Batch{full, bare} {
		block, err := Encode(ArchAMD64, batch)
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := Decode(block)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Events, batch.Events) {
			t.Fatalf("the first of %d events is %+v, want %+v", len(got.Events), got.Events[0], batch.Events[0])
		}
		got.Release()
	}
}
