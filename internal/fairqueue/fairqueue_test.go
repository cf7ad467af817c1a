package fairqueue

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneSlowKeyWaitsForItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		served := map[string][]int{}
		q := New(8, 100, func(key string, n int) {
			if key == "slow" {
				time.Sleep(time.Hour)
			}
			mu.Lock()
			defer mu.Unlock()
			served[key] = append(served[key], n)
		})
		q.Start(2)
		for n := range 4 {
			for _, key := range []string{"slow", "a", "b"} {
				if !q.Offer(key, n) {
					t.Fatal("there is room")
				}
			}
		}
		begun := time.Now()
		q.Settle(time.Second)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the first time it took %v", took)
		}
		q.Offer("a", 4)
		begun = time.Now()
		q.Settle(time.Second)
		if took := time.Since(begun); took != 0 {
			t.Errorf("the slow one was waited for again, %v", took)
		}
		mu.Lock()
		if want := []int{0, 1, 2, 3, 4}; !slices.Equal(served["a"], want) || len(served["b"]) != 4 || len(served["slow"]) != 0 {
			t.Errorf("%v", served)
		}
		mu.Unlock()
		time.Sleep(5 * time.Hour)
		mu.Lock()
		if !slices.Equal(served["slow"], []int{0, 1, 2, 3}) {
			t.Errorf("its own order: %v", served["slow"])
		}
		mu.Unlock()
		// It is trusted again.
		q.Offer("slow", 5)
		begun = time.Now()
		q.Settle(2 * time.Hour)
		if took := time.Since(begun); took != time.Hour {
			t.Errorf("%v", took)
		}
		q.Close(nil)
		q.Wait()
	})
}

func TestBounds(t *testing.T) {
	q := New(3, 5, func(int, int) {})
	for n, want := range []bool{true, true, true, false} {
		if got := q.Offer(1, n); got != want {
			t.Errorf("task %d of a key: %v", n, got)
		}
	}
	q.Offer(2, 0)
	q.Offer(3, 0)
	if q.Offer(4, 0) {
		t.Error("more than the total")
	}
	for range 5 {
		if !q.Insist(1, 0) {
			t.Error("no room for what must not be lost")
		}
	}
	if q.Insist(1, 0) || q.Len() != 10 {
		t.Errorf("no bound, %d tasks", q.Len())
	}
	dropped := 0
	q.Close(func(int, int) { dropped++ })
	if dropped != 10 || q.Offer(1, 0) {
		t.Errorf("%d dropped", dropped)
	}
}

func BenchmarkOffer(b *testing.B) {
	q := New(1<<20, 1<<20, func(int, int) {})
	q.Start(1)
	for i := 0; b.Loop(); i++ {
		q.Offer(i&7, i)
	}
	q.Close(nil)
	q.Wait()
}
