package evaluation

import (
	"errors"
	"io"
	"testing"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func TestALanguageRowIsOfTheStrongestAnomaly(t *testing.T) {
	sc := scenario.Scenario{Name: "x", Language: scenario.Ruby, Truth: []string{"f"}}
	found := agent.Anomaly{Suspects: []agent.Suspect{{Function: "g"}, {Function: "f"}}, Pattern: "lock_wait"}
	r := runner.Result{
		Rank: 2, SecondsToFirst: 7, Suspects: found.Suspects, Strongest: found,
		Before: []agent.Anomaly{{}}, After: []agent.Anomaly{found},
	}
	want := LanguageRow{
		Scenario: "x", Language: scenario.Ruby, Detected: true, Rank: 2, Seconds: 7, FalseAlarms: 1, Profiles: true, First: "g", Pattern: "lock_wait",
	}
	if got := NewLanguageRow(sc, r, true, nil); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := NewLanguageRow(sc, runner.Result{SecondsToFirst: -1}, false, errors.New("no server")); got.Detected || got.Seconds != -1 || got.Error != "no server" {
		t.Errorf("a run that failed is %+v", got)
	}
}

func TestWhatIsAskedOfTheTwelve(t *testing.T) {
	good := make([]LanguageRow, 12)
	for i := range good {
		good[i] = LanguageRow{Detected: true, Rank: 1 + i/8} // eight in the first place, four in the second
	}
	if !PrintLanguages(io.Discard, good) {
		t.Error("what is asked is not enough")
	}
	for name, spoil := range map[string]func(*LanguageRow){
		"one is not detected":      func(r *LanguageRow) { r.Detected = false },
		"an alarm before":          func(r *LanguageRow) { r.FalseAlarms = 1 },
		"seven in the first place": func(r *LanguageRow) { r.Rank = 2 },
	} {
		rows := append([]LanguageRow(nil), good...)
		spoil(&rows[0])
		if PrintLanguages(io.Discard, rows) {
			t.Errorf("%s, and it is enough", name)
		}
	}
	for i := 8; i < 11; i++ {
		good[i].Rank = 4
	}
	if PrintLanguages(io.Discard, good) {
		t.Error("nine in the first three places are enough")
	}
}
