package process

import "testing"

// BenchmarkForgetThreads shows that forgetting a process costs its own
// threads, not everyone's.
func BenchmarkForgetThreads(b *testing.B) {
	names := NewThreadNames(b.TempDir())
	for i := range int32(maxThreadNames - 1) {
		names.Put(1+i/64, i, "worker")
	}
	for b.Loop() {
		names.Put(1<<20, 1, "main")
		names.Forget(1 << 20)
	}
}

func TestForgetThreadsOfOneProcess(t *testing.T) {
	names := NewThreadNames(t.TempDir())
	for i := range int32(3 * maxThreadNames) {
		names.Put(1+i%4, i, "worker")
		if n := names.Len(); n > maxThreadNames {
			t.Fatalf("%d names are held", n)
		}
	}
	sum := 0
	for pid := range int32(4) {
		sum += len(names.names[1+pid])
	}
	if sum != names.Len() {
		t.Errorf("%d names are held, %d counted", sum, names.Len())
	}
	left := names.Len() - len(names.names[2])
	names.Forget(2)
	if names.Len() != left || names.names[2] != nil {
		t.Errorf("%d names, want %d", names.Len(), left)
	}
}
