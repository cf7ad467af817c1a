package scoreboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/perfscope/perfscope/testbed/runner"
)

// FrozenName is the file of a corpus with the figures that must not get worse.
const FrozenName = "frozen.json"

// Frozen are figures of a board. The judgement is deterministic, so nothing is
// tolerated but what rounding makes of it.
type Frozen struct {
	Faults map[string]FrozenFaults `json:"faults"`
	// Alarms counts those in life and before the faults, by split.
	Alarms map[string]int `json:"healthy_alarms"`
	Causes FrozenCauses   `json:"causes"`
}

// FrozenCauses are the frozen ones of Causes.
type FrozenCauses struct {
	Code     int `json:"code"`
	Innocent int `json:"innocent"`
	External int `json:"external"`
	Kind     int `json:"kind"`
	Blamed   int `json:"blamed"`
}

// FrozenFaults are the frozen ones of Faults.
type FrozenFaults struct {
	N        int     `json:"n"`
	Detected float64 `json:"detected"`
	First    float64 `json:"first"`
	Top3     float64 `json:"top3"`
	Mean     float64 `json:"mean"`
}

// Freeze takes the figures of a board.
func Freeze(b *Board) Frozen {
	f := Frozen{Faults: map[string]FrozenFaults{}, Alarms: map[string]int{}}
	f.Causes = FrozenCauses{Code: b.Causes.Code, Innocent: b.Causes.Innocent, External: b.Causes.External, Kind: b.Causes.Kind, Blamed: b.Causes.Blamed}
	for split, of := range b.Faults {
		f.Faults[split] = FrozenFaults{N: of.N, Detected: of.Detected, First: of.First, Top3: of.Top3, Mean: of.Mean}
	}
	for split, of := range b.HealthyBySplit {
		f.Alarms[split] = of.Alarms
	}
	return f
}

// Save writes the figures.
func (f Frozen) Save(path string) error { return runner.WriteJSON(&f, path) }

// LoadFrozen reads what Save wrote.
func LoadFrozen(path string) (Frozen, error) {
	var f Frozen
	data, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("no figures are frozen: %w; `scoreboard -freeze` writes them", err)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("%s: %w; `scoreboard -freeze` writes it anew", path, err)
	}
	return f, nil
}

// rounding is what is left of a share that was rounded to four digits.
const rounding = 1e-4

// Worse says which figures of a board are worse than they were, each in a sentence. A
// corpus of another size is worse, too: its figures are others.
func (f Frozen) Worse(b *Board) (worse []string) {
	now := Freeze(b)
	for _, split := range slices.Sorted(maps.Keys(f.Faults)) {
		was, is := f.Faults[split], now.Faults[split]
		if was.N != is.N {
			worse = append(worse, fmt.Sprintf("%s: %d judgements of faults, %d are frozen: the corpus is another", split, is.N, was.N))
			continue
		}
		for _, figure := range []struct {
			name    string
			was, is float64
			less    bool // is better
		}{
			{"detected", was.Detected, is.Detected, false},
			{"first", was.First, is.First, false},
			{"top3", was.Top3, is.Top3, false},
			{"mean rank", was.Mean, is.Mean, true},
		} {
			lost := figure.was - figure.is
			if figure.less {
				lost = -lost
			}
			if math.IsNaN(lost) || lost > rounding {
				worse = append(worse, fmt.Sprintf("%s: %s was %.4f and is %.4f", split, figure.name, figure.was, figure.is))
			}
		}
	}
	for _, split := range slices.Sorted(maps.Keys(f.Alarms)) {
		if was, is := f.Alarms[split], now.Alarms[split]; is > was {
			worse = append(worse, fmt.Sprintf("%s: healthy services gave %d alarms and give %d", split, was, is))
		}
	}
	return append(worse, f.Causes.worse(now.Causes)...)
}

// worse says which figures are worse now.
func (f FrozenCauses) worse(now FrozenCauses) (worse []string) {
	if f.External != now.External {
		return []string{fmt.Sprintf("%d judgements of causes that are nobody's code, %d are frozen: the corpus is another", now.External, f.External)}
	}
	for _, figure := range []struct {
		name    string
		was, is int
		less    bool // is better
	}{
		{"faults of code with no function named", f.Innocent, now.Innocent, true},
		{"causes of the machine that are told right", f.Kind, now.Kind, false},
		{"causes of the machine that code is blamed for", f.Blamed, now.Blamed, true},
	} {
		if figure.is != figure.was && (figure.is > figure.was) == figure.less {
			worse = append(worse, fmt.Sprintf("%s: they were %d and are %d", figure.name, figure.was, figure.is))
		}
	}
	return worse
}
