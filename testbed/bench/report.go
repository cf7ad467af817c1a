package bench

import (
	"encoding/json"
	"errors"
	"os"
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
	Stages    []Stage             `json:"stages,omitempty"`
	Scales    []Scale             `json:"scales,omitempty"`
	// Interpreted are services of interpreters.
	Interpreted []Interpreted `json:"interpreted,omitempty"`
	// Goroutines are Go services with many of them.
	Goroutines []Goroutines `json:"goroutines,omitempty"`
	// Profiled are servers under the eBPF profiler.
	Profiled []Profiled `json:"profiled,omitempty"`
	Duty     []Tick     `json:"tax_over_time,omitempty"`
	// UserspaceNS is the time of an event from the ring to the features of its
	// unit, the sum of Stages; RSS the collector's memory at 300,000 calls a
	// second of 2,000 threads.
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
	// Loss is that of the throughput as compared second by second, AddedUp the
	// same from its parts; see Server.
	Loss    Loss  `json:"loss"`
	AddedUp *Loss `json:"loss_added_up"`
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
const Default = Burst

// Summarise fills what follows from the details.
func (r *Report) Summarise() {
	if c := r.Calls["getppid"]; c != nil {
		r.GetppidNS = c.NS
	}
	r.Servers, r.UserspaceNS, r.RSS = nil, nil, nil
	for _, s := range Servers() {
		if d := r.Details[s.Name]; d != nil {
			bare, watched := d.Modes[Bare], d.Modes[Default]
			r.Servers = append(r.Servers, Summary{s.Name, bare.RPS, watched.RPS, bare.P99, watched.P99, d.Loss[Default], d.addedUp(Default)})
		}
	}
	if len(r.Stages) > 0 {
		sum := 0.0
		for _, s := range r.Stages {
			sum += s.NS
		}
		r.UserspaceNS = &sum
	}
	for i := range r.Scales {
		if s := &r.Scales[i]; s.Calls == 300_000 && s.Threads == 2000 {
			r.RSS = &s.RSS
		}
	}
}

// Done notes when a part was measured.
func (r *Report) Done(part string) { r.Date[part] = time.Now().UTC().Format(time.RFC3339) }
