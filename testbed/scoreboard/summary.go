package scoreboard

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/perfscope/perfscope/testbed/evaluation"
)

// Board is the whole scoreboard.
type Board struct {
	Faults     map[string]Faults `json:"faults"`
	ByLanguage map[string]Faults `json:"by_language"`
	Healthy    Healthy           `json:"healthy"`
	// HealthyBySplit is Healthy of each half.
	HealthyBySplit map[string]Healthy `json:"healthy_by_split"`
	Calibration    []Calibration      `json:"calibration"`
	Causes         Causes             `json:"causes"`
	Rows           []FaultRow         `json:"rows"`
	External       []ExternalRow      `json:"external"`
	Alarms         []Alarm            `json:"alarms"`
}

// Calibration is how often healthy services were called abnormal when a judge was
// asked for a rate.
type Calibration struct {
	AskedPerDay float64 `json:"asked_per_day"`
	GotPerDay   float64 `json:"got_per_day"`
}

// Faults sums up rows; shares are of N.
type Faults struct {
	N             int     `json:"n"`
	Detected      float64 `json:"detected"`
	First         float64 `json:"first"`
	Top3          float64 `json:"top3"`
	Top5          float64 `json:"top5"`
	Mean          float64 `json:"mean"`
	MedianSeconds float64 `json:"median_seconds"`
	Pattern       float64 `json:"pattern"`
	// Onset is the share of faults of which the first anomaly says within a hop when
	// they began.
	Onset float64 `json:"onset"`
}

// absent is the rank that counts for a function that was not found.
const absent = 20

// Summarize sums rows up.
func Summarize(rows []FaultRow) (f Faults) {
	f.N = len(rows)
	if f.N == 0 {
		return f
	}
	one := 1 / float64(f.N)
	var seconds []float64
	for _, r := range rows {
		within := func(n int) float64 {
			if r.Rank > 0 && r.Rank <= n {
				return one
			}
			return 0
		}
		f.First += within(1)
		f.Top3 += within(3)
		f.Top5 += within(5)
		if r.Rank > 0 {
			f.Mean += float64(r.Rank) * one
		} else {
			f.Mean += absent * one
		}
		if !r.Detected {
			continue
		}
		f.Detected += one
		seconds = append(seconds, r.Seconds)
		if r.Right {
			f.Pattern += one
		}
		if math.Abs(r.OnsetError)*1e9 <= float64(hopLength) {
			f.Onset += one
		}
	}
	if len(seconds) > 0 {
		slices.Sort(seconds)
		f.MedianSeconds = seconds[len(seconds)/2]
	}
	for _, x := range []*float64{&f.Detected, &f.First, &f.Top3, &f.Top5, &f.Mean, &f.MedianSeconds, &f.Pattern, &f.Onset} {
		*x = math.Round(*x*1e4) / 1e4
	}
	return f
}

// Healthy is what was said of services with nothing wrong.
type Healthy struct {
	ServiceDays float64 `json:"service_days"`
	Alarms      int     `json:"alarms"`
	PerDay      float64 `json:"per_day"`
	// Upper95 is the upper limit of PerDay with 95 % confidence.
	Upper95 float64 `json:"upper95"`
}

// Alarm is one that should not have come.
type Alarm struct {
	Recording string `json:"recording"`
	Split     string `json:"split"`
	Service   string `json:"service"`
	Instance  string `json:"instance"`
	// Seconds since the first record of the service.
	Seconds  float64 `json:"seconds"`
	Score    float64 `json:"score"`
	Sentence string  `json:"sentence"`
}

// NewHealthy counts alarms over service-seconds.
func NewHealthy(seconds float64, alarms int) Healthy {
	h := Healthy{ServiceDays: seconds / 86400, Alarms: alarms}
	if seconds > 0 {
		h.PerDay = float64(alarms) / h.ServiceDays
		h.Upper95 = evaluation.PoissonUpper95(alarms) / h.ServiceDays
	}
	return h
}

// HealthyLife judges a recording of services with nothing wrong, or only those of a
// name. Only the processes
// that its labels name count, if there are any: the machine may run others.
func HealthyLife(path, only string, newJudge func(arch string) Judge) (seconds float64, alarms []Alarm, err error) {
	l, err := readLabels(filepath.Dir(path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, nil, err
	}
	services, err := Read(path, l.ofLife())
	if err != nil {
		return 0, nil, err
	}
	for _, s := range services {
		begun, ended, ok := s.span()
		if !ok || only != "" && s.Name != only {
			continue
		}
		seconds += float64(ended-begun) / 1e9
		seen := map[string]bool{}
		for _, t := range Play(s, newJudge(s.Arch)) {
			if !seen[t.ID] { // one anomaly, however often it is updated
				seen[t.ID] = true
				alarms = append(alarms, Alarm{Recording: path, Service: s.Name, Instance: s.Instance, Seconds: float64(t.At-begun) / 1e9, Score: t.Score, Sentence: t.Summary})
			}
		}
	}
	return seconds, alarms, nil
}
