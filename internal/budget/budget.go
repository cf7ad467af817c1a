// Package budget decides how much of the time system calls are recorded, so
// that recording costs no more than a share of the host's CPU time. It reckons
// with what the caller has measured and knows neither eBPF nor the Collector.
//
// The hooks on system calls tax every call of the host while they are attached,
// whatever is recorded: the time attached is what there is to save. So bursts
// become shorter first, then further apart, then fewer stacks are copied; with
// room in the budget it goes the other way, up to recording all the time.
package budget

import (
	"errors"
	"time"
)

const (
	// period is the time from the begin of one burst to that of the next as
	// long as the bursts can pay for it by being short: two or more fall into
	// each hop of five seconds, so that every hop knows its calls.
	period = 2 * time.Second
	// shortest is the least length of a burst: a request of an ordinary
	// server is over by then, and attaching takes a hundredth of it.
	shortest = 100 * time.Millisecond
	// longestPeriod bounds the spacing: a hop is five seconds, and one without
	// a burst knows nothing of its calls.
	longestPeriod = 5 * time.Second
	// always is the share of the time from which on the hooks stay attached.
	always = 0.9
	// leastStacks is the smallest part of the configured stack rate.
	leastStacks = 1.0 / 16
	// enough is how long a plan is watched before it is changed: longer than the
	// waves of requests and the cycles of a garbage collector. A cost of more
	// than twice the budget is acted on at once.
	enough, dear = 6 * time.Second, 2.0
	// repay is the part of the budget that is there for recording in any case,
	// and that pays a focus back: where the watch and the inference take all of
	// it no burst saved would help, and calls are why this runs.
	repay = 0.25
	// fair is what the hooks may cost one service, in units of the budget, of one
	// CPU: on a host of many CPUs the budget would else let one thread that does
	// nothing but calls pay for all of it.
	fair = 2.0
	// starting is how long this process takes to read the symbols of what runs
	// already. That is no cost to go on with.
	starting = 10 * time.Second
	// memory is the time constant of the estimate once the plan lasts.
	memory = 20 * time.Second
	// settled is the part of the budget from which up nothing is changed, and
	// aim where a change aims at: between the two the load may move.
	settled, aim = 0.7, 0.85
	// slowest and fastest bound one change: an estimate is never so wrong
	// that more than a third should be trusted to it at a time, and what is
	// too dear must end soon.
	slowest, fastest = 0.4, 1.35
	// RecordTax is what a recorded call pays, in units of what any call pays
	// for the hooks: at most, see BenchmarkCallCost in capture.
	RecordTax = 1.6
	// WakingTax is what is paid for each thread that is woken while it is watched who
	// wakes whom, in the same units: two threads that wake each other lose 0.1 to 0.3 µs by
	// each waking, and a call of a server at work 0.15 µs ("Who wakes whom" and "One
	// system call" in docs/performance.md).
	WakingTax = 2
	// StackCost is the CPU time of copying a stack of 32 KiB.
	StackCost = 4 * time.Microsecond
)

// Usage is what was measured since the last time.
type Usage struct {
	// Elapsed is the time that passed, Attached the part of it in which the
	// hooks were attached.
	Elapsed, Attached time.Duration
	// Recorded and Passed are the calls that went through the hooks meanwhile,
	// those recorded and those of others; Stacks the stacks copied, at calls,
	// samples and waits.
	Recorded, Passed, Stacks uint64
	// Woken are the threads, of any process, that were woken while it was watched who
	// wakes whom.
	Woken uint64
	// Most is how many of Recorded are of the service that made the most.
	Most uint64
	// Tax is what the hooks add to a call that is not recorded.
	Tax time.Duration
	// Own is the CPU time of the recording process itself.
	Own time.Duration
	// Focus says that a focus lasted for a part of the time.
	Focus bool
}

// Hooks is the CPU time that the hooks took.
func (u *Usage) Hooks() time.Duration {
	calls := float64(u.Passed) + RecordTax*float64(u.Recorded) + WakingTax*float64(u.Woken)
	return time.Duration(calls*float64(u.Tax) + float64(u.Stacks)*float64(StackCost))
}

// Plan says how to go on.
type Plan struct {
	// Burst is for how long to attach, Pause for how long to detach then;
	// with no pause the hooks stay attached, and Burst is when to ask again.
	Burst, Pause time.Duration
	// Stacks is the part of the configured stack rate to use, above 0 to 1.
	Stacks float64
}

// Decision is what Observe changed.
type Decision string

// The decisions.
const (
	Keep       Decision = "keep"
	Shorten    Decision = "shorten" // shorter bursts
	Space      Decision = "space"   // bursts further apart
	FewStacks  Decision = "fewer_stacks"
	Lengthen   Decision = "lengthen" // longer bursts
	Close      Decision = "close"    // bursts closer together
	MoreStacks Decision = "more_stacks"
	Exhausted  Decision = "exhausted" // over the budget, and nothing left to save
)

