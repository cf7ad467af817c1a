package journal

import (
	"maps"
	"sync"
	"time"
)

// Activity counts events by action and hour.
type Activity struct {
	mu    sync.Mutex
	hours map[time.Time]map[string]int
}

// activityHours is how many hours are kept.
const activityHours = 48

// NewActivity starts with nothing.
func NewActivity() *Activity { return &Activity{hours: map[time.Time]map[string]int{}} }

// Count counts an event.
func (a *Activity) Count(e Event) {
	hour := e.Time.Truncate(time.Hour)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hours[hour] == nil {
		a.forget(hour.Add(-activityHours * time.Hour))
		a.hours[hour] = map[string]int{}
	}
	a.hours[hour][e.Action]++
}

func (a *Activity) forget(before time.Time) {
	for hour := range a.hours {
		if hour.Before(before) {
			delete(a.hours, hour)
		}
	}
}

// Hours returns a copy of the counts.
func (a *Activity) Hours() map[string]map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]map[string]int, len(a.hours))
	for hour, counts := range a.hours {
		out[hour.Format(time.RFC3339)] = maps.Clone(counts)
	}
	return out
}
