package bench

import (
	"fmt"
	"io"
)

// callRows are the rows of the table of calls.
var callRows = []struct{ name, text string }{
	{"bare", "bare"},
	{"empty_probes", "two empty eBPF programs on `sys_enter` and `sys_exit`"},
	{"clock_probes", "two programs that only read the clock"},
	{"untraced", "PerfScope attached, a process that is no target"},
	{"traced", "PerfScope, recorded"},
	{"traced_stacks", "PerfScope, recorded, with stacks (the default)"},
	{"bpftrace", "`bpftrace`, a histogram of durations by call"},
	{"perf_record", "`perf record -e raw_syscalls:*`"},
	{"perf_trace", "`perf trace`"},
	{"strace", "`strace -T`"},
}

// Markdown writes the document.
func (r *Report) Markdown(w io.Writer) {
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("# What recording costs\n")
	p("Written by `make bench-capture`; the figures are of this machine: %s.", r.Machine)
	p("Take ratios, not absolutes.\n")
	p("## One system call\n")
	p("A loop of `getppid`, and one of a one-byte `read` and `write`; nanoseconds a turn,")
	p("median of rounds. The hooks tax every call of the host as long as they are")
	p("attached: two empty programs are the least that any tool of this kind can cost, and")
	p("two readings of the clock the least for one that tells how long a call took.\n")
	p("| | getppid | added | read and write | added |\n|---|---|---|---|---|")
	for _, row := range callRows {
		p("| %s | %s | %s |", row.text, cell(r.Calls["getppid"], row.name), cell(r.Calls["readwrite"], row.name))
	}
	if c := r.Calls["getppid"]; c != nil {
		for _, row := range callRows {
			if reason := c.Reasons[row.name]; reason != "" {
				p("\n%s: %.200s", row.text, reason)
			}
		}
		c.shares(p)
	}
	r.wakings(p)
	r.saturated(p)
	r.attached(p)
	r.halfLoad(p)
	r.userspace(p)
	r.interpreted(p)
	r.goroutines(p)
	r.profiled(p)
	r.duty(p)
	p("\nMeasured: %s.", dates(r.Date))
}

// printer writes a line.
type printer func(format string, args ...any)

