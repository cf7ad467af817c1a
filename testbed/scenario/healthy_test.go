package scenario

import (
	"os"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
)

// TestHealthySteps lets everything happen that happens to the healthy servers,
// in quick succession: the events must succeed and the load must go on.
func TestHealthySteps(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the servers run under accounts of their own")
	}
	for _, sc := range Healthy() {
		t.Run(sc.Name, func(t *testing.T) {
			w, err := sc.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := w.Server.Stop(); err != nil {
					t.Error(err)
				}
				if w.Stop != nil {
					w.Stop()
				}
			}()
			l := load.Start(t.Context(), w.Load)
			defer l.Stop()
			time.Sleep(300 * time.Millisecond) // connections, caches
			for i, step := range sc.Steps {
				if step.Factor > 0 {
					l.SetRate(w.Load.Rate * step.Factor)
				}
				l.Take()
				cpu, start := usage(w.Server.PID()).cpu, time.Now()
				var end func()
				if step.Do != nil {
					if end, err = step.Do(t.Context()); err != nil {
						t.Fatalf("%s: %v", step.Say, err)
					}
				}
				time.Sleep(2 * time.Second)
				used := usage(w.Server.PID()).cpu - cpu
				if end != nil {
					end()
				}
				f := l.Take()
				t.Logf("step %d: %+v, CPU share of the first process %.2f", i, f, used/time.Since(start).Seconds())
				if f.Requests == 0 || f.Failures > f.Requests/10 {
					t.Errorf("step %d: the load does not run", i)
				}
			}
		})
	}
}
