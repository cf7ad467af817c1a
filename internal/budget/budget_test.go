package budget

import (
	"math/rand/v2"
	"testing"
	"time"
)

// host plays a host on which the plan is carried out.
type host struct {
	calls    float64       // per second, of all processes
	recorded float64       // part of them
	tax      time.Duration // of a call
	base     float64       // own CPU seconds per second, without recording
	event    time.Duration // own CPU time per recorded call
	cpus     float64
	most     float64 // part of the recorded calls that one service makes
	woken    float64 // threads per second, of all processes
}

// run carries out the plan for a while and returns what it cost in the second
// half, as a share of the host.
func (h host) run(c *Controller, d time.Duration, decisions map[Decision]int) float64 {
	var cost, seconds float64
	for at := time.Duration(0); at < d; {
		p := c.Plan()
		u := Usage{Elapsed: p.Burst + p.Pause, Attached: p.Burst, Tax: h.tax}
		calls := h.calls * u.Attached.Seconds()
		u.Recorded, u.Passed = uint64(calls*h.recorded), uint64(calls*(1-h.recorded))
		u.Most = uint64(float64(u.Recorded) * h.most)
		u.Woken = uint64(h.woken * u.Attached.Seconds())
		u.Own = time.Duration(h.base*float64(u.Elapsed)) + time.Duration(u.Recorded)*h.event
		decisions[c.Observe(u)]++
		if at += u.Elapsed; at > d/2 {
			cost += (float64(u.Passed)+RecordTax*float64(u.Recorded)+WakingTax*float64(u.Woken))*h.tax.Seconds() + u.Own.Seconds()
			seconds += u.Elapsed.Seconds()
		}
	}
	return cost / seconds / h.cpus
}

func TestBudgetIsKeptAndUsed(t *testing.T) {
	const tax = 150 * time.Nanosecond
	for _, tc := range []struct {
		name         string
		host         host
		share        float64
		least, most  float64 // duty at the end
		atMost, uses float64 // cost
	}{
		{"an idle host is traced all the time", host{2000, 0.5, tax, 0.004, 500, 2, 0, 0}, 0.01, 1, 1, 0.01, 0},
		{"a busy one in bursts", host{300e3, 0.5, tax, 0.004, 500, 2, 0, 0}, 0.01, 0.03, 0.4, 0.0105, 0.006},
		{"in shorter ones where threads wake each other", host{150e3, 0, tax, 0.004, 500, 2, 0, 150e3}, 0.01, 0.15, 0.3, 0.0105, 0.006},
		{"a saturated one in the least there is", host{3e6, 0.5, tax, 0.004, 500, 2, 0, 0}, 0.01, 0.02, 0.021, 0.05, 0},
		{"half a budget", host{300e3, 0.5, tax, 0.001, 500, 2, 0, 0}, 0.005, 0.02, 0.2, 0.0055, 0.003},
		{"a large host has more to spend", host{300e3, 0.5, tax, 0.004, 500, 32, 0, 0}, 0.01, 0.9, 1, 0.01, 0},
		{"but not at the cost of one service", host{300e3, 0.5, tax, 0.004, 500, 32, 1, 0}, 0.01, 0.35, 0.56, 0.01, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := New(tc.share, int(tc.host.cpus))
			if err != nil {
				t.Fatal(err)
			}
			decisions := map[Decision]int{}
			cost := tc.host.run(c, 10*time.Minute, decisions)
			t.Logf("duty %.3f, cost %.4f, plan %+v, %v", c.Duty(), cost, c.Plan(), decisions)
			if d := c.Duty(); d < tc.least || d > tc.most {
				t.Errorf("duty %.3f, want %.3f to %.3f", d, tc.least, tc.most)
			}
			if cost > tc.atMost || cost < tc.uses {
				t.Errorf("cost %.4f, want %.4f to %.4f", cost, tc.uses, tc.atMost)
			}
			hooks, own := c.Estimate()
			if e := hooks + own; e < 0.8*cost || e > 1.2*cost {
				t.Errorf("estimated %.4f, it is %.4f", e, cost)
			}
		})
	}
}

// TestStartIsNotRecording: what the process does at its start takes nothing from
// the bursts, nor does any later work that recording less would not save.
func TestStartIsNotRecording(t *testing.T) {
	c, _ := New(0.01, 2)
	h := host{300e3, 0.1, 150 * time.Nanosecond, 0.7, 500, 2, 0, 0}
	at := c.Duty()
	h.run(c, 10*time.Second, map[Decision]int{})
	if c.Duty() < at/3 { // what the hooks cost is known at once
		t.Errorf("the start brought the duty from %.3f to %.3f", at, c.Duty())
	}
	h.base = 0.004
	h.run(c, 2*time.Minute, map[Decision]int{})
	usual := c.Duty()
	h.base = 1
	h.run(c, 5*time.Minute, map[Decision]int{})
	if d := c.Duty(); d < usual*repay/1.5 || d > usual*repay*1.5 {
		t.Errorf("with a process that costs %v CPUs whatever is recorded the duty is %.3f, want a quarter of %.3f", h.base, d, usual)
	}
	if hooks, own := c.Estimate(); hooks+own < 0.49 || hooks+own > 0.51 {
		t.Errorf("the estimate is %.3f + %.3f, and tells no more what all of it costs", hooks, own)
	}
}

