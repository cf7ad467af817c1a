package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Report is what was measured; parts measured at other times are kept.
type Report struct {
	Machine string            `json:"machine"`
	Date    map[string]string `json:"date"` // of each part
	// GetppidNS is that of Calls["getppid"].
	GetppidNS map[string]*float64 `json:"getppid_ns"`
	Calls     map[string]*Calls   `json:"calls"`
	Servers   []Summary           `json:"servers"`
	Details   map[string]*Server  `json:"server_details"`
	Duty      []Tick              `json:"tax_over_time,omitempty"`
	// UserspaceNS is the CPU time of the collector per event, RSS its memory,
	// both of the server that makes the most calls, recorded all the time.
	UserspaceNS *float64 `json:"userspace_ns_per_event"`
	RSS         *float64 `json:"rss_mib"`
}

// Summary is one server bare and as the shipped agent watches it by default.
type Summary struct {
	Name       string  `json:"name"`
	BareRPS    float64 `json:"bare_rps"`
	WatchedRPS float64 `json:"watched_rps"`
	BareP99    float64 `json:"bare_p99_ms"`
	WatchedP99 float64 `json:"watched_p99_ms"`
}

// Load reads a report, an empty one when there is none.
func Load(file string) (*Report, error) {
	r := &Report{Date: map[string]string{}, Calls: map[string]*Calls{}, Details: map[string]*Server{}}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(data, r)
}

// Default is the mode of the shipped agent.
const Default = Continuous

// Summarise fills what follows from the details.
func (r *Report) Summarise() {
	if c := r.Calls["getppid"]; c != nil {
		r.GetppidNS = c.NS
	}
	r.Servers, r.UserspaceNS, r.RSS = nil, nil, nil
	most := 0.0
	for _, s := range Servers() {
		d := r.Details[s.Name]
		if d == nil {
			continue
		}
		bare, watched := d.Modes[Bare], d.Modes[Default]
		r.Servers = append(r.Servers, Summary{s.Name, bare.RPS, watched.RPS, bare.P99, watched.P99})
		// Of the one with the most events in continuous mode.
		if f := d.Modes[Continuous]; f.Events > most {
			most = f.Events
			r.UserspaceNS, r.RSS = &f.NSPerEvent, &f.RSS
		}
	}
}

// Done notes when a part was measured.
func (r *Report) Done(part string) { r.Date[part] = time.Now().UTC().Format(time.RFC3339) }

// callRows are the rows of the table of calls.
var callRows = []struct{ name, text string }{
	{"bare", "bare"},
	{"empty_probes", "two empty eBPF programs on `sys_enter` and `sys_exit`"},
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
	p("attached: two empty programs are the least that any tool of this kind can cost.\n")
	p("| | getppid | added | read and write | added |\n|---|---|---|---|---|")
	for _, row := range callRows {
		p("| %s | %s | %s |", row.text, cell(r.Calls["getppid"], row.name), cell(r.Calls["readwrite"], row.name))
	}
	for _, kind := range []string{"getppid"} {
		if c := r.Calls[kind]; c != nil {
			for _, row := range callRows {
				if reason := c.Reasons[row.name]; reason != "" {
					p("\n%s: %.200s", row.text, reason)
				}
			}
		}
	}
	p("\n## Saturated servers\n")
	p("Each under the load of a scenario's normal life, as fast as it can; server, load")
	p("and collector share the same processors. Median of the rounds; the loss is that")
	p("against the bare server in the same round. CPU, memory and time per event are of")
	p("the whole collector, inference included.\n")
	p("| server | mode | requests/s | loss | p50 ms | p99 ms | collector, CPUs | MiB | events/s | ns/event | its own estimate | traced |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
	sums, n := map[Mode]float64{}, 0.0
	for _, s := range Servers() {
		d := r.Details[s.Name]
		if d == nil {
			continue
		}
		n++
		for _, m := range Modes() {
			f := d.Modes[m]
			sums[m] += d.Loss[m]
			if m == Bare {
				p("| %s | bare | %.0f | | %.2f | %.2f | | | | | | |", d.Name, f.RPS, f.P50, f.P99)
				continue
			}
			estimate := ""
			if m == Burst && f.Traced > 0 {
				estimate = fmt.Sprintf("%.1f %%", 100*f.Overhead)
			}
			traced := map[Mode]string{Watch: "0 %", Continuous: "100 %", Burst: burstShare(f)}[m]
			p("| %s | %s | %.0f | %.1f %% | %.2f | %.2f | %.2f | %.0f | %.0f | %.0f | %s | %s |",
				d.Name, m, f.RPS, d.Loss[m], f.P50, f.P99, f.CPU, f.RSS, f.Events, f.NSPerEvent, estimate, traced)
		}
	}
	if spread := r.spread(); spread > 0 {
		p("\nThe bare throughput of one server differed by up to %.0f %% from round to round: losses", 100*spread)
		p("well below that are noise.")
	}
	if n > 0 {
		p("\nOn average: watch %.1f %%, burst %.1f %%, continuous %.1f %%.", sums[Watch]/n, sums[Burst]/n, sums[Continuous]/n)
	}
	if len(r.Duty) > 0 {
		p("\n## The tax over time\n")
		p("The `getppid` loop of a process that is no target, beside a collector in `mode: burst`;")
		p("median of each 100 ms, in nanoseconds a call.\n")
		p("| second | +0.0 | 0.1 | 0.2 | 0.3 | 0.4 | 0.5 | 0.6 | 0.7 | 0.8 | 0.9 |\n|---|---|---|---|---|---|---|---|---|---|---|")
		for i := 0; i+10 <= len(r.Duty); i += 10 {
			fmt.Fprintf(w, "| %d |", i/10)
			for _, t := range r.Duty[i : i+10] {
				fmt.Fprintf(w, " %.0f |", t.NS)
			}
			fmt.Fprintln(w)
		}
	}
	p("\nMeasured: %s.", dates(r.Date))
}

// spread is by how much the bare throughput of one server differs between
// rounds at the most, as a share.
func (r *Report) spread() (most float64) {
	for _, d := range r.Details {
		if all := d.All[Bare]; len(all) > 0 {
			most = max(most, (slices.Max(all)-slices.Min(all))/slices.Max(all))
		}
	}
	return most
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
	for _, part := range []string{"calls", "servers", "duty"} {
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
