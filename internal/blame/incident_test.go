package blame

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// day is the life of some anomalies at a gateway.
type day struct {
	t         *testing.T
	incidents *Incidents
	open      map[string]bool
	got       []string
}

func newDay(t *testing.T) *day {
	return &day{t: t, incidents: NewIncidents(20*time.Second, time.Minute), open: map[string]bool{}}
}

func group(traces int, pairs ...Pair) Group { return Group{Ranking: pairs, Traces: traces} }

func pair(service, function string, role Role, anomalies ...string) Pair {
	return Pair{Service: service, Function: function, Role: role, Anomalies: anomalies}
}

// at reports what is known at a second.
func (d *day) at(second int, groups ...Group) {
	for _, in := range d.incidents.Advance(time.Unix(int64(second), 0), groups, func(id string) bool { return d.open[id] }) {
		d.got = append(d.got, fmt.Sprintf("%d %s %s since %d", second, in.State, in.Ranking[0].Function, in.Since.Unix()))
	}
}

func (d *day) want(want ...string) {
	d.t.Helper()
	if !slices.Equal(d.got, want) {
		d.t.Errorf("got  %q\nwant %q", d.got, want)
	}
}

func TestAnIncidentEndsWithItsAnomalies(t *testing.T) {
	d := newDay(t)
	d.open["r"], d.open["f"] = true, true
	linked := group(3, pair("redis", "fsync", Cause, "r"), pair("front", "wait", Victim, "f"))
	d.at(5, linked)
	d.at(10, linked)
	delete(d.open, "r")
	d.at(15) // the front is still slow
	d.at(65)
	delete(d.open, "f")
	d.at(70)
	d.at(75)
	d.want("5 raised fsync since 5", "65 updated fsync since 5", "70 cleared fsync since 5")
	if d.incidents.Len() != 0 {
		t.Error("it is still held")
	}
}

func TestAnotherFirstCauseIsReportedAtOnce(t *testing.T) {
	d := newDay(t)
	d.open["r"] = true
	d.at(5, group(1, pair("redis", "fsync", Cause, "r")))
	d.at(10, group(1, pair("redis", "rehash", Cause, "r")))
	// Without traces nothing is known better.
	d.at(15, group(0, pair("redis", "other", Unlinked, "r")))
	d.want("5 raised fsync since 5", "10 updated rehash since 5")
}

func TestWhatNoTraceLeadsToWaitsForOne(t *testing.T) {
	d := newDay(t)
	d.open["r"], d.open["short"] = true, true
	d.at(0, group(0, pair("redis", "fsync", Unlinked, "r")), group(0, pair("cron", "f", Unlinked, "short")))
	d.at(10)
	delete(d.open, "short") // gone again before anybody was told
	d.at(20)
	d.at(25)
	d.want("20 raised fsync since 0")
}

func TestWhatTracesLinkIsOneIncident(t *testing.T) {
	d := newDay(t)
	d.open["r"], d.open["f"] = true, true
	redis, front := group(0, pair("redis", "fsync", Unlinked, "r")), group(0, pair("front", "wait", Unlinked, "f"))
	d.at(0, redis)
	d.at(5, redis, front)
	d.at(10, group(2, pair("redis", "fsync", Cause, "r"), pair("front", "wait", Victim, "f")))
	delete(d.open, "r")
	d.at(15)
	delete(d.open, "f")
	d.at(20)
	d.want("10 raised fsync since 0", "20 cleared fsync since 0")
}

func TestClearedAnomaliesRaiseNothing(t *testing.T) {
	d := newDay(t)
	d.at(5, group(2, pair("redis", "fsync", Cause, "r")))
	d.want()
}
