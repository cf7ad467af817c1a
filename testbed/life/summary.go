package life

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/evaluation"
	"github.com/perfscope/perfscope/testbed/runner"
)

// Alarm is a warning while nothing was wrong.
type Alarm struct {
	Time time.Time `json:"time"`
	// Seconds is from the start of the collector.
	Seconds  float64  `json:"seconds"`
	ID       string   `json:"id"`
	Service  string   `json:"service"`
	Instance string   `json:"instance"`
	Score    float64  `json:"score"`
	Sentence string   `json:"sentence"`
	Suspects []string `json:"suspects"`
	// Around are what was going on at the instance or on the machine in the
	// minute before.
	Around []Entry `json:"around"`
}

func (a *Alarm) context() string {
	if len(a.Around) == 0 {
		return "  [nothing was going on]"
	}
	var names []string
	for _, e := range a.Around {
		name := string(e.Kind)
		if e.Factor > 0 {
			name += fmt.Sprintf(" %.2g", e.Factor)
		}
		if !e.End.IsZero() && e.End.Before(a.Time) {
			name += fmt.Sprintf(", over for %.0f s", a.Time.Sub(e.End).Seconds())
		} else {
			name += fmt.Sprintf(", for %.0f s", a.Time.Sub(e.Start).Seconds())
		}
		names = append(names, name)
	}
	return "  [" + strings.Join(names, "; ") + "]"
}

// Row is what came of one instance.
type Row struct {
	Name     string  `json:"name"`
	Service  string  `json:"service"`
	Scenario string  `json:"scenario"`
	Rate     float64 `json:"rate"`
	// Hours is how long it ran under the collector, CPU the cores it used.
	Hours float64 `json:"hours"`
	CPU   float64 `json:"cpu"`
	// Requests were answered, Failures were not, Unexpected are those that
	// failed while nothing was going on.
	Requests   int    `json:"requests"`
	Failures   int    `json:"failures"`
	Unexpected int    `json:"unexpected"`
	LastError  string `json:"last_error,omitempty"`
	Deaths     int    `json:"deaths"`
	// Events are those of the recording.
	Events int64 `json:"events"`
	Alarms int   `json:"alarms"`
}

// Count is how often a kind happened, and how often it did not come about.
type Count struct {
	N      int `json:"n"`
	Failed int `json:"failed"`
}

// Summary is what came of a run: summary.json.
type Summary struct {
	Seed        uint64  `json:"seed"`
	Servers     int     `json:"servers"`
	Kinds       int     `json:"kinds"`
	ServiceDays float64 `json:"service_days"`
	// Alarms are warnings, Episodes those with an id of their own.
	Alarms   int     `json:"alarms"`
	Episodes int     `json:"episodes"`
	PerDay   float64 `json:"per_day"`
	// Upper95 bounds the alarms per service-day that are not ruled out at 95 %.
	Upper95    float64        `json:"upper95"`
	Happenings map[Kind]Count `json:"happenings"`
	// Bytes is the size of the recording; MBPerHour is per hour of an instance.
	Bytes     int64   `json:"bytes"`
	MBPerHour float64 `json:"mb_per_instance_hour"`
	// Cores used on average.
	CPU struct {
		Servers   float64 `json:"servers"`
		Loads     float64 `json:"loads"`
		Collector float64 `json:"collector"`
	} `json:"cpu"`
	LeftOut []string `json:"left_out"`
	// Others are warnings about services that are not of the fleet.
	Others    int     `json:"others"`
	Instances []Row   `json:"instances"`
	Told      []Alarm `json:"told"`
}

// rates fills in what follows from alarms and days.
func (s *Summary) rates() {
	ids := map[string]bool{}
	for _, a := range s.Told {
		ids[a.ID] = true
	}
	s.Alarms, s.Episodes = len(s.Told), len(ids)
	if s.ServiceDays > 0 {
		s.PerDay = float64(s.Alarms) / s.ServiceDays
		s.Upper95 = evaluation.PoissonUpper95(s.Alarms) / s.ServiceDays
	}
}