// saturated is the table of what servers lose that have all they can take.
func (r *Report) saturated(p printer) {
	p("\n## Saturated servers\n")
	p("Each under the load of a scenario's normal life, as fast as it can; server, load")
	p("and collector share the same processors. One server and one load stay for all")
	p("modes; each second in a mode is compared with the bare seconds before and after")
	p("it. The loss is the median of these, with its 95 %% interval: what else happens on")
	p("the machine within a minute is in the interval. CPU, memory and time per event are")
	p("of the whole collector, inference included.\n")
	p("| server | mode | requests/s | loss | 95 %% | added up | p50 ms | p99 ms | collector, CPUs | MiB | events/s | ns/event | its own estimate | traced |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	direct, added := map[Mode][]Loss{}, map[Mode][]Loss{}
	for _, s := range Servers() {
		d := r.Details[s.Name]
		if d == nil {
			continue
		}
		for _, m := range Modes() {
			f := d.Modes[m]
			if m == Bare {
				p("| %s | bare | %.0f | | | | %.2f | %.2f | | | | | | |", d.Name, f.RPS, f.P50, f.P99)
				continue
			}
			estimate := ""
			if m == Burst && f.Traced > 0 {
				estimate = fmt.Sprintf("%.1f %%", 100*f.Overhead)
			}
			traced := map[Mode]string{Watch: "0 %", Continuous: "100 %", Burst: burstShare(f)}[m]
			parts, sum := "", d.addedUp(m)
			if sum != nil {
				parts = fmt.Sprintf("%.1f %%", sum.Mid)
				added[m] = append(added[m], *sum)
			}
			l := d.Loss[m]
			direct[m] = append(direct[m], l)
			p("| %s | %s | %.0f | %.1f %% | %.1f to %.1f | %s | %.2f | %.2f | %.3f | %.0f | %.0f | %.0f | %s | %s |",
				d.Name, m, f.RPS, l.Mid, l.Low, l.High, parts, f.P50, f.P99, f.CPU, f.RSS, f.Events, f.NSPerEvent, estimate, traced)
		}
	}
	if len(direct) == 0 {
		return
	}
	p("\n| on average | loss | added up |\n|---|---|---|")
	for _, m := range Modes()[1:] {
		mean, half := meanLoss(direct[m])
		sum, sumHalf := meanLoss(added[m])
		p("| %s | %.1f ± %.1f %% | %.2f ± %.2f %% |", m, mean, half, sum, sumHalf)
	}
	p("\nAdded up are the parts, each of which can be measured better than their sum: the")
	p("share of the time in which calls were recorded times what is lost meanwhile (below),")
	p("and the CPU time of the collector and of its samples, as the kernel counts it for the")
	p("program that takes them, as a share of all processors.")
}

// addedUp is the loss in a mode from its parts; nil when one is not known.
func (s *Server) addedUp(m Mode) *Loss {
	f, a := s.Modes[m], s.Attached
	if a == nil || f.CPUs == 0 || m == Burst && f.Traced == 0 {
		return nil
	}
	traced := map[Mode]float64{Continuous: 1, Burst: f.Traced}[m]
	own := 100 * (f.CPU + s.Modes[Watch].Sampling) / float64(f.CPUs)
	return &Loss{own + traced*a.Mid, own + traced*a.Low, own + traced*a.High}
}

// attached is the table of what recording costs as long as it lasts.
func (r *Report) attached(p printer) {
	p("\n## While attached\n")
	p("The same saturated servers, their calls recorded with stacks for every other quarter")
	p("of a second by nothing but the capture: what is lost meanwhile, with its 95 %% interval,")
	p("and what the budget of the default mode reckons with for it. The clients' calls pass")
	p("the hooks, too: a server that is left more of the processors, or more requests at a")
	p("time, may gain what it loses.\n")
	p("| server | calls/s | loss | 95 %% | the budget's estimate |\n|---|---|---|---|---|")
	for _, s := range Servers() {
		if d := r.Details[s.Name]; d != nil && d.Attached != nil {
			a := d.Attached
			p("| %s | %.0f | %.1f %% | %.1f to %.1f | %.1f %% |", s.Name, a.Calls, a.Mid, a.Low, a.High, a.Reckoned)
		}
	}
}

// shares says where the time that a recorded call takes goes.
func (c *Calls) shares(p printer) {
	added := func(name string) float64 {
		if c.NS[name] == nil || c.NS["bare"] == nil {
			return 0
		}
		return *c.NS[name] - *c.NS["bare"]
	}
	floor, clock := added("empty_probes"), added("clock_probes")
	if floor <= 0 || clock <= 0 {
		return
	}
	p("\nTo what the two empty programs add to `getppid`, a call that is not recorded stands")
	p("as %.2f to 1, a recorded one as %.2f to 1. Of the latter, the hooks are 1.00, two readings", added("untraced")/floor, added("traced")/floor)
	p("of the clock %.2f, and finding the thread, pairing entry and exit and writing the", (clock-floor)/floor)
	p("record %.2f.", (added("traced")-clock)/floor)
}

// halfLoad is the table of what a server that is not saturated feels.
func (r *Report) halfLoad(p printer) {
	p("\n## Half load\n")
	p("The same servers under half of what they took bare: what their users feel, and how")
	p("many processors were busy, with server, load and collector.\n")
	p("| server | mode | requests/s | p50 ms | p99 ms | CPUs busy | of these the collector |\n|---|---|---|---|---|---|---|")
	for _, s := range Servers() {
		d := r.Details[s.Name]
		if d == nil {
			continue
		}
		for _, m := range Modes() {
			if f, ok := d.Half[m]; ok {
				p("| %s | %s | %.0f | %.2f | %.2f | %.2f | %.3f |", d.Name, m, f.RPS, f.P50, f.P99, f.Busy, f.CPU)
			}
		}
	}
}

// userspace are the tables of what becomes of an event, and of many services.
func (r *Report) userspace(p printer) {
	p("\n## The way of an event\n")
	if len(r.Stages) > 0 {
		p("From the kernel's ring to the features of its execution unit, each part alone, in Go")
		p("benchmarks; nanoseconds and allocations an event.\n")
		p("| part | ns | allocations | bytes allocated |\n|---|---|---|---|")
		for _, s := range r.Stages {
			p("| %s | %.1f | %.4f | %.1f |", s.Name, s.NS, s.Allocations, s.Bytes)
		}
		p("| together | %.1f | | |", *r.UserspaceNS)
	}
	p("\nThe whole collector beside services that make cheap calls at a set pace, in units of")
	p("30: reading, unwinding of stacks, symbols, inference, its own metrics.\n")
	p("| services | threads | calls/s | mode | events/s | ns/event | collector, CPUs | MiB | GC, of its CPU | lost |\n|---|---|---|---|---|---|---|---|---|---|")
	for _, s := range r.Scales {
		p("| %d | %d | %d | %s | %.0f | %.0f | %.3f | %.0f | %.0f %% | %.0f |",
			s.Services, s.Threads, s.Calls, s.Mode, s.Events, s.NSPerEvent, s.CPU, s.RSS, 100*s.GC, s.Lost)
	}
}

// interpreted is the table of services of interpreters.
func (r *Report) interpreted(p printer) {
	if len(r.Interpreted) == 0 {
		return
	}
	p("\n## Interpreters\n")
	p("The whole collector beside a service in Python, whose threads compute and wait in turn,")
	p("fifteen functions deep, twenty times a second each, with and without looks at which")
	p("functions they are in (`stacks::interpreters`).\n")
	p("| program | threads | mode | looks | collector, CPUs | MiB | events/s |\n|---|---|---|---|---|---|---|")
	for _, s := range r.Interpreted {
		looks := "off"
		if s.Looks {
			looks = "on"
		}
		p("| %s | %d | %s | %s | %.4f | %.0f | %.0f |", s.Program, s.Threads, s.Mode, looks, s.CPU, s.RSS, s.Events)
	}
}

// duty is the table of the tax over time.
func (r *Report) duty(p printer) {
	if len(r.Duty) == 0 {
		return
	}
	p("\n## The tax over time\n")
	p("The `getppid` loop of a process that is no target, beside a collector in `mode: burst`;")
	p("median of each 100 ms, in nanoseconds a call.\n")
	p("| second | +0.0 | 0.1 | 0.2 | 0.3 | 0.4 | 0.5 | 0.6 | 0.7 | 0.8 | 0.9 |\n|---|---|---|---|---|---|---|---|---|---|---|")
	for i := 0; i+10 <= len(r.Duty); i += 10 {
		row := fmt.Sprintf("| %d |", i/10)
		for _, t := range r.Duty[i : i+10] {
			row += fmt.Sprintf(" %.0f |", t.NS)
		}
		p("%s", row)
	}
}

// burstShare is the share of the time that was traced, if it is known.
func burstShare(f Figures) string {
	if f.Traced == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*f.Traced)
}

func dates(of map[string]string) string {
	text := ""
	for _, part := range []string{"calls", "wakings", "servers", "stages", "scale", "duty", "interpreted", "goroutines", "profiled"} {
		if at := of[part]; at != "" {
			if text != "" {
				text += ", "
			}
			text += part + " " + at
		}
	}
	return text
}

func cell(c *Calls, name string) string {
	if c == nil || c.NS[name] == nil {
		return "- | -"
	}
	if name == "bare" {
		return fmt.Sprintf("%.0f | ", *c.NS[name])
	}
	return fmt.Sprintf("%.0f | %.0f", *c.NS[name], *c.NS[name]-*c.NS["bare"])
}