// Controller keeps the budget. It is not safe for concurrent use.
type Controller struct {
	share float64
	cpus  float64
	// duty is the share of the time attached, stacks the part of the rate.
	duty, stacks float64
	hooks, own   float64
	// served is what the hooks cost the service that makes the most calls, in
	// CPUs.
	served float64
	work   workload
	// rest is what the process costs whatever is recorded, recording the rest
	// of what it costs.
	rest, recording float64
	age             time.Duration
	// seen is for how long the plan has been watched.
	seen time.Duration
	// debt is what focus has cost beyond the plan and is not paid back yet, in
	// seconds of the whole host.
	debt float64
}

// New makes a Controller that keeps the cost at or below a share (above 0, at
// most 1) of the CPU time of a host with so many CPUs.
func New(share float64, cpus int) (*Controller, error) {
	if !(share > 0 && share <= 1) || cpus < 1 {
		return nil, errors.New("budget: the share must be above 0 and at most 1, of at least one CPU")
	}
	// A quarter of the time is enough to learn what recording costs here.
	return &Controller{share: share, cpus: float64(cpus), duty: 0.25, stacks: 1}, nil
}

// Plan is the present plan.
func (c *Controller) Plan() Plan {
	p := Plan{Stacks: c.stacks}
	switch burst := time.Duration(c.duty * float64(period)); {
	case c.duty >= always:
		p.Burst = period
	case burst >= shortest:
		p.Burst, p.Pause = burst, period-burst
	default:
		p.Burst = shortest
		p.Pause = min(longestPeriod, time.Duration(float64(shortest)/c.duty)) - shortest
	}
	return p
}

// Estimate is the cost as a share of the host's CPU time: of the hooks, and of
// the recording process.
func (c *Controller) Estimate() (hooks, own float64) { return c.hooks, c.own }

// CanFocus reports whether what the last focus cost is paid back.
func (c *Controller) CanFocus() bool { return c.debt == 0 }

// Duty is the share of the time the plan is attached for.
func (c *Controller) Duty() float64 {
	p := c.Plan()
	return float64(p.Burst) / float64(p.Burst+p.Pause)
}

// Observe takes what was measured and changes the plan if it has to.
func (c *Controller) Observe(u Usage) Decision {
	if u.Elapsed <= 0 {
		return Keep
	}
	tax := u.Tax.Seconds()
	hooks := u.Hooks().Seconds()
	cost := (hooks + u.Own.Seconds()) / c.cpus
	if u.Focus { // that is no part of the plan
		c.debt += max(0, cost-(c.hooks+c.own)*u.Elapsed.Seconds())
		return Keep
	}
	budget := c.share * u.Elapsed.Seconds()
	c.debt = max(0, c.debt-max(budget-cost, budget*repay))
	// A plain mean at first.
	c.seen += u.Elapsed
	weight := u.Elapsed.Seconds() / min(c.seen, memory).Seconds()
	blend := func(old *float64, cpu float64) {
		*old += min(1, weight) * (cpu/u.Elapsed.Seconds()/c.cpus - *old)
	}
	blend(&c.hooks, hooks)
	blend(&c.own, u.Own.Seconds())
	blend(&c.served, float64(u.Most)*tax*RecordTax*c.cpus)
	c.work.observe(u)
	calls := min(u.Own, time.Duration(float64(u.Recorded)*c.work.perCall())).Seconds()
	blend(&c.recording, calls)
	if c.age += u.Elapsed; c.age > starting {
		blend(&c.rest, u.Own.Seconds()-calls)
	}
	decision := Keep
	used := (c.hooks + c.recording) / max(c.share-c.rest, c.share*repay)
	used = max(used, c.served/(fair*c.share))
	switch {
	case used > dear || used > 1 && c.seen >= enough:
		decision = c.spend(max(slowest, aim/used))
	case used < settled && c.seen >= enough:
		decision = c.spend(min(fastest, aim/max(used, 0.01)))
	}
	if decision != Keep {
		c.seen = 0 // the next plan is judged by what it costs
	}
	return decision
}

// leastDuty is that of the shortest burst at the longest spacing.
const leastDuty = float64(shortest) / float64(longestPeriod)

// spend changes the cost by about a factor.
func (c *Controller) spend(factor float64) Decision {
	before := c.duty
	if factor > 1 {
		switch {
		case c.stacks < 1:
			c.stacks = min(1, 2*c.stacks)
			return MoreStacks
		case before >= 1:
			return Keep
		}
		c.duty = min(1, before*factor)
		if before*float64(period) < float64(shortest) {
			return Close
		}
		return Lengthen
	}
	switch {
	case before > leastDuty:
		c.duty = max(leastDuty, before*factor)
		if before*float64(period) > float64(shortest) {
			return Shorten
		}
		return Space
	case c.stacks > leastStacks:
		c.stacks = max(leastStacks, c.stacks/2)
		return FewStacks
	}
	return Exhausted
}