// TestWorkloadIsLearned from looks at a host whose load changes, among noise.
func TestWorkloadIsLearned(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, want := range []float64{200, 500, 1500} {
		var w workload
		for range 60 {
			calls := r.Uint64N(100e3)
			w.observe(Usage{
				Elapsed: 2 * time.Second, Recorded: calls,
				Own: time.Duration(float64(calls)*want) + time.Duration(20e6+r.NormFloat64()*3e6),
			})
		}
		if got := w.perCall(); got < 0.9*want || got > 1.1*want {
			t.Errorf("%.0f ns a call, want %.0f", got, want)
		}
	}
	var idle workload
	for range 60 {
		idle.observe(Usage{Elapsed: 2 * time.Second, Recorded: r.Uint64N(100), Own: time.Duration(r.Int64N(50e6))})
	}
	if got := idle.perCall(); got < 0.8*float64(usualCall) || got > 1.2*float64(usualCall) {
		t.Errorf("%.0f ns a call, of no calls", got)
	}
}

// TestHysteresis: a steady load is followed by no changes once it is met.
func TestHysteresis(t *testing.T) {
	c, _ := New(0.01, 2)
	h := host{300e3, 0.5, 150 * time.Nanosecond, 0.004, 500, 2, 0, 0}
	h.run(c, 5*time.Minute, map[Decision]int{})
	decisions := map[Decision]int{}
	h.run(c, 5*time.Minute, decisions)
	for d, n := range decisions {
		if d != Keep {
			t.Errorf("%d times %q under a steady load", n, d)
		}
	}
}

// TestOrder: length, then spacing, then stacks; and back the other way.
func TestOrder(t *testing.T) {
	c, _ := New(0.01, 2)
	next := func(own time.Duration) Decision {
		for range 100 {
			// The calls are all that costs, in the kernel or here.
			u := Usage{Elapsed: 2 * time.Second, Own: own, Recorded: uint64(own / usualCall)}
			if d := c.Observe(u); d != Keep {
				return d
			}
		}
		return Keep
	}
	var seen []Decision
	step := func(own time.Duration, until Decision) {
		for {
			d := next(own)
			if len(seen) == 0 || seen[len(seen)-1] != d {
				seen = append(seen, d)
			}
			if d == until {
				return
			}
		}
	}
	step(500*time.Millisecond, Exhausted)
	if p := c.Plan(); p.Burst != shortest || p.Burst+p.Pause != longestPeriod || p.Stacks != leastStacks {
		t.Errorf("the least plan is %+v", p)
	}
	step(0, Keep)
	if p := c.Plan(); p.Pause != 0 || p.Stacks != 1 {
		t.Errorf("the most is %+v", p)
	}
	want := []Decision{Shorten, Space, FewStacks, Exhausted, MoreStacks, Close, Lengthen, Keep}
	if len(seen) != len(want) {
		t.Fatalf("got %v, want %v", seen, want)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Fatalf("got %v, want %v", seen, want)
		}
	}
}

// TestPlanIsInBounds whatever is observed.
func TestPlanIsInBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c, _ := New(0.01, 2)
	for range 10000 {
		c.Observe(Usage{
			Elapsed: time.Duration(r.Int64N(int64(5 * time.Second))), Own: time.Duration(r.Int64N(int64(time.Second))),
			Recorded: r.Uint64N(1e6), Passed: r.Uint64N(1e6), Woken: r.Uint64N(1e6), Stacks: r.Uint64N(1e4), Tax: time.Duration(r.Int64N(1000)),
		})
		p := c.Plan()
		if p.Burst < shortest || p.Pause < 0 || p.Burst+p.Pause > longestPeriod || p.Stacks < leastStacks || p.Stacks > 1 {
			t.Fatalf("plan %+v", p)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, share := range []float64{0, -1, 1.1} {
		if _, err := New(share, 2); err == nil {
			t.Errorf("a share of %v was taken", share)
		}
	}
	if _, err := New(0.01, 0); err == nil {
		t.Error("no CPU was taken")
	}
}

// TestFocusIsPaidBack: what a focus costs must be saved before the next.
func TestFocusIsPaidBack(t *testing.T) {
	c, _ := New(0.01, 2)
	if !c.CanFocus() {
		t.Error("nothing was spent, and no focus is allowed")
	}
	plan := c.Plan()
	// Ten seconds at ten percent of two CPUs.
	if d := c.Observe(Usage{Elapsed: 10 * time.Second, Own: 2 * time.Second, Focus: true}); d != Keep || c.Plan() != plan {
		t.Errorf("a focus changed the plan: %v, %+v", d, c.Plan())
	}
	paying := func(own time.Duration) (waited time.Duration) {
		for ; !c.CanFocus(); waited += 2 * time.Second {
			c.Observe(Usage{Elapsed: 2 * time.Second, Own: own})
		}
		return waited
	}
	if waited := paying(20 * time.Millisecond); waited < 198*time.Second || waited > 202*time.Second {
		t.Errorf("the next focus after %v, want 1 s saved at 0.005 a second", waited)
	}
	// Where nothing is left of the budget a quarter of it pays all the same.
	for range 10 {
		c.Observe(Usage{Elapsed: 2 * time.Second, Own: 80 * time.Millisecond})
	}
	c.Observe(Usage{Elapsed: 10 * time.Second, Own: 2 * time.Second, Focus: true})
	if waited := paying(80 * time.Millisecond); waited < 300*time.Second || waited > 360*time.Second {
		t.Errorf("the next focus after %v, want 0.8 s, which is beyond the plan, saved at 0.0025 a second", waited)
	}
}
