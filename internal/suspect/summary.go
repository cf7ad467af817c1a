package suspect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/unit"
)

// maxDeviations bounds the calls listed with an anomaly.
const maxDeviations = 8

// Deviations lists the calls whose rate or waiting left the past, the one
// that moves most first. pastMean is the mean time in a call then, in
// nanoseconds; waiting the excess waiting by call number.
func Deviations(arch string, rates []CallRate, pastMean map[unit.Key]float64, waiting map[int32]float64) []Deviation {
	type weighted struct {
		Deviation
		weight float64
	}
	all := map[int32]struct{ now, past float64 }{}
	for _, r := range rates {
		t := all[r.Number]
		t.now += r.Now
		t.past += r.Past
		all[r.Number] = t
	}
	var list []weighted
	for _, r := range rates {
		more := r.Now > ManyTimes*r.Past && r.Now-r.Past > 1
		less := r.Past > ManyTimes*r.Now && r.Past-r.Now > 1
		slower := r.Errno == 0 && waiting[r.Number] > 0
		if !more && !less && !slower {
			continue
		}
		past := pastMean[unit.Key{Number: r.Number, Errno: r.Errno}]
		d := Deviation{
			Call: syscalltrace.Name(arch, r.Number), Error: syscalltrace.ErrnoName(r.Errno),
			Normal:   Figures{RatePerSecond: r.Past, MeanSeconds: past / 1e9},
			Abnormal: Figures{RatePerSecond: r.Now, MeanSeconds: r.Mean / 1e9},
		}
		if r.Errno != 0 {
			d.Normal.ErrorShare = ratio(r.Past, all[r.Number].past)
			d.Abnormal.ErrorShare = ratio(r.Now, all[r.Number].now)
		}
		weight := math.Abs(r.Now-r.Past) + waiting[r.Number]/1e6
		if r.Errno != 0 {
			// Failing calls tell most (docs/inference.md).
			weight *= 4
		}
		list = append(list, weighted{d, weight})
	}
	slices.SortFunc(list, func(a, b weighted) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.Call, b.Call), cmp.Compare(a.Error, b.Error))
	})
	deviations := make([]Deviation, 0, min(len(list), maxDeviations))
	for i := range list[:cap(deviations)] {
		deviations = append(deviations, list[i].Deviation)
	}
	return deviations
}

var patternPhrases = map[string]string{
	PatternDescriptorExhaustion: "it is out of file descriptors",
	PatternBusyFailingCall:      "a call fails and is tried again at once",
	PatternPollWithoutSleep:     "its wait returns at once, again and again",
	PatternLockWait:             "threads wait for each other",
	PatternSyncWrite:            "it waits for storage on every operation",
	PatternSleepInRequest:       "it sleeps amid work",
	PatternStuckCall:            "a call does not return",
	PatternBlockedIO:            "it waits for a peer or a disk amid work",
	PatternConnectionChurn:      "connections are opened and closed over and over",
	PatternTinyIO:               "many small calls do what few could",
	PatternMemoryMapChurn:       "memory is mapped and unmapped over and over",
	PatternLongComputation:      "it computes without making calls",
	PatternResourceExhaustion:   "something has run out",
	PatternPeerUnreachable:      "a peer cannot be reached",
}

// Cause is what Summarise has to be told beside the anomaly.
type Cause struct {
	// Waited is the call with the most excess waiting, empty when the excess
	// is on CPU.
	Waited string
	// Refused says which calls are refused, when that is all there is.
	Refused string
}

// Summarise says the anomaly in one sentence.
func Summarise(a *Anomaly, cause Cause) string {
	var b strings.Builder
	waited := cause.Waited
	share := fmt.Sprintf("%.0f %% of its active time is beyond its past", 100*a.Impact)
	if a.Warmup {
		share = "units far longer than the others (no past to compare with yet)"
	}
	doing := "spent on CPU"
	if waited != "" {
		doing = "spent waiting in " + waited
	}
	what := share + ", " + doing
	if cause.Refused != "" {
		what = cause.Refused
	}
	if len(a.Suspects) == 0 {
		fmt.Fprintf(&b, "No function stands out: %s", what)
	} else {
		s := a.Suspects[0]
		fmt.Fprintf(&b, "%s (%s) is the first suspect: %s", s.Function, s.Module, what)
	}
	if phrase := patternPhrases[a.Pattern]; phrase != "" {
		b.WriteString("; " + phrase)
	}
	if d, ok := telling(a.Deviations, waited); ok {
		name := d.Call
		if d.Error != "" {
			name += " failing with " + d.Error
		}
		fmt.Fprintf(&b, "; %s went from %s to %s per second", name, figure(d.Normal.RatePerSecond), figure(d.Abnormal.RatePerSecond))
	}
	if n := len(a.Order); n > 1 {
		fmt.Fprintf(&b, "; it runs after %s", strings.Join(a.Order[:n-1], " and then "))
	}
	b.WriteString(".")
	return b.String()
}

// telling is the deviation worth a clause: that of the call waited in, else
// the largest if it is more than a few calls.
func telling(deviations []Deviation, waited string) (Deviation, bool) {
	for _, d := range deviations {
		if d.Call == waited && d.Error == "" && d.Abnormal.RatePerSecond > ManyTimes*d.Normal.RatePerSecond {
			return d, true
		}
	}
	if waited == "" && len(deviations) > 0 && deviations[0].differ() > NotRare {
		return deviations[0], true
	}
	return Deviation{}, false
}

// differ is by how many calls per second the rate differs.
func (d Deviation) differ() float64 {
	return math.Abs(d.Abnormal.RatePerSecond - d.Normal.RatePerSecond)
}

func figure(x float64) string {
	if x < 10 {
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}