// summarize makes the summary of a run that has ended.
func (r *run) summarize(l *Labels) Summary {
	s := Summary{
		Seed: r.o.Seed, Servers: len(r.instances), Kinds: kindsOfServer(r.instances), LeftOut: r.missing, Others: r.others,
		Told: r.alarms, Happenings: map[Kind]Count{}, Bytes: l.bytes,
	}
	seconds := l.End.Sub(l.Start).Seconds()
	hours := 0.0
	for i, in := range r.instances {
		row := Row{
			Name: in.Name, Service: in.Scenario.Server, Scenario: in.Scenario.Name, Rate: round(in.rate), Hours: in.up.Hours(),
			CPU: round(in.cpu.total.Seconds() / seconds), Requests: in.figures.requests, Failures: in.figures.failures,
			Unexpected: in.figures.unexpected, Deaths: in.deaths, Events: l.Instances[i].Events,
		}
		if in.lastErr != nil {
			row.LastError = in.lastErr.Error()
		}
		for _, a := range r.alarms {
			if a.Instance == in.Name {
				row.Alarms++
			}
		}
		hours += row.Hours
		s.CPU.Servers += in.cpu.total.Seconds() / seconds
		s.Instances = append(s.Instances, row)
	}
	s.CPU.Servers = round(s.CPU.Servers)
	s.CPU.Loads, s.CPU.Collector = round(r.used.own.Seconds()/seconds), round(r.used.collector.total.Seconds()/seconds)
	for _, e := range r.journal.entries {
		c := s.Happenings[e.Kind]
		c.N++
		if e.Error != "" {
			c.Failed++
		}
		s.Happenings[e.Kind] = c
	}
	s.ServiceDays = hours / 24
	if hours > 0 {
		s.MBPerHour = round(float64(s.Bytes) / 1e6 / hours)
	}
	s.rates()
	return s
}

func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// conclude writes the results of a run that has ended.
func (r *run) conclude() (Summary, error) {
	labels := r.labels()
	err := labels.finish(r.out)
	r.settle(&labels)
	s := r.summarize(&labels)
	if saved := runner.WriteJSON(labels, filepath.Join(r.out, "labels.json")); err == nil {
		err = saved
	}
	if saved := runner.WriteJSON(s, filepath.Join(r.out, "summary.json")); err == nil {
		err = saved
	}
	return s, err
}

// Print writes what a reader wants to know.
func (s *Summary) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%-16s %-24s %6s %6s %6s %9s %8s %10s %6s %6s\n", "instance", "scenario", "req/s", "hours", "CPU", "requests", "failed", "unexpected", "deaths", "alarms")
	for _, i := range s.Instances {
		fmt.Fprintf(w, "%-16s %-24s %6.1f %6.2f %6.3f %9d %8d %10d %6d %6d\n", i.Name, i.Scenario, i.Rate, i.Hours, i.CPU, i.Requests, i.Failures, i.Unexpected, i.Deaths, i.Alarms)
	}
	fmt.Fprintf(w, "\nhappenings:")
	for _, k := range sortedKinds(s.Happenings) {
		fmt.Fprintf(w, " %s %d", k, s.Happenings[k].N)
		if failed := s.Happenings[k].Failed; failed > 0 {
			fmt.Fprintf(w, " (%d failed)", failed)
		}
	}
	fmt.Fprintln(w)
	for _, why := range s.LeftOut {
		fmt.Fprintln(w, "left out:", why)
	}
	if len(s.Told) > 0 {
		fmt.Fprintln(w, "\nalarms, with what was going on in the minute before:")
	}
	for _, a := range s.Told {
		fmt.Fprintf(w, "%7.0f s  %-16s %.2f  %s%s\n", a.Seconds, a.Instance, a.Score, a.Sentence, a.context())
	}
	fmt.Fprintf(w, "\n%d servers of %d kinds, %.3f service-days: %d alarms (%d episodes), %.2f per service-day, at most %.2f (95 %%)\n",
		s.Servers, s.Kinds, s.ServiceDays, s.Alarms, s.Episodes, s.PerDay, s.Upper95)
	fmt.Fprintf(w, "cores: servers %.2f, loads %.2f, collector %.2f; recording %.1f MB, %.2f MB per instance-hour\n",
		s.CPU.Servers, s.CPU.Loads, s.CPU.Collector, float64(s.Bytes)/1e6, s.MBPerHour)
}
